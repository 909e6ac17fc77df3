"""Apps of other people, with the middleware in front, and a clock that the test moves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message

from engine.clock import SECOND, ManualClock
from realtime.embedded import Embedded
from realtime.middleware import EmbeddedLimiter, RateLimitMiddleware

__all__ = ["Ask", "House", "lifespan", "shop"]


class House:
    """An embedded limiter, and what goes in front of an app."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.features = Embedded(self.clock)

    def advance(self, seconds: float) -> None:
        self.clock.advance(round(seconds * SECOND))

    def guarded(self, app: ASGIApp, **options: Any) -> RateLimitMiddleware:
        return RateLimitMiddleware(app, limiter=EmbeddedLimiter(self.features), **options)

    def client(self, app: ASGIApp | None = None, **options: Any) -> Ask:
        return Ask(self.guarded(app or shop(), **options))


class Ask:
    """Sends requests to an app, each from the address that is given."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(
        self,
        path: str = "/items/1",
        *,
        method: str = "GET",
        address: str = "203.0.113.7",
        headers: dict[str, str] | None = None,
        root_path: str = "",
    ) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, client=(address, 1234), root_path=root_path)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            return await client.request(method, path, headers=headers)

    async def statuses(self, times: int, path: str = "/items/1", **options: Any) -> list[int]:
        return [(await self(path, **options)).status_code for _ in range(times)]


def shop() -> Starlette:
    """A small app of somebody's."""

    async def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.url.path)

    methods = ["GET", "POST", "DELETE"]
    return Starlette(
        routes=[
            Route("/items/{id}", answer, methods=methods),
            Route("/login", answer, methods=methods),
            Route("/files/{path:path}", answer),
            Mount("/admin", routes=[Route("/users/{id:int}", answer)]),
            Route("/", answer),
        ]
    )


@contextlib.asynccontextmanager
async def lifespan(app: ASGIApp) -> AsyncIterator[None]:
    """The app between its startup and its shutdown, as a server would see it through."""
    asked: asyncio.Queue[Message] = asyncio.Queue()
    told: asyncio.Queue[Message] = asyncio.Queue()
    running = asyncio.create_task(_run(app, asked, told))
    await asked.put({"type": "lifespan.startup"})
    assert (await told.get())["type"] == "lifespan.startup.complete"
    yield
    await asked.put({"type": "lifespan.shutdown"})
    assert (await told.get())["type"] == "lifespan.shutdown.complete"
    await running


async def _run(app: ASGIApp, asked: asyncio.Queue[Message], told: asyncio.Queue[Message]) -> None:
    await app({"type": "lifespan", "state": {}}, asked.get, told.put)


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def client(house: House) -> Callable[..., Ask]:
    return house.client
