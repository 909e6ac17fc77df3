"""kill -9 at random moments, under load, also within compactions: nothing answered is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash.rig import Rig

ROUNDS = 20
REDIS_EVERY = 5
"""Rounds between two in which a real redis-server reads the same directory."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("level", ["always", "bounded:100"])
def test_nothing_acknowledged_is_lost(tmp_path: Path, level: str) -> None:
    seed = int(os.environ.get("REALTIME_CRASH_SEED", "1"))
    rig = Rig(tmp_path / "data", level, seed)
    for number in range(ROUNDS):
        rig.round(with_redis=number % REDIS_EVERY == 1)
    with rig.service() as service:
        rig.check(service, rig.copy())
    assert rig.acknowledged > ROUNDS * 20, "hardly anything was written"
    assert rig.tally.found + rig.tally.lost > 0, "no kill fell upon a write"


def test_many_more_rounds_can_be_asked_for() -> None:
    """`make crash`, as short as it can be."""
    settings = {"REALTIME_CRASH_ROUNDS": "2", "REALTIME_CRASH_SEED": "5"}
    command = [sys.executable, "-m", "tests.crash"]
    done = subprocess.run(
        command, env=os.environ | settings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    levels = ["always", "bounded:100", "bounded:1000"]
    publications = [f"publications {level}" for level in levels]
    assert [line.partition(",")[0] for line in lines] == levels + publications
    assert all("seed 5: 2 rounds" in line for line in lines)
