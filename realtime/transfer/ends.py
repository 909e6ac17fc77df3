"""What a place must do to be moved from, or to. Files and stores do both.

The currency is the item of `engine.persistence.rdb`: key, value, deadline in microseconds.
Exactly one value is in memory at a time, and the next one while it is read.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import Protocol

from engine.keyspace import Value
from engine.persistence.rdb import Item

__all__ = ["Item", "Source", "Target", "TransferError", "rows"]


class TransferError(Exception):
    """One sentence for the person at the terminal; it repeats no password."""


class Source(Protocol):
    """Where things come from."""

    @property
    def steady(self) -> bool:
        """Nobody can change it meanwhile."""

    @property
    def left_out(self) -> int:
        """Keys that the last ``items`` left out, because they are not ours."""

    def clock(self) -> int:
        """Microseconds since 1970, as whoever expires the keys there counts them."""

    def items(self) -> Iterator[Item]:
        """Every live key of ours, each once. Raises TransferError."""


class Target(Protocol):
    """Where things go."""

    def clock(self) -> int:
        """As `Source.clock`."""

    def write(self, items: Iterable[Item], keys: int) -> None:
        """Put every item in the place of what has its key; all else stays. Raises TransferError.

        Nobody ever sees a part of a value. ``keys`` is how many there may be; a hint."""

    def read_back(self, keys: Iterable[bytes]) -> Iterator[Item]:
        """What is there under these keys, as read anew. Raises TransferError."""

    def surplus(self, keys: Container[bytes], *, remove: bool) -> int:
        """How many keys of ours there are besides ``keys``; to be removed or not."""


def rows(value: Value) -> int:
    """How many things a value holds: members, fields, entries; a string is one."""
    return 1 if isinstance(value, (bytes, int, tuple)) else len(value)
