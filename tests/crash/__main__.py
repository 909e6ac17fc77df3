"""Many more rounds than a test run has time for: `make crash`.

REALTIME_CRASH_ROUNDS   per level (200)
REALTIME_CRASH_SEED     to see again what was seen (random)
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.crash.power import cut_power
from tests.crash.publications import Publications
from tests.crash.rig import Rig

LEVELS = ("always", "bounded:100", "bounded:1000")
REDIS_EVERY = 10
CHECK_EVERY = 20


def main() -> None:
    """Prints two lines per level; a round that fails raises, with its seed."""
    rounds = int(os.environ.get("REALTIME_CRASH_ROUNDS", "200"))
    seed = int(os.environ.get("REALTIME_CRASH_SEED", random.randrange(10**6)))
    for level in LEVELS:
        with tempfile.TemporaryDirectory() as folder:
            _say(_run(Rig(Path(folder) / "data", level, seed), rounds))
    for level in LEVELS:
        with tempfile.TemporaryDirectory() as folder:
            _say(asyncio.run(_publish(Path(folder) / "data", level, seed, rounds)))


def _run(rig: Rig, rounds: int) -> str:
    """The rounds of one level; every other one ends with a power cut, where that may cost."""
    started = time.monotonic()
    for number in range(rounds):
        ratio = "0" if number % 4 == 3 else "0.1"  # without compactions the bound is by itself
        rig.round("--compaction-ratio", ratio, with_redis=number % REDIS_EVERY == 1)
        if number % 2 and rig.level != "always":
            cut_power(rig)
    with rig.service() as service:
        rig.check(service, rig.copy())
    tally = rig.tally
    return (
        f"{rig.level}, seed {rig.seed}: {tally.rounds} rounds, {tally.cuts} with a power cut, "
        f"{rig.acknowledged} writes acknowledged, {tally.compacting} kills inside compaction; "
        f"never answered: {tally.found} found, {tally.lost} not; read by Redis: {tally.redis}; "
        f"{time.monotonic() - started:.0f} s"
    )


async def _publish(data: Path, level: str, seed: int, rounds: int) -> str:
    """The same for publications and those who hear them; a kill each."""
    started = time.monotonic()
    publications = Publications(data, level, seed)
    for number in range(rounds):
        await publications.round()
        if number % CHECK_EVERY == 0:
            await publications.check()
    await publications.check()
    return (
        f"publications {level}, seed {seed}: {rounds} rounds, "
        f"{publications.tally.count} acknowledged, each heard once and in order by all; "
        f"{time.monotonic() - started:.0f} s"
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
