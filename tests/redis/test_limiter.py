"""The middleware's limiter on a store that several apps share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from realtime.errors import Unavailable
from realtime.middleware import RateLimitMiddleware, Rule, StoreLimiter
from tests.redis.network import Proxy
from tests.redis.servers import RedisServer
from tests.redis.waiting import until

TIMEOUT = 0.3
LOGIN = Rule("login", limit=3, per=3600)


@contextlib.asynccontextmanager
async def limiting(url: str, **options: Any) -> AsyncIterator[StoreLimiter]:
    limiter = StoreLimiter(url, **{"timeout": TIMEOUT, **options})
    await limiter.prepare([LOGIN])
    try:
        yield limiter
    finally:
        await limiter.close()


async def test_two_apps_share_what_a_caller_may(server: RedisServer) -> None:
    async with limiting(server.url) as one, limiting(server.url) as other:
        decisions = [await limiter.taker(LOGIN)("ada", 1) for limiter in (one, other, one, other)]
        assert [d and d.allowed for d in decisions] == [True, True, True, False]
        assert [d and d.remaining for d in decisions] == [2, 1, 0, 0]


async def test_several_rules_are_charged_together_or_not_at_all(server: RedisServer) -> None:
    wide = Rule("wide", limit=10, per=3600)
    async with limiting(server.url) as limiter:
        take = limiter.taker_of_all([wide, LOGIN])
        for _ in range(5):
            decisions = await take("ada", 1)
        assert decisions is not None
        assert [decision.allowed for decision in decisions] == [True, False]
        left = await limiter.taker(wide)("ada", 0)
        assert left is not None and left.remaining == 7


async def test_a_store_that_was_emptied_is_told_the_rules_again(server: RedisServer) -> None:
    async with limiting(server.url) as limiter:
        server.ask("FLUSHALL")
        decision = await limiter.taker(LOGIN)("ada", 1)
        assert decision is not None and decision.remaining == 2


@pytest.mark.parametrize("on_outage", ["allow", "deny"])
async def test_an_outage_costs_the_deadline_and_then_nothing(proxy: Proxy, on_outage: str) -> None:
    async with limiting(proxy.url, on_outage=on_outage) as limiter:
        take = limiter.taker(LOGIN)
        assert await take("ada", 1) is not None
        proxy.hold()
        loop = asyncio.get_running_loop()
        started = loop.time()
        for _ in range(20):
            if on_outage == "allow":
                assert await take("ada", 1) is None
            else:
                with pytest.raises(Unavailable):
                    await take("ada", 1)
        # Five questions in a row wait; after that nobody is asked for a second.
        assert loop.time() - started < 10 * TIMEOUT
        proxy.carry()

        async def decides() -> bool:
            with contextlib.suppress(Unavailable):
                return await take("ada", 0) is not None
            return False

        await until(decides, within=5)


async def test_an_app_answers_429_and_goes_on_in_an_outage(proxy: Proxy) -> None:
    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    app = Starlette(routes=[Route("/", page)])
    limiter = StoreLimiter(proxy.url, timeout=TIMEOUT)
    limited = RateLimitMiddleware(app, rules={"/": LOGIN}, limiter=limiter)
    transport = httpx.ASGITransport(limited)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as http:
        answers = [await http.get("/") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[0].headers["ratelimit"] == '"login";r=2;t=1200'
        proxy.hold()
        open_door = await http.get("/")
        assert (open_door.status_code, "ratelimit" in open_door.headers) == (200, False)
    await limiter.close()


def test_a_url_that_is_none_is_refused_when_the_limiter_is_made() -> None:
    with pytest.raises(ValueError, match="a store is"):
        StoreLimiter("http://127.0.0.1")
