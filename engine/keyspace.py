"""Keys, their values and their deadlines.

A value is one of the types below. A string may be held as the bytes themselves, as an
int, or as a tuple of ints, until somebody asks for its text: counters and limits then
never format or parse on the way. ``text`` gives the bytes that clients and files see.

An expired key is absent from the moment its deadline passes: every look-up checks
(lazily). The sweep only gives the memory back. It finds expired keys through a wheel of
about one-second slots. A key is in the slot of the deadline it had when it was scheduled;
if the deadline has moved by the time the slot is due, the key moves to its new slot. So
moving a deadline costs nothing, which is what sessions and buckets do at each request.

Nothing here reads a clock; callers pass ``now``.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TypeVar

from engine.errors import WrongType
from engine.sortedset import SortedSet
from engine.stream import Stream

__all__ = ["Hash", "Keyspace", "String", "Value", "text", "type_name"]

String = bytes | int | tuple[int, ...]
Hash = dict[bytes, bytes]
Value = String | Hash | SortedSet | Stream

V = TypeVar("V")

NO_PREFIX = b"\xff\x00"
"""What no key begins with: not UTF-8."""

LARGE = 5_000
"""Members from which on a value that is deleted is freed piece by piece: 1 ms of work. A million
would stop everything for 0.2 s."""

SLOT_BITS = 20
"""A slot of the wheel spans 2**20 microseconds: memory comes back within about a second."""


def text(value: String) -> bytes:
    """The bytes of a string, whatever it is held as. A tuple's numbers are joined by spaces."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, int):
        return b"%d" % value
    return b" ".join([b"%d" % number for number in value])


def type_name(value: Value) -> str:
    """The Redis name of a value's type, as its TYPE command says it."""
    if isinstance(value, (bytes, int, tuple)):
        return "string"
    if isinstance(value, dict):
        return "hash"
    return "zset" if isinstance(value, SortedSet) else "stream"


class Keyspace:
    """key -> value, with optional deadlines in microseconds since 1970.

    ``values`` and ``deadlines`` are the same dicts for life. A hot verb may read them
    itself; it must treat a key whose deadline has passed as absent, and leave writing
    to the methods.
    """

    __slots__ = (
        "_due", "_on_expired", "_prefix", "_slots", "_waste", "counted", "deadlines", "values",
    )  # fmt: skip

    def __init__(self, on_expired: Callable[[bytes], None] | None = None) -> None:
        self.values: dict[bytes, Value] = {}
        self.deadlines: dict[bytes, int] = {}
        self._slots: dict[int, set[bytes]] = {}
        self._due: list[int] = []  # a heap of the slots that exist
        self._waste: list[Hash | SortedSet] = []  # deleted, and to be freed
        self._on_expired = on_expired
        self._prefix = NO_PREFIX
        self.counted = 0
        """Keys with a deadline that begin with the prefix of ``count``."""

    def __len__(self) -> int:
        """How many keys are held, those expired and not yet swept included. O(1)."""
        return len(self.values)

    def get(self, key: bytes, now: int) -> Value | None:
        """The live value under ``key``. O(1)."""
        value = self.values.get(key)
        if value is None:
            return None
        deadline = self.deadlines.get(key)
        if deadline is not None and deadline <= now:
            self._expire(key)
            return None
        return value

    def typed(self, key: bytes, now: int, kind: type[V], wanted: str) -> V | None:
        """As ``get``, but raises WrongType unless the value is a ``kind``. O(1)."""
        value = self.values.get(key)  # `get` written out: most verbs begin here
        if value is None:
            return None
        deadline = self.deadlines.get(key)
        if deadline is not None and deadline <= now:
            self._expire(key)
            return None
        if isinstance(value, kind):
            return value
        raise WrongType(key, type_name(value), wanted)

    def string(self, key: bytes, now: int) -> String | None:
        """As ``get``, but raises WrongType unless the value is a string. O(1)."""
        value = self.get(key, now)
        if value is None or isinstance(value, (bytes, int, tuple)):
            return value
        raise WrongType(key, type_name(value), "string")

    def put(self, key: bytes, value: Value, deadline: int | None = None) -> None:
        """Store a value and its deadline; ``None`` means that it never expires. O(1)."""
        self.values[key] = value
        if deadline is not None:
            self.set_deadline(key, deadline)
        elif key in self.deadlines:
            self._unset_deadline(key)

    def set_deadline(self, key: bytes, deadline: int) -> None:
        """Give a key that is held a deadline, or move the one it has. O(1)."""
        if key not in self.deadlines:
            self._schedule(key, deadline)
            if key.startswith(self._prefix):
                self.counted += 1
        self.deadlines[key] = deadline

    def deadline(self, key: bytes) -> int | None:
        """When ``key`` expires, in microseconds since 1970. O(1)."""
        return self.deadlines.get(key)

    def delete(self, key: bytes) -> bool:
        """Whether the key was held. O(1), and the time to free the value: see ``discard``."""
        if self.values.pop(key, None) is None:
            return False
        if key in self.deadlines:
            self._unset_deadline(key)
        return True

    def count(self, prefix: bytes) -> None:
        """Keep ``counted`` for keys that begin with ``prefix``. O(keys), once."""
        self._prefix = prefix
        self.counted = sum(map(self._is_counted, self.deadlines))

    def sweep(self, now: int, limit: int) -> int:
        """Look at up to ``limit`` keys that may have expired; answer how many were looked at.

        Fewer than ``limit`` means that nothing is left to do. O(limit).
        """
        looked = 0
        while looked < limit and self._due and (self._due[0] + 1) << SLOT_BITS <= now:
            keys = self._slots[self._due[0]]
            while keys and looked < limit:
                looked += 1
                self._look(keys.pop(), now)
            if not keys:
                del self._slots[heapq.heappop(self._due)]
        return looked

    def reap(self, now: int, limit: int) -> int:
        """As ``sweep``, and what has expired within the slot that is not over yet. O(limit)."""
        looked = self.sweep(now, limit)
        if looked == limit or not self._due or self._due[0] << SLOT_BITS > now:
            return looked
        slot = self._due[0]
        keys = self._slots[slot]
        for key in list(islice(keys, limit - looked)):
            looked += 1
            deadline = self.deadlines.get(key, now)
            if deadline <= now or deadline >> SLOT_BITS != slot:
                keys.discard(key)
                self._look(key, now)
        return looked

    def discard(self, key: bytes) -> bool:
        """As ``delete``, of a value that nobody uses any more. O(1): if it is large, ``free`` frees
        it."""
        value = self.values.get(key)
        if isinstance(value, (dict, SortedSet)) and len(value) >= LARGE:
            self._waste.append(value)
        return self.delete(key)

    def free(self, limit: int) -> bool:
        """Free up to ``limit`` members of what was discarded, or has expired; whether any are
        left. O(limit)."""
        if not self._waste:
            return False
        value = self._waste[-1]
        if isinstance(value, SortedSet):
            value.shed(limit)
        else:
            for _ in range(min(limit, len(value))):
                value.popitem()
        if not value:
            self._waste.pop()
        return bool(self._waste)

    def next_due(self) -> int:
        """An instant by which one of the next keys will have expired, or has moved. O(1)."""
        return (self._due[0] + 1) << SLOT_BITS if self._due else 0

    def items(self, now: int) -> Iterator[tuple[bytes, Value, int | None]]:
        """Every live key as (key, value, deadline). Nothing may change meanwhile. O(n)."""
        deadlines = self.deadlines
        for key, value in self.values.items():
            deadline = deadlines.get(key)
            if deadline is None or deadline > now:
                yield key, value, deadline

    def replace(self, other: Keyspace) -> dict[bytes, Value]:
        """Take over all that ``other`` holds; answers the values that were held here.

        ``other`` must not be used any more. Nothing is freed, and nobody is told. O(keys of
        both), in C: about 0.2 s a million keys that have deadlines.
        """
        held = self.values.copy()
        self.values.clear()  # the dicts stay the same objects: verbs hold on to them
        self.values.update(other.values)
        self.deadlines.clear()
        self.deadlines.update(other.deadlines)
        self._slots, self._due = other._slots, other._due
        self.counted = sum(map(self._is_counted, self.deadlines))
        return held

    def clear(self) -> None:
        """Forget everything."""
        self.values.clear()
        self.deadlines.clear()
        self._slots.clear()
        self._due.clear()
        self.counted = 0

    def _look(self, key: bytes, now: int) -> None:
        deadline = self.deadlines.get(key)
        if deadline is None:
            return  # deleted, or made permanent, since it was scheduled
        if deadline <= now:
            self._expire(key)
        else:
            self._schedule(key, deadline)

    def _schedule(self, key: bytes, deadline: int) -> None:
        slot = deadline >> SLOT_BITS
        keys = self._slots.get(slot)
        if keys is None:
            keys = self._slots[slot] = set()
            heapq.heappush(self._due, slot)
        keys.add(key)

    def _expire(self, key: bytes) -> None:
        self.discard(key)
        if self._on_expired is not None:
            self._on_expired(key)

    def _unset_deadline(self, key: bytes) -> None:
        del self.deadlines[key]
        if key.startswith(self._prefix):
            self.counted -= 1

    def _is_counted(self, key: bytes) -> bool:
        return key.startswith(self._prefix)

    def _check(self) -> None:
        """Assert every invariant; for tests."""
        assert self.counted == sum(map(self._is_counted, self.deadlines))
        assert self.deadlines.keys() <= self.values.keys()
        assert sorted(self._due) == sorted(self._slots)
        scheduled = set().union(*self._slots.values()) if self._slots else set()
        assert self.deadlines.keys() <= scheduled
