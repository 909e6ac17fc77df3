"""Journals to read: an engine whose effects become sealed batches in a folder, and more."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from engine.clock import ManualClock
from engine.effects import Effect
from engine.engine import Engine
from engine.keyspace import Keyspace
from engine.persistence.commands import encode_all
from engine.persistence.journal import seal
from engine.persistence.manifest import MANIFEST, Manifest
from engine.persistence.rdb import About, write
from engine.persistence.recovery import Recovered, recover
from tests.persistence.samples import NOW, plain

__all__ = ["Journal", "batches", "folder_of", "recovered", "same_state"]


class Journal:
    """What an engine does, written to a folder as the service would; the clock stands still."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engine = Engine(ManualClock())
        self.engine.effects.listen(lambda effect: self._pending.append(effect))
        self.manifest = Manifest()
        self.sequence = 0
        self._pending: list[Effect] = []
        self.grow()

    @property
    def path(self) -> Path:
        """The increment that is written to."""
        return self.folder / self.manifest.increments[-1].name

    def commit(self) -> bytes:
        """One batch of what happened since the last; nothing if nothing did."""
        effects, self._pending = self._pending, []
        if not effects:
            return b""
        self.sequence += 1
        batch = seal(self.sequence, self.sequence - 1, encode_all(effects))
        with self.path.open("ab") as file:
            file.write(batch)
        return batch

    def grow(self) -> None:
        """Begin the next increment."""
        self.manifest = self.manifest.with_increment(self.manifest.next_increment)
        self.path.touch()
        self._publish()

    def compact(self) -> None:
        """Everything so far becomes the base; an empty increment follows."""
        assert not self._pending
        base, now = self.manifest.next_base, self.engine.clock()
        with (self.folder / base.name).open("wb") as file:
            file.writelines(write(self.engine.keyspace.items(now), About(now)))
        self.grow()
        self.manifest = self.manifest.with_base(base, kept=1).without_history()
        self._publish()

    def _publish(self) -> None:
        (self.folder / MANIFEST).write_bytes(self.manifest.text())


def batches(*bodies: Iterable[Effect], first: int = 1, lag: int = 1) -> list[bytes]:
    """A sealed batch of each; of each it is known ``lag`` batches later that it is on disk."""
    return [
        seal(number, max(0, number - lag), encode_all(list(body)))
        for number, body in enumerate(bodies, first)
    ]


def folder_of(folder: Path, *increments: bytes, base: bytes | None = None) -> Path:
    """A journal of these files."""
    folder.mkdir(exist_ok=True)
    manifest = Manifest()
    for content in increments:
        manifest = manifest.with_increment(manifest.next_increment)
        (folder / manifest.increments[-1].name).write_bytes(content)
    if base is not None:
        manifest = manifest.with_base(manifest.next_base, kept=len(increments))
        assert manifest.base
        (folder / manifest.base.name).write_bytes(base)
    (folder / MANIFEST).write_bytes(manifest.text())
    return folder


def recovered(folder: Path, now: int = NOW) -> tuple[Keyspace, Recovered]:
    """What a journal holds. Raises JournalError."""
    keyspace = Keyspace()
    try:
        found = recover(folder, keyspace, now=now)
    except ValueError:
        assert not len(keyspace), "half a state was left"
        raise
    keyspace._check()
    return keyspace, found


def same_state(keyspace: Keyspace, expected: Keyspace, now: int) -> None:
    """Assert that both hold the same at ``now``, in what clients could ever see.

    A journal rounds deadlines up to a millisecond, so within one a key may still be there."""
    ours, theirs = plain(keyspace.items(now)), plain(expected.items(now))
    for key in ours.keys() - theirs.keys():
        assert ours.pop(key)[1] * 1000 - now < 1000
    assert ours == theirs
