"""The fixture that serves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.ws.house import House, house

Serve = Callable[..., Awaitable[House]]


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
