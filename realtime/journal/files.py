"""The folder of the journal: which files there are, and the order in which they change.

The manifest is the truth: what it does not list is not there. It changes by rename, and a file
is on disk, complete, before it is listed, and removed only after it is listed no more. So
whenever the process or the machine dies, the manifest lists files that give the whole state.

Every method blocks while the disk works.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from pathlib import Path

from engine.persistence.manifest import MANIFEST, Manifest, Part
from engine.persistence.recovery import Recovered
from realtime.datadir import NewFile
from realtime.faults import reach
from realtime.journal.disk import Increment, create, sync_folder, write_new

__all__ = ["Files", "begin", "go_on"]

log = logging.getLogger("realtime.journal")


class Files:
    """One journal's folder."""

    __slots__ = ("base_bytes", "closed_bytes", "folder", "manifest")

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self.base_bytes = 0
        self.closed_bytes = 0
        """Of the increments that are not written to any more."""
        self._measure()

    def prepare(self) -> Increment:
        """One more increment, empty, and listed as the last. Raises OSError."""
        part = self.manifest.next_increment
        increment = create(self.folder / part.name)
        try:
            sync_folder(self.folder)
            self._write(self.manifest.with_increment(part))
        except OSError:
            increment.close()
            raise
        self._measure()
        return increment

    def new_base(self) -> NewFile:
        """A file to write a base into, for ``adopt``; without that it leaves no trace."""
        return NewFile(self.folder, f"temp-{os.getpid()}.part")

    def adopt(self, new: NewFile) -> None:
        """The base is written and synced: it holds all but the last increment.

        The files that it replaces are removed, now or when the journal is opened again. Raises
        OSError, and then the manifest is as it was; but Undecided if the disk may have either,
        in which case all files are still there.
        """
        part = self.manifest.next_base
        reach("base.rename")
        new.commit(part.name)
        reach("base.renamed")
        self._write(self.manifest.with_base(part, 1))
        try:
            self.forget_history()
        except OSError as fault:
            log.warning("%s keeps files that it does not need: %s", self.folder, fault)
        self._measure()

    def sync(self) -> None:
        """All increments, and the names of all files, are on disk. Raises OSError."""
        for part in self.manifest.increments:
            increment = Increment(self.folder / part.name, self._size(part))
            try:
                increment.sync()
            finally:
                increment.close()
        sync_folder(self.folder)

    def forget_history(self) -> None:
        """Remove the files that were replaced, then their lines in the manifest."""
        if not self.manifest.history:
            return
        for part in self.manifest.history:
            reach("history.remove")
            (self.folder / part.name).unlink(missing_ok=True)
        self._write(self.manifest.without_history())

    def _write(self, manifest: Manifest) -> None:
        write_new(self.folder / MANIFEST, manifest.text())
        self.manifest = manifest

    def _measure(self) -> None:
        base = self.manifest.base
        self.base_bytes = 0 if base is None else self._size(base)
        self.closed_bytes = sum(self._size(part) for part in self.manifest.increments[:-1])

    def _size(self, part: Part) -> int:
        return (self.folder / part.name).stat().st_size


def begin(folder: Path, snapshot: Path | None) -> tuple[Files, Increment]:
    """A new journal whose base is the snapshot that was loaded, if one was. Raises OSError.

    The base is another name of the same file: a snapshot is never changed, only replaced.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    _remove_temporary(folder)
    manifest = Manifest()
    if snapshot is not None:
        base = manifest.next_base
        (folder / base.name).unlink(missing_ok=True)
        _link(snapshot, folder / base.name)
        manifest = manifest.with_base(base, 0)
    files = Files(folder, manifest)
    increment = files.prepare()
    sync_folder(folder.parent)
    return files, increment


def go_on(folder: Path, recovered: Recovered) -> tuple[Files, Increment]:
    """The journal that was replayed: a torn tail is cut off, and its history removed.

    A process that was killed may have left all of it in the system's memory only. What is
    written from here on builds on it, so it is brought to disk first. Raises OSError.
    """
    _remove_temporary(folder)
    torn = recovered.torn
    if torn is not None:
        Increment(folder / torn.file, torn.offset).close()
    files = Files(folder, recovered.manifest)
    files.sync()
    files.forget_history()
    if recovered.last is None:
        return files, files.prepare()
    path = folder / recovered.last
    return files, Increment(path, path.stat().st_size)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # not every file system can
        with source.open("rb") as read, target.open("wb") as written:
            shutil.copyfileobj(read, written)
            written.flush()
            os.fsync(written.fileno())


def _remove_temporary(folder: Path) -> None:
    """What a process that was killed was in the middle of."""
    for stale in (*folder.glob("temp-*.part"), folder / f"temp-{MANIFEST}"):
        with contextlib.suppress(FileNotFoundError):
            stale.unlink()
