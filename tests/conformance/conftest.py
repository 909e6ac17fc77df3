"""Every backend that the same text must hold for. A new one is one more entry of BACKENDS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import pytest

from engine.clock import ManualClock
from engine.engine import Engine
from realtime.backends import embedded
from realtime.backends.base import Backend


@dataclass(frozen=True)
class Store:
    """A backend, and the way to let its clock move on (microseconds)."""

    backend: Backend
    advance: Callable[[int], Awaitable[None]]


@asynccontextmanager
async def embedded_store() -> AsyncIterator[Store]:
    clock = ManualClock()
    engine = Engine(clock)

    async def advance(duration: int) -> None:
        clock.advance(duration)

    yield Store(embedded.backend(engine), advance)
    engine.keyspace._check()


BACKENDS: dict[str, Callable[[], AbstractAsyncContextManager[Store]]] = {
    "embedded": embedded_store,
}


@pytest.fixture(params=BACKENDS)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    async with BACKENDS[request.param]() as store:
        yield store


@pytest.fixture
def backend(store: Store) -> Backend:
    return store.backend
