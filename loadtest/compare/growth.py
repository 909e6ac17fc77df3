"""Submit a score and learn both ranks, as a board grows from 1,000 members to 3,000,000.

The work is that of `embedded_board`: random members, higher scores in every batch, so that each
submission moves its member. What takes t on 1,000 members is to take no more than
t * log(n) / log(1,000) on n: as the comparisons of a bisection grow. Memory does not: what a
board of 1,000 has in the cache, one of a million has to wait for.

The timed regions hold the calls alone, a thousand at a time, so that the submissions of a region
are in the cache however large the board is. Ours is CPU time. Redis is another process, so
its figure is what the caller waits for.
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from math import log
from statistics import median
from typing import Any, NamedTuple

from engine.placedset import PlacedSet
from engine.ranking import Ranking, Submit
from engine.sortedset import SortedSet
from loadtest.compare import boards
from loadtest.compare.embedded_board import pipeline
from loadtest.compare.peers import servers
from loadtest.compare.processes import Missing
from loadtest.compare.report import Line, Row
from loadtest.compare.rounds import Contender, Effort, interleaved
from realtime.embedded import Embedded

__all__ = ["SIZES", "Curve", "curves", "log_growth", "rows"]

SIZES = (1_000, 10_000, 100_000, 1_000_000, 3_000_000)
REDIS_SIZES = SIZES[:-1]
REDIS = "redis-py pipeline + Redis"
BATCH = 1_000
"""Submissions of one timed region."""
FIRST = Ranking(ties="first")

Measure = Callable[[int], float]


class Curve(NamedTuple):
    """What one contender takes: size of the board -> microseconds of each round."""

    name: str
    figures: dict[int, tuple[float, ...]]

    def growth(self, size: int) -> float:
        """How many times what the smallest board takes."""
        return median(self.figures[size]) / median(self.figures[SIZES[0]])


def log_growth(size: int) -> float:
    """The same of whatever grows as log n."""
    return log(size) / log(SIZES[0])


def rows(effort: Effort) -> list[Row]:
    ours, redis = curves(effort)
    return [_row(curve, redis, size) for curve in ours for size in SIZES]


def curves(effort: Effort) -> tuple[list[Curve], Curve | str]:
    """Ours, and that of Redis or why there is none. The boards of one curve take their turns
    within each round."""
    with ExitStack() as stack:
        try:
            redis: list[Contender[float]] | str = _redis(stack, effort.operations // 10)
        except Missing as reason:
            redis = f"{REDIS}: {reason}"
        plain, theirs = _plain(effort, [] if isinstance(redis, str) else redis)
        first = _first(effort)
    return [*plain, first], redis if isinstance(redis, str) else Curve(REDIS, theirs)


def _row(ours: Curve, redis: Curve | str, size: int) -> Row:
    others = [redis] if isinstance(redis, Curve) and size in redis.figures else []
    lines = [
        Line(curve.name, curve.figures[size], f"{curve.growth(size):.2f} times {SIZES[0]:,}")
        for curve in (ours, *others)
    ]
    at_most = round(median(ours.figures[SIZES[0]]) * log_growth(size), 2)
    return Row(
        f"Submit and rank, {size:,} members",
        "µs",
        "lower",
        tuple(lines),
        (redis,) if isinstance(redis, str) else (),
        at_most if size > SIZES[0] else None,
    )


def _plain(
    effort: Effort, redis: list[Contender[float]]
) -> tuple[list[Curve], dict[int, tuple[float, ...]]]:
    embedded = Embedded()
    for size in SIZES:
        embedded.engine.keyspace.put(_key(size), SortedSet(_entries(size)))
    count, operations = len(SIZES), effort.operations
    contenders = [
        *(Contender("", _engine(embedded, size, Ranking(), operations)) for size in SIZES),
        *(Contender("", _service(embedded, size, operations)) for size in SIZES),
        *redis,
    ]
    with _frozen():
        figures = interleaved(contenders, effort.rounds)
    ours = [
        Curve("realtime, engine", dict(zip(SIZES, figures[:count], strict=True))),
        Curve("realtime, async service", dict(zip(SIZES, figures[count : 2 * count], strict=True))),
    ]
    return ours, dict(zip(REDIS_SIZES, figures[2 * count :], strict=False))


def _first(effort: Effort) -> Curve:
    embedded = Embedded()
    for size in SIZES:
        stored = (
            (b"\xff%b%b" % (place.to_bytes(8, "big"), member), score)
            for place, (member, score) in enumerate(_entries(size), 1)
        )
        embedded.engine.keyspace.put(_key(size), PlacedSet.of(SortedSet(stored)))
    contenders = [
        Contender("", _engine(embedded, size, FIRST, effort.operations)) for size in SIZES
    ]
    with _frozen():
        figures = interleaved(contenders, effort.rounds)
    return Curve("realtime, engine, ties: first", dict(zip(SIZES, figures, strict=True)))


def _redis(stack: ExitStack, operations: int) -> list[Contender[float]]:
    """Boards on a server that ends with the stack. Raises Missing."""
    server = stack.enter_context(servers.redis_server())
    client = boards.redis_client(server)
    stack.callback(client.close)
    for size in REDIS_SIZES:
        boards.fill_redis(client, size, _name(size))
    return [Contender("", _waiting(client, size, operations)) for size in REDIS_SIZES]


def _engine(embedded: Embedded, size: int, ranking: Ranking, operations: int) -> Measure:
    submit, key = embedded.engine.boards.submit, _key(size)

    def measure(number: int) -> float:
        spent = 0.0
        for batch in _batches(size, 2 * number, operations):
            started = time.process_time()
            for entry in batch:
                submit(key, ranking, entry)
            spent += time.process_time() - started
        return spent / operations * 1e6

    return measure


def _service(embedded: Embedded, size: int, operations: int) -> Measure:
    submit, name = embedded.leaderboards.submit, _name(size)

    async def work(number: int) -> float:
        spent = 0.0
        for batch in _batches(size, 2 * number + 1, operations):
            started = time.process_time()
            for entry in batch:
                await submit(name, [entry])
            spent += time.process_time() - started
        return spent / operations * 1e6

    return lambda number: asyncio.run(work(number))


def _waiting(client: Any, size: int, operations: int) -> Measure:
    name = _name(size)

    def measure(number: int) -> float:
        spent = 0.0
        for batch in _batches(size, number, operations):
            started = time.perf_counter()
            for entry in batch:
                pipeline(client, name, entry.member, entry.score).execute()
            spent += time.perf_counter() - started
        return spent / operations * 1e6

    return measure


def _batches(size: int, number: int, operations: int) -> Iterator[Sequence[Submit]]:
    """Random members with scores that are higher than in all rounds before."""
    draw = random.Random(number)
    base = (number + 1) * 1_000_000
    for _ in range(0, operations, BATCH):
        yield [
            Submit(b"player:%d" % draw.randrange(size), float(base + draw.randrange(1_000_000)))
            for _ in range(BATCH)
        ]


def _entries(size: int) -> Iterator[tuple[bytes, float]]:
    return (
        (member.encode(), float(score)) for batch in boards.entries(size) for member, score in batch
    )


def _name(size: int) -> str:
    return f"bench-{size}"


def _key(size: int) -> bytes:
    return b"lb:{%b}" % _name(size).encode()


@contextmanager
def _frozen() -> Iterator[None]:
    """Keep the collector off the boards, as the service does, and out of the timed regions."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
