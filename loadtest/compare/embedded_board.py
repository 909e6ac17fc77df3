"""Submit a score and learn the rank, inside the program, on a board of 100,000 members.

The timed region holds the calls alone, one after the other, from one thread: ours through
the engine and through the asynchronous service; the other a redis-py pipeline of ZADD GT
and ZREVRANK, hence a round trip over loopback. Every round brings higher scores, so every
submission moves its member: the expensive case for all. Names are ready-made bytes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from engine.ranking import Ranking, Submit
from loadtest.compare import boards, inside
from loadtest.compare.inside import microseconds_each
from loadtest.compare.peers import servers
from loadtest.compare.processes import Missing
from loadtest.compare.report import Row
from loadtest.compare.rounds import Contender, Effort
from realtime.embedded import Embedded

__all__ = ["rows"]

MEMBERS = 100_000
TIMES = 10.0
KEY = b"lb:{bench}"
REDIS = "redis-py pipeline + Redis"


def rows(effort: Effort) -> list[Row]:
    embedded = Embedded()
    for batch in boards.entries(MEMBERS):
        embedded.engine.boards.submit_many([(KEY, Ranking())], _submits(batch))
    ours = [
        Contender("realtime, engine", _engine(embedded, effort.operations)),
        Contender("realtime, async service", _service(embedded, effort.operations)),
    ]
    with ExitStack() as stack:
        return inside.rows(
            f"Embedded: submit and rank, {MEMBERS:,} members",
            ours,
            _peer(stack, effort.operations // 10),
            TIMES,
            effort.rounds,
        )


def _peer(stack: ExitStack, operations: int) -> Contender[float] | str:
    """redis-py and its server, filled; or why there is none."""
    try:
        client = boards.redis_client(stack.enter_context(servers.redis_server()))
    except Missing as reason:
        return f"{REDIS}: {reason}"
    stack.callback(client.close)
    boards.fill_redis(client, MEMBERS)
    return Contender(REDIS, _redis(client, operations))


def _submits(batch: boards.Entries) -> list[Submit]:
    return [Submit(member.encode(), float(score)) for member, score in batch]


def _drawn(number: int, operations: int) -> list[tuple[str, int]]:
    """Random members with scores that are higher than in all rounds before."""
    draw = random.Random(number)
    base = (number + 1) * 1_000_000
    return [
        (f"player:{draw.randrange(MEMBERS)}", base + draw.randrange(1_000_000))
        for _ in range(operations)
    ]


def _engine(embedded: Embedded, operations: int) -> Callable[[int], float]:
    submit, ranking = embedded.engine.boards.submit, Ranking()

    def measure(number: int) -> float:
        entries = _submits(_drawn(2 * number, operations))

        def work() -> None:
            for entry in entries:
                submit(KEY, ranking, entry)

        return microseconds_each(work, operations)

    return measure


def _service(embedded: Embedded, operations: int) -> Callable[[int], float]:
    submit = embedded.leaderboards.submit

    def measure(number: int) -> float:
        entries = _submits(_drawn(2 * number + 1, operations))

        async def work() -> None:
            for entry in entries:
                await submit(boards.NAME, [entry])

        return microseconds_each(lambda: asyncio.run(work()), operations)

    return measure


def _redis(client: Any, operations: int) -> Callable[[int], float]:
    def measure(number: int) -> float:
        entries = [(member.encode(), score) for member, score in _drawn(number, operations)]

        def work() -> None:
            for member, score in entries:
                pipeline = client.pipeline(transaction=False)
                pipeline.zadd(boards.NAME, {member: score}, gt=True)
                pipeline.zrevrank(boards.NAME, member)
                pipeline.execute()

        return microseconds_each(work, operations)

    return measure
