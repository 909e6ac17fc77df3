"""The folder of backups: one snapshot file each, named by the instant that it shows.

    2026-11-25T21-40-09.123Z.rdb

The names sort as time does, and are names on every file system. A file has such a name only once
it was read back whole. Files that somebody puts there under names of their own are listed and can
be restored, but are never removed to make room.

Whatever a caller names, only a plain file directly in the folder is touched: everything else is
a backup that there is not.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine.clock import MILLISECOND
from realtime.datadir import TEMPORARY, NewFile, sync_folder
from realtime.errors import NotFound
from realtime.keeping import Backup, SnapshotError
from realtime.snapshot_file import Content, Written, count, dump

__all__ = ["FOLDER", "BackupFiles", "instant_of", "write_verified"]

FOLDER = "backups"
"""Within the data directory."""

_ANY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.rdb", re.ASCII)
_OURS = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z\.rdb", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORMAT = "%Y-%m-%dT%H-%M-%S"


class BackupFiles:
    """What lies in one folder. Nothing is remembered: others may copy files there or away."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def tidy(self) -> None:
        """Remove what a crash left half written. Only for the owner; raises OSError."""
        for stale in self.path.glob(TEMPORARY.format("*")):
            stale.unlink()

    def kept(self) -> list[Backup]:
        """All there are, newest first. O(files log files); raises OSError."""
        found = sorted(self._found(), key=lambda backup: (backup.created_at, backup.name))
        return found[::-1]

    def find(self, name: str) -> Path:
        """Where a backup lies. Raises NotFound, and OSError."""
        path = self.path / name
        if _ANY.fullmatch(name) is None or not _is_plain(path):
            raise NotFound("there is no backup of this name")
        return path

    def create(self) -> NewFile:
        """A new file, to be used as a context; raises OSError. There is one at a time."""
        if not self.path.is_dir():
            self.path.mkdir(mode=0o700)
            sync_folder(self.path.parent)
        return NewFile(self.path, TEMPORARY.format(os.getpid()))

    def free_name(self, instant: int) -> str:
        """The name of a backup of an instant in microseconds since 1970, or of just after."""
        while (self.path / (name := name_of(instant))).exists():
            instant += MILLISECOND
        return name

    def remove(self, name: str) -> None:
        """Raises NotFound, and OSError."""
        self.find(name).unlink()
        sync_folder(self.path)

    def make_room(self, keep: int, oldest: int, spared: Collection[str]) -> list[Backup]:
        """Remove ours beyond the newest ``keep``, and of before the instant ``oldest``.

        Never the newest one, however old, nor those that are ``spared``. Oldest first, so that
        whoever is interrupted has removed the right ones. Answers what is left, newest first.
        Raises OSError.
        """
        ours = [backup for backup in self.kept() if instant_of(backup.name) is not None]
        for place, backup in reversed([*enumerate(ours)]):
            too_many, too_old = place >= keep, backup.created_at < oldest
            if place and (too_many or too_old) and backup.name not in spared:
                (self.path / backup.name).unlink(missing_ok=True)
        sync_folder(self.path)
        return self.kept()

    def _found(self) -> Iterator[Backup]:
        try:
            entries = sorted(os.scandir(self.path), key=lambda entry: entry.name)
        except FileNotFoundError:
            return
        for entry in entries:
            if _ANY.fullmatch(entry.name) is None:
                continue
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # it was removed just now
            if stat.S_ISREG(found.st_mode):
                instant = instant_of(entry.name)
                changed = found.st_mtime_ns // 1000
                yield Backup(entry.name, found.st_size, changed if instant is None else instant)


def name_of(instant: int) -> str:
    """The name of a backup of an instant, in microseconds since 1970."""
    at = _EPOCH + timedelta(microseconds=instant)
    return f"{at.strftime(_FORMAT)}.{at.microsecond // 1000:03}Z.rdb"


def instant_of(name: str) -> int | None:
    """The instant that a name of ours says, in microseconds since 1970; None of another name."""
    if _OURS.fullmatch(name) is None:
        return None
    seconds, _, rest = name.partition(".")
    try:
        at = datetime.strptime(seconds, _FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None  # the 31st of February
    return (at - _EPOCH) // timedelta(microseconds=1) + int(rest[:3]) * MILLISECOND


def write_verified(content: Content, new: NewFile) -> Written:
    """Write everything that is live to a new file, and read it back from the disk.

    Raises OSError, and SnapshotError if it is not what was written. Nothing may change
    meanwhile. O(everything), twice.
    """
    written = dump(content, new.descriptor)
    found = count(new.path)
    if found != written.keys:
        raise SnapshotError(f"{written.keys} keys were written, and {found} read back")
    return written


def _is_plain(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False
