"""``realtime check --repair``: a journal that cannot be replayed, cut to what can be.

Nothing is lost for good: all of it is copied first. Then, each step on disk before the next:

    the manifest without the increments behind the damaged one
    that one cut to its last whole record
    the increments that are listed no more, removed

Whatever interrupts this, it is run again. What was lost is told as exactly as it can be known.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from engine.persistence.errors import JournalError
from engine.persistence.manifest import MANIFEST, Manifest
from engine.persistence.recovery import Recovered, Recovery
from engine.persistence.tail import whole_batches
from realtime.commands import CommandError
from realtime.commands.checking.journal import check_journal, is_repairable, read_journal
from realtime.datadir import LOCK, DataDirectory, DirectoryInUse, NewFile, sync_folder

__all__ = ["repair_journal"]

COPY = "{}.before-repair-{}"
"""What the copy is called: the folder's name, and the instant."""


def repair_journal(folder: Path) -> bool:
    """Repair it, say what was lost, and check it; whether it is sound now.

    Raises CommandError and OSError.
    """
    with _owned(folder.parent):
        now = time.time_ns() // 1000
        recovery, _, outcome = read_journal(folder, now)
        place = _place(recovery, outcome)
        if place is None:
            print(f"{folder}: nothing to repair")
        else:
            print(f"{folder}: {_reason(outcome)}")
            print(f"  copied to {_copy(folder, now)}")
            _cut(folder, recovery.manifest, *place)
        return check_journal(folder, now)


def _place(recovery: Recovery, outcome: Recovered | JournalError) -> tuple[str, int] | None:
    """The increment to cut, and where; None if all is whole. Raises CommandError."""
    if isinstance(outcome, Recovered):
        torn = outcome.torn
        return None if torn is None else (torn.file, torn.offset)
    if not is_repairable(recovery, outcome):
        raise CommandError(f"{outcome}: cutting does not repair that; nothing was changed")
    good = [file.good for file in recovery.files if file.name == outcome.file]
    return outcome.file, good[0] if good else 0


def _reason(outcome: Recovered | JournalError) -> str:
    if isinstance(outcome, Recovered):
        assert outcome.torn is not None
        return f"{outcome.torn.file} has a torn tail: {outcome.torn.why}"
    return str(outcome)


@contextlib.contextmanager
def _owned(data: Path) -> Iterator[None]:
    """No service runs there meanwhile. A folder that none ever ran in stays without a lock."""
    if not (data / LOCK).is_file():
        yield
        return
    directory = DataDirectory(data)
    try:
        directory.acquire()
    except DirectoryInUse as error:
        raise CommandError(f"{error}; stop it first") from None
    try:
        yield
    finally:
        directory.release()


def _copy(folder: Path, now: int) -> Path:
    """Everything beside itself, on disk. Raises CommandError and OSError."""
    instant = datetime.fromtimestamp(now // 1_000_000, UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    target = folder.with_name(COPY.format(folder.name, instant))
    try:
        shutil.copytree(folder, target)
    except FileExistsError:
        raise CommandError(f"{target} exists already; nothing was changed") from None
    for path in target.iterdir():
        _sync(path)
    sync_folder(target)
    sync_folder(folder.parent)
    return target


def _cut(folder: Path, manifest: Manifest, name: str, size: int) -> None:
    """Bring the folder to where that file ends after ``size`` bytes, and say what is gone."""
    path = folder / name
    there = path.is_file()
    shorter = manifest.cut_after(name, keep=there)
    gone = manifest.increments[len(shorter.increments) :]
    with NewFile(folder, f"temp-{os.getpid()}.part") as new:
        os.write(new.descriptor, shorter.text())
        os.fsync(new.descriptor)
        new.commit(MANIFEST)
    if there:
        _tell(path, size)
        os.truncate(path, size)
        _sync(path)
    for part in gone:
        if (folder / part.name).is_file():
            _tell(folder / part.name, 0)
            (folder / part.name).unlink()
        else:
            print(f"  lost: {part.name}, which was missing")
    sync_folder(folder)


def _tell(path: Path, start: int) -> None:
    """Say what is lost of a file from ``start`` on."""
    lost = path.stat().st_size - start
    with path.open("rb") as file:
        sequences = whole_batches(file, start)
    batches = "no whole batch"
    if len(sequences) == 1:
        batches = f"one whole batch ({sequences[0]})"
    elif sequences:
        batches = f"{len(sequences):,} whole batches ({sequences[0]} to {sequences[-1]})"
    print(f"  lost: {lost:,} bytes of {path.name} from byte {start} on, with {batches}")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
