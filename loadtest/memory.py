"""What a member of a large board costs, and how long a full collection looks at it.

    python -m loadtest.memory [MEMBERS] [RULE=VALUE ...]

    python -m loadtest.memory 1000000 ties=first ranks=dense entry_ttl=86400000000

The timed regions hold the engine alone: no service, no HTTP. Memory is the growth of the
process (resident), names included, as the operating system counts it.
"""

from __future__ import annotations

import gc
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

from engine.ranking import Ranking, Submit
from realtime.embedded import Embedded

BATCH = 10_000
BOARD = b"lb:{big}"


def resident() -> int:
    """Bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def ranking_of(words: list[str]) -> Ranking:
    """The rules that the command line names."""
    rules = dict(word.split("=", 1) for word in words)
    values: dict[str, Any] = {
        name: int(value) if value.isdigit() else value for name, value in rules.items()
    }
    return Ranking(**values)


def main(members: int, ranking: Ranking) -> None:
    engine, rng = Embedded().engine, random.Random(1)
    before, started = resident(), time.perf_counter()
    for first in range(0, members, BATCH):
        batch = [
            Submit(b"player:%08d" % number, float(rng.randrange(1_000_000)))
            for number in range(first, min(first + BATCH, members))
        ]
        engine.boards.submit_many([(BOARD, ranking)], batch)
    loaded = time.perf_counter() - started
    print(f"load      {loaded / members * 1e6:6.1f} µs a member, {loaded:.1f} s in all")
    print(f"memory    {(resident() - before) / members:6.0f} bytes a member")
    started = time.perf_counter()
    gc.collect()
    print(f"gc        {(time.perf_counter() - started) * 1e3:6.1f} ms for a full collection")
    spent = 0.0
    for _ in range(100):
        submits = [
            Submit(b"player:%08d" % rng.randrange(members), float(rng.randrange(2_000_000)))
            for _ in range(1_000)
        ]
        started = time.perf_counter()
        for submit in submits:
            engine.boards.submit(BOARD, ranking, submit)
        spent += time.perf_counter() - started
    print(f"submit    {spent * 10:6.1f} µs, both ranks answered")
    print(f"memory    {(resident() - before) / members:6.0f} bytes a member after 100,000 of them")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000, ranking_of(sys.argv[2:]))
