"""kill -9 while several publish: whoever comes back hears all that was acknowledged, once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.crash.publications import Publications

ROUNDS = 3


@pytest.mark.timeout(120)
@pytest.mark.parametrize("level", ["always", "bounded:1000"])
async def test_subscribers_hear_all_that_was_acknowledged(tmp_path: Path, level: str) -> None:
    seed = int(os.environ.get("REALTIME_CRASH_SEED", "1"))
    publications = Publications(tmp_path / "data", level, seed)
    for _ in range(ROUNDS):
        await publications.round()
    await publications.check()
    assert publications.tally.count > ROUNDS * 10, "hardly anything was published"
