"""The increment that is being written, and the few system calls that make a journal safe.

Each call goes through a named point (see `realtime.faults`), at which tests let it fail, or
let the process die just before it.
"""

from __future__ import annotations

import os
from pathlib import Path

from realtime.datadir import sync_data
from realtime.faults import reach

__all__ = ["Increment", "Undecided", "create", "sync_folder", "write_new"]


class Undecided(OSError):
    """It was done, but may be undone by a power cut: nobody knows which of the two is on disk."""


class Increment:
    """An append-only file. ``size`` is where its last whole batch ends: beyond it is nothing.

    Not thread-safe, but for ``sync``, which may run beside ``write``.

    What an fsync that failed left on disk nobody can know, also not by another fsync, which may
    well succeed: the kernel has dropped what it could not write. From then on the file is
    ``distrusted``, for good.
    """

    __slots__ = ("_descriptor", "_ragged", "distrusted", "path", "size")

    def __init__(self, path: Path, size: int) -> None:
        """Open a file that is there, and cut off what lies beyond ``size``. Raises OSError."""
        self.path = path
        self.size = size
        self.distrusted = False
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._ragged = os.fstat(self._descriptor).st_size != size
        try:
            if self._ragged:
                self._cut()
                self.sync()
        except OSError:
            os.close(self._descriptor)
            raise

    def write(self, data: bytes) -> None:
        """Append all of it, or nothing. Raises OSError; it may then be tried again."""
        self._cut()
        self._ragged = True
        left = memoryview(data)
        while left:
            reach("journal.write")
            left = left[os.write(self._descriptor, left) :]
        self._ragged = False
        self.size += len(data)

    def sync(self) -> None:
        """Return once everything written before is on disk. Raises OSError."""
        try:
            reach("journal.sync")
            sync_data(self._descriptor)
        except OSError:
            self.distrusted = True
            raise
        reach("journal.synced")

    def close(self) -> None:
        """A second time, it does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _cut(self) -> None:
        """Drop what a write that failed, or a process that died, left behind."""
        if self._ragged:
            reach("journal.cut")
            os.ftruncate(self._descriptor, self.size)
            self._ragged = False


def create(path: Path) -> Increment:
    """A new, empty increment; its folder knows of it once ``sync_folder`` was called.

    Raises OSError; also if there is such a file that is not empty.
    """
    reach("increment.create")
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    if path.stat().st_size:
        raise FileExistsError(f"{path} is in the way")
    return Increment(path, 0)


def write_new(path: Path, content: bytes) -> None:
    """Put a small file in the place of what has its name: at any moment one of the two is there,
    whole.

    Raises OSError, and then it is the old one; but Undecided where that cannot be known.
    """
    temporary = path.with_name(f"temp-{path.name}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        reach("manifest.write")
        os.write(descriptor, content)
        reach("manifest.sync")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    reach("manifest.rename")
    os.rename(temporary, path)
    reach("manifest.renamed")
    try:
        sync_folder(path.parent)
    except OSError as fault:
        raise Undecided(*fault.args) from fault


def sync_folder(folder: Path) -> None:
    """The names in a folder are on disk. Raises OSError."""
    reach("folder.sync")
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
