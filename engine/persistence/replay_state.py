"""What the commands of a journal work on: a keyspace in which nothing expires by itself.

While a journal is replayed no key is absent because its deadline has passed: whoever wrote the
journal had it, until it logged a DEL. So nothing here looks at the time, except to make a
relative deadline absolute.
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


class State:
    """A keyspace, and what else a command may need."""

    __slots__ = ("crc", "elsewhere", "keyspace", "now", "values")

    def __init__(self, keyspace: Keyspace, now: int, crc: Crc) -> None:
        """``now`` is in microseconds since 1970; ``crc`` checks the payload of RESTORE."""
        self.keyspace = keyspace
        self.values: dict[bytes, Value] = keyspace.values
        self.now = now
        self.crc = crc
        self.elsewhere = False
        """Whether another database than 0 is selected."""

    def string(self, key: bytes) -> String | None:
        """The string under ``key``, or None. Raises Malformed if it is something else. O(1)."""
        value = self.values.get(key)
        if value is None or isinstance(value, (bytes, int, tuple)):
            return value
        raise _wrong(key, value, "string")

    def hash(self, key: bytes) -> Hash | None:
        return self._typed(key, dict, "hash")

    def sorted_set(self, key: bytes) -> SortedSet | None:
        return self._typed(key, SortedSet, "zset")

    def stream(self, key: bytes) -> Stream | None:
        return self._typed(key, Stream, "stream")

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
