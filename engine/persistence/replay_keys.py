"""The commands of keys, whatever they hold, as a journal has them: deadlines, names, copies."""

from __future__ import annotations

import io
from collections import deque

from engine.keyspace import Value
from engine.persistence import format as rdb
from engine.persistence.arguments import deadline, integer
from engine.persistence.commands import Command
from engine.persistence.errors import Damaged, Foreign, Malformed, Unsupported
from engine.persistence.replay_state import Handler, State, Table
from engine.persistence.source import Source
from engine.persistence.values import LOADERS
from engine.sortedset import SortedSet
from engine.stream import Stream

__all__ = ["KEYS"]

VERSION_SIZE = 2
"""Bytes behind a value in the payload of RESTORE; then comes a checksum."""


def _delete(state: State, command: Command) -> None:
    for key in command[1:]:
        state.keyspace.delete(key)


def _expire(unit: bytes) -> Handler:
    def handler(state: State, command: Command) -> None:
        _, key, number, *options = command
        until = deadline(unit, number, state.now)
        if key in state.values and _may_expire(state.keyspace.deadline(key), until, options):
            state.keyspace.set_deadline(key, until)

    return handler


def _may_expire(before: int | None, until: int, options: list[bytes]) -> bool:
    """Whether the options let a deadline be moved; none counts as later than any."""
    for option in map(bytes.upper, options):
        if option == b"NX":
            allowed = before is None
        elif option == b"XX":
            allowed = before is not None
        elif option == b"GT":
            allowed = before is not None and until > before
        elif option == b"LT":
            allowed = before is None or until < before
        else:
            raise Malformed(f"a deadline has no option {option[:40]!r}")
        if not allowed:
            return False
    return True


def _persist(state: State, command: Command) -> None:
    _, key = command
    value = state.values.get(key)
    if value is not None:
        state.keyspace.put(key, value)


def _rename(state: State, command: Command) -> None:
    _, old, new = command
    value = state.values.get(old)
    if value is None:
        raise Malformed("a key is renamed that is not there")
    until = state.keyspace.deadline(old)
    state.keyspace.delete(old)
    state.keyspace.put(new, value, until)


def _rename_to_new(state: State, command: Command) -> None:
    if command[2] not in state.values:
        _rename(state, command)


def _copy(state: State, command: Command) -> None:
    _, source, target, *options = command
    words = [word.upper() for word in options]
    if b"DB" in words and integer(words[words.index(b"DB") + 1]) != 0:
        raise Foreign("COPY goes to another database than 0")
    value = state.values.get(source)
    if value is not None and (b"REPLACE" in words or target not in state.values):
        if isinstance(value, SortedSet):
            state.settle(value)
        state.keyspace.put(target, _copied(value), state.keyspace.deadline(source))


def _copied(value: Value) -> Value:
    """The same, and nothing of it shared. O(n)."""
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, SortedSet):
        return SortedSet(value)
    if isinstance(value, Stream):
        made = Stream()
        made.entries, made.added = deque(value.entries), value.added
        made.last_id, made.max_deleted_id = value.last_id, value.max_deleted_id
        return made
    return value


def _restore(state: State, command: Command) -> None:
    _, key, number, payload, *options = command
    unit = b"PXAT" if b"ABSTTL" in map(bytes.upper, options) else b"PX"
    until = None if number == b"0" else deadline(unit, number, state.now)
    state.keyspace.put(key, _loaded(state, payload), until)


def _loaded(state: State, payload: bytes) -> Value:
    """The value in a payload of DUMP: as it is in a snapshot, a version, a checksum. O(n)."""
    checked, checksum = payload[: -rdb.CHECKSUM_SIZE], payload[-rdb.CHECKSUM_SIZE :]
    if int.from_bytes(checksum, "little") not in (0, state.crc(checked, 0)):
        raise Malformed("the checksum of a dumped value does not match")
    source = Source(io.BytesIO(checked[:-VERSION_SIZE]), state.crc)
    try:
        kind = source.byte()
        load = LOADERS.get(kind)
        if load is None:
            name = rdb.UNSUPPORTED_TYPES.get(kind, f"type {kind}")
            raise Foreign(f"{name} cannot be restored")
        value = load(source)
    except Unsupported as fault:
        raise Foreign(str(fault)) from None
    except Damaged as fault:
        raise Malformed(str(fault)) from None
    if source.remaining:
        raise Malformed("a dumped value goes on behind its end")
    return value


def _flush(state: State, command: Command) -> None:
    state.keyspace.clear()


KEYS: Table = {
    b"DEL": _delete,
    b"UNLINK": _delete,
    b"PEXPIREAT": _expire(b"PXAT"),
    b"EXPIREAT": _expire(b"EXAT"),
    b"PEXPIRE": _expire(b"PX"),
    b"EXPIRE": _expire(b"EX"),
    b"PERSIST": _persist,
    b"RENAME": _rename,
    b"RENAMENX": _rename_to_new,
    b"COPY": _copy,
    b"RESTORE": _restore,
    b"FLUSHALL": _flush,
    b"FLUSHDB": _flush,
}
