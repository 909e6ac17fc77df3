"""The same features on Redis: what they cost over bare redis-py, and over HTTP.

In process, both wait for the same server over loopback: the timed region holds the calls, one
after the other, or sixteen at a time. Redis-py's asyncio client does the feature as people
write it: a submit is one pipeline (score and rank before, ZADD GT, rank after), a limit
check is one GCRA script by EVALSHA. Ours answers the same, and keeps the board's rules.

Over HTTP, our service and FastAPI work on one and the same Redis server.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import ExitStack
from importlib import import_module
from typing import Any

import uvloop

from loadtest.compare import boards, http_board, inside
from loadtest.compare.inside import microseconds_each
from loadtest.compare.peers import servers
from loadtest.compare.processes import Server
from loadtest.compare.report import Row
from loadtest.compare.rounds import Contender, Effort
from loadtest.compare.wrk import Load
from realtime.backends.base import Submit
from realtime.services.limits import RuleSpec
from realtime.stored import Stored

__all__ = ["rows"]

MEMBERS = 10_000
AT_MOST = 1 / 1.3
"""Our overhead over bare redis-py: at most 1.3 times its time."""
HTTP_TIMES = 3.0
CALLERS = 1_000
AT_ONCE = 16
PEER = "redis-py asyncio"
OURS = "realtime, on Redis"

GCRA = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local interval, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
local after = full_at + cost * interval
local horizon = now + burst * interval
if after > horizon then
  return {0, math.floor((horizon - full_at) / interval), after - horizon, full_at - now}
end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
return {1, math.floor((horizon - after) / interval), 0, after - now}
"""

Calls = Sequence[Callable[[], Awaitable[object]]]
"""What is to be done in a round, each by calling it."""

Prepare = Callable[[Any, int, int], Coroutine[Any, Any, Calls]]
"""(client, number of the round, operations) -> the calls."""


def rows(effort: Effort) -> list[Row]:
    """Raises Missing if there is no Redis."""
    with ExitStack() as stack:
        redis = stack.enter_context(servers.redis_server())
        operations = effort.operations // 10
        return [
            *_pair(redis, "submit and rank", _submits, _peer_submits, operations, effort.rounds),
            *_pair(redis, "rate-limit check", _takes, _peer_takes, operations, effort.rounds),
            *_over_http(stack, effort),
        ]


def _pair(
    redis: Server, name: str, ours: Prepare, theirs: Prepare, operations: int, rounds: int
) -> list[Row]:
    table: list[Row] = []
    for at_once, how in ((1, "one after the other"), (AT_ONCE, f"{AT_ONCE} at a time")):
        table += inside.rows(
            f"On Redis: {name}, {how}",
            [Contender(OURS, _measure(_stored, redis, ours, operations, at_once))],
            Contender(PEER, _measure(_redis_py, redis, theirs, operations, at_once)),
            AT_MOST,
            rounds,
        )
    return table


def _over_http(stack: ExitStack, effort: Effort) -> list[Row]:
    load = Load.of(http_board.CONNECTIONS, effort.http_seconds, http_board.MEMBERS)
    redis = stack.enter_context(servers.redis_server())
    with boards.redis_client(redis) as client:
        boards.fill_redis(client, http_board.MEMBERS)
    sites = [http_board.own_site(stack, store=_url(redis)), http_board.fastapi_site(stack, redis)]
    return [
        http_board.row(
            "HTTP on one Redis: rank read", load, sites, [], lambda s: s.read, HTTP_TIMES, effort
        ),
        http_board.row(
            "HTTP on one Redis: submit and rank",
            load, sites, [], lambda s: s.submit, HTTP_TIMES, effort,
        ),
    ]  # fmt: skip


def _measure(
    connect: Callable[[Server], Any], redis: Server, prepare: Prepare, operations: int, at_once: int
) -> Callable[[int], float]:
    def measure(number: int) -> float:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            client = connect(redis)
            runner.run(client.__aenter__())
            calls = runner.run(prepare(client, number, operations))
            taken = microseconds_each(lambda: runner.run(_do(calls, at_once)), operations)
            runner.run(client.__aexit__(None, None, None))
            return taken

    return measure


async def _do(calls: Calls, at_once: int) -> None:
    async def some(first: int) -> None:
        for call in calls[first::at_once]:
            await call()

    if at_once == 1:
        await some(0)
    else:
        await asyncio.gather(*[some(first) for first in range(at_once)])


def _url(redis: Server) -> str:
    return f"redis://127.0.0.1:{redis.port}"


def _stored(redis: Server) -> Stored:
    return Stored(_url(redis))


def _redis_py(redis: Server) -> Any:
    return import_module("redis.asyncio").Redis(port=redis.port)


def _drawn(number: int, operations: int) -> list[tuple[str, int]]:
    draw = random.Random(number)
    base = (number + 1) * 1_000_000
    return [(f"player:{draw.randrange(MEMBERS)}", base + n) for n in range(operations)]


async def _submits(features: Stored, number: int, operations: int) -> Calls:
    submit = features.leaderboards.submit

    def call(member: bytes, score: int) -> Callable[[], Awaitable[object]]:
        return lambda: submit("ours", [Submit(member, float(score))])

    return [call(member.encode(), score) for member, score in _drawn(2 * number, operations)]


async def _peer_submits(client: Any, number: int, operations: int) -> Calls:
    def call(member: str, score: int) -> Callable[[], Awaitable[object]]:
        async def submit() -> object:
            async with client.pipeline(transaction=False) as pipeline:
                pipeline.zscore("theirs", member)
                pipeline.zrevrank("theirs", member)
                pipeline.zadd("theirs", {member: score}, gt=True)
                pipeline.zrevrank("theirs", member)
                return await pipeline.execute()

        return submit

    return [call(*entry) for entry in _drawn(2 * number + 1, operations)]


async def _takes(features: Stored, number: int, operations: int) -> Calls:
    await features.limits.define("bench", RuleSpec(limit=40, per=60))
    take = features.limits.take

    def call(key: str) -> Callable[[], Awaitable[object]]:
        return lambda: take("bench", key)

    return [call(f"caller:{n % CALLERS}") for n in range(operations)]


async def _peer_takes(client: Any, number: int, operations: int) -> Calls:
    sha = await client.script_load(GCRA)

    def call(key: str) -> Callable[[], Awaitable[object]]:
        return lambda: client.evalsha(sha, 1, f"bench:{key}", 1_500_000, 40, 1)

    return [call(f"caller:{n % CALLERS}") for n in range(operations)]
