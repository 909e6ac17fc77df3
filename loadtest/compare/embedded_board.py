"""Submit a score and learn both ranks, inside the program, on a board of a million.

Everybody answers the same: score and rank before, score and rank after. The timed region
holds the calls alone, one after the other. The engine stands against redis-py's blocking
client, the asynchronous service against its asyncio client; both send one pipeline per
submission, hence wait for one round trip over loopback. Every round brings higher scores, so
every submission moves its member: the expensive case for all. Names are ready-made bytes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import ExitStack
from importlib import import_module
from typing import Any

from engine.ranking import Ranking, Submit
from loadtest.compare import boards, inside
from loadtest.compare.inside import microseconds_each
from loadtest.compare.peers import servers
from loadtest.compare.processes import Missing
from loadtest.compare.report import Row
from loadtest.compare.rounds import Contender, Effort
from realtime.embedded import Embedded

__all__ = ["pipeline", "rows"]

MEMBERS = 1_000_000
TIMES = 10.0
KEY = b"lb:{bench}"
BLOCKING = "redis-py pipeline + Redis"
ASYNCIO = "redis-py asyncio + Redis"

Measure = Callable[[int], float]


def rows(effort: Effort) -> list[Row]:
    embedded = Embedded()
    for batch in boards.entries(MEMBERS):
        embedded.engine.boards.submit_many([(KEY, Ranking())], _submits(batch))
    with ExitStack() as stack:
        try:
            port = _filled_redis(stack)
        except Missing as reason:
            peers: tuple[Contender[float] | str, ...] = (
                f"{BLOCKING}: {reason}",
                f"{ASYNCIO}: {reason}",
            )
        else:
            peers = (
                Contender(BLOCKING, _redis(port, effort.operations // 10)),
                Contender(ASYNCIO, _redis_asyncio(port, effort.operations // 10)),
            )
        ours = (
            Contender("realtime, engine", _engine(embedded, effort.operations)),
            Contender("realtime, async service", _service(embedded, effort.operations)),
        )
        title = f"Embedded: submit and rank, {MEMBERS:,} members"
        return [
            row
            for mine, peer in zip(ours, peers, strict=True)
            for row in inside.rows(title, [mine], peer, TIMES, effort.rounds)
        ]


def _filled_redis(stack: ExitStack) -> int:
    """The port of a server that holds the board. Raises Missing."""
    server = stack.enter_context(servers.redis_server())
    client = boards.redis_client(server)
    stack.callback(client.close)
    boards.fill_redis(client, MEMBERS)
    return server.port


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


def _engine(embedded: Embedded, operations: int) -> Measure:
    submit, ranking = embedded.engine.boards.submit, Ranking()

    def measure(number: int) -> float:
        entries = _submits(_drawn(2 * number, operations))

        def work() -> None:
            for entry in entries:
                submit(KEY, ranking, entry)

        return microseconds_each(work, operations)

    return measure


def _service(embedded: Embedded, operations: int) -> Measure:
    submit = embedded.leaderboards.submit

    def measure(number: int) -> float:
        entries = _submits(_drawn(2 * number + 1, operations))

        async def work() -> None:
            for entry in entries:
                await submit(boards.NAME, [entry])

        return microseconds_each(lambda: asyncio.run(work()), operations)

    return measure


def pipeline(client: Any, board: str, *entries: tuple[bytes, float]) -> Any:
    """What was, the change, what is: the answer of each submit."""
    commands = client.pipeline(transaction=False)
    for member, score in entries:
        commands.zscore(board, member)
        commands.zrevrank(board, member)
        commands.zadd(board, {member: score}, gt=True)
        commands.zrevrank(board, member)
    return commands


def _redis(port: int, operations: int) -> Measure:
    client: Any = import_module("redis").Redis(port=port)

    def measure(number: int) -> float:
        entries = [(member.encode(), score) for member, score in _drawn(number, operations)]

        def work() -> None:
            for member, score in entries:
                pipeline(client, boards.NAME, (member, score)).execute()

        return microseconds_each(work, operations)

    return measure


def _redis_asyncio(port: int, operations: int) -> Measure:
    connect: Any = import_module("redis.asyncio").Redis

    def measure(number: int) -> float:
        entries = [(member.encode(), score) for member, score in _drawn(number, operations)]

        async def work() -> None:
            async with connect(port=port) as client:
                for member, score in entries:
                    await pipeline(client, boards.NAME, (member, score)).execute()

        return microseconds_each(lambda: asyncio.run(work()), operations)

    return measure
