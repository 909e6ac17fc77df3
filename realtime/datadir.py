"""A folder on disk that one process owns, and files in it that are whole or absent.

The lock is `flock` on the file ``lock``: the kernel ends it with the process, so a crash
leaves nothing to clean up by hand. The pid inside is for people only.

A file is replaced in four steps: write under a temporary name, fsync, rename, fsync the
folder. Whatever happens between two of them, the name leads to the old bytes or to the new
ones. Temporary files that a crash left behind are removed by the next owner.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self

__all__ = ["DataDirectory", "DirectoryInUse", "NewFile"]

LOCK = "lock"
TEMPORARY = "temp-{}.part"
"""Holds the pid. Only files of this shape are ever removed."""


class DirectoryInUse(Exception):
    """Another process owns the folder."""

    def __init__(self, path: Path, pid: str) -> None:
        owner = f"another realtime process (pid {pid})" if pid else "another process"
        super().__init__(
            f"{path} is in use by {owner}. One data directory serves one process; "
            "to run several, use --store redis://…"
        )
        self.path = path
        self.pid = pid


class NewFile:
    """A file that has no name of its own until ``commit``; without it, it leaves no trace.

    ``descriptor`` is open for writing. Who writes must fsync before the commit.
    """

    __slots__ = ("_folder", "_path", "descriptor")

    def __init__(self, folder: Path, temporary: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._folder = folder
        self._path = folder / temporary
        self.descriptor = os.open(self._path, flags, 0o600)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)
        self._path.unlink(missing_ok=True)

    def commit(self, name: str) -> None:
        """Give the file its name, for good; it replaces what had that name."""
        self._path.rename(self._folder / name)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class DataDirectory:
    """Owned from ``acquire`` until ``release``. Files are readable by their owner only."""

    __slots__ = ("_lock", "path")

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock: int | None = None

    def acquire(self) -> None:
        """Own the folder, and create it if need be. Raises DirectoryInUse or OSError."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._take(lock)
            for stale in self.path.glob(TEMPORARY.format("*")):
                stale.unlink()
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock

    def release(self) -> None:
        """Give the folder up. The lock file stays: removing it would race with the next owner."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def create(self) -> NewFile:
        """A new file, to be used as a context. There is one at a time."""
        return NewFile(self.path, TEMPORARY.format(os.getpid()))

    def _take(self, lock: int) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(lock, 20).decode("ascii", "replace").strip()
            raise DirectoryInUse(self.path, pid) from None
        os.ftruncate(lock, 0)
        os.write(lock, b"%d\n" % os.getpid())
