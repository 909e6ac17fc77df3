"""From a folder to a keyspace: the manifest, the base, and every increment in order.

No file is changed. A torn tail of the last increment is not replayed, and told; whoever goes
on writing must cut it off first. Everything else that is wrong is an error, and then the
keyspace is empty: half a state is worse than none.

The base may be a snapshot, as ours always is, commands, as a redis-server that is told so
writes it, or both in one file, as Redis did before it had manifests.

Keys are put with their deadlines even if those have passed. Dropped here, they would leave no
trace in the journal, and a later effect on such a key would meet the old value at the next
replay. Left in, they expire as keys do, and that is announced.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from engine.keyspace import Keyspace
from engine.persistence.commands import Split, split, transaction
from engine.persistence.crc64 import Crc, crc64
from engine.persistence.errors import (
    Foreign,
    JournalDamaged,
    JournalUnsupported,
    Malformed,
    RdbError,
    Unsupported,
)
from engine.persistence.format import MAGIC
from engine.persistence.journal import Batch, Increment, Torn
from engine.persistence.manifest import MANIFEST, Manifest, Part
from engine.persistence.reader import read
from engine.persistence.replay import Replay

__all__ = ["Counted", "Recovered", "Recovery", "recover"]

MAX_MANIFEST = 1 << 20
"""Bytes: ten thousand files, where a handful is usual."""

STRIDE = 1 << 20
"""Bytes between two reports of progress, about."""

ITEMS = 10_000
"""Keys of a base between two of them."""

Progress = Callable[[int, int], None]
"""(bytes read, bytes in all)"""


@dataclass(slots=True)
class Counted:
    """What was read of one file so far."""

    name: str
    size: int
    """Bytes of the file."""
    good: int = 0
    """Bytes that are whole and were replayed."""
    keys: int = 0
    """In its snapshot, if it begins with one."""
    batches: int = 0
    commands: int = 0
    """In batches or not."""
    unsealed: int = 0
    """Of the commands, those that are in no batch."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was replayed, and where to go on writing."""

    manifest: Manifest
    files: tuple[Counted, ...]
    """In the order of the manifest: the base, if any, and the increments."""
    sequence: int
    """Of the last batch; 0: there was none."""
    torn: Torn | None

    @property
    def last(self) -> str | None:
        """The increment to append to."""
        increments = self.manifest.increments
        return increments[-1].name if increments else None

    @property
    def size(self) -> int:
        """Bytes of that increment that are whole: where the next batch belongs."""
        return self.files[-1].good if self.manifest.increments else 0

    @property
    def batches(self) -> int:
        return sum(file.batches for file in self.files)

    @property
    def commands(self) -> int:
        return sum(file.commands for file in self.files)

    @property
    def unsealed(self) -> int:
        """Commands that a redis-server has written."""
        return sum(file.unsealed for file in self.files)

    @property
    def bytes(self) -> int:
        """Of what was replayed."""
        return sum(file.good for file in self.files)


def recover(
    folder: Path,
    keyspace: Keyspace,
    *,
    now: int,
    crc: Crc = crc64,
    split: Split = split,
    progress: Progress = lambda done, total: None,
) -> Recovered:
    """Fill an empty keyspace from a journal. O(everything).

    ``now`` is in microseconds since 1970, for relative deadlines that a Redis may have logged.
    Raises JournalError, or OSError; the keyspace is empty then.
    """
    try:
        return Recovery(folder, keyspace, now=now, crc=crc, split=split, progress=progress).run()
    except BaseException:
        keyspace.clear()
        raise


class Recovery:
    """The same, for who wants to know how far it got; each attribute is what was read so far."""

    def __init__(
        self,
        folder: Path,
        keyspace: Keyspace,
        *,
        now: int,
        crc: Crc = crc64,
        split: Split = split,
        progress: Progress = lambda done, total: None,
    ) -> None:
        assert not len(keyspace)
        self._folder = folder
        self._keyspace = keyspace
        self._now = now
        self._crc = crc
        self._split = split
        self._progress = progress
        self._done = self._total = 0
        self._torn: Torn | None = None
        self.manifest = Manifest()
        self.files: list[Counted] = []
        self.sequence: int | None = None

    def run(self) -> Recovered:
        """Raises JournalError or OSError; the keyspace then has what came before."""
        manifest = self.manifest = self._read_manifest()
        sizes = {part.name: self._size(part) for part in manifest.parts}
        self._total = sum(sizes.values())
        full = [part.name for part in manifest.increments if sizes[part.name]]
        if manifest.base is None:
            self.sequence = 0  # there is nothing that the first batches could have become
        else:
            self._replay(manifest.base.name, base=True)
        for part in manifest.increments:
            self._replay(part.name, last=part.name in full[-1:])
        return Recovered(manifest, tuple(self.files), self.sequence or 0, self._torn)

    def _read_manifest(self) -> Manifest:
        with (self._folder / MANIFEST).open("rb") as file:
            text = file.read(MAX_MANIFEST + 1)
        if len(text) > MAX_MANIFEST:
            raise JournalDamaged("the manifest is too long", MANIFEST, MAX_MANIFEST)
        return Manifest.parse(text)

    def _size(self, part: Part) -> int:
        path = self._folder / part.name
        if not path.is_file():
            raise JournalDamaged("the manifest names it, and there is no such file", part.name, 0)
        return path.stat().st_size

    def _replay(self, name: str, *, base: bool = False, last: bool = False) -> None:
        with (self._folder / name).open("rb") as file:
            counted = Counted(name, file.seek(0, io.SEEK_END))
            self.files.append(counted)
            if base:
                self._load_snapshot(file, counted)
            increment = Increment(file, name, start=counted.good, sequence=self.sequence, last=last)
            self._replay_records(increment, counted)
        self._done += counted.size
        self._progress(self._done, self._total)

    def _load_snapshot(self, file: BinaryIO, counted: Counted) -> None:
        """What the base begins with, unless it is all commands."""
        file.seek(0)
        if file.read(len(MAGIC)) != MAGIC and not counted.name.endswith(".rdb"):
            return
        keyspace = self._keyspace
        try:
            for key, value, deadline in read(file, self._crc, alone=False):
                keyspace.put(key, value, deadline)
                counted.keys += 1
                if counted.keys % ITEMS == 0:
                    self._progress(file.tell(), self._total)
        except RdbError as fault:
            kind = JournalUnsupported if isinstance(fault, Unsupported) else JournalDamaged
            raise kind(str(fault), counted.name, fault.offset) from fault
        counted.good = file.tell()
        if counted.keys != len(keyspace):
            raise JournalDamaged("a key stands there twice", counted.name, counted.good)

    def _replay_records(self, increment: Increment, counted: Counted) -> None:
        """The loop of a million batches: what it asks for each is bound once."""
        replay = Replay(self._keyspace, now=self._now, crc=self._crc)
        apply, split_body, reported = replay.apply, self._split, 0
        try:
            for record in increment:
                offset = record.offset
                if isinstance(record, Batch):
                    apply(transaction(split_body(record.body)))
                    counted.batches += 1
                else:
                    apply(record.commands)
                    counted.unsealed += len(record.commands)
                if offset - reported > STRIDE:
                    reported = offset
                    self._progress(self._done + offset, self._total)
        except Foreign as fault:
            raise JournalUnsupported(str(fault), counted.name, offset) from None
        except Malformed as fault:
            raise JournalDamaged(str(fault), counted.name, offset) from None
        finally:
            replay.settle()
            counted.commands, counted.good = replay.commands, increment.good
            self.sequence = increment.sequence
        self._torn = self._torn or increment.torn
