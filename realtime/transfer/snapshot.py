"""A place: a snapshot file, alone or in the data directory of a service.

A file gets its name once all of it is on disk, so whatever is interrupted, the name leads to
the old snapshot or to the new one. A data directory is owned as long as it is used: a
service that runs there would write over what is brought, or is ahead of what is read.

Where a data directory has a journal, that is what is read; it has to be replayed, and is then in
memory whole. What is brought is a snapshot, and a journal that was there goes once that is on
disk: until then it counts, and the snapshot does not.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Container, Iterable, Iterator
from functools import partial
from pathlib import Path

import anycrc

from engine.clock import Clock
from engine.keyspace import Keyspace
from engine.persistence.rdb import About, Crc, RdbError, read, write
from realtime.datadir import JOURNAL, DataDirectory, DirectoryInUse, NewFile, retire_journal
from realtime.keeping import SnapshotError
from realtime.recovery import SNAPSHOT, has_journal, load_directory
from realtime.transfer.ends import Item, TransferError
from realtime.transfer.layout import is_ours, stays

__all__ = ["Journal", "Snapshot", "directory", "file"]


class Snapshot:
    """Both `Source` and `Target`. A file is read from its beginning, each time."""

    steady = True

    def __init__(
        self, path: Path, clock: Clock, written: Callable[[], object] = lambda: None
    ) -> None:
        """``written`` is called once a new file has the name, for good. It may raise OSError."""
        self._path = path
        self._written = written
        self.clock = clock
        self.left_out = 0

    def __str__(self) -> str:
        return str(self._path)

    def items(self) -> Iterator[Item]:
        now = self.clock()
        self.left_out = 0
        for item in self._read():
            key, _, deadline = item
            if not is_ours(key):
                self.left_out += not stays(key)
            elif deadline is None or deadline > now:
                yield item

    def write(self, items: Iterable[Item], keys: int) -> None:
        try:
            with _new_file(self._path) as new:
                chunks = write(items, About(self.clock(), keys=keys), _crc())
                for chunk in chunks:
                    _write_all(new.descriptor, chunk)
                os.fsync(new.descriptor)
                new.commit(self._path.name)
            self._written()
        except OSError as error:
            raise TransferError(f"{self._path} cannot be written: {error.strerror}") from None

    def read_back(self, keys: Iterable[bytes]) -> Iterator[Item]:
        wanted = set(keys)
        return (item for item in self._read() if item[0] in wanted)

    def surplus(self, keys: Container[bytes], *, remove: bool) -> int:
        """None: the file was written anew."""
        return 0

    def _read(self) -> Iterator[Item]:
        try:
            with self._path.open("rb") as opened:
                yield from read(opened, _crc())
        except RdbError as error:
            raise TransferError(f"{self._path} cannot be used: {error}") from None
        except OSError as error:
            raise TransferError(f"{self._path} cannot be read: {error.strerror}") from None


class Journal(Snapshot):
    """A `Source`: all that a data directory with a journal holds, replayed once."""

    def __init__(self, data: Path, clock: Clock) -> None:
        super().__init__(data / JOURNAL, clock)
        self._data = data
        self.keyspace = Keyspace()

    def _read(self) -> Iterator[Item]:
        if not len(self.keyspace):
            try:
                load_directory(self, self._data)
            except SnapshotError as error:
                raise TransferError(str(error)) from None
        return self.keyspace.items(0)  # all of them; whoever reads looks at the deadlines


def file(path: Path, clock: Clock, *, to_be: bool, replace: bool) -> Snapshot:
    """A file that is there; or one ``to_be``, which must not be there unless to ``replace`` it.

    Raises TransferError."""
    if to_be:
        if path.is_dir():
            raise TransferError(f"{path} is a directory, and a file is to be written")
        if path.exists() and not replace:
            raise TransferError(f"{path} exists already; --replace writes over it")
    elif not path.is_file():
        raise TransferError(f"there is no file {path}")
    return Snapshot(path, clock)


@contextlib.contextmanager
def directory(path: Path, clock: Clock, *, to_be: bool, replace: bool) -> Iterator[Snapshot]:
    """What a data directory holds, which is owned meanwhile; otherwise as `file`."""
    if path.is_file():
        raise TransferError(f"{path} is a file, not a data directory")
    if not to_be and not _holds(path):
        raise TransferError(
            f"there is no snapshot and no journal in {path}: nothing to bring from there"
        )
    owned = DataDirectory(path)
    try:
        owned.acquire()
    except DirectoryInUse as error:
        raise TransferError(_in_use(error)) from None
    except OSError as error:
        raise TransferError(f"{path} cannot be used: {error.strerror}") from None
    try:
        held = None if to_be and replace else _holds(path)
        if to_be and held:
            raise TransferError(f"{path} has a {held} already; --replace writes over it")
        if held == "journal":
            yield Journal(path, clock)
        else:
            yield Snapshot(path / SNAPSHOT, clock, partial(retire_journal, path))
    finally:
        owned.release()


def _holds(data: Path) -> str | None:
    """What counts in a data directory, as a service would see it. Raises TransferError."""
    try:
        if has_journal(data):
            return "journal"
    except SnapshotError as error:
        raise TransferError(str(error)) from None
    return "snapshot" if (data / SNAPSHOT).is_file() else None


def _in_use(error: DirectoryInUse) -> str:
    whose = f"a running service (process {error.pid})" if error.pid else "a running service"
    return (
        f"{error.path} is in use by {whose}: stop it first; SIGTERM lets it write a "
        "snapshot of all it holds"
    )


def _new_file(path: Path) -> NewFile:
    return NewFile(path.parent, f"temp-{os.getpid()}.part")


def _write_all(descriptor: int, chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:
        left = left[os.write(descriptor, left) :]


def _crc() -> Crc:
    crc: Crc = anycrc.Model("CRC64-REDIS").calc
    return crc
