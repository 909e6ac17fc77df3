"""A backup is there whole or not at all, in time, and as many as were asked for."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import resource
import signal
from asyncio import sleep as yield_once
from collections.abc import Callable

import pytest

import realtime.backups
from engine.clock import DAY, HOUR, MINUTE, SECOND, ManualClock
from engine.engine import Engine
from realtime.backup_files import BackupFiles, name_of
from realtime.datadir import NewFile
from realtime.errors import NotFound
from realtime.keeping import BackupError
from realtime.snapshot_file import load
from tests.backups.conftest import Forks, Open, after
from tests.persistence.conftest import fail
from tests.persistence.samples import plain
from tests.support import require


async def test_a_backup_holds_everything_of_one_instant(start: Open) -> None:
    keeper = await start()
    keeper.visit(3)
    keeper.submit("ada", 7)
    keeper.engine.strings.set(b"idem:{x}", b"v", ttl=HOUR)
    made = await keeper.backups.create()
    assert made.name == name_of(keeper.clock.now)
    assert (made.keys, made.verified, made.created_at) == (3, True, keeper.clock.now)
    path = keeper.folder / "backups" / made.name
    assert path.stat().st_size == made.bytes
    assert path.stat().st_mode & 0o777 == 0o600
    copy = Engine(keeper.clock)
    load(copy, path)
    assert plain(copy.keyspace.items(keeper.clock.now)) == keeper.content()
    assert keeper.names == [made.name]


async def test_a_backup_is_a_snapshot_as_redis_has_them(start: Open) -> None:
    keeper = await start()
    keeper.visit(3)
    keeper.submit("ada", 7)
    keeper.engine.channels.publish(b"news", b"chan:{news}", b"1", size=9, ttl=HOUR)
    path = keeper.folder / "backups" / (await keeper.backups.create()).name
    checking = await asyncio.create_subprocess_exec(
        require("redis-check-rdb"), str(path), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await checking.communicate()
    assert checking.returncode == 0
    assert b"4 keys read" in out
    assert b"RDB looks OK" in out


async def test_what_is_not_asked_for_is_not_made(start: Open) -> None:
    keeper = await start()
    await keeper.backups.run()
    assert await keeper.backups.list() == []
    assert not (keeper.folder / "backups").exists()


async def test_those_made_in_one_instant_do_not_meet(start: Open) -> None:
    keeper = await start()
    names = [(await keeper.backups.create()).name for _ in range(3)]
    assert keeper.names == names


async def test_those_who_ask_together_share_one(start: Open, forks: Forks) -> None:
    keeper = await start()
    made = await asyncio.gather(*[keeper.backups.create() for _ in range(10)])
    assert len({backup.name for backup in made}) == len(forks.made) == 1


async def test_backups_and_snapshots_take_turns(
    start: Open, forks: Forks, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = await start()
    gate = keeper.folder / "gate"
    os.mkfifo(gate)
    keeper.visit()
    with monkeypatch.context() as patch:
        patch.setattr(realtime.backups, "write_verified", after(gate.read_bytes))
        making = asyncio.create_task(keeper.backups.create())
        await forks.next.wait()
    saving = asyncio.create_task(keeper.snapshots.save())
    for _ in range(10):
        await yield_once(0)
    assert len(forks.made) == 1
    await asyncio.to_thread(gate.write_bytes, b".")
    await asyncio.gather(making, saving)
    assert len(forks.made) == 2


async def test_the_list_knows_what_this_process_has_read(start: Open) -> None:
    keeper = await start()
    keeper.visit()
    first = await keeper.backups.create()
    keeper.clock.advance(SECOND)
    second = await keeper.backups.create()
    assert await keeper.backups.list() == [second, first]
    again = await start()
    listed = await again.backups.list()
    assert [(backup.name, backup.keys, backup.verified) for backup in listed] == [
        (second.name, None, False),
        (first.name, None, False),
    ]


async def test_a_file_that_was_exchanged_is_not_taken_for_verified(start: Open) -> None:
    keeper = await start()
    made = await keeper.backups.create()
    (keeper.folder / "backups" / made.name).write_bytes(b"something else")
    (listed,) = await keeper.backups.list()
    assert not listed.verified


async def test_a_backup_can_be_removed(start: Open) -> None:
    keeper = await start()
    made = await keeper.backups.create()
    await keeper.backups.delete(made.name)
    assert keeper.names == []
    assert keeper.backups.stats.kept == 0
    with pytest.raises(NotFound):
        await keeper.backups.delete(made.name)


FAILURES: dict[str, Callable[[], object]] = {
    "No space left on device": lambda: fail(errno.ENOSPC),
    "File too large": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10)),
    "was killed by SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
}


@pytest.mark.parametrize("reason", FAILURES)
async def test_a_failure_says_why_and_costs_no_older_one(
    start: Open, reason: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = await start(keep=1)
    good = await keeper.backups.create()
    keeper.clock.advance(DAY)
    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
        patch.setattr(realtime.backups, "write_verified", after(FAILURES[reason]))
        with pytest.raises(BackupError, match=f"no backup was made: .*{reason}"):
            await keeper.backups.create()
    assert reason in caplog.text
    assert keeper.names == [good.name]
    stats = keeper.backups.stats
    assert (stats.failures, stats.newest) == (1, good.created_at)
    assert reason in (stats.last_error or "")
    better = await keeper.backups.create()
    assert keeper.names == [better.name]
    assert keeper.backups.stats.last_error is None


async def test_what_reads_back_otherwise_gets_no_name(
    start: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = await start(keep=1)
    good = await keeper.backups.create()
    keeper.clock.advance(DAY)
    real = os.fsync

    def spoil(descriptor: int) -> None:
        if os.pread(descriptor, 5, 0) == b"REDIS":
            os.pwrite(descriptor, b"\xff", 20)
        real(descriptor)

    writable = NewFile.__init__

    def readable(self: NewFile, *given: object) -> None:
        writable(self, *given)  # type: ignore[arg-type]
        os.close(self.descriptor)
        self.descriptor = os.open(self.path, os.O_RDWR)

    with monkeypatch.context() as patch:
        patch.setattr(NewFile, "__init__", readable)
        patch.setattr(os, "fsync", spoil)
        with pytest.raises(BackupError, match="is not sound"):
            await keeper.backups.create()
    assert keeper.names == [good.name]


async def test_an_old_one_that_cannot_be_removed_is_no_failure(
    start: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = await start(keep=1)

    def refuse(*_: object) -> None:
        fail(errno.EROFS)

    monkeypatch.setattr(BackupFiles, "make_room", refuse)
    with caplog.at_level(logging.ERROR):
        made = await keeper.backups.create()
    assert "old backups could not be removed" in caplog.text
    assert keeper.backups.stats.newest == made.created_at


async def test_what_a_kill_left_half_written_is_gone_with_the_next_start(start: Open) -> None:
    keeper = await start()
    made = await keeper.backups.create()
    (keeper.folder / "backups" / "temp-4711.part").write_bytes(b"half")
    assert [backup.name for backup in await keeper.backups.list()] == [made.name]
    assert (await start()).names == [made.name]


async def test_before_loading_and_after_the_end_nothing_is_made(start: Open) -> None:
    keeper = await start()
    await keeper.backups.close()
    with pytest.raises(BackupError, match="shutting down"):
        await keeper.backups.create()
    assert keeper.backups.stats.failures == 0


async def test_the_end_does_not_wait_for_a_backup(
    start: Open, forks: Forks, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = await start()
    with monkeypatch.context() as patch:
        patch.setattr(realtime.backups, "write_verified", after(signal.pause))
        making = asyncio.create_task(keeper.backups.create())
        await forks.next.wait()
    await keeper.backups.close()
    with pytest.raises(BackupError, match="was killed by SIGKILL"):
        await making
    assert keeper.names == []
    assert keeper.backups.stats.failures == 0


async def test_a_caller_who_goes_away_does_not_end_the_backup(start: Open, forks: Forks) -> None:
    keeper = await start()
    making = asyncio.create_task(keeper.backups.create())
    await forks.next.wait()
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    await keeper.backups.create()
    assert len(keeper.names) == 2


class Days:
    """Time that passes only as long as the schedule sleeps."""

    def __init__(self, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
        self._clock = clock
        self.slept: list[float] = []
        self._wanted = asyncio.Condition()
        monkeypatch.setattr(asyncio, "sleep", self._sleep)

    async def _sleep(self, seconds: float) -> None:
        if seconds:
            self._clock.advance(round(seconds * SECOND))
            async with self._wanted:
                self.slept.append(seconds)
                self._wanted.notify_all()
        await yield_once(0)

    async def reached(self, rounds: int) -> None:
        async with self._wanted:
            await self._wanted.wait_for(lambda: len(self.slept) >= rounds)


async def test_one_is_made_whenever_it_is_due(start: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = await start(interval=DAY, keep=3)
    begun = keeper.clock.now
    days = Days(keeper.clock, monkeypatch)
    running = asyncio.create_task(keeper.backups.run())
    await days.reached(6)
    running.cancel()
    assert days.slept[:5] == [86_400.0] * 5
    assert len(keeper.names) == 3
    assert keeper.names[0] >= name_of(begun + 2 * DAY)


async def test_a_restart_postpones_nothing(start: Open) -> None:
    keeper = await start(interval=DAY)
    assert keeper.backups.due_in() == 0
    await keeper.backups.create()
    assert keeper.backups.due_in() == DAY
    keeper.clock.advance(20 * HOUR)
    assert (await start(interval=DAY)).backups.due_in() == 4 * HOUR
    keeper.clock.advance(20 * HOUR)
    assert (await start(interval=DAY)).backups.due_in() == 0


async def test_a_clock_that_was_set_back_does_not_stop_the_schedule(start: Open) -> None:
    keeper = await start(interval=DAY)
    await keeper.backups.create()
    keeper.clock.advance(-365 * DAY)
    assert (await start(interval=DAY)).backups.due_in() == DAY
    keeper = await start(interval=DAY, keep=1)
    made = await keeper.backups.create()
    assert made.name in keeper.names, "the newest on disk is another, but this was made just now"


async def test_a_failure_is_tried_again_soon_and_then_less_often(
    start: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = await start(interval=DAY)
    pauses = []
    with monkeypatch.context() as patch:
        patch.setattr(realtime.backups, "write_verified", after(lambda: fail(errno.ENOSPC)))
        for _ in range(8):
            with pytest.raises(BackupError):
                await keeper.backups.create()
            pauses.append(keeper.backups.due_in() // MINUTE)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    keeper.clock.advance(61 * MINUTE)
    assert keeper.backups.due_in() == 0
    await keeper.backups.create()
    assert keeper.backups.due_in() == DAY


async def test_the_schedule_outlives_failures(start: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = await start(interval=HOUR)
    days = Days(keeper.clock, monkeypatch)
    running = asyncio.create_task(keeper.backups.run())
    with monkeypatch.context() as patch:
        patch.setattr(realtime.backups, "write_verified", after(lambda: fail(errno.ENOSPC)))
        await days.reached(3)
    assert days.slept[:3] == [60.0, 120.0, 240.0]
    assert keeper.backups.stats.failures >= 3
    await days.reached(len(days.slept) + 3)
    running.cancel()
    assert keeper.backups.stats.last_error is None


async def test_figures_for_metrics(start: Open) -> None:
    keeper = await start()
    read = {probe.name: probe.read for probe in realtime.backups.probes(keeper.backups)}
    assert [figure() for figure in read.values()] == [0, 0, 0, 0]
    made = await keeper.backups.create()
    assert (read["backups"](), read["backup_bytes"]()) == (1, made.bytes)
    assert read["backup_success_time"]() == keeper.clock.now / SECOND
    again = await start()
    assert again.backups.stats.newest == made.created_at
