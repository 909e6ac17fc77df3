"""One HTTP door, over each store there is, whose clock the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest

from engine.clock import SECOND, ManualClock
from realtime.access import Access
from realtime.embedded import Embedded
from realtime.http import api
from realtime.http.openapi import document
from realtime.services import DEFAULT_NAMESPACES, Services
from realtime.services.namespaces import Namespaces
from realtime.state import ServiceState
from tests.http.contract import Contract
from tests.redis.servers import RedisServer
from tests.redis.stores import STORES, opened

__all__ = ["LAG", "House", "housed"]

CONTRACT = Contract(document(api.OPERATIONS))

LAG = 0.001
"""Seconds after a deadline by which every store has dropped what ended there: Redis keeps a key
through the whole millisecond."""


@dataclass
class House:
    """The service as tests see it: through its door, and with a hand on its clock."""

    http: httpx.AsyncClient
    services: Services
    clock: ManualClock
    state: ServiceState

    def advance(self, seconds: float) -> None:
        self.clock.advance(round(seconds * SECOND))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the event loop turn until the condition holds; the test's time-out ends it."""
        while not condition():  # noqa: ASYNC110  # what is waited for sets no event
            await asyncio.sleep(0)


@pytest.fixture
def contract() -> Contract:
    return CONTRACT


@asynccontextmanager
async def serve(services: Services, clock: ManualClock) -> AsyncIterator[House]:
    """Every answer that comes through ``house.http`` is held against the OpenAPI document."""
    state = ServiceState(ready=True)
    door = api.build(services, Access(None), state=state, options=api.Options())

    async def check(response: httpx.Response) -> None:
        await response.aread()
        CONTRACT.check(response.request, response)

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(door),
        base_url="http://localhost",
        event_hooks={"response": [check]},
    ) as http:
        yield House(http, services, clock, state)


@asynccontextmanager
async def housed(
    store: str, request: pytest.FixtureRequest, namespaces: Namespaces = DEFAULT_NAMESPACES
) -> AsyncIterator[House]:
    """A house over one of STORES."""
    if store == "embedded":
        clock = ManualClock()
        async with serve(Embedded(clock, namespaces=namespaces).services, clock) as house:
            yield house
        return
    server: RedisServer = request.getfixturevalue("frozen_redis")
    assert server.clock is not None
    async with opened(server) as on:
        services = Services.on(on.backend, namespaces)
        async with serve(services, server.clock) as house:
            yield house


@pytest.fixture(params=STORES)
async def house(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    async with housed(request.param, request) as house:
        yield house


@pytest.fixture
def http(house: House) -> httpx.AsyncClient:
    return house.http
