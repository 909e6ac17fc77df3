"""A service that writes and saves without pause, to be killed: ``python -m … FOLDER``.

It says ``N`` once a snapshot that has round N, or a later one, is acknowledged. A round is
ten members on the board and the counter of rounds, so a state that is torn shows.
"""

from __future__ import annotations

import asyncio
import sys

from engine.clock import ManualClock
from engine.engine import Engine
from engine.ranking import Ranking, Submit
from realtime.snapshots import Snapshots

BOARD = b"lb:{board}"
ROUNDS = b"cnt:{rounds}"
START = 5_000
PER_ROUND = 10


def play(engine: Engine) -> int:
    """One round; all of it is in a snapshot or none."""
    number = (engine.counters.get(ROUNDS) or 0) + 1
    first = START + (number - 1) * PER_ROUND
    members = range(first, first + PER_ROUND) if number > 1 else range(first + PER_ROUND)
    entries = [Submit(b"%d" % member, member) for member in members]
    engine.boards.submit_many([(BOARD, Ranking())], entries)
    engine.counters.set(ROUNDS, number)
    return number


def check(engine: Engine) -> int:
    """The round that this state is of, which must be whole."""
    rounds = engine.counters.get(ROUNDS) or 0
    size = engine.boards.size(BOARD)
    assert size == (START + rounds * PER_ROUND if rounds else 0), (rounds, size)
    return rounds


async def main(folder: str) -> None:
    engine = Engine(ManualClock())
    snapshots = Snapshots(engine, folder)
    snapshots.load()
    check(engine)
    while True:
        number = play(engine)
        saving = asyncio.create_task(snapshots.save())
        while not saving.done():
            await asyncio.sleep(0.001)
            play(engine)
        await saving
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
