"""How long Python's garbage collector stops a service that holds a large board.

    python -m loadtest.gc_pause [MEMBERS]

Two runs in processes of their own, one with Python's defaults, one with
`realtime.collector`. Each loads the board, then does a stretch of work. Every operation
submits a score, publishes to a channel that keeps a history, and makes a cycle that only a
collection can free, as exceptions do; every fourth brings a new member, until the board has
grown by a half. A minute of the collector's ticks passes every hundredth part of the work, so
its share of the time is overstated, a hundredfold or so. Loading is not measured. A pause is
what `gc.callbacks` see; times are those of the processor, so that a busy machine matters less.
"""

from __future__ import annotations

import gc
import random
import subprocess
import sys
import time
from collections.abc import Callable

from engine.clock import HOUR
from engine.engine import Engine
from engine.ranking import Ranking, Submit
from engine.sortedset import SortedSet
from realtime.backends.embedded import system_clock
from realtime.collector import EVERY, Collector

BOARD = b"lb:{big}"
GROWTH = 0.5
GROWS_EVERY = 4
"""Operations to one new member."""


CHANNELS, HISTORY = 10_000, 10
"""Publications are what the engine holds that the collector visits one by one."""


class Pauses:
    """Every collection: its generation and its length in milliseconds."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, float]] = []
        self._began = 0.0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.thread_time()
        else:
            self.taken.append((info["generation"], (time.thread_time() - self._began) * 1e3))

    def line(self, generation: int) -> str:
        found = sorted(length for which, length in self.taken if which == generation)
        if not found:
            return f"{'none':>26}"
        return f"{len(found):8} {found[len(found) // 2]:8.2f} {found[-1]:8.2f}"


class Cycle:
    """Garbage that reference counts cannot free."""

    def __init__(self, held: object) -> None:
        self.held = held
        self.itself = self


def run(members: int, collector: Collector | None) -> None:
    engine, rng = Engine(system_clock()), random.Random(1)
    rows = ((b"player:%08d" % number, float(rng.randrange(2_000_000))) for number in range(members))
    engine.keyspace.put(BOARD, SortedSet(rows))
    if collector is not None:
        collector.loaded()
    alone = min(_timed(gc.collect) for _ in range(3))
    pauses = Pauses()
    gc.callbacks.append(pauses)
    latencies = _work(engine, members, rng, collector)
    gc.callbacks.remove(pauses)
    latencies.sort()
    figures = [latencies[int(len(latencies) * part)] for part in (0.5, 0.99, 0.999, 0.9999)]
    print(f"  gc.collect()  {alone:.2f} ms, with nothing to find")
    print("  operation     " + "  ".join(
        f"{name} {figure * 1e3:.3f}"
        for name, figure in zip(
            ("p50", "p99", "p99.9", "p99.99", "worst"), (*figures, latencies[-1]), strict=True
        )
    ) + " ms")  # fmt: skip
    print(f"  {'collections':13} {'number':>8} {'median':>8} {'longest':>8}  ms")
    for generation, name in enumerate(("young", "middle", "full")):
        print(f"  {name:13} {pauses.line(generation)}")
    if collector is not None:
        print(f"  frozen        {collector.stats.frozen} times, {gc.get_freeze_count():,} objects")


def _work(
    engine: Engine, members: int, rng: random.Random, collector: Collector | None
) -> list[float]:
    ranking, boards = Ranking(), engine.boards
    operations = int(members * GROWTH) * GROWS_EVERY
    minute = operations // 100
    latencies: list[float] = []
    for number in range(operations):
        grows = number % GROWS_EVERY == 0
        which = members + number // GROWS_EVERY if grows else rng.randrange(members)
        submit = Submit(b"player:%08d" % which, float(rng.randrange(2_000_000)))
        began = time.thread_time()
        Cycle(boards.submit(BOARD, ranking, submit))
        name = b"%d" % rng.randrange(CHANNELS)
        engine.channels.publish(name, b"chan:" + name, b"{}", size=HISTORY, ttl=HOUR)
        latencies.append(time.thread_time() - began)
        if collector is not None and number % minute == 0:
            began = time.thread_time()
            for _ in range(EVERY):
                collector.tick()
            latencies[-1] += time.thread_time() - began
    return latencies


def _timed(call: Callable[[], object]) -> float:
    began = time.thread_time()
    call()
    return (time.thread_time() - began) * 1e3


def main(members: int) -> None:
    for name in ("defaults", "collector"):
        print(f"{name}, {members:,} members", flush=True)
        subprocess.run([sys.executable, "-m", __spec__.name, str(members), name], check=True)


if __name__ == "__main__":
    chosen = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    if len(sys.argv) > 2:
        run(chosen, Collector() if sys.argv[2] == "collector" else None)
    else:
        main(chosen)
