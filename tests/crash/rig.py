"""A service that is killed again and again, and what it held each time.

    serve -> writers -> SIGKILL -> copy of the directory -> serve -> compare -> writers -> …

One directory lives through all rounds, so recovery works on what recovery has left. After each
kill three things are compared: what the writers were answered, what `tests.crash.replayer` reads
from the copy, and what the next process holds in memory (of which it makes a backup).
"""

from __future__ import annotations

import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.connection import Connection
from tests.crash.content import Content, differences, live, of_redis, of_snapshot
from tests.crash.replayer import listing, replay
from tests.crash.writers import Writer, define_rule
from tests.service import NotStarted, Service, running_service
from tests.support import eventually

__all__ = ["JOURNAL", "Rig", "Tally", "content_of", "fault_file", "killed_by", "was_killed"]

WRITERS = 5
LONGEST = 0.45
"""Seconds of work before a kill: time for about two compactions."""

FLOOR = 20_000
"""Bytes after which the journal is written anew: whenever somebody looks."""

JOURNAL = "appendonlydir"
OPTIONS = ("--compaction-floor", str(FLOOR), "--compaction-ratio", "0.1")


@dataclass
class Tally:
    """What has happened in all rounds."""

    rounds: int = 0
    compacting: int = 0
    """Kills that left a half-made compaction behind."""
    found: int = 0
    lost: int = 0
    """Operations that were never answered, and were there, or not."""
    cuts: int = 0
    """Power cuts."""
    redis: int = 0
    """Rounds in which a real redis-server read the same."""


@dataclass
class Rig:
    """One directory, one level of durability, and writers."""

    data: Path
    level: str
    seed: int
    tally: Tally = field(default_factory=Tally)
    writers: list[Writer] = field(init=False)

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)
        self.copies = self.data.parent
        self.writers = [
            Writer(number, random.Random(self.seed * 1000 + number)) for number in range(WRITERS)
        ]

    @property
    def acknowledged(self) -> int:
        return sum(writer.acknowledged for writer in self.writers)

    @contextmanager
    def service(
        self, *options: str, env: dict[str, str] | None = None, prefix: Sequence[str] = ()
    ) -> Iterator[Service]:
        """Serve the directory."""
        options = ("--durability", self.level, *OPTIONS, *options)
        with running_service(self.data, *options, env=env, prefix=prefix) as service:
            yield service

    @contextmanager
    def writing(self, service: Service, *, halts: bool = False) -> Iterator[None]:
        """Under load meanwhile; at the end every writer has stopped."""
        stop = threading.Event()
        for writer in self.writers:
            writer.halts = halts
        threads = [writer.start(service.port, stop) for writer in self.writers]
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        for writer in self.writers:
            writer.check()

    def round(self, *options: str, with_redis: bool = False) -> None:
        """Serve, hold what is there to what was acknowledged, write, and kill."""
        before = self.copy()
        with self.service(*options) as service:
            self.check(service, before, with_redis=with_redis)
            define_rule(service.port)
            with self.writing(service):
                self.wait(self.draw.uniform(0.0, LONGEST))
                service.process.kill()
                service.process.wait()
        self.tally.rounds += 1
        self.tally.compacting += self.is_half_compacted

    def check(self, service: Service, before: Path | None, *, with_redis: bool = False) -> Content:
        """What the service holds is what the copy of its journal says, and what writers know.

        Nothing has been written since it was started.
        """
        content, at = content_of(service, self.data)
        if before is not None and (before / JOURNAL).exists():
            self.compare(live(replay(before / JOURNAL), at), content)
            if with_redis:
                self.compare(live(of_redis(before), at), content)
                self.tally.redis += 1
        self.adopt(content)
        return content

    def check_prefix(self, service: Service, before: Path | None) -> Content:
        """After a power cut: as ``check``, but the writers do not know what to expect.

        Channels have begun new epochs, so that is what differs from the journal, and must.
        """
        assert before is not None
        content, at = content_of(service, self.data)
        expected = live(replay(before / JOURNAL), at)
        for key in filter(_is_position, expected):
            assert _epoch(content, key) != _epoch(expected, key), f"no new epoch: {key!r}"
        self.compare(_without_epochs(expected), _without_epochs(content))
        return content

    def compare(self, expected: Content, content: Content) -> None:
        """Both are the same. Raises AssertionError."""
        assert not (found := differences(expected, content)), (
            f"seed {self.seed}, round {self.tally.rounds}, {self.level}: {found}"
        )

    def adopt(self, content: Content) -> None:
        """Hold the content to what every writer knows. Raises AssertionError."""
        try:
            for writer in self.writers:
                is_open = writer.pending is not None
                landed = writer.adopt(content)
                self.tally.found += landed
                self.tally.lost += is_open and not landed
        except AssertionError as fault:
            raise AssertionError(
                f"seed {self.seed}, round {self.tally.rounds}, {self.level}: {fault}"
            ) from fault

    def copy(self) -> Path | None:
        """The directory as it is now, to be read in peace; None if there is none yet."""
        if not self.data.exists():
            return None
        target = self.copies / "copy"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.data, target)
        return target

    def wait(self, seconds: float) -> None:
        """Until something has been acknowledged in this run, and then some time."""
        deadline = time.monotonic() + 30
        while not any(writer.log for writer in self.writers):
            assert time.monotonic() < deadline, "nothing is acknowledged"
            time.sleep(0.001)
        time.sleep(seconds)

    def wait_for(self, condition: Callable[[Path], bool]) -> None:
        """Until something is so in the directory."""
        eventually(lambda: condition(self.data), 30)

    def put_counter(self, service: Service, name: str, value: int) -> None:
        """Store something that no writer knows of."""
        with Connection(service.port) as connection:
            status, answer = connection.ask("PUT", f"/v1/counters/{name}", {"value": value})
        assert status == 200, answer

    @property
    def is_half_compacted(self) -> bool:
        """Whether the kill fell between the beginning and the end of a compaction."""
        folder = self.data / JOURNAL
        files = listing(folder)
        half_done = len(files.increments) > 1 or bool(files.history)
        return half_done or any(folder.glob("temp-*"))


def content_of(service: Service, data: Path) -> tuple[Content, int]:
    """What a service holds in memory, and an instant (ms) after which that was read."""
    with Connection(service.port) as connection:
        status, answer = connection.ask("POST", "/v1/admin/backups")
        at = time.time_ns() // 1_000_000 + 1
        assert status == 201, answer
        path = data / "backups" / answer["name"]
        content = of_snapshot(path)
        connection.ask("DELETE", f"/v1/admin/backups/{answer['name']}")
    return live(content, at), at


def _is_position(key: bytes) -> bool:
    return key.startswith(b"chan:") and key.endswith(b":meta")


def _epoch(content: Content, key: bytes) -> bytes | None:
    entry = content.get(key)
    return None if entry is None else entry.fields[b"e"]


def _without_epochs(content: Content) -> Content:
    """Positions of channels without the names of their lives."""
    return {
        key: entry._replace(value={b"s": entry.fields[b"s"]}) if _is_position(key) else entry
        for key, entry in content.items()
    }


def fault_file(data: Path) -> tuple[Path, dict[str, str]]:
    """Where to write faults for a service that runs, and the environment that it must have."""
    path = data.with_name("faults")
    return path, {"REALTIME_TEST_FAULTS": f"@{path}"}


def killed_by(rig: Rig, fault: str) -> bool:
    """Whether a service with this fault dies of it before it is ready."""
    try:
        with rig.service(env={"REALTIME_TEST_FAULTS": fault}) as service:
            raise AssertionError(f"{fault} was never reached: {service.log}")
    except NotStarted as fault_of_start:
        return fault_of_start.exit_code == -signal.SIGKILL


def was_killed(service: Service) -> bool:
    """Whether it ended itself by SIGKILL, as a fault that was reached makes it."""
    return service.process.wait(timeout=30) == -signal.SIGKILL
