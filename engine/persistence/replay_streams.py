"""The commands of streams, as a journal has them: ids are given, trimming is exact.

Consumer groups are not among them: the engine has none.
"""

from __future__ import annotations

from collections import deque

from engine.persistence.arguments import integer, stream_id
from engine.persistence.commands import Command
from engine.persistence.errors import Malformed
from engine.persistence.replay_state import State, Table
from engine.stream import Stream

__all__ = ["STREAMS"]


def _add(state: State, command: Command) -> None:
    key, at = command[1], 2
    stream = state.stream(key)
    if command[at].upper() == b"NOMKSTREAM":
        at += 1
        if stream is None:
            return
    trimming = at
    at = _after_trimming(command, at)
    entry_id, fields = stream_id(command[at]), command[at + 1 :]
    if not fields or len(fields) % 2:
        raise Malformed("an entry has a field without a value")
    if stream is None:
        stream = Stream()
    stream.append(entry_id, tuple(fields))
    state.keep(key, stream)
    _trim_as_told(stream, command, trimming)


def _after_trimming(command: Command, at: int) -> int:
    """Where the options of trimming that may begin at ``at`` end."""
    if command[at].upper() not in (b"MAXLEN", b"MINID"):
        return at
    at += 2 if command[at + 1] == b"=" else 1
    at += 1
    return at + 2 if command[at : at + 1] and command[at].upper() == b"LIMIT" else at


def _trim_as_told(stream: Stream, command: Command, at: int) -> None:
    """Obey the options at ``at``, if there are any."""
    strategy = command[at].upper()
    if strategy not in (b"MAXLEN", b"MINID"):
        return
    limit = command[at + 2] if command[at + 1] == b"=" else command[at + 1]
    if strategy == b"MAXLEN":
        stream.trim(max(0, integer(limit)))
        return
    oldest = stream_id(limit)
    while stream.entries and stream.entries[0][0] < oldest:
        stream.entries.popleft()


def _trim(state: State, command: Command) -> None:
    stream = state.stream(command[1])
    if command[2].upper() not in (b"MAXLEN", b"MINID") or len(command) < 4:
        raise Malformed("XTRIM has no limit")
    if stream is not None:
        _trim_as_told(stream, command, 2)


def _delete(state: State, command: Command) -> None:
    stream, ids = state.stream(command[1]), set(map(stream_id, command[2:]))
    if stream is None:
        return
    gone = [entry_id for entry_id, _ in stream.entries if entry_id in ids]
    if gone:
        stream.entries = deque(entry for entry in stream.entries if entry[0] not in ids)
        stream.max_deleted_id = max(stream.max_deleted_id, *gone)


def _set_id(state: State, command: Command) -> None:
    stream, last_id = state.stream(command[1]), stream_id(command[2])
    if stream is None:
        raise Malformed("XSETID of a stream that is not there")
    if stream.entries and last_id < stream.entries[-1][0]:
        raise Malformed("XSETID to an id below the newest entry")
    options = [word.upper() for word in command[3:]]
    stream.last_id = last_id
    for name, value in zip(options[::2], options[1::2], strict=True):
        if name == b"ENTRIESADDED":
            stream.added = integer(value)
        elif name == b"MAXDELETEDID":
            stream.max_deleted_id = stream_id(value)
        else:
            raise Malformed(f"XSETID has no option {name[:40]!r}")


STREAMS: Table = {b"XADD": _add, b"XTRIM": _trim, b"XDEL": _delete, b"XSETID": _set_id}
