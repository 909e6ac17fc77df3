"""A folder on disk that one process owns, and files in it that are whole or absent.

The lock is `flock` on the file ``lock``: the kernel ends it with the process, so a crash
leaves nothing to clean up by hand. The file also tells the next owner how the last one ended:

    (empty)             in good order: everything was on disk
    pid, newline        it did not; the pid is for people only
    boot id, newline    which life of the machine it was in, where the system says so

With the process only what was in its memory is lost; with the machine, also what the system
had not yet brought to disk. The text is on disk before ``acquire`` returns, and gone only after
all else is, so a power cut at any moment makes the answer too careful, never too good. What is
found stays until ``settle``: a start that fails, or a tool that only looks, does not change it.

A file is replaced in four steps: write under a temporary name, fsync, rename, fsync the
folder. Whatever happens between two of them, the name leads to the old bytes or to the new
ones. Temporary files that a crash left behind are removed by the next owner.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from typing import Literal, Self

from realtime.faults import reach

__all__ = [
    "JOURNAL",
    "TEMPORARY",
    "DataDirectory",
    "DirectoryInUse",
    "LastStop",
    "NewFile",
    "retire_journal",
    "sync_data",
    "sync_folder",
]

LOCK = "lock"
TEMPORARY = "temp-{}.part"
"""Holds the pid. Only files of this shape are ever removed."""

JOURNAL = "appendonlydir"
"""The folder of the journal. Redis calls it so, too."""

RETIRED = "appendonlydir.retired"
"""What a journal is called while it is being removed."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""A word that the machine keeps from one start to the next, on Linux."""

LOCK_SIZE = 256
"""More than is ever written there."""

LastStop = Literal["clean", "crash", "power"]
"""How the owner before ended: in good order, killed, or, as far as we know, with the machine."""


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

    __slots__ = ("_folder", "descriptor", "path")

    def __init__(self, folder: Path, temporary: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._folder = folder
        self.path = folder / temporary
        self.descriptor = os.open(self.path, flags, 0o600)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)
        self.path.unlink(missing_ok=True)

    def commit(self, name: str) -> None:
        """Give the file its name, for good; it replaces what had that name."""
        self.path.rename(self._folder / name)
        sync_folder(self._folder)


class DataDirectory:
    """Owned from ``acquire`` until ``release``. Files are readable by their owner only."""

    __slots__ = ("_boot", "_lock", "_settled", "last_stop", "path")

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.last_stop: LastStop = "clean"
        """How the owner before ended; from ``acquire`` on."""
        self._lock: int | None = None
        self._boot = _boot_id()
        self._settled = False

    def acquire(self) -> None:
        """Own the folder, and create it if need be. Raises DirectoryInUse or OSError."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._take(lock)
            for stale in self.path.glob(TEMPORARY.format("*")):
                stale.unlink()
            if (self.path / RETIRED).is_dir():
                shutil.rmtree(self.path / RETIRED)
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock

    def settle(self) -> None:
        """What the last stop left behind has been dealt with, and that is on disk.

        From here on only how *this* owner ends counts. Raises OSError.
        """
        assert self._lock is not None
        _write(self._lock, _note(self._boot))
        self._settled = True

    def release(self, *, clean: bool | None = None) -> None:
        """Give the folder up. The lock file stays: removing it would race with the next owner.

        ``clean``: everything is on disk. None: nobody was served meanwhile, so unless it was
        settled the next owner is told what this one was. Raises OSError, when it is given up.
        """
        if self._lock is None:
            return
        lock, self._lock = self._lock, None
        as_found = self.last_stop == "clean" and not self._settled
        try:
            if as_found if clean is None else clean:
                _write(lock, b"")
        finally:
            os.close(lock)

    def create(self) -> NewFile:
        """A new file, to be used as a context. There is one at a time."""
        return NewFile(self.path, TEMPORARY.format(os.getpid()))

    def _take(self, lock: int) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryInUse(self.path, _lines(lock)[0]) from None
        found = os.pread(lock, LOCK_SIZE, 0)
        boot = _lines(lock)[1]
        self._settled = False
        if not found:
            self.last_stop = "clean"
            _write(lock, _note(self._boot))
            sync_folder(self.path)
        else:
            self.last_stop = "crash" if boot and boot == self._boot else "power"
            _write(lock, _note(boot))


def retire_journal(folder: Path) -> None:
    """Remove the journal of a data directory, which counts no more from one instant to the next.

    What it held must be in the snapshot by then. Raises OSError.
    """
    retired = folder / RETIRED
    shutil.rmtree(retired, ignore_errors=True)
    if (folder / JOURNAL).is_dir():
        reach("journal.retire")
        (folder / JOURNAL).rename(retired)
        sync_folder(folder)
        reach("journal.retired")
        shutil.rmtree(retired)


def sync_data(descriptor: int) -> None:
    """Return once what was written is on disk. Raises OSError."""
    getattr(os, "fdatasync", os.fsync)(descriptor)  # not every system has the cheaper of the two


def sync_folder(folder: Path) -> None:
    """Bring to disk which names there are in a folder. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lines(lock: int) -> tuple[str, str]:
    """The pid and the boot id, as far as they are there. Whatever else stands there is neither."""
    pid, _, rest = os.pread(lock, LOCK_SIZE, 0).decode("ascii", "replace").partition("\n")
    return pid.strip(), rest.partition("\n")[0]


def _note(boot: str) -> bytes:
    return f"{os.getpid()}\n{boot}\n".encode()


def _write(lock: int, text: bytes) -> None:
    """Replace the text, for good. Shorter than a sector, so a power cut does not tear it; and
    while it is being replaced it is never empty, unless that is what it shall be."""
    os.pwrite(lock, text, 0)
    os.ftruncate(lock, len(text))
    os.fsync(lock)


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""
