"""A kill between any two steps that a journal takes on disk: each point is reached, and survived.

The service kills itself at a named point (see `realtime.faults`), under load. Then it is started
again without faults, and must hold what it had acknowledged, and what the journal says.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.replayer import batches, listing
from tests.crash.rig import JOURNAL, Rig, fault_file, killed_by, was_killed
from tests.crash.writers import define_rule
from tests.support import eventually

COMMITTING = [
    "journal.write@60=KILL",
    "journal.sync@8=KILL",
    "journal.synced@8=KILL",
    "journal.write@60=ENOSPC,journal.cut=KILL",
]
"""Points on the way of a batch; the cut takes back a write that failed."""

COMPACTING = [
    "increment.create=KILL",
    "folder.sync@2=KILL",  # the new increment is there, and not listed
    "manifest.write=KILL",
    "manifest.sync=KILL",
    "manifest.rename=KILL",
    "manifest.renamed=KILL",
    "folder.sync@3=KILL",  # it is listed, but the folder does not know for sure
    "base.fork=KILL",
    "base.rename=KILL",
    "base.renamed=KILL",
    "manifest.rename@2=KILL",  # the new base is there, and not listed
    "manifest.renamed@2=KILL",
    "folder.sync@4=KILL",
    "history.remove=KILL",
    "history.remove@2=KILL",
    "manifest.rename@3=KILL",  # the history is removed, and still listed
    "manifest.renamed@3=KILL",
]
"""In the order in which one compaction passes them; the first sync of the folder is at start."""

BEGINNING = [
    "increment.create=KILL",
    "folder.sync=KILL",
    "manifest.write=KILL",
    "manifest.rename=KILL",
    "manifest.renamed=KILL",
    "folder.sync@2=KILL",
]
"""What happens where there was no journal."""


@pytest.fixture(scope="module")
def worn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rig]:
    """One directory per level that lives through all of it, with a base and an increment."""
    rigs = {}
    for level in ("always", "bounded:100"):
        rig = rigs[level] = Rig(tmp_path_factory.mktemp("worn") / "data", level, seed=4)
        with rig.service() as service:
            define_rule(service.port)
            with rig.writing(service):
                rig.wait_for(lambda data: listing(data / JOURNAL).base is not None)
                service.process.kill()
        with rig.service() as service:
            rig.check(service, rig.copy())
    return rigs


def survives(rig: Rig, fault: str) -> None:
    """Die of the fault under load, and be there again with everything."""
    uncertain = "ENOSPC" in fault  # else a refusal only says that the machine is busy
    with (
        rig.service(env={"REALTIME_TEST_FAULTS": fault}) as service,
        rig.writing(service, halts=uncertain),
    ):
        assert was_killed(service), f"{fault} was never reached: {service.log}"
    before = rig.copy()
    with rig.service() as service:
        rig.check(service, before)


@pytest.mark.parametrize("fault", COMMITTING)
@pytest.mark.parametrize("level", ["always", "bounded:100"])
def test_a_kill_on_the_way_of_a_batch(worn: dict[str, Rig], level: str, fault: str) -> None:
    survives(worn[level], fault)


@pytest.mark.parametrize("fault", COMPACTING)
def test_a_kill_within_a_compaction(worn: dict[str, Rig], fault: str) -> None:
    survives(worn["bounded:100"], fault)


def test_a_copy_that_is_killed_is_made_again(tmp_path: Path) -> None:
    """The service goes on meanwhile, and so do its writers."""
    rig = Rig(tmp_path / "data", "bounded:10000", seed=7)
    faults, env = fault_file(rig.data)
    faults.write_text("base.write=KILL")
    with rig.service(env=env) as service:
        define_rule(service.port)
        with rig.writing(service):
            eventually(lambda: any("was killed by SIGKILL" in line for line in service.log), 30)
            assert listing(rig.data / JOURNAL).base is None
            faults.unlink()
            rig.wait_for(lambda data: listing(data / JOURNAL).base is not None)
            service.process.kill()
    assert all(not writer.refused for writer in rig.writers)
    with rig.service() as service:
        rig.check(service, rig.copy())


@pytest.mark.parametrize("fault", BEGINNING)
def test_a_kill_while_a_snapshot_becomes_a_journal(
    tmp_path: Path, snapshot: Path, fault: str
) -> None:
    rig = Rig(tmp_path / "data", "always", seed=5)
    rig.data.mkdir()
    (rig.data / "dump.rdb").write_bytes(snapshot.read_bytes())
    assert killed_by(rig, fault)
    with rig.service() as service:
        assert rig.check(service, None)[b"cnt:{old}"].string == b"7"
    with rig.service() as service:  # and now it is the journal that says so
        (rig.data / "dump.rdb").unlink()
        assert rig.check(service, rig.copy())[b"cnt:{old}"].string == b"7"


@pytest.mark.parametrize(
    "fault", ["journal.cut=KILL", "journal.sync=KILL", "journal.sync@2=KILL", "folder.sync=KILL"]
)
def test_a_kill_while_a_torn_tail_is_cut(worn: dict[str, Rig], fault: str) -> None:
    rig = worn["always"]
    with rig.service() as service:
        rig.check(service, rig.copy())
        with rig.writing(service):
            rig.wait(0)
            service.process.kill()
    path = next(
        path for path in reversed(listing(rig.data / JOURNAL).increments) if any(batches(path))
    )
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) % 40 + 10])
    assert killed_by(rig, fault)
    with rig.service() as service:
        rig.check(service, rig.copy())
    assert path.read_bytes() == whole


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """What a service without a journal has left behind."""
    rig = Rig(tmp_path / "old", "snapshot", seed=6)
    with rig.service() as service:
        rig.put_counter(service, "old", 7)
        assert service.stop() == 0
    return rig.data / "dump.rdb"
