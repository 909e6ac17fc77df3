"""What the tests of the journal share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import anycrc

from engine.clock import ManualClock
from engine.effects import Effects
from engine.engine import Engine
from engine.keyspace import Keyspace, Value
from engine.persistence.journal import Batch, Increment
from engine.persistence.recovery import Recovered, recover
from realtime import faults
from realtime.backends.base import WritesRefused
from realtime.copies import Copies
from realtime.gate import Gated
from realtime.journal.compaction import Compaction
from realtime.journal.durability import ALWAYS, Durability
from realtime.journal.files import Files, begin, go_on
from realtime.journal.journal import Journal
from tests.journal.transport import Transport
from tests.redis.waiting import until

__all__ = [
    "Journaled",
    "batches",
    "connection",
    "content",
    "journaled",
    "recovered_from",
    "refused",
    "settled",
    "turn",
]


def recovered_from(folder: Path, keyspace: Keyspace | None = None) -> Recovered:
    """Replay a journal. Raises JournalError."""
    crc = anycrc.Model("CRC64-REDIS").calc
    return recover(folder, Keyspace() if keyspace is None else keyspace, now=0, crc=crc)


def content(folder: Path) -> dict[bytes, Value]:
    """What would be there if the process died now."""
    keyspace = Keyspace()
    recovered_from(folder, keyspace)
    return dict(keyspace.values)


class Watched(Journal):
    """Tells when it has looked whether it can write again."""

    def __init__(self, effects: Effects, durability: Durability) -> None:
        super().__init__(effects, durability)
        self.looked = 0
        self._tried = False

    def _retry(self) -> None:
        was_idle = self._busy_since is None
        super()._retry()
        self.looked += 1
        self._tried = was_idle and self._busy_since is not None

    async def until_it_looks(self, before: int = 0) -> None:
        """Until it has, more often than ``before``, and has left all as it was."""
        await until(lambda: self.looked > before)
        assert not self._tried


class Journaled:
    """An engine with its journal and compaction, without anything around them."""

    def __init__(self, folder: Path, durability: Durability, floor: int) -> None:
        self.folder = folder
        self.engine = Engine(ManualClock())
        self.journal = Watched(self.engine.effects, durability)
        self.files: Files
        self.compaction: Compaction
        self._floor = floor

    def open(self) -> None:
        """Begin, or go on with what is there."""
        if self.folder.exists():
            recovered = recovered_from(self.folder, self.engine.keyspace)
            self.files, increment = go_on(self.folder, recovered)
            sequence = recovered.sequence
        else:
            (self.files, increment), sequence = begin(self.folder, None), 0
        self.journal.start(increment, sequence)
        self.compaction = Compaction(
            self.engine, self.journal, self.files, Copies().turn, ratio=0.1, floor=self._floor
        )

    def count(self, times: int = 1, key: bytes = b"n") -> None:
        for _ in range(times):
            self.engine.counters.add(key, 1)


@asynccontextmanager
async def journaled(
    folder: Path, durability: Durability = ALWAYS, *, floor: int = 1 << 30
) -> AsyncIterator[Journaled]:
    """Open until the end of the context; closed in good order unless ``close`` was called."""
    one = Journaled(folder, durability, floor)
    one.open()
    try:
        yield one
    finally:
        faults.disarm()  # what hangs would never end
        await one.journal.close()


def batches(folder: Path, number: int = 1) -> list[Batch]:
    name = f"appendonly.aof.{number}.incr.aof"
    with (folder / name).open("rb") as file:
        return [record for record in Increment(file, name, last=True) if isinstance(record, Batch)]


def connection(one: Journaled) -> tuple[Gated, Transport]:
    """A client of a service that stands behind the journal."""
    one.journal.gate.refusal = b"refused"
    transport = Transport()
    return cast(Gated, one.journal.gate.wrap(cast(Any, transport))), transport


def refused(one: Journaled) -> str | None:
    """Why a write would be refused now."""
    try:
        one.journal.admit()
    except WritesRefused as refusal:
        return str(refusal)
    return None


async def turn() -> None:
    """One turn of the loop, and what it calls soon."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def settled(one: Journaled) -> None:
    """Everything is on disk, and nobody is refused."""
    journal = one.journal
    await until(
        lambda: (
            not journal.gate.closed and journal.synced == journal.sequence and refused(one) is None
        )
    )
