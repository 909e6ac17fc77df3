"""The fixture that serves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvloop

from tests.ws.house import House, house

LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
"""What the service runs on, and what it must also run on. They differ in when a write is tried,
and in when a full buffer is noticed."""

Serve = Callable[..., Awaitable[House]]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests of a service in another process need only one loop."""
    names = LOOPS if "serve" in getattr(item, "fixturenames", ()) else ["asyncio"]
    return {name: LOOPS[name] for name in names}


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """``await serve(**options)`` answers a `House`; it ends with the test."""
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> House:
            return await stack.enter_async_context(house(**options))

        yield start


@pytest.fixture(params=["immediate", "suspending"])
async def any_house(serve: Serve, request: pytest.FixtureRequest) -> House:
    """The door over a store in this process, and over one at the other end of a wire."""
    return await serve(suspending=request.param == "suspending")
