"""An engine with snapshots and backups in a folder, whose copies a test can hold up or break."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from engine.clock import ManualClock
from engine.ranking import Ranking, Submit
from realtime.backup_files import write_verified
from realtime.backups import Backups, Schedule
from realtime.copies import Copies
from realtime.datadir import NewFile
from realtime.embedded import Embedded
from realtime.snapshot_file import Content, Written
from realtime.snapshots import Snapshots
from tests.persistence.conftest import Forks, forks
from tests.persistence.samples import plain

__all__ = ["BOARD", "COUNTER", "Forks", "Keeper", "Open", "after", "forks"]

BOARD = b"lb:{arcade}"
COUNTER = b"cnt:{visits}"


class Keeper:
    """Everything that a service would have, without doors."""

    def __init__(self, folder: Path, schedule: Schedule, clock: ManualClock) -> None:
        self.folder = folder
        self.clock = clock
        self.embedded = Embedded(clock)
        self.engine = self.embedded.engine
        self.copies = Copies()
        self.snapshots = Snapshots(self.engine, folder, interval=0, copies=self.copies)
        self.backups = Backups(
            self.engine, folder, schedule, copies=self.copies, replace=self.replace
        )
        self.snapshots.load()
        self.backups.open()

    async def replace(self, change: Callable[[], None]) -> object:
        """With snapshots only, what is replaced is on disk with the next one."""
        change()
        return await self.snapshots.save()

    async def close(self) -> None:
        await self.backups.close()
        await self.snapshots.close()

    def visit(self, times: int = 1) -> int:
        return self.engine.counters.add(COUNTER, times)

    @property
    def visits(self) -> int | None:
        return self.engine.counters.get(COUNTER)

    def submit(self, member: str, score: float) -> None:
        self.engine.boards.submit(BOARD, Ranking(), Submit(member.encode(), score))

    def content(self) -> object:
        return plain(self.engine.keyspace.items(self.clock()))

    @property
    def names(self) -> list[str]:
        """Of all files in the folder of backups, oldest first."""
        return sorted(path.name for path in (self.folder / "backups").iterdir())


Open = Callable[..., Awaitable[Keeper]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Open]:
    """``await start(**schedule)``: what ran in the folder before is stopped first."""
    running: list[Keeper] = []
    clock = ManualClock()

    async def start(**schedule: int) -> Keeper:
        if running:
            await running.pop().close()
        running.append(Keeper(tmp_path, Schedule(**schedule), clock))
        return running[-1]

    yield start
    for keeper in running:
        await keeper.close()


def after(happens: Callable[[], object]) -> Callable[[Content, NewFile], Written]:
    """A backup in whose copy something else happens first."""

    def write(content: Content, new: NewFile) -> Written:
        happens()
        return write_verified(content, new)

    return write
