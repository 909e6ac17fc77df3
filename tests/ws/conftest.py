"""The fixtures that serve."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.redis.stores import STORES
from tests.ws.house import House, house
from tests.ws.keys import Keys

LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
"""What the service runs on, and what it must also run on. They differ in when a write is tried,
and in when a full buffer is noticed."""

Serve = Callable[..., Awaitable[House]]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests of a service in another process need only one loop."""
    names = LOOPS if "serving" in getattr(item, "fixturenames", ()) else ["asyncio"]
    return {name: LOOPS[name] for name in names}


@pytest.fixture
async def serving() -> AsyncIterator[Serve]:
    """``await serving(**options)`` answers a `House`; it ends with the test."""
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> House:
            return await stack.enter_async_context(house(**options))

        yield start


@pytest.fixture(params=[*STORES, "journal"])
def serve(serving: Serve, request: pytest.FixtureRequest, tmp_path: Path) -> Serve:
    """``await serve(**options)`` answers a `House` over each store."""
    if request.param == "journal":
        return partial(serving, journal=tmp_path)
    if request.param == "embedded":
        return serving
    return partial(serving, server=request.getfixturevalue("frozen_redis"))


@pytest.fixture(params=["immediate", "suspending"])
async def near_house(serving: Serve, request: pytest.FixtureRequest) -> House:
    """The door over a store in this process: what is published has arrived before the answer.
    From Redis it comes by a wire of its own, before the answer or after it."""
    return await serving(suspending=request.param == "suspending")


@pytest.fixture(params=["immediate", "journal", "suspending", "redis"])
async def any_house(serving: Serve, request: pytest.FixtureRequest, tmp_path: Path) -> House:
    """The door over a store in this process, without and with a journal, over one that takes its
    time, and over a real one at the other end of a wire."""
    if request.param == "journal":
        return await serving(journal=tmp_path)
    if request.param == "redis":
        return await serving(server=request.getfixturevalue("frozen_redis"))
    return await serving(suspending=request.param == "suspending")


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """A file of API keys, not yet in use."""
    return Keys(tmp_path / "keys.json")
