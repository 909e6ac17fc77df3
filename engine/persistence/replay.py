"""The commands of a journal, done again on a keyspace. Nothing is announced, nothing expires.

The journal of this engine has final values and absolute deadlines: doing a part of it twice
changes nothing. A redis-server that served the same folder logs what it was told, `INCR` as
`INCR`; so there is a handler for each command that Redis logs of strings, hashes, sorted sets
and streams. What the engine has no type for is refused by name, and so is any database but 0.

How it is cut: one table of handlers per type (`replay_strings`, …), what they work on
(`replay_state`), what their arguments mean (`arguments`).
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.keyspace import Keyspace
from engine.persistence.arguments import integer
from engine.persistence.commands import Command
from engine.persistence.crc64 import Crc, crc64
from engine.persistence.errors import Foreign, Malformed
from engine.persistence.replay_hashes import HASHES
from engine.persistence.replay_keys import KEYS
from engine.persistence.replay_sortedsets import SORTED_SETS
from engine.persistence.replay_state import Handler, State, Table
from engine.persistence.replay_stored import STORED
from engine.persistence.replay_streams import STREAMS
from engine.persistence.replay_strings import STRINGS

__all__ = ["Replay"]

_FOREIGN = {
    "a list": "LPUSH RPUSH LPUSHX RPUSHX LPOP RPOP LREM LSET LTRIM LINSERT LMOVE RPOPLPUSH",
    "a set": "SADD SREM SPOP SMOVE SINTERSTORE SUNIONSTORE SDIFFSTORE",
    "a bitmap": "SETBIT BITOP BITFIELD",
    "a HyperLogLog": "PFADD PFMERGE PFCOUNT PFDEBUG",
    "a consumer group": "XGROUP XACK XCLAIM XAUTOCLAIM XREADGROUP",
    "a field that expires": "HEXPIRE HPEXPIRE HEXPIREAT HPEXPIREAT HPERSIST HGETEX HSETEX",
    "a stored query": "SORT GEORADIUS GEORADIUSBYMEMBER GEOSEARCHSTORE",
    "a script": "EVAL EVALSHA SCRIPT FCALL FUNCTION",
    "a second database": "MOVE SWAPDB",
}
_REASONS = {name.encode(): what for what, names in _FOREIGN.items() for name in names.split()}


def _select(state: State, command: Command) -> None:
    _, number = command
    state.elsewhere = integer(number) != 0


def _nothing(state: State, command: Command) -> None:
    """In another database, which is empty."""


_HERE: Table = {
    **STRINGS, **HASHES, **SORTED_SETS, **STORED, **STREAMS, **KEYS, b"SELECT": _select
}  # fmt: skip
_ELSEWHERE: Table = {
    b"SELECT": _select, b"FLUSHALL": KEYS[b"FLUSHALL"], b"FLUSHDB": _nothing
}  # fmt: skip


class Replay:
    """Applies commands to a keyspace; one per file, since each file begins in database 0.

    ``settle`` comes last: before it, large sorted sets may lack some of the scores.
    """

    __slots__ = ("_state", "commands")

    def __init__(self, keyspace: Keyspace, *, now: int, crc: Crc = crc64) -> None:
        """``now``, in microseconds since 1970, is what relative deadlines count from."""
        self._state = State(keyspace, now, crc)
        self.commands = 0
        """Applied so far."""

    def apply(self, commands: Iterable[Command]) -> None:
        """Do them, in order. Raises Malformed, or Foreign; those before are done. O(1) to each
        that sets or removes one thing, O(log n) in sorted sets."""
        state, done = self._state, 0
        table = _ELSEWHERE if state.elsewhere else _HERE
        for command in commands:
            handler = table.get(command[0])
            if handler is None:
                handler = _find(command[0], table)
            try:
                handler(state, command)
            except (IndexError, ValueError) as fault:
                raise _explained(fault, command[0]) from None
            if handler is _select:
                table = _ELSEWHERE if state.elsewhere else _HERE
            done += 1
        self.commands += done

    def settle(self) -> None:
        """Bring the keyspace up to date with all that was applied. O(n log n) in sorted sets."""
        self._state.settle_all()


def _find(name: bytes, table: Table) -> Handler:
    """The handler of a command whose name is not written as we write it. Raises Malformed."""
    upper = name.upper()
    handler = table.get(upper)
    if handler is not None:
        return handler
    shown = _shown(upper)
    if upper in _REASONS:
        raise Foreign(f"{shown} needs {_REASONS[upper]}, which this engine does not have")
    if upper in _HERE:
        raise Foreign(f"{shown} in another database than 0, the only one there is")
    if b"." in upper:
        raise Foreign(f"{shown} is a command of a module")
    raise Malformed(f"{shown} is no command that a journal has")


def _explained(fault: ValueError | IndexError, name: bytes) -> Malformed:
    """The fault in one sentence with the command's name."""
    kind = Foreign if isinstance(fault, Foreign) else Malformed
    what = str(fault) if isinstance(fault, Malformed) else "the arguments make no sense"
    return kind(f"{_shown(name)}: {what}")


def _shown(name: bytes) -> str:
    return name[:40].decode("ascii", "backslashreplace")
