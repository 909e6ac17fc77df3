"""Submit a score and learn both ranks, as a board grows from 1,000 members to 3,000,000.

The work is that of `embedded_board`: random members, higher scores in every batch, so that each
submission moves its member. What takes t on 1,000 members is to take no more than
t * log(n) / log(1,000) on n: as the comparisons of a bisection grow. Memory does not: what a
board of 1,000 has in the cache, one of a million has to wait for. Beside ours stands the skip list
of Redis, by the time that the server itself counts for the same commands, and for both R², how well
a line a + b log n describes the five sizes of one round; 1 is a straight line.

The timed regions hold the calls alone, a thousand at a time, so that the submissions of a region
are in the cache however large the board is. Ours is CPU time. Redis is another process, so a
caller's figure is what the caller waits for.
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from math import log
from statistics import correlation, median
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

__all__ = ["SIZES", "Curve", "curves", "rows"]

SIZES = (1_000, 10_000, 100_000, 1_000_000, 3_000_000)
WAITED = SIZES[:-1]
REDIS = "redis-py pipeline + Redis"
SKIP_LIST = "Redis, the server's own time"
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

    def bound(self, size: int) -> float:
        """What it may take there if it grows as log n from the smallest board on."""
        return median(self.figures[SIZES[0]]) * log(size) / log(SIZES[0])

    def straightness(self) -> tuple[float, ...]:
        """Of each round, R² of the line over log n."""
        logs = [log(size) for size in self.figures]
        rounds = zip(*self.figures.values(), strict=True)
        return tuple(correlation(logs, taken) ** 2 for taken in rounds)


def rows(effort: Effort) -> list[Row]:
    ours, redis, missing = curves(effort)
    sizes = [_size(curve, redis, missing, size) for curve in ours for size in SIZES]
    return [*sizes, *(_line(curve, redis[:1], missing) for curve in ours)]


def curves(effort: Effort) -> tuple[list[Curve], list[Curve], tuple[str, ...]]:
    """Ours; those of Redis, its skip list first; why there are none. The boards of one curve take
    their turns within each round."""
    with ExitStack() as stack:
        redis: list[Contender[float]] = []
        missing: tuple[str, ...] = ()
        try:
            redis = _redis(stack, effort.operations // 10)
        except Missing as reason:
            missing = (f"{REDIS}: {reason}",)
        plain, theirs = _plain(effort, redis)
        return [*plain, _first(effort)], theirs, missing


def _size(ours: Curve, redis: Sequence[Curve], missing: tuple[str, ...], size: int) -> Row:
    shown = [ours, *(curve for curve in redis if size in curve.figures)]
    lines = [
        Line(curve.name, curve.figures[size], f"{curve.growth(size):.2f} times {SIZES[0]:,}")
        for curve in shown
    ]
    at_most = round(ours.bound(size), 2) if size > SIZES[0] else None
    return Row(f"Submit and rank, {size:,} members", "µs", "lower", tuple(lines), missing, at_most)


def _line(ours: Curve, lists: Sequence[Curve], missing: tuple[str, ...]) -> Row:
    others = [Line(curve.name, curve.straightness()) for curve in lists]
    lines = (Line(ours.name, ours.straightness()), *others)
    return Row("Submit and rank: how straight over log n", "R²", "higher", lines, missing)


def _plain(effort: Effort, redis: list[Contender[float]]) -> tuple[list[Curve], list[Curve]]:
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
    found = [
        Curve(name, dict(zip(sizes, figures[at:], strict=False)))
        for name, sizes, at in (
            ("realtime, engine", SIZES, 0),
            ("realtime, async service", SIZES, count),
            (SKIP_LIST, SIZES, 2 * count),
            (REDIS, WAITED, 3 * count),
        )
    ]
    return found[:2], found[2:] if redis else []


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
    for size in SIZES:
        boards.fill_redis(client, size, _name(size))
    return [
        *(Contender("", _serving(client, size, operations)) for size in SIZES),
        *(Contender("", _waiting(client, size, operations)) for size in WAITED),
    ]


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


def _serving(client: Any, size: int, operations: int) -> Measure:
    """By Redis' own count of the time in its commands, which come a batch at a time, as ours do."""
    name = _name(size)

    def measure(number: int) -> float:
        client.config_resetstat()
        for batch in _batches(size, 2 * number, operations):
            pipeline(client, name, *((entry.member, entry.score) for entry in batch)).execute()
        spent = client.info("commandstats")
        commands = ("zscore", "zrevrank", "zadd")
        used = sum(int(spent[f"cmdstat_{command}"]["usec"]) for command in commands)
        return used / operations

    return measure


def _waiting(client: Any, size: int, operations: int) -> Measure:
    name = _name(size)

    def measure(number: int) -> float:
        spent = 0.0
        for batch in _batches(size, 2 * number + 1, operations):
            started = time.perf_counter()
            for entry in batch:
                pipeline(client, name, (entry.member, entry.score)).execute()
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
