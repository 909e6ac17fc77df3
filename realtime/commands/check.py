"""``realtime check``: would the service load this snapshot, and what is in it?"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import anycrc

from engine.keyspace import type_name
from engine.persistence.rdb import Crc, RdbError, read
from realtime.commands import CommandError

__all__ = ["run"]

NAME = "dump.rdb"
UNSOUND = 1

_TYPES = {"string": "strings", "hash": "hashes", "zset": "sorted sets", "stream": "streams"}


@dataclass(slots=True)
class Survey:
    """What a snapshot holds."""

    by_type: Counter[str] = field(default_factory=Counter)
    expired: int = 0


def run(parsed: argparse.Namespace) -> int:
    """Print what a snapshot holds, or what is wrong with it."""
    path: Path = parsed.path / NAME if parsed.path.is_dir() else parsed.path
    try:
        survey = _survey(path, time.time_ns() // 1000)
        size = path.stat().st_size
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from None
    except RdbError as error:
        print(f"{path}: {error}", file=sys.stderr)
        return UNSOUND
    print(f"{path}: sound, {size:,} bytes")
    for kind, name in _TYPES.items():
        print(f"  {name:12} {survey.by_type[kind]:>12,}")
    expired = f", {survey.expired:,} of them expired" if survey.expired else ""
    print(f"  {'keys':12} {survey.by_type.total():>12,}{expired}")
    return 0


def _survey(path: Path, now: int) -> Survey:
    """Read it as the service would. Raises RdbError and OSError. O(everything)."""
    crc: Crc = anycrc.Model("CRC64-REDIS").calc
    survey = Survey()
    seen: set[bytes] = set()
    with path.open("rb") as file:
        for key, value, deadline in read(file, crc):
            survey.by_type[type_name(value)] += 1
            survey.expired += deadline is not None and deadline <= now
            seen.add(key)
        if len(seen) < survey.by_type.total():
            raise RdbError("a key stands there twice", file.tell())
    return survey
