"""What the commands of a journal work on: a keyspace in which nothing expires by itself.

While a journal is replayed no key is absent because its deadline has passed: whoever wrote the
journal had it, until it logged a DEL. So nothing here looks at the time, except to make a
relative deadline absolute.

Nobody asks for a rank meanwhile either. A large sorted set would be kept in order at every score,
which is most of what replaying it costs. So its scores are only noted, and brought in all at
once: when the replay ends, or when a command comes for which the order matters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from engine.keyspace import Hash, Keyspace, String, Value, type_name
from engine.persistence.commands import Command
from engine.persistence.crc64 import Crc
from engine.persistence.errors import Malformed
from engine.sortedset import SortedSet
from engine.stream import Stream

__all__ = ["Handler", "State", "Table"]

V = TypeVar("V")

LARGE = 512
"""Members from which on a sorted set's scores are noted."""

MOST_NOTED = 64
"""Sorted sets with such notes at a time; else those that were deleted meanwhile would be kept."""


class State:
    """A keyspace, and what else a command may need."""

    __slots__ = ("_noted", "crc", "elsewhere", "keyspace", "now", "values")

    def __init__(self, keyspace: Keyspace, now: int, crc: Crc) -> None:
        """``now`` is in microseconds since 1970; ``crc`` checks the payload of RESTORE."""
        self.keyspace = keyspace
        self.values: dict[bytes, Value] = keyspace.values
        self.now = now
        self.crc = crc
        self.elsewhere = False
        """Whether another database than 0 is selected."""
        self._noted: dict[SortedSet, dict[bytes, float]] = {}

    def string(self, key: bytes) -> String | None:
        """The string under ``key``, or None. Raises Malformed if it is something else. O(1)."""
        value = self.values.get(key)
        if value is None or isinstance(value, (bytes, int, tuple)):
            return value
        raise _wrong(key, value, "string")

    def hash(self, key: bytes) -> Hash | None:
        return self._typed(key, dict, "hash")

    def sorted_set(self, key: bytes) -> SortedSet | None:
        """As it is: what was noted is brought in."""
        board = self._typed(key, SortedSet, "zset")
        if board is not None:
            self.settle(board)
        return board

    def stream(self, key: bytes) -> Stream | None:
        return self._typed(key, Stream, "stream")

    def set_score(self, board: SortedSet, member: bytes, score: float) -> None:
        """Note it, if the set is large. O(1) then."""
        noted = self._noted.get(board)
        if noted is not None:
            noted[member] = score
        elif len(board) < LARGE:
            board.add(member, score)
        else:
            if len(self._noted) >= MOST_NOTED:
                self.settle_all()
            self._noted[board] = {member: score}

    def settle(self, board: SortedSet) -> None:
        """Bring in what was noted of it. O(n log n), and O(1) if nothing was."""
        noted = self._noted.pop(board, None)
        if noted is not None:
            board.update(noted)

    def settle_all(self) -> None:
        """Bring in all that was noted."""
        for board in list(self._noted):
            self.settle(board)

    def keep(self, key: bytes, value: Value) -> None:
        """Store a value in place of the one that is there; the deadline stays. O(1)."""
        self.values[key] = value

    def _typed(self, key: bytes, kind: type[V], wanted: str) -> V | None:
        value = self.values.get(key)
        if value is None or isinstance(value, kind):
            return value
        raise _wrong(key, value, wanted)


Handler = Callable[[State, Command], None]
"""Does what one command says. Raises Malformed, or IndexError or ValueError for its arguments."""

Table = dict[bytes, Handler]


def _wrong(key: bytes, value: Value, wanted: str) -> Malformed:
    return Malformed(f"{key[:40]!r} holds a {type_name(value)}, not a {wanted}")
