"""Submit a score and learn both ranks, as a board grows from 1,000 members to 3,000,000.

The work is that of `embedded_board`: random members, higher scores in every batch, so that each
submission moves its member. Two things grow with a board that is alone in its store: the board,
and the memory that the store fills. What a processor waits for when it looks at memory at random is
several times as long in 500 MB as in 200 KB, for whatever is written there.

**In a store of 3,000,000 members** only the boards grow: 3,000 of 1,000 members, 300 of 10,000, one
of 3,000,000, and each submission goes to any of them.

**Alone** both grow. Beside ours stands the skip list of Redis, alone likewise, by the time that the
server itself counts for the same commands.

What takes t on a board of 1,000 is to take no more than t * log(n) / log(1,000) on one of n, in
both cases: as the comparisons of a bisection grow. For each there is R², how well a line
a + b log n describes the five sizes of one round; 1 is a straight line.

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
TOTAL = SIZES[-1]
"""Members of all boards of one size together, where the boards are not alone."""
REDIS = "redis-py pipeline + Redis"
SKIP_LIST = "Redis, the server's own time"
BATCH = 1_000
"""Submissions of one timed region."""
BY_MEMBER, FIRST = Ranking(), Ranking(ties="first")

Measure = Callable[[int], float]
Figures = Sequence[tuple[float, ...]]
"""Of contenders: microseconds of each round."""
Work = Sequence[tuple[int, Submit]]
"""(which of the boards, what is submitted to it)"""


class Curve(NamedTuple):
    """What one contender takes: size of the board -> microseconds of each round."""

    name: str
    figures: dict[int, tuple[float, ...]]
    alone: bool = False
    """The board is the only one in its store."""

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
    rows: list[Row] = []
    for curve in ours:
        others, absent = (redis, missing) if curve.alone else ([], ())
        rows += [_size(curve, others, absent, size) for size in SIZES]
        rows.append(_line(curve, others[:1], absent))
    return rows


def curves(effort: Effort) -> tuple[list[Curve], list[Curve], tuple[str, ...]]:
    """Ours, those that are alone last; those of Redis, its skip list first; why there are none.
    The boards of one curve take their turns within each round."""
    held = [*_shared(effort), _shared_first(effort)]
    with ExitStack() as stack:
        redis: list[Contender[float]] = []
        missing: tuple[str, ...] = ()
        try:
            redis = _redis(stack, effort.operations // 10)
        except Missing as reason:
            missing = (f"{REDIS}: {reason}",)
        alone, theirs = _alone(effort, redis)
        return [*held, *alone], theirs, missing


def _size(ours: Curve, redis: Sequence[Curve], missing: tuple[str, ...], size: int) -> Row:
    shown = [ours, *(curve for curve in redis if size in curve.figures)]
    lines = [
        Line(curve.name, curve.figures[size], f"{curve.growth(size):.2f} times {SIZES[0]:,}")
        for curve in shown
    ]
    at_most = round(ours.bound(size), 2) if size > SIZES[0] else None
    where = "alone" if ours.alone else f"in a store of {TOTAL:,}"
    title = f"Submit and rank, {size:,} members, {where}"
    return Row(title, "µs", "lower", tuple(lines), missing, at_most)


def _line(ours: Curve, lists: Sequence[Curve], missing: tuple[str, ...]) -> Row:
    others = [Line(curve.name, curve.straightness()) for curve in lists]
    lines = (Line(ours.name, ours.straightness()), *others)
    return Row("Submit and rank: how straight over log n", "R²", "higher", lines, missing)


def _shared(effort: Effort) -> list[Curve]:
    embedded = Embedded()
    for size in SIZES:
        for name in _names(size):
            embedded.engine.keyspace.put(_key(name), SortedSet(_entries(size)))
    operations = effort.operations
    contenders = [
        *(Contender("", _engine(embedded, _names(size), size, operations)) for size in SIZES),
        *(Contender("", _service(embedded, _names(size), size, operations)) for size in SIZES),
    ]
    engine, service = _halves(_measured(contenders, effort))
    return [
        Curve("realtime, engine", _by_size(engine)),
        Curve("realtime, async service", _by_size(service)),
    ]


def _shared_first(effort: Effort) -> Curve:
    """Of boards where equal scores rank by who was first."""
    embedded = Embedded()
    for size in SIZES:
        for name in _names(size):
            embedded.engine.keyspace.put(_key(name), _placed(size))
    contenders = [
        Contender("", _engine(embedded, _names(size), size, effort.operations, FIRST))
        for size in SIZES
    ]
    figures = _measured(contenders, effort)
    return Curve("realtime, engine, ties: first", _by_size(figures))


def _alone(effort: Effort, redis: list[Contender[float]]) -> tuple[list[Curve], list[Curve]]:
    embedded = Embedded()
    for size in SIZES:
        embedded.engine.keyspace.put(_key(_name(size)), SortedSet(_entries(size)))
    count, operations = len(SIZES), effort.operations
    contenders = [
        *(Contender("", _engine(embedded, [_name(size)], size, operations)) for size in SIZES),
        *(Contender("", _service(embedded, [_name(size)], size, operations)) for size in SIZES),
        *redis,
    ]
    figures = _measured(contenders, effort)
    engine, service = _halves(figures[: 2 * count])
    ours = [
        Curve("realtime, engine, alone", _by_size(engine), alone=True),
        Curve("realtime, async service, alone", _by_size(service), alone=True),
    ]
    if not redis:
        return ours, []
    served, waited = figures[2 * count : 3 * count], figures[3 * count :]
    theirs = [
        Curve(SKIP_LIST, _by_size(served)),
        Curve(REDIS, dict(zip(WAITED, waited, strict=True))),
    ]
    return ours, theirs


def _measured(contenders: Sequence[Contender[float]], effort: Effort) -> list[tuple[float, ...]]:
    with _frozen():
        return interleaved(contenders, effort.rounds)


def _halves(figures: Sequence[tuple[float, ...]]) -> tuple[Figures, Figures]:
    return figures[: len(SIZES)], figures[len(SIZES) :]


def _by_size(figures: Figures) -> dict[int, tuple[float, ...]]:
    return dict(zip(SIZES, figures, strict=True))


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


def _engine(
    embedded: Embedded,
    names: Sequence[str],
    size: int,
    operations: int,
    ranking: Ranking = BY_MEMBER,
) -> Measure:
    submit, keys = embedded.engine.boards.submit, [_key(name) for name in names]

    def measure(number: int) -> float:
        spent = 0.0
        for batch in _batches(size, 2 * number, operations, len(keys)):
            wanted = [(keys[board], entry) for board, entry in batch]
            started = time.process_time()
            for key, entry in wanted:
                submit(key, ranking, entry)
            spent += time.process_time() - started
        return spent / operations * 1e6

    return measure


def _service(embedded: Embedded, names: Sequence[str], size: int, operations: int) -> Measure:
    submit = embedded.leaderboards.submit

    async def work(number: int) -> float:
        spent = 0.0
        for batch in _batches(size, 2 * number + 1, operations, len(names)):
            wanted = [(names[board], entry) for board, entry in batch]
            started = time.process_time()
            for name, entry in wanted:
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
            pipeline(client, name, *((entry.member, entry.score) for _, entry in batch)).execute()
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
            for _, entry in batch:
                pipeline(client, name, (entry.member, entry.score)).execute()
            spent += time.perf_counter() - started
        return spent / operations * 1e6

    return measure


def _batches(size: int, number: int, operations: int, boards: int = 1) -> Iterator[Work]:
    """Random members of random boards, with scores that are higher than in all rounds before."""
    draw = random.Random(number)
    base = (number + 1) * 1_000_000
    for _ in range(0, operations, BATCH):
        yield [
            (
                draw.randrange(boards),
                Submit(
                    b"player:%d" % draw.randrange(size), float(base + draw.randrange(1_000_000))
                ),
            )
            for _ in range(BATCH)
        ]


def _entries(size: int) -> Iterator[tuple[bytes, float]]:
    return (
        (member.encode(), float(score)) for batch in boards.entries(size) for member, score in batch
    )


def _placed(size: int) -> PlacedSet:
    stored = (
        (b"\xff%b%b" % (place.to_bytes(8, "big"), member), score)
        for place, (member, score) in enumerate(_entries(size), 1)
    )
    return PlacedSet.of(SortedSet(stored))


def _name(size: int) -> str:
    return f"bench-{size}"


def _names(size: int) -> list[str]:
    """Of all the boards of this size that fill the store."""
    return [f"{_name(size)}-{number}" for number in range(TOTAL // size)]


def _key(name: str) -> bytes:
    return b"lb:{%b}" % name.encode()


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
