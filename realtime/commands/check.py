"""``realtime check``: would the service load what is there, and what is in it?

PATH may be a data directory, which stands for everything in it, the folder or the manifest of a
journal, or one file of either. What a file is, its first bytes say, not its name.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from engine.persistence.manifest import MANIFEST
from realtime.backup_files import FOLDER
from realtime.commands import CommandError
from realtime.commands.checking.journal import check_increment, check_journal
from realtime.commands.checking.repair import repair_journal
from realtime.commands.checking.snapshot import check_snapshot
from realtime.datadir import JOURNAL, LOCK
from realtime.keeping import SnapshotError
from realtime.recovery import SNAPSHOT, has_journal

__all__ = ["run"]

UNSOUND = 1

COMMAND_MARKS = b"*#"
"""How a file of commands begins."""


def run(parsed: argparse.Namespace) -> int:
    """Print what is there, or what is wrong with it; with ``--repair``, do something about it."""
    path: Path = parsed.path
    try:
        if parsed.repair:
            repaired = repair_journal(_journal_of(path))
            return 0 if repaired else UNSOUND
        _say_if_in_use(path)
        results = list(_checks(path, time.time_ns() // 1000))
    except OSError as error:
        where = path if error.filename is None else error.filename
        raise CommandError(f"{where} cannot be read: {error.strerror}") from None
    if not results:
        raise CommandError(f"{path} has no snapshot and no journal")
    return 0 if all(results) else UNSOUND


def _checks(path: Path, now: int) -> Iterator[bool]:
    """Look at each thing that ``path`` stands for; whether it is sound."""
    if path.name == MANIFEST or (path / MANIFEST).is_file():
        yield check_journal(path.parent if path.name == MANIFEST else path, now)
    elif path.is_dir():
        yield from _check_data(path, now)
    else:
        yield _check_file(path, now)


def _check_data(data: Path, now: int) -> Iterator[bool]:
    """Everything in a data directory."""
    counts = _has_journal(data)
    if counts is None:
        yield False
    elif counts:
        yield check_journal(data / JOURNAL, now)
    if (data / SNAPSHOT).exists():
        note = ", and not loaded: the journal is" if counts else ""
        yield check_snapshot(data / SNAPSHOT, now, note)
    for backup in sorted((data / FOLDER).glob("*.rdb")):
        yield check_snapshot(backup, now)


def _has_journal(data: Path) -> bool | None:
    """None: there is half of one."""
    try:
        return has_journal(data)
    except SnapshotError as fault:
        print(fault, file=sys.stderr)
        return None


def _check_file(path: Path, now: int) -> bool:
    with path.open("rb") as file:
        begins_with = file.read(1)
    if begins_with and begins_with in COMMAND_MARKS:
        return check_increment(path)
    return check_snapshot(path, now)


def _journal_of(path: Path) -> Path:
    """The folder of the journal that is to be repaired. Raises CommandError."""
    folder = path / JOURNAL if path.is_dir() and path.name != JOURNAL else path
    folder = folder.parent if folder.name == MANIFEST else folder
    if not (folder / MANIFEST).is_file():
        raise CommandError(
            f"{path} has no journal with a manifest, and only that can be repaired: of a "
            "snapshot that is damaged, use another copy"
        )
    return folder


def _say_if_in_use(path: Path) -> None:
    """What a service writes while we read looks torn, and is not."""
    for data in (path, *path.parents[:2]):
        if (data / LOCK).is_file() and _is_locked(data / LOCK):
            print(f"{data} is in use: what is written meanwhile may look torn", file=sys.stderr)
            return


def _is_locked(path: Path) -> bool:
    lock = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
