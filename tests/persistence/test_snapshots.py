"""What was acknowledged as saved is there after a restart; a failure never costs the last one."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
from asyncio import sleep as yield_once
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

import realtime.snapshots
from engine.clock import SECOND, ManualClock
from engine.engine import Engine
from engine.limits import TokenBucket
from engine.ranking import Ranking, Submit
from realtime.snapshots import DirectoryInUse, SnapshotError, Snapshots
from tests.persistence.conftest import Forks, Held, after, fail
from tests.persistence.redis_process import redis_server
from tests.persistence.samples import plain

COUNTER = b"cnt:{visits}"
BOARD = b"lb:{arcade}"


def opened(folder: Path, *, interval: float = 0, clock: ManualClock | None = None) -> Opened:
    return Opened(folder, interval, clock or ManualClock())


class Opened:
    """An engine whose data lies in a folder."""

    def __init__(self, folder: Path, interval: float, clock: ManualClock) -> None:
        self.engine = Engine(clock)
        self.snapshots = Snapshots(self.engine, folder, interval=interval)
        self.line = self.snapshots.load().line

    def visit(self) -> int:
        return self.engine.counters.add(COUNTER, 1)

    @property
    def visits(self) -> int | None:
        return self.engine.counters.get(COUNTER)


async def reopened(before: Opened, folder: Path) -> Opened:
    await before.snapshots.close()
    return opened(folder)


def content(engine: Engine) -> object:
    return plain(engine.keyspace.items(engine.clock()))


async def test_a_restart_finds_what_was_saved(tmp_path: Path) -> None:
    first = opened(tmp_path)
    engine = first.engine
    engine.boards.submit_many([(BOARD, Ranking())], [Submit(b"%d" % n, n) for n in range(2000)])
    engine.buckets.take(b"rl:login:{ada}", TokenBucket(quota=5, period=60 * SECOND, burst=5))
    engine.channels.publish(b"news", b"chan:{news}", b"{}", size=10, ttl=60 * SECOND)
    engine.hashes.put(b"lb:{arcade}:rules", {b"order": b"desc"})
    first.visit()
    before = content(engine)
    info = await first.snapshots.save()
    assert (info.path, info.keys) == (str(tmp_path / "dump.rdb"), len(engine.keyspace))
    assert info.bytes == (tmp_path / "dump.rdb").stat().st_size
    second = await reopened(first, tmp_path)
    assert content(second.engine) == before
    assert second.line.startswith(f"{tmp_path}/dump.rdb: {info.keys} keys loaded in ")
    await second.snapshots.close()


async def test_the_first_start_is_empty(tmp_path: Path) -> None:
    first = opened(tmp_path / "new" / "folder")
    assert first.line == f"{tmp_path}/new/folder: nothing yet, starting empty"
    await first.snapshots.close()
    assert not (tmp_path / "new" / "folder" / "dump.rdb").exists()


async def test_a_snapshot_shows_the_instant_of_its_fork(tmp_path: Path, held: Held) -> None:
    first = opened(tmp_path)
    first.visit()
    async with held(first.snapshots) as saving:
        first.visit()
    await saving
    assert first.snapshots.stats.unsaved_changes == 1
    assert opened(_moved(tmp_path)).visits == 1
    await first.snapshots.close()


async def test_those_who_ask_together_share_a_snapshot_that_has_it_all(
    tmp_path: Path, held: Held, forks: Forks
) -> None:
    first = opened(tmp_path)
    early = [asyncio.create_task(first.snapshots.save()) for _ in range(10)]
    async with held(first.snapshots) as saving:
        first.visit()
        late = [asyncio.create_task(first.snapshots.save()) for _ in range(10)]
    assert {info.keys for info in await asyncio.gather(saving, *early)} == {0}
    assert {info.keys for info in await asyncio.gather(*late)} == {1}
    assert len(forks.made) == 2
    await first.snapshots.close()


async def test_a_caller_who_goes_away_does_not_end_the_snapshot(tmp_path: Path, held: Held) -> None:
    first = opened(tmp_path)
    first.visit()
    async with held(first.snapshots) as saving:
        saving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saving
    await first.snapshots.close()
    assert opened(tmp_path).visits == 1


FAILURES: dict[str, Callable[[], object]] = {
    "No space left on device": lambda: fail(errno.ENOSPC),
    "File too large": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10)),
    "was killed by SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "ended with status 9 and no word": lambda: os._exit(9),
}


@pytest.mark.parametrize("reason", FAILURES)
async def test_a_failure_says_why_and_costs_nothing(
    tmp_path: Path, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(tmp_path)
    first.visit()
    await first.snapshots.save()
    good = (tmp_path / "dump.rdb").read_bytes()
    first.visit()
    with monkeypatch.context() as patch:
        patch.setattr(realtime.snapshots, "dump", after(FAILURES[reason]))
        with pytest.raises(SnapshotError, match=f"no snapshot was written to .*{reason}"):
            await first.snapshots.save()
    assert (tmp_path / "dump.rdb").read_bytes() == good
    assert sorted(os.listdir(tmp_path)) == ["dump.rdb", "lock"]
    stats = first.snapshots.stats
    assert (stats.failures, stats.unsaved_changes, stats.in_progress) == (1, 1, False)
    assert reason in (stats.last_error or "")
    await first.snapshots.save()
    stats = first.snapshots.stats
    assert (stats.failures, stats.unsaved_changes, stats.last_error) == (1, 0, None)
    await first.snapshots.close()


async def test_the_end_saves_what_is_unsaved(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.visit()
    await first.snapshots.save()
    first.visit()
    second = await reopened(first, tmp_path)
    assert second.visits == 2
    inode = (tmp_path / "dump.rdb").stat().st_ino
    await second.snapshots.close()
    assert (tmp_path / "dump.rdb").stat().st_ino == inode, "written though nothing had changed"


async def test_the_end_does_not_wait_for_a_snapshot_that_is_out_of_date(
    tmp_path: Path, forks: Forks, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(tmp_path)
    first.visit()
    with monkeypatch.context() as patch:
        patch.setattr(realtime.snapshots, "dump", after(signal.pause))
        saving = asyncio.create_task(first.snapshots.save())
        await forks.next.wait()
    waiting = asyncio.create_task(first.snapshots.save())
    first.visit()
    await first.snapshots.close()
    for task, reason in ((saving, "was killed by SIGKILL"), (waiting, "shutting down")):
        with pytest.raises(SnapshotError, match=reason):
            await task
    assert first.snapshots.stats.failures == 0
    assert opened(tmp_path).visits == 2


async def test_a_failure_at_the_end_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(tmp_path)
    first.visit()
    with monkeypatch.context() as patch:
        patch.setattr(realtime.snapshots, "dump", after(lambda: fail(errno.ENOSPC)))
        with pytest.raises(SnapshotError, match="No space left on device"):
            await first.snapshots.close()
    await opened(tmp_path).snapshots.close()  # the directory was given up all the same


async def test_the_next_start_knows_whether_the_end_was_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(tmp_path)
    assert first.snapshots.last_stop == "clean"
    first.visit()
    second = await reopened(first, tmp_path)
    assert second.snapshots.last_stop == "clean"
    second.visit()
    with monkeypatch.context() as patch:
        patch.setattr(realtime.snapshots, "dump", after(lambda: fail(errno.ENOSPC)))
        with pytest.raises(SnapshotError):
            await second.snapshots.close()
    third = opened(tmp_path)
    assert third.snapshots.last_stop != "clean"
    await third.snapshots.close()


async def test_a_start_that_fails_does_not_forget_how_the_last_one_ended(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("4711\n")
    (tmp_path / "dump.rdb").write_bytes(b"no snapshot")
    snapshots = Snapshots(Engine(ManualClock()), tmp_path)
    with pytest.raises(SnapshotError):
        snapshots.load()
    await snapshots.close()
    (tmp_path / "dump.rdb").unlink()
    second = opened(tmp_path)
    assert second.snapshots.last_stop == "power"
    await second.snapshots.close()


async def test_a_start_that_was_refused_writes_nothing(tmp_path: Path) -> None:
    owner = opened(tmp_path)
    engine = Engine(ManualClock())
    refused = Snapshots(engine, tmp_path)
    with pytest.raises(DirectoryInUse):
        refused.load()
    engine.counters.set(COUNTER, 7)
    with pytest.raises(SnapshotError, match="before loading"):
        await refused.save()
    await refused.close()
    assert not (tmp_path / "dump.rdb").exists()
    await owner.snapshots.close()


async def test_a_damaged_snapshot_refuses_the_start_and_stays_as_it_is(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.visit()
    first.engine.boards.submit(BOARD, Ranking(), Submit(b"ada", 1))
    await first.snapshots.close()
    damaged = bytearray((tmp_path / "dump.rdb").read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "dump.rdb").write_bytes(damaged)
    engine = Engine(ManualClock())
    snapshots = Snapshots(engine, tmp_path)
    with pytest.raises(SnapshotError) as raised:
        snapshots.load()
    assert str(raised.value) == (
        f"{tmp_path}/dump.rdb cannot be loaded: the checksum does not match (at byte "
        f"{len(damaged) - 8}). Nothing was loaded, and the file is as it was: put a good copy in "
        "its place, or move it away to start empty"
    )
    assert len(engine.keyspace) == 0
    await snapshots.close()
    assert (tmp_path / "dump.rdb").read_bytes() == damaged


async def test_a_key_that_stands_twice_is_damage(tmp_path: Path) -> None:
    twice = b"REDIS0010\x00\x01k\x01a\x00\x01k\x01b\xff" + bytes(8)
    (tmp_path / "dump.rdb").write_bytes(twice)
    with pytest.raises(SnapshotError, match="1 keys stand there twice"):
        opened(tmp_path)


async def test_what_expired_meanwhile_is_not_loaded(tmp_path: Path) -> None:
    clock = ManualClock()
    first = opened(tmp_path, clock=clock)
    first.engine.strings.set(b"short", b"", ttl=SECOND)
    first.engine.strings.set(b"long", b"", ttl=3 * SECOND)
    await first.snapshots.save()
    later = ManualClock(clock.now + 2 * SECOND)
    second = opened(_moved(tmp_path), clock=later)
    assert [key for key, _, _ in second.engine.keyspace.items(later.now)] == [b"long"]
    assert second.engine.keyspace.deadline(b"long") == clock.now + 3 * SECOND
    await first.snapshots.close()


async def test_each_interval_saves_only_what_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forks: Forks
) -> None:
    intervals = _count_intervals(monkeypatch)
    first = opened(tmp_path, interval=60)
    running = asyncio.create_task(first.snapshots.run())
    await intervals.reached(5)
    assert forks.made == []
    first.visit()
    await intervals.reached(intervals.count + 5)
    assert (len(forks.made), first.snapshots.stats.unsaved_changes) == (1, 0)
    running.cancel()
    await first.snapshots.close()


async def test_a_failed_interval_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    intervals = _count_intervals(monkeypatch)
    first = opened(tmp_path, interval=60)
    first.visit()
    running = asyncio.create_task(first.snapshots.run())
    with monkeypatch.context() as patch:
        patch.setattr(realtime.snapshots, "dump", after(lambda: fail(errno.ENOSPC)))
        await intervals.reached(3)
    assert first.snapshots.stats.failures > 0
    await intervals.reached(intervals.count + 3)
    assert first.snapshots.stats.unsaved_changes == 0
    running.cancel()
    await first.snapshots.close()


async def test_without_an_interval_nothing_runs(tmp_path: Path) -> None:
    first = opened(tmp_path, interval=0)
    first.visit()
    await first.snapshots.run()
    assert first.snapshots.stats.last is None
    await first.snapshots.close()


async def test_figures_for_metrics(tmp_path: Path, held: Held) -> None:
    clock = ManualClock()
    first = opened(tmp_path, clock=clock)
    stats = first.snapshots.stats
    assert (stats.last, stats.last_success_at, stats.in_progress) == (None, None, False)
    first.visit()
    async with held(first.snapshots) as saving:
        assert first.snapshots.stats.in_progress
        assert first.snapshots.stats.fork_seconds > 0
    info = await saving
    stats = first.snapshots.stats
    assert stats.last is info
    assert (stats.last_success_at, stats.in_progress) == (clock.now / SECOND, False)
    second = await reopened(first, tmp_path)
    assert second.snapshots.stats.last_success_at == (tmp_path / "dump.rdb").stat().st_mtime
    await second.snapshots.close()


def test_it_works_on_uvloop(tmp_path: Path) -> None:
    async def main() -> None:
        first = opened(tmp_path)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, first.visit)
        first.visit()
        assert (await first.snapshots.save()).keys == 1
        second = await reopened(first, tmp_path)
        assert second.visits == 1
        await second.snapshots.close()

    uvloop.run(main())


async def test_a_real_redis_takes_over(tmp_path: Path) -> None:
    first = opened(tmp_path, clock=ManualClock(4_000_000_000 * SECOND))
    ranking = Ranking()
    for number in range(500):
        first.engine.boards.submit(BOARD, ranking, Submit(b"m%d" % number, number % 50))
    first.engine.strings.set(b"k", b"v", ttl=60 * SECOND)
    await first.snapshots.close()
    with redis_server(tmp_path) as client:
        standing = first.engine.boards.standing(BOARD, ranking, b"m77")
        assert standing is not None
        assert client.zrevrank(BOARD, b"m77") == standing.entry.rank - 1
        assert client.zscore(BOARD, b"m77") == standing.entry.score
        assert client.pexpiretime("k") == 4_000_000_060_000


class _Intervals:
    """How many intervals have passed; the time they take is left out."""

    def __init__(self) -> None:
        self.count = 0
        self._passed = asyncio.Condition()

    async def sleep(self, seconds: float) -> None:
        async with self._passed:
            self.count += 1
            self._passed.notify_all()
        await yield_once(0)

    async def reached(self, count: int) -> None:
        async with self._passed:
            await self._passed.wait_for(lambda: self.count >= count)


def _count_intervals(monkeypatch: pytest.MonkeyPatch) -> _Intervals:
    intervals = _Intervals()
    monkeypatch.setattr(asyncio, "sleep", intervals.sleep)
    return intervals


def _moved(folder: Path) -> Path:
    """The snapshot in another folder, so that it can be loaded beside its writer."""
    target = folder / "elsewhere"
    target.mkdir()
    (folder / "dump.rdb").rename(target / "dump.rdb")
    return target
