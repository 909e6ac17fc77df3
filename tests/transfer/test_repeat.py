"""Whatever interrupts a run, nothing is ever half there, and the next one ends as if alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.persistence.rdb import Item
from engine.sortedset import SortedSet
from realtime.transfer import progress
from tests.cli.conftest import Run
from tests.redis.servers import RedisServer
from tests.support import eventually
from tests.transfer.conftest import Into
from tests.transfer.samples import content, every_type, put_snapshot

BIG = 100_000
"""Members: some tenths of a second, so that a kill can fall within."""

ATTEMPTS = 5

TEMPORARY = "transfer:lb:{big}"


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No progress, even where this takes long."""
    monkeypatch.setattr(progress, "PRINTED_EVERY", 3600.0)


def members(size: int, score: float) -> SortedSet:
    return SortedSet((b"member:%d" % number, score) for number in range(size))


def world(now: int) -> list[Item]:
    few: list[Item] = [(b"cnt:{%d}" % number, number, None) for number in range(20_000)]
    return [*every_type(now), *few, (b"lb:{big}", members(BIG, 1.0), None), (b"cnt:{z}", 1, None)]


@contextmanager
def migrating(source: str, target: str, *more: str) -> Iterator[subprocess.Popen[str]]:
    """``realtime migrate`` as a process that may be killed."""
    command = [sys.executable, "-m", "realtime", "migrate", "--from", source, "--to", target, *more]
    environ = {name: value for name, value in os.environ.items() if name[:9] != "REALTIME_"}
    process = subprocess.Popen(
        command,
        cwd=Path(__file__).parents[2],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_running_it_again_changes_nothing(
    run: Run, tmp_path: Path, server: RedisServer, client: Any, now: int
) -> None:
    source = put_snapshot(tmp_path / "data", every_type(now))
    first = run("migrate", "--from", str(source), "--to", server.url)
    keys = sorted(client.keys())
    second = run("migrate", "--from", str(source), "--to", server.url)
    assert (first.code, second.code, second.err) == (0, 0, "")
    assert first.out.splitlines()[1:3] == second.out.splitlines()[1:3], "the digests"
    assert sorted(client.keys()) == keys


@pytest.mark.parametrize("within", ["small values", "a large value"])
def test_after_a_kill_it_is_run_again(
    run: Run, tmp_path: Path, server: RedisServer, client: Any, now: int, within: str
) -> None:
    source = put_snapshot(tmp_path / "data", world(now))
    client.zadd("lb:{big}", {"old": 1})
    reached: Callable[[], bool] = (
        (lambda: client.exists(TEMPORARY) == 1)
        if within == "a large value"
        else (lambda: client.dbsize() > 1_000)
    )
    with migrating(str(source), server.url) as process:
        eventually(reached, 60)
        process.kill()
        process.wait()
    assert client.zrange("lb:{big}", 0, -1) == [b"old"], "the old value stays, whole"
    assert not client.exists("cnt:{z}"), "the kill came too late to show anything"
    again = run("migrate", "--from", str(source), "--to", server.url)
    assert (again.code, again.err) == (0, "")
    assert client.zcard("lb:{big}") == BIG
    assert not client.exists(TEMPORARY)
    assert run("migrate", "--from", server.url, "--to", str(tmp_path / "back")).code == 0
    assert content(tmp_path / "back") == content(source)


def test_ctrl_c_takes_back_what_is_half_done(
    tmp_path: Path, server: RedisServer, client: Any, now: int
) -> None:
    source = put_snapshot(tmp_path / "data", world(now))
    with migrating(str(source), server.url) as process:
        eventually(lambda: client.exists(TEMPORARY) == 1, 60)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert not client.exists(TEMPORARY, "lb:{big}")


def test_ctrl_c_leaves_no_half_file(tmp_path: Path, server: RedisServer, into: Into) -> None:
    into([(b"lb:{big}", members(BIG, 1.0), None)])
    kept: list[bytes] = []
    for attempt in range(ATTEMPTS):  # on a busy machine Ctrl-C may come when the file is whole
        target = put_snapshot(tmp_path / f"data{attempt}", [(b"cnt:{old}", 1, None)])
        with migrating(server.url, str(target), "--replace") as process:
            eventually(lambda there=target: any(there.glob("temp-*")), 60)  # type: ignore[misc]
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
        assert process.returncode in (0, 130)
        assert sorted(os.listdir(target)) == ["dump.rdb", "lock"]
        kept = list(content(target))
        assert kept in ([b"cnt:{old}"], [b"lb:{big}"])
        if kept == [b"cnt:{old}"]:
            break
    assert kept == [b"cnt:{old}"], "Ctrl-C never came in time to show anything"
    assert process.returncode == 130


def test_nobody_ever_sees_a_part_of_a_large_value(
    tmp_path: Path, server: RedisServer, client: Any, into: Into
) -> None:
    into([(b"lb:{big}", members(BIG, 1.0), None)])
    done, seen = threading.Event(), set()

    def look() -> None:
        while not done.is_set():
            seen.add((client.zcard("lb:{big}"), client.zscore("lb:{big}", "member:0")))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        into([(b"lb:{big}", members(BIG + 1, 2.0), None)])
    finally:
        done.set()
        looking.join()
    seen.add((client.zcard("lb:{big}"), client.zscore("lb:{big}", "member:0")))
    # Between the two questions of one look, the new value may have come.
    assert seen - {(BIG, 2.0)} == {(BIG, 1.0), (BIG + 1, 2.0)}


def test_what_a_dead_run_left_is_removed_even_if_its_key_is_gone(
    run: Run, tmp_path: Path, server: RedisServer, client: Any
) -> None:
    client.zadd("transfer:lb:{ended}", {"a": 1})
    client.set("transfer:of:somebody", "1")
    source = put_snapshot(tmp_path / "data", [(b"cnt:{a}", 1, None)])
    assert run("migrate", "--from", str(source), "--to", server.url).code == 0
    assert sorted(client.keys()) == [b"cnt:{a}", b"transfer:of:somebody"]
