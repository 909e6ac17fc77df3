"""What things cost in the memory of a Redis: ``python -m loadtest.store_memory``.

A fresh server, filled through the services with many of one kind after the other; each row is the
growth of the server's ``used_memory``, per piece, with what its tables grow by meanwhile. Names
and values are of the usual size.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any, NamedTuple

import uvloop

from loadtest.compare.peers.servers import redis_server
from realtime.backends.base import ClientInfo, Submit
from realtime.services.limits import RuleSpec
from realtime.stored import Stored

AT_ONCE = 200
BATCH = 100
DAY = 86_400.0
DATA = {"cart": b"[1,2,3]", "theme": b'"dark"'}


class Kind(NamedTuple):
    """What is made, how many of it, and how the number ``n`` is made."""

    name: str
    number: int
    make: Callable[[Stored, int], Awaitable[object]]
    pieces: int = 1
    """In one call."""


def _scores(features: Stored, n: int) -> Awaitable[object]:
    first = n * BATCH
    entries = [
        Submit(b"player:%d" % m, float(m * 7919 % 100_003)) for m in range(first, first + BATCH)
    ]
    return features.leaderboards.submit("board", entries)


def _session(features: Stored, n: int) -> Awaitable[object]:
    user = f"user:{n}"
    return features.sessions.create(user, DATA, idle_timeout=3600.0, absolute_timeout=DAY)


KINDS = (
    Kind("a member of a board of 200,000", 2_000, _scores, BATCH),
    Kind("a caller under a limit", 100_000, lambda f, n: f.limits.take("limit", f"user:{n}", 50)),
    Kind("a session with two fields, and its user's list", 30_000, _session),
    Kind("a counter", 50_000, lambda f, n: f.counters.add(f"visits:{n}")),
    Kind("the position of a channel", 100_000, lambda f, n: f.channels.history(f"room:{n}")),
    Kind(
        "a channel with one small publication",
        20_000,
        lambda f, n: f.channels.publish(f"other:{n}", b'{"text":"hello all"}'),
    ),
    Kind(
        "a client, alone in a channel",
        100_000,
        lambda f, n: f.channels.join(f"room:{n}", ClientInfo(f"7a1b2c3d-{n:08}-4e5f", "ada")),
    ),
)


async def _fill(features: Stored, kind: Kind) -> None:
    async def some(first: int) -> None:
        for n in range(first, kind.number, AT_ONCE):
            await kind.make(features, n)

    await asyncio.gather(*[some(first) for first in range(AT_ONCE)])


async def _measure(port: int) -> None:
    client: Any = import_module("redis").Redis(port=port)
    async with Stored(f"redis://127.0.0.1:{port}") as features:
        await features.limits.define("limit", RuleSpec(limit=100, per=DAY))
        for kind in KINDS:
            before = client.info("memory")["used_memory"]
            await _fill(features, kind)
            grown = client.info("memory")["used_memory"] - before
            print(f"{kind.name:48} {grown / kind.number / kind.pieces:8,.0f} bytes")


def main() -> None:
    with redis_server() as server:
        uvloop.run(_measure(server.port))


if __name__ == "__main__":
    main()
