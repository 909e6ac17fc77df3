"""From one level of durability to another, and back, by kill or in good order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.rig import JOURNAL, Rig, killed_by
from tests.crash.writers import define_rule


def write(rig: Rig, *, kill: bool) -> None:
    """Serve at the rig's level, with what was there before, and write."""
    before = rig.copy()
    with rig.service() as service:
        rig.check(service, before)
        define_rule(service.port)
        with rig.writing(service):
            rig.wait(0.1)
            if kill:
                service.process.kill()
        if not kill:
            assert service.stop() == 0


def at(rig: Rig, level: str) -> Rig:
    rig.level = level
    return rig


def test_a_directory_goes_through_all_levels(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "data", "snapshot", seed=16)
    write(rig, kill=False)
    assert not (rig.data / JOURNAL).exists()
    for level in ("bounded:100", "always", "bounded:1000", "always"):
        write(at(rig, level), kill=True)
        assert (rig.data / JOURNAL).exists()
    write(at(rig, "snapshot"), kill=False)
    assert not (rig.data / JOURNAL).exists()
    write(at(rig, "always"), kill=True)
    with rig.service() as service:
        rig.check(service, rig.copy())
    assert rig.acknowledged > 100


@pytest.mark.parametrize("fault", ["journal.retire=KILL", "journal.retired=KILL"])
@pytest.mark.parametrize("next_level", ["snapshot", "always"])
def test_a_kill_on_the_way_back_to_snapshots(tmp_path: Path, fault: str, next_level: str) -> None:
    rig = Rig(tmp_path / "data", "always", seed=17)
    write(rig, kill=True)
    assert killed_by(at(rig, "snapshot"), fault)
    write(at(rig, next_level), kill=False)
    with rig.service() as service:
        content = rig.check(service, None)
        assert content
    left = {path.name for path in rig.data.iterdir()}
    expected = {"dump.rdb", "lock", "backups"} | ({JOURNAL} if next_level == "always" else set())
    assert left == expected
