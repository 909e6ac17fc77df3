"""Two ways to save a large board while it is served, and what each does to the latency.

    python -m loadtest.snapshot_ways [MEMBERS] [--one-core]

* fork: a copy of the process writes, as `realtime.snapshots` does.
* sliced: the same process writes between its operations, at most a millisecond at a time.
  What it writes must not change meanwhile, so all references are copied first, in one go: a
  prototype, and the kindest one, with a single value and no hook in any verb.

Operations (submit, rank in turn) are due at a steady rate, at instants fixed in advance; the
latency of one is from the instant it was due until it was done, so a pause counts for
everybody who was due during it. The timed region holds the engine alone: no HTTP, no loop.
"Memory" is what cannot be shared any more, or was allocated, by the end of the snapshot.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from struct import Struct
from typing import IO, Any, NamedTuple, cast

from engine.engine import Engine
from engine.persistence.encoding import string
from engine.ranking import Ranking, Submit
from engine.sortedset import SortedSet
from realtime.backends.embedded import system_clock
from realtime.collector import Collector
from realtime.fork import fork
from realtime.snapshot_file import dump

BOARD = b"lb:{big}"
RATE = 2_000
"""Operations per second."""
SECONDS = 3.0
"""How long a round is at least."""
START = 1.0
"""When the snapshot begins, in seconds from the first operation."""
SLICE_ROWS = 1_000
"""Rows of one slice: somewhat under a millisecond."""
ROUNDS = 3

_double = Struct("<d").pack


class Round(NamedTuple):
    """Times in milliseconds, memory in MB."""

    p50: float
    p99: float
    p999: float
    worst: float
    pause: float
    total: float
    memory: float


Way = Callable[[Engine, IO[bytes]], Iterator[str]]
"""Yields "working" between slices, "waiting" while another works, "memory N" (MB) at the end."""


def quiet(engine: Engine, file: IO[bytes]) -> Iterator[str]:
    yield "memory 0"


def forked(engine: Engine, file: IO[bytes]) -> Iterator[str]:
    def work() -> bytes:
        dump(engine, file.fileno())
        return b"%d" % _own_kilobytes()

    child = fork(work, keep=[file.fileno()])
    while not os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        yield "waiting"
    yield f"memory {int(child.wait()) / 1024}"


def sliced(engine: Engine, file: IO[bytes]) -> Iterator[str]:
    order = cast(Any, cast(SortedSet, engine.keyspace.get(BOARD, 0)))._order
    parts = [list(part) for part in order._lists]  # the pause: nothing else is consistent
    yield "working"
    for part in reversed(parts):
        for start in range(0, len(part), SLICE_ROWS):
            rows = SortedSet.__iter__(_Rows(part[start : start + SLICE_ROWS]))  # type: ignore[arg-type]
            file.write(b"".join([string(member) + _double(score) for member, score in rows]))
            yield "working"
    file.flush()
    os.fsync(file.fileno())
    yield f"memory {sum(map(sys.getsizeof, parts)) / 2**20}"


class _Rows:
    """Sort keys, for `SortedSet.__iter__` to take apart."""

    def __init__(self, order: list[bytes]) -> None:
        self._order = order


class Snapshot:
    """A way at work: when it began and ended, and what it cost."""

    def __init__(self, steps: Iterator[str]) -> None:
        self._steps = steps
        self.memory = self.ended = 0.0
        self.began = time.perf_counter()
        self.step()
        self.pause = time.perf_counter() - self.began

    def step(self) -> None:
        """Go on; a way that is done stays done."""
        self.state = next(self._steps, "")
        if self.state.startswith("memory"):
            self.ended = time.perf_counter()
            self.memory = float(self.state.split()[1])


def measure(engine: Engine, way: Way) -> Round:
    """One round of operations, with one snapshot in it."""
    operate = _operations(engine)
    latencies: list[tuple[float, float]] = []
    snapshot: Snapshot | None = None
    first = time.perf_counter() + 0.01
    with tempfile.TemporaryFile() as file:
        for number in count():
            due = first + number / RATE
            _wait(due, snapshot)
            operate(number)
            latencies.append((due, time.perf_counter() - due))
            if number == RATE * START:
                snapshot = Snapshot(way(engine, file))
            elif snapshot is not None and snapshot.state == "waiting":
                snapshot.step()
            elif snapshot is not None and snapshot.ended and number > RATE * SECONDS:
                return _figures(snapshot, latencies)
    raise AssertionError("unreachable: count() has no end")


def _wait(due: float, snapshot: Snapshot | None) -> None:
    """Until an operation is due: sleep, or let the snapshot work."""
    while (now := time.perf_counter()) < due:
        if snapshot is not None and snapshot.state == "working":
            snapshot.step()
        else:
            time.sleep(due - now)


def _operations(engine: Engine) -> Callable[[int], object]:
    rng, ranking, boards = random.Random(1), Ranking(), engine.boards
    size = boards.size(BOARD)

    def operate(number: int) -> object:
        member = b"player:%08d" % rng.randrange(size)
        if number % 2:
            return boards.standing(BOARD, ranking, member)
        return boards.submit(BOARD, ranking, Submit(member, float(rng.randrange(2_000_000))))

    return operate


def _figures(snapshot: Snapshot, latencies: list[tuple[float, float]]) -> Round:
    """Of the operations that were due from the beginning to the end, or within a second."""
    end = max(snapshot.ended, snapshot.began + 1.0)
    found = sorted(taken * 1e3 for due, taken in latencies if snapshot.began <= due <= end)
    p50, p99, p999 = (found[int(len(found) * part)] for part in (0.5, 0.99, 0.999))
    total = (snapshot.ended - snapshot.began) * 1e3
    return Round(p50, p99, p999, found[-1], snapshot.pause * 1e3, total, snapshot.memory)


def _own_kilobytes() -> int:
    """What this copy does not share: each such page exists twice because of the fork."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(members: int) -> None:
    engine = Engine(system_clock())
    rng = random.Random(2)
    rows = ((b"player:%08d" % number, float(rng.randrange(2_000_000))) for number in range(members))
    engine.keyspace.put(BOARD, SortedSet(rows))
    Collector().loaded()
    cores = len(os.sched_getaffinity(0))
    print(f"{members:,} members, {_resident() / 2**20:.0f} MB resident, {cores} cores; ms and MB")
    print(f"{'':8}" + "".join(f"{name:>9}" for name in Round._fields))
    for way in (quiet, forked, sliced):
        rounds = sorted((measure(engine, way) for _ in range(ROUNDS)), key=lambda each: each.p99)
        print(f"{way.__name__:8}" + "".join(f"{figure:9.2f}" for figure in rounds[ROUNDS // 2]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("members", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--one-core", action="store_true", help="parent and copy share a core")
    chosen = parser.parse_args()
    if chosen.one_core:
        os.sched_setaffinity(0, {0})
    main(chosen.members)
