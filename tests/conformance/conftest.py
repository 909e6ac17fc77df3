"""Every backend that the same text must hold for. A new one is one more entry of BACKENDS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import pytest

from engine.clock import ManualClock
from engine.engine import Engine
from realtime.backends import embedded
from realtime.backends.base import Backend
from tests.journaled import journaled
from tests.redis.servers import RedisServer
from tests.redis.stores import opened

LAG = 1_000
"""Microseconds after a deadline by which every store has dropped what ended there: Redis keeps
a key through the whole millisecond, the engine not even to its beginning."""


@dataclass(frozen=True)
class Store:
    """A backend, and the way to let its clock move on (microseconds)."""

    backend: Backend
    advance: Callable[[int], Awaitable[None]]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what was published: a store of this process has delivered it before it
        answers, one at the other end of a wire does soon. The test's time-out ends it."""
        while not condition():
            assert not self.backend.immediate
            await asyncio.sleep(0)


@asynccontextmanager
async def embedded_store(_: pytest.FixtureRequest) -> AsyncIterator[Store]:
    clock = ManualClock()
    engine = Engine(clock)

    async def advance(duration: int) -> None:
        clock.advance(duration)

    yield Store(embedded.backend(engine), advance)
    engine.keyspace._check()


@asynccontextmanager
async def journaled_store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    clock = ManualClock()
    engine = Engine(clock)

    async def advance(duration: int) -> None:
        clock.advance(duration)

    async with journaled(engine, request.getfixturevalue("tmp_path")) as (backend, _):
        yield Store(backend, advance)


@asynccontextmanager
async def redis_store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    server: RedisServer = request.getfixturevalue("frozen_redis")

    async def advance(duration: int) -> None:
        assert server.clock is not None
        server.clock.advance(duration)

    async with opened(server) as store:
        yield Store(store.backend, advance)


BACKENDS: dict[str, Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[Store]]] = {
    "embedded": embedded_store,
    "journal": journaled_store,
    "redis": redis_store,
}


@pytest.fixture(params=BACKENDS)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    async with BACKENDS[request.param](request) as store:
        yield store


@pytest.fixture
def backend(store: Store) -> Backend:
    return store.backend
