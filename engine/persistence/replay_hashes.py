"""The commands of hashes, as a journal has them. The last field takes the hash with it."""

from __future__ import annotations

from engine.keyspace import Hash
from engine.persistence.arguments import INT64, integer, pairs
from engine.persistence.commands import Command
from engine.persistence.errors import Malformed
from engine.persistence.replay_state import State, Table
from engine.persistence.replay_strings import added

__all__ = ["HASHES"]


def _record(state: State, key: bytes) -> Hash:
    """The hash under ``key``, made if need be."""
    record = state.hash(key)
    if record is None:
        record = {}
        state.keep(key, record)
    return record


def _set(state: State, command: Command) -> None:
    fields = pairs(command[2:])
    _record(state, command[1]).update(fields)


def _set_new(state: State, command: Command) -> None:
    _, key, name, value = command
    _record(state, key).setdefault(name, value)


def _delete(state: State, command: Command) -> None:
    key, names = command[1], command[2:]
    record = state.hash(key)
    if record is None:
        return
    for name in names:
        record.pop(name, None)
    if not record:
        state.keyspace.delete(key)


def _increment(state: State, command: Command) -> None:
    _, key, name, by = command
    record = state.hash(key) or {}
    number = integer(record.get(name, b"0")) + integer(by)
    if number not in INT64:
        raise Malformed(f"{number} does not fit 64 bits")
    _record(state, key)[name] = b"%d" % number


def _increment_float(state: State, command: Command) -> None:
    _, key, name, by = command
    record = state.hash(key) or {}
    total = added(record.get(name, b"0"), by)
    _record(state, key)[name] = total


HASHES: Table = {
    b"HSET": _set,
    b"HMSET": _set,
    b"HSETNX": _set_new,
    b"HDEL": _delete,
    b"HINCRBY": _increment,
    b"HINCRBYFLOAT": _increment_float,
}
