"""An engine's content to a file and back, here and now.

What `realtime.snapshots` does in the background and at the start, and what the command line
does with a file of its own. The checksum is computed in C.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import anycrc

from engine.clock import Clock
from engine.keyspace import Keyspace
from engine.persistence.rdb import About, Crc, Damaged, Item, RdbError, read, write
from realtime.collector import paused
from realtime.datadir import sync_data
from realtime.keeping import SnapshotError

__all__ = ["Content", "SnapshotError", "Written", "count", "dump", "load"]

SYNC_EVERY = 4 * 1024 * 1024
"""Bytes of a file that reach the disk together. All of it at once, at the end, would hold up
whoever else waits for the disk: an fsync of the journal took ten times as long beside it."""

MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in one unit of what the system calls the largest resident size."""


class Content(Protocol):
    """What is written down: the keyspace, at the time its clock tells."""

    @property
    def clock(self) -> Clock: ...

    @property
    def keyspace(self) -> Keyspace: ...


class Written(NamedTuple):
    """What went into a file."""

    keys: int
    bytes: int


def dump(content: Content, output: int) -> Written:
    """Write everything that is live to the descriptor ``output``, and to the disk.

    Raises OSError. Nothing may change meanwhile. O(everything).
    """
    now = content.clock()
    counted = _Counted(content.keyspace.items(now))
    about = About(now, _used_memory(), len(content.keyspace))
    size = synced = 0
    for chunk in write(counted, about, _crc()):
        _write(output, chunk)
        size += len(chunk)
        if size - synced >= SYNC_EVERY:
            sync_data(output)
            synced = size
    os.fsync(output)
    return Written(counted.count, size)


def load(content: Content, path: Path) -> int:
    """Fill an empty keyspace from a file; how many keys it had that have not expired.

    Raises SnapshotError, and then the keyspace is empty again. O(everything).
    """
    keyspace, now = content.keyspace, content.clock()
    assert not len(keyspace)
    try:
        with path.open("rb") as file, paused():
            count = 0
            for key, value, deadline in read(file, _crc()):
                if deadline is None or deadline > now:
                    keyspace.put(key, value, deadline)
                    count += 1
            if count != len(keyspace):
                raise Damaged(f"{count - len(keyspace)} keys stand there twice", file.tell())
    except (RdbError, OSError) as fault:
        keyspace.clear()
        raise SnapshotError(
            f"{path} cannot be loaded: {fault}. Nothing was loaded, and the file is as it was: "
            "put a good copy in its place, or move it away to start empty"
        ) from fault
    return count


def count(path: Path) -> int:
    """Read a file whole, from the disk, and answer how many keys it has, expired ones included.

    Raises SnapshotError if it could not be loaded, but for a key that stands there twice: to
    notice that, all keys would have to be held. O(everything) in time, one value in memory.
    """
    try:
        with path.open("rb") as file:
            _forget_cached(file.fileno())
            return sum(1 for _ in read(file, _crc()))
    except (RdbError, OSError) as fault:
        raise SnapshotError(f"{path} is not sound: {fault}") from fault


def _forget_cached(descriptor: int) -> None:
    """Let what is read next come from the disk, where the system lets us ask for that."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


class _Counted:
    """The same items, and how many there were."""

    __slots__ = ("_items", "count")

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = items
        self.count = 0

    def __iter__(self) -> Iterator[Item]:
        for item in self._items:
            self.count += 1
            yield item


def _write(output: int, chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:
        left = left[os.write(output, left) :]


def _crc() -> Crc:
    crc: Crc = anycrc.Model("CRC64-REDIS").calc
    return crc


def _used_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT
