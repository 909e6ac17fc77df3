"""What is moved in these tests: every type, and sizes around where pieces end."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anycrc

from engine.clock import HOUR, SECOND
from engine.persistence.rdb import About, Item, read, write
from engine.sortedset import SortedSet
from engine.stream import Stream
from realtime.recovery import SNAPSHOT
from tests.persistence.samples import plain, stream

__all__ = ["LARGE", "board", "content", "every_type", "history", "large", "put_snapshot"]

CRC = anycrc.Model("CRC64-REDIS").calc

LARGE = 1_500
"""Rows: three pieces, the last one not full; and over 64 KiB, so it is read in pieces too."""

NAMES = b"member:%d:" + b"x" * 40


def board(size: int, step: float = 1 / 7) -> SortedSet:
    return SortedSet((NAMES % number, number * step) for number in range(size))


def history(first: int, last: int, size: int = 5) -> Stream:
    """A channel's history that was trimmed: its entries are not all that ever were."""
    made = Stream()
    for offset in range(1, last + 1):
        made.append((offset, 0), (b"d", b'"%d"' % offset + b" " * size, b"i", b"{}"))
    made.trim(last + 1 - first)
    return made


def every_type(now: int) -> list[Item]:
    """One of each; deadlines with a microsecond too much for a store, to be rounded up."""
    later = now + HOUR + 1
    deleted = stream(((7, 2), (b"d", b"1")), ((7, 2**64 - 1), (b"other", b"", b"", b"2")))
    deleted.max_deleted_id = (7, 1)
    deleted.last_id = (9, 9)
    deleted.added = 12
    extremes = SortedSet(
        [(b"", 0.1), (b"\xff\x00\n", float("inf")), (b"a", -1e-300), (b"b", 1.7e308), (b"c", -5)]
    )
    return [
        (b"lb:{arcade}", extremes, None),
        (b"lb:{arcade}:rules", {b"order": b"desc", b"keep": b"best"}, None),
        (b"lb:{arcade}:meta", {b"ada": b'{"a":1}', b"": b"", b"bob": b""}, None),
        (b"lb:{arcade}:version", 41, None),
        (b"lb:{arcade}:season", {b"number": b"3", b"began": b"7", b"ends": b""}, None),
        (b"lb:{arcade}:seasons", {b"2": b"1 7 1 {}", b"1": b"0 1 2 {}", b"1:packed": b"2 1"}, None),
        (b"lb:{arcade}:s:2", SortedSet([(b"\xff\0\0\0\0\0\0\0\1ada", 0.5)]), None),
        (b"lb:{arcade}:s:2:meta", {b"ada": b"1"}, None),
        (b"lb:{arcade}:s:1:rows:0", bytes(range(256)), None),
        (b"seasons:{all}", SortedSet([(b"arcade", now)]), None),
        (b"lb:{arcade}=%7Barcade%7D%3Adaily", SortedSet([(b"ada", 2**53)]), None),
        (b"cnt:{visits}", -(2**63), None),
        (b"cnt:{\xc3\xbc\n}", 7, later),
        (b"rl:{login}", {b"algorithm": b"token_bucket", b"limit": b"5"}, None),
        (b"rl:login:{ada}", now + 5 * SECOND, now + 500 * SECOND),
        (b"rl:window:{ada}", (28_333_333, 40, 17), later),
        (b"sess:{a3f9}:0123", {b"_user": b"ada", b"_version": b"1", b"name": b'"Ada"'}, later),
        (b"user:{a3f9}:ada", SortedSet([(b"sess:{a3f9}:0123", now + HOUR)]), later),
        (b"chan:{news}", history(3, 9), later),
        (b"chan:{news}:meta", {b"s": b"9", b"e": b"abcdefgh"}, later),
        (b"chan:{odd}", deleted, None),
        (b"chan:{emptied}", Stream(), None),
        (b"idem:{0123}", b"\x00\xff" * 50, later),
    ]


def large(now: int) -> list[Item]:
    """One of each that is written, and read, in several pieces."""
    return [
        (b"lb:{large}", board(LARGE), None),
        (b"lb:{large}:meta", {NAMES % n: b'{"n":%d}' % n for n in range(LARGE)}, now + HOUR),
        (b"chan:{large}", history(101, 100 + LARGE, 60), now + HOUR),
        (b"idem:{large}", b"x" * 1_000_000, now + HOUR),
    ]


def put_snapshot(folder: Path, items: Iterable[Item]) -> Path:
    """The items as a service's data directory."""
    folder.mkdir(exist_ok=True)
    with (folder / SNAPSHOT).open("wb") as output:
        output.writelines(write(items, About(time.time_ns() // 1000), CRC))
    return folder


def content(path: Path) -> dict[bytes, Any]:
    """What a snapshot holds, as what compares; deadlines in milliseconds."""
    with (path / SNAPSHOT if path.is_dir() else path).open("rb") as opened:
        return plain(read(opened, CRC))
