"""Power cuts: what was synced is there, and what was not is lost within the bound, as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.power import cut_power, lose_power, tail_of
from tests.crash.rig import Rig, was_killed
from tests.crash.writers import define_rule

CUTS = 10


@pytest.mark.timeout(300)
def test_bounded_loses_no_more_than_its_bound(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "data", "bounded:100", seed=2)
    uncertain = 0
    for number in range(CUTS):
        # A compaction syncs everything, too: every other time the bound is left to itself.
        rig.round("--compaction-ratio", str(number % 2))
        tail = tail_of(rig.data)
        uncertain += tail.size > tail.synced
        cut_power(rig)
    assert uncertain > CUTS // 2, "hardly anything was at stake"


def test_always_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    """It dies before an fsync, and all that this fsync was for is gone."""
    rig = Rig(tmp_path / "data", "always", seed=3)
    for _ in range(CUTS // 2):
        fault = f"journal.sync@{rig.draw.randint(5, 150)}=KILL"
        with rig.service(env={"REALTIME_TEST_FAULTS": fault}) as service:
            define_rule(service.port)
            with rig.writing(service):
                assert was_killed(service)
        tail = tail_of(rig.data)
        assert tail.synced < tail.size, "the fault was reached before anything was written"
        with tail.path.open("r+b") as file:
            file.truncate(tail.synced)
        lose_power(rig.data)
        before = rig.copy()
        with rig.service() as service:
            rig.adopt(rig.check_prefix(service, before))
    assert rig.acknowledged > 100
