"""``realtime backups``: list, make, verify and bring back backups of a data directory.

A running service is asked over HTTP instead: it alone knows what it holds. Only looking is
possible beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from engine.engine import Engine
from realtime.backup_files import FOLDER, BackupFiles, name_of, write_verified
from realtime.commands import CommandError, settings_of
from realtime.datadir import JOURNAL, DataDirectory, DirectoryInUse, retire_journal, sync_folder
from realtime.errors import NotFound
from realtime.going_back import loaded, raise_versions, version_keys
from realtime.keeping import SnapshotError
from realtime.recovery import SNAPSHOT, load_directory
from realtime.snapshot_file import count, dump

__all__ = ["create", "restore", "show", "verify"]

UNSOUND = 1

ASIDE = "before-restore-{}"
"""Where what could not be loaded is kept as it is; holds the instant."""

_COLUMNS = ("NAME", "BYTES", "INSTANT")


def show(parsed: argparse.Namespace) -> int:
    """Print a table, newest first."""
    files = _files(_data(parsed))
    kept = files.kept()
    if not kept:
        print(f"no backups in {files.path}", file=sys.stderr)
        return 0
    rows = [(one.name, f"{one.bytes:,}", _instant(one.created_at)) for one in kept]
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
    for name, size, instant in (_COLUMNS, *rows):
        print(f"{name:{widths[0]}}  {size:>{widths[1]}}  {instant}")
    return 0


def create(parsed: argparse.Namespace) -> int:
    """Make a backup of what a service would load here, and print its name."""
    with _owned(_data(parsed), "POST /v1/admin/backups") as directory:
        engine = Engine(_now)
        try:
            load_directory(engine, directory.path)
        except SnapshotError as fault:
            raise CommandError(str(fault)) from None
        print(_write(_files(directory.path), engine))
    return 0


def verify(parsed: argparse.Namespace) -> int:
    """Read backups whole; exit code 1 if one is damaged."""
    files = _files(_data(parsed))
    names = parsed.names or [backup.name for backup in files.kept()]
    sound = [_is_sound(_found(files, name)) for name in names]
    return 0 if all(sound) else UNSOUND


def restore(parsed: argparse.Namespace) -> int:
    """Put a backup in the place of what is there, which is kept as a backup first."""
    with _owned(_data(parsed), "POST /v1/admin/backups/{name}/restore") as directory:
        files = _files(directory.path)
        path = _found(files, parsed.name)
        try:
            fresh = loaded(path, _now)
        except SnapshotError as fault:
            print(f"{path}: {fault.__cause__}; nothing was changed", file=sys.stderr)
            return UNSOUND
        aside = _keep(directory.path, files, fresh)
        _put_in_place(directory, fresh, aside)
        directory.release(clean=True)  # all is on disk, and nobody has seen any of it yet
        print(f"restored {parsed.name}, {len(fresh.keyspace):,} keys")
    return 0


def _keep(data: Path, files: BackupFiles, fresh: Engine) -> Path | None:
    """Keep what is there as a backup; or, if it cannot be loaded, answer the folder that takes it
    as it is. What must not go back is carried over to what comes in its place."""
    before = Engine(_now)
    try:
        load_directory(before, data)
    except SnapshotError as fault:
        aside = data / ASIDE.format(name_of(_now()).removesuffix(".rdb"))
        print(f"realtime: {fault}\nrealtime: it is kept as it is in {aside}", file=sys.stderr)
        return aside
    if len(before.keyspace):
        print(f"what was there is kept as {_write(files, before)}")
        raise_versions(fresh, before, version_keys(before.keyspace.values))
    return None


def _put_in_place(directory: DataDirectory, fresh: Engine, aside: Path | None) -> None:
    """The snapshot first: until the journal is gone, that is what counts, and this can be run
    again. Raises OSError."""
    data = directory.path
    snapshot, journal = data / SNAPSHOT, data / JOURNAL
    if aside is not None:
        aside.mkdir(mode=0o700)
        if snapshot.exists():
            os.link(snapshot, aside / SNAPSHOT)
        sync_folder(aside)
    with directory.create() as new:
        dump(fresh, new.descriptor)
        new.commit(SNAPSHOT)
    if aside is None:
        retire_journal(data)
    elif journal.exists():
        journal.rename(aside / JOURNAL)
        sync_folder(aside)
        sync_folder(data)


def _write(files: BackupFiles, engine: Engine) -> str:
    with files.create() as new:
        write_verified(engine, new)
        name = files.free_name(_now())
        new.commit(name)
    return name


def _is_sound(path: Path) -> bool:
    try:
        keys = count(path)
    except SnapshotError as fault:
        print(f"{path.name}: {fault.__cause__}", file=sys.stderr)
        return False
    print(f"{path.name}: sound, {keys:,} keys")
    return True


def _found(files: BackupFiles, name: str) -> Path:
    try:
        return files.find(name)
    except NotFound:
        raise CommandError(f"there is no backup {name!r} in {files.path}") from None


@contextlib.contextmanager
def _owned(data: Path, instead: str) -> Iterator[DataDirectory]:
    """The data directory, with nobody else in it. What a disk refuses is a CommandError."""
    if not data.is_dir():
        raise CommandError(f"there is no data directory {data}")
    directory = DataDirectory(data)
    try:
        directory.acquire()
        _files(data).tidy()
        yield directory
    except DirectoryInUse as error:
        whose = f"a running service (process {error.pid})" if error.pid else "a running service"
        raise CommandError(f"{data} is in use by {whose}: ask it, with {instead}") from None
    except OSError as error:
        raise CommandError(f"{error.filename or data}: {error.strerror or error}") from None
    finally:
        directory.release()


def _data(parsed: argparse.Namespace) -> Path:
    data = settings_of(parsed).data
    if data is None:
        raise CommandError("there is no data directory: --data DIR")
    return data


def _files(data: Path) -> BackupFiles:
    return BackupFiles(data / FOLDER)


def _instant(microseconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(microseconds // 1_000_000))


def _now() -> int:
    return time.time_ns() // 1000
