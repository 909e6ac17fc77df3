"""One HTTP door over an embedded engine whose clock the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from engine.clock import SECOND, ManualClock
from realtime.access import Access
from realtime.embedded import Embedded
from realtime.http import api
from realtime.http.openapi import document
from realtime.services import Services
from realtime.state import ServiceState
from tests.http.contract import Contract

__all__ = ["House"]

CONTRACT = Contract(document(api.OPERATIONS))


@dataclass
class House:
    """The service as tests see it: through its door, and with a hand on its clock."""

    http: httpx.AsyncClient
    services: Services
    clock: ManualClock
    state: ServiceState

    def advance(self, seconds: float) -> None:
        self.clock.advance(round(seconds * SECOND))


@pytest.fixture
def contract() -> Contract:
    return CONTRACT


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """Every answer that comes through ``house.http`` is held against the OpenAPI document."""
    clock = ManualClock()
    services = Embedded(clock).services
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


@pytest.fixture
def http(house: House) -> httpx.AsyncClient:
    return house.http
