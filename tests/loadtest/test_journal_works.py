"""The works about the journal do what their titles say, on real servers, in small."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from loadtest.compare import recovery
from loadtest.compare.durable_writes import fsync_ms
from loadtest.compare.http_board import own_site
from loadtest.compare.load import journaled
from loadtest.compare.processes import request
from loadtest.compare.rounds import QUICK
from loadtest.compare.wrk import Load
from tests.support import require


def test_an_fsync_takes_its_time(tmp_path: Path) -> None:
    assert fsync_ms(str(tmp_path), times=3) > 0


def test_scores_go_on_rising_from_row_to_row() -> None:
    """A submission that changes nothing would be measured without its way to the disk."""
    require("wrk")
    with ExitStack() as stack:
        site = own_site(stack, "--durability", "always", members=10)
        load = Load.of(4, 1, 10, rounds_before=3)
        sample = load.run(site.server, site.submit, 0)
        status, answer = request(site.server.port, "GET", site.read.path.replace("$m", "player:3"))
    assert status == 200
    assert sample.rate > 0
    assert b'"score":4' in answer  # of seven digits: the fourth million


async def test_every_write_of_the_directory_is_a_batch_of_its_own(tmp_path: Path) -> None:
    await journaled.write(tmp_path, 60)
    (increment,) = (tmp_path / "appendonlydir").glob("*.incr.aof")
    found = increment.read_bytes()
    assert found.count(b"#RT:") == 60
    assert all(word in found for word in (b"lb:{board:", b"cnt:{page:", b"sess:{", b"user:{"))


def test_ours_and_redis_come_back_with_the_same() -> None:
    require("redis-server")
    rows = recovery.rows(replace(QUICK, journaled_writes=400, recovery_rounds=1))
    assert [[line.name for line in row.lines] for row in rows] == 2 * [["realtime", "redis-server"]]
    assert "compacted" in rows[1].name
    assert all(line.median > 0 for row in rows for line in row.lines)


def test_who_loads_less_does_not_win() -> None:
    with pytest.raises(RuntimeError, match=r"not everybody has loaded the same: \[3, 4\] keys"):
        recovery.check_alike([4, 3, 4])
