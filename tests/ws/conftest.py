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

DEEPER = {"journal", "redis"}
"""Stores which no loop looks different to: there all is tested on the one that it runs on."""

Serve = Callable[..., Awaitable[House]]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests of a service in another process need only one loop."""
    names = LOOPS if "serving" in getattr(item, "fixturenames", ()) else ["asyncio"]
    return {name: LOOPS[name] for name in names}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what another loop adds nothing to: a third of all that serves."""
    left_out = {item for item in items if _adds_nothing(item)}
    if left_out:
        config.hook.pytest_deselected(items=[*left_out])
        items[:] = [item for item in items if item not in left_out]


def _adds_nothing(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    if callspec is None or LOOPS["asyncio"] not in callspec.params.values():
        return False
    return bool(
        DEEPER.intersection((callspec.params.get("serve"), callspec.params.get("any_house")))
    )


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
