"""A disk that fails under a real service: what it says, what it keeps, and how it goes on.

For as long as nothing can be written, writes are refused and reads go on. What was acknowledged
would survive a kill at any moment: the directory is copied while the disk is broken, and read
by `tests.crash.replayer`. When the cause is gone, the service goes on by itself.
"""

from __future__ import annotations

import errno
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.crash.connection import Connection
from tests.crash.mounts import remounted, with_tmpfs
from tests.crash.replayer import listing, replay
from tests.crash.rig import JOURNAL, Rig, content_of, fault_file, was_killed
from tests.crash.writers import define_rule
from tests.service import NotStarted, Service
from tests.support import eventually

LEVELS = ["always", "bounded:1000"]
"""A bound that a busy machine seldom reaches: what is refused is to be refused for a reason."""
ERRNOS = ["ENOSPC", "EIO", "EROFS"]

TOLERANCE = 0.3
"""Seconds that a loop may come late to its timers on a machine that is busy."""

UNHURRIED = "bounded:10000"
"""A level whose bound a busy machine does not reach, where nothing may be refused."""

PATIENCE = 1.0
"""Seconds after which a service that waits for its disk begins to refuse."""

COMPACTION_POINTS = [
    "increment.create", "manifest.write", "manifest.sync", "manifest.rename", "folder.sync",
    "base.fork", "base.write", "base.rename",
]  # fmt: skip


class Broken:
    """A service whose disk the test breaks and mends."""

    def __init__(self, rig: Rig, service: Service, faults: Path) -> None:
        self.rig = rig
        self.service = service
        self._faults = faults

    def arm(self, description: str) -> None:
        """From now on; in one step, for the service looks at any moment."""
        new = self._faults.with_name("faults.new")
        new.write_text(description)
        new.rename(self._faults)

    def mend(self) -> None:
        self._faults.unlink()

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        with Connection(self.service.port) as connection:
            return connection.ask(method, path, body)

    def metric(self, name: str) -> float:
        _, text = self.ask("GET", "/metrics")
        line = next(line for line in text.splitlines() if line.startswith(f"realtime_{name} "))
        return float(line.split()[1])

    def write_until_refused(self) -> None:
        """Every writer goes on until it hears a 503."""
        with self.rig.writing(self.service, halts=True):
            eventually(lambda: all(writer.is_halted for writer in self.rig.writers), 30)

    def check_refusing(self, reason: str) -> None:
        """It says so wherever one can ask, and reads go on."""
        status, problem = self.ask("POST", "/v1/counters/other/add", {})
        assert (status, problem["type"]) == (503, "/docs/errors#unavailable")
        assert reason in problem["detail"]
        assert self.ask("GET", "/v1/counters/known")[1]["value"] == 7
        status, problem = self.ask("GET", "/readyz")
        assert status == 503
        assert reason in problem["detail"]
        assert self.ask("GET", "/healthz")[0] == 200
        assert self.metric("journal_up") == 0
        assert self.metric("journal_refused_writes_total") > 0
        self.check_copy()

    def check_copy(self) -> None:
        """What a kill at this moment would leave has all that was acknowledged."""
        copy = self.rig.copy()
        assert copy is not None
        content = replay(copy / JOURNAL)
        for writer in self.rig.writers:
            writer.hold(content)

    def check_resumed(self) -> None:
        """It takes writes again, and has lost none."""
        eventually(lambda: self.ask("GET", "/readyz")[0] == 200, 30)
        assert self.metric("journal_up") == 1
        content, _ = content_of(self.service, self.rig.data)
        self.rig.adopt(content)
        with self.rig.writing(self.service):
            self.rig.wait(0.05)
        self.check_copy()


@contextmanager
def breakable(tmp_path: Path, level: str, *options: str) -> Iterator[Broken]:
    rig = Rig(tmp_path / "data", level, seed=8)
    faults, env = fault_file(rig.data)
    with rig.service(*options, env=env) as service:
        rig.put_counter(service, "known", 7)
        define_rule(service.port)
        yield Broken(rig, service, faults)


def kill_and_check(broken: Broken) -> None:
    """And if it is killed in that state, it comes back with everything."""
    rig = broken.rig
    broken.service.process.kill()
    assert was_killed(broken.service)
    before = rig.copy()
    with rig.service() as service:
        rig.check(service, before)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("point", ["journal.write@3+", "journal.sync@1+"])
@pytest.mark.parametrize("level", LEVELS)
def test_a_disk_that_takes_nothing(tmp_path: Path, level: str, point: str) -> None:
    with breakable(tmp_path, level) as broken:
        for name in ERRNOS:
            broken.arm(f"{point}={name}")
            broken.write_until_refused()
            broken.check_refusing(os.strerror(getattr(errno, name)))
            broken.mend()
            broken.check_resumed()
        broken.arm(f"{point}=EIO")
        broken.write_until_refused()
        kill_and_check(broken)


@pytest.mark.parametrize("fault", ["journal.write@9=ENOSPC", "journal.sync@2=EIO"])
@pytest.mark.parametrize("level", LEVELS)
def test_a_single_failure_is_overcome_by_itself(tmp_path: Path, level: str, fault: str) -> None:
    with breakable(tmp_path, level, "--compaction-ratio", "0") as broken:
        broken.arm(fault)
        broken.write_until_refused()
        broken.check_resumed()
        files = listing(broken.rig.data / JOURNAL)
        assert (files.base is not None) == fault.startswith("journal.sync"), (
            "what an fsync that failed has left is not to be trusted, all else is"
        )
        kill_and_check(broken)


@pytest.mark.parametrize("name", ERRNOS)
def test_compactions_that_fail_hold_nobody_up(tmp_path: Path, name: str) -> None:
    with breakable(tmp_path, UNHURRIED) as broken:
        broken.arm(",".join(f"{point}@1+={name}" for point in COMPACTION_POINTS))
        with broken.rig.writing(broken.service, halts=True):
            eventually(lambda: broken.metric("compaction_failures_total") > 1, 30)
        assert not any(writer.is_halted for writer in broken.rig.writers)
        assert broken.ask("GET", "/readyz")[0] == 200
        assert broken.metric("compactions_total") == 0
        broken.mend()
        eventually(lambda: broken.metric("compactions_total") > 0, 30)
        kill_and_check(broken)


def test_bounded_refuses_rather_than_risk_more(tmp_path: Path) -> None:
    """A disk that hangs: what is acknowledged from then on was written within one bound."""
    with breakable(tmp_path, "bounded:1000", "--compaction-ratio", "0") as broken:
        broken.arm("journal.sync=HANG")
        broken.write_until_refused()
        synced = broken.metric("journal_synced_sequence")
        assert broken.metric("journal_sequence") > synced
        assert broken.metric("journal_unsynced_seconds") >= 1
        times = sorted(one.answered for writer in broken.rig.writers for one in writer.log)
        asked = max(one.asked for writer in broken.rig.writers for one in writer.log)
        assert asked - times[0] < 1 + TOLERANCE
        broken.check_refusing("the disk does not keep up")
        broken.mend()
        broken.check_resumed()
        kill_and_check(broken)


def test_always_answers_nothing_before_it_is_on_disk(tmp_path: Path) -> None:
    with breakable(tmp_path, "always") as broken, Connection(broken.service.port) as client:
        broken.arm("journal.sync=HANG")
        client.send("POST", "/v1/counters/late/add", {"by": 1})
        started = time.monotonic()
        assert broken.ask("GET", "/v1/counters/known")[1]["value"] == 7
        assert time.monotonic() - started < PATIENCE + 1, "reads wait for the disk"
        with pytest.raises(TimeoutError):
            client.receive(timeout=0.1)
        broken.check_refusing("the disk does not keep up")
        for _ in range(20):  # the loop turns while the disk hangs
            assert broken.ask("GET", "/healthz")[0] == 200
        broken.mend()
        assert client.receive() == (200, {"name": "late", "value": 1})
        broken.check_resumed()


@pytest.mark.parametrize("fault", ["journal.write@1+=ENOSPC", "journal.sync@1+=EIO"])
@pytest.mark.parametrize("level", LEVELS)
def test_an_end_that_cannot_be_written_down_is_no_good_end(
    tmp_path: Path, level: str, fault: str
) -> None:
    with breakable(tmp_path, level, "--compaction-ratio", "0") as broken:
        with broken.rig.writing(broken.service, halts=True):
            broken.rig.wait(0.05)
        broken.arm(fault)
        broken.write_until_refused()
        assert broken.service.stop() == 2
        eventually(lambda: "the journal was not written to its end" in broken.service.log[-1])
        broken.check_copy()
        broken.mend()
        before = broken.rig.copy()
        with broken.rig.service() as service:
            broken.rig.check(service, before)


@pytest.mark.parametrize("level", LEVELS)
def test_a_good_end_makes_good_what_an_fsync_has_lost(tmp_path: Path, level: str) -> None:
    """Nobody knows what is on disk then, and the next process could not know that."""
    with breakable(tmp_path, level, "--compaction-ratio", "0") as broken:
        broken.arm("journal.sync=EIO,base.fork=EIO")
        broken.write_until_refused()
        eventually(lambda: broken.metric("compaction_failures_total") == 1, 30)
        assert broken.service.stop() == 0
        assert listing(broken.rig.data / JOURNAL).base is not None
        before = broken.rig.copy()
        with broken.rig.service() as service:
            broken.rig.check(service, before)


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """A limit of the system: the kernel itself writes a part, and then refuses."""
    with breakable(tmp_path, UNHURRIED, "--compaction-ratio", "0") as broken:
        process = broken.service.process.pid
        unlimited = resource.prlimit(process, resource.RLIMIT_FSIZE)
        size = listing(broken.rig.data / JOURNAL).increments[-1].stat().st_size
        resource.prlimit(process, resource.RLIMIT_FSIZE, (size + 10_000, unlimited[1]))
        broken.write_until_refused()
        broken.check_refusing("File too large")
        resource.prlimit(process, resource.RLIMIT_FSIZE, unlimited)
        broken.check_resumed()
        kill_and_check(broken)


@pytest.mark.parametrize("level", LEVELS)
def test_a_disk_that_is_full(tmp_path: Path, level: str) -> None:
    """A real one, of half a megabyte."""
    rig = Rig(tmp_path / "data", level, seed=9)
    rig.data.mkdir()
    with rig.service("--compaction-ratio", "0", prefix=with_tmpfs(rig.data, "512k")) as service:
        # The file system is seen by the service only; so it is looked at through its eyes.
        rig.data = Path(f"/proc/{service.process.pid}/root{rig.data}")
        rig.copies = tmp_path
        broken = Broken(rig, service, tmp_path / "faults")
        rig.put_counter(service, "known", 7)
        define_rule(service.port)
        filler = rig.data / "filler"
        with rig.writing(service, halts=True):
            rig.wait(0.1)
            _fill(filler)
            eventually(lambda: all(writer.is_halted for writer in rig.writers), 30)
        broken.check_refusing("No space left on device")
        filler.unlink()
        broken.check_resumed()


def _fill(path: Path) -> None:
    with pytest.raises(OSError, match="No space left"), path.open("wb", buffering=0) as file:
        for _ in range(1_000):
            file.write(bytes(4096))


def test_a_folder_that_may_not_be_written_to_is_said_at_the_start(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "data", "always", seed=10)
    rig.data.mkdir()
    message = not_started(rig, prefix=remounted(rig.data, "ro"))
    assert "Read-only file system" in message
    assert str(rig.data) in message
    assert "Traceback" not in message


@pytest.mark.parametrize("point", ["increment.create", "manifest.write", "folder.sync"])
def test_a_journal_that_cannot_be_begun_is_said_at_the_start(tmp_path: Path, point: str) -> None:
    rig = Rig(tmp_path / "data", "always", seed=11)
    message = not_started(rig, env={"REALTIME_TEST_FAULTS": f"{point}=ENOSPC"})
    assert f"{rig.data / JOURNAL} cannot be written to: " in message
    assert "No space left on device" in message
    assert "Traceback" not in message
    with rig.service() as service:
        rig.put_counter(service, "known", 7)


def test_a_directory_has_one_owner(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "data", "always", seed=12)
    with rig.service() as service:
        rig.put_counter(service, "known", 7)
        before = {path.name: path.read_bytes() for path in (rig.data / JOURNAL).iterdir()}
        assert f"is in use by another realtime process (pid {service.process.pid})" in (
            not_started(rig)
        )
        assert before == {path.name: path.read_bytes() for path in (rig.data / JOURNAL).iterdir()}
        rig.put_counter(service, "known", 8)


def not_started(rig: Rig, **options: Any) -> str:
    """What a service says that does not start."""
    with pytest.raises(NotStarted) as failure, rig.service(**options):
        pytest.fail("it has started")
    assert failure.value.exit_code == 2
    return str(failure.value)
