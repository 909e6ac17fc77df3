"""What a snapshot holds, for `realtime check`; and the table of it, which journals share."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import anycrc

from engine.keyspace import type_name
from engine.persistence.rdb import Crc, Item, RdbError, read

__all__ = ["Survey", "check_snapshot"]

_TYPES = {"string": "strings", "hash": "hashes", "zset": "sorted sets", "stream": "streams"}


class Survey:
    """How many keys there are of each type."""

    def __init__(self, now: int) -> None:
        self._now = now
        self._by_type: Counter[str] = Counter()
        self._expired = 0

    @property
    def keys(self) -> int:
        return self._by_type.total()

    def add(self, items: Iterable[Item]) -> None:
        for _, value, deadline in items:
            self._by_type[type_name(value)] += 1
            self._expired += deadline is not None and deadline <= self._now

    def print(self) -> None:
        for kind, name in _TYPES.items():
            print(f"  {name:12} {self._by_type[kind]:>12,}")
        expired = f", {self._expired:,} of them expired" if self._expired else ""
        print(f"  {'keys':12} {self.keys:>12,}{expired}")


def check_snapshot(path: Path, now: int, note: str = "") -> bool:
    """Print what a snapshot holds, or what is wrong with it; whether it is sound.

    Raises OSError. O(everything).
    """
    try:
        survey = _survey(path, now)
    except RdbError as error:
        print(f"{path}: {error}", file=sys.stderr)
        return False
    print(f"{path}: sound, {path.stat().st_size:,} bytes{note}")
    survey.print()
    return True


def _survey(path: Path, now: int) -> Survey:
    """Read it as the service would. Raises RdbError and OSError."""
    crc: Crc = anycrc.Model("CRC64-REDIS").calc
    survey, seen = Survey(now), set[bytes]()
    with path.open("rb") as file:
        for item in read(file, crc):
            survey.add([item])
            seen.add(item[0])
        if len(seen) < survey.keys:
            raise RdbError("a key stands there twice", file.tell())
    return survey
