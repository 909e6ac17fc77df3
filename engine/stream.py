"""Streams: an append-only list of entries, each with an id (milliseconds, sequence).

The shape is Redis' own, so that a snapshot carries it both ways. Channel histories are
streams whose ids are ``(offset, 0)``.

An entry is a plain tuple of tuples, not a named one: after a first look the garbage collector
leaves those alone, so even a hundred thousand of them hardly lengthen a full collection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice

__all__ = ["Stream", "StreamEntry", "StreamId"]

StreamId = tuple[int, int]

StreamEntry = tuple[StreamId, tuple[bytes, ...]]
"""One entry: its id and its fields, flat: name, value, name, value, …"""


class Stream:
    """Entries in the order of their ids, which only grow."""

    __slots__ = ("added", "entries", "last_id", "max_deleted_id")

    def __init__(self) -> None:
        self.entries: deque[StreamEntry] = deque()
        self.last_id: StreamId = (0, 0)
        self.max_deleted_id: StreamId = (0, 0)
        self.added = 0

    def __len__(self) -> int:
        return len(self.entries)

    def append(self, entry_id: StreamId, fields: tuple[bytes, ...]) -> None:
        """Add an entry; its id must be above every earlier one. O(1)."""
        if entry_id <= self.last_id:
            raise ValueError(f"id {entry_id} is not above {self.last_id}")
        self.entries.append((entry_id, fields))
        self.last_id = entry_id
        self.added += 1

    def trim(self, size: int) -> int:
        """Drop the oldest entries until at most ``size`` are left; answer how many. O(dropped)."""
        dropped = 0
        while len(self.entries) > size:
            self.entries.popleft()
            dropped += 1
        return dropped

    def after(self, entry_id: StreamId) -> Iterator[StreamEntry]:
        """Entries with an id above ``entry_id``, oldest first. O(entries above)."""
        above = 0
        for entry in reversed(self.entries):
            if entry[0] <= entry_id:
                break
            above += 1
        return islice(self.entries, len(self.entries) - above, None)

    def before(self, entry_id: StreamId) -> Iterator[StreamEntry]:
        """Entries with an id below ``entry_id``, newest first. O(entries passed over)."""
        return (entry for entry in reversed(self.entries) if entry[0] < entry_id)

    def _check(self) -> None:
        """Assert every invariant; for tests."""
        ids = [entry_id for entry_id, _ in self.entries]
        assert ids == sorted(set(ids))
        assert not ids or ids[-1] <= self.last_id
        assert self.added >= len(ids)
