"""The backend on a real server, for tests that hold any backend to the same text."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from realtime.backends.redis.address import parse
from realtime.backends.redis.dial import Options
from realtime.backends.redis.store import RedisStore
from tests.redis.servers import RedisServer, running_redis

__all__ = ["STORES", "opened", "store_options"]

STORES = ("embedded", "redis")
"""What a service may keep its data in."""

PATIENCE = 30.0
"""Seconds for an answer: the machine may be busy, and time is not what is tested here."""


@contextlib.asynccontextmanager
async def opened(server: RedisServer, **options: Any) -> AsyncIterator[RedisStore]:
    """A store that is up, on the socket of the server; ``options`` are those of the store."""
    store = RedisStore(parse(server.socket_url), Options(**{"timeout": PATIENCE, **options}))
    try:
        amiss = await store.start()
        assert amiss is None, amiss
        yield store
    finally:
        await store.close()


@contextlib.contextmanager
def store_options(store: str, folder: Path) -> Iterator[list[str]]:
    """What tells a service in a process of its own which of STORES to use: nothing, or where
    the Redis is that runs meanwhile, in real time, with its files in ``folder``."""
    if store == "embedded":
        yield []
        return
    with running_redis(folder / "redis") as server:
        yield ["--store", server.url]
