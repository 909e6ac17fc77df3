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
from realtime.services.limits import Verdict, Wish
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


async def ask(
    limiter: StoreLimiter, *rules: Rule, key: str = "ada", cost: int = 1
) -> list[Verdict]:
    return list(await limiter.take([Wish(rule.name, key, cost) for rule in rules]))


async def test_two_apps_share_what_a_caller_may(server: RedisServer) -> None:
    async with limiting(server.url) as one, limiting(server.url) as other:
        verdicts = [(await ask(limiter, LOGIN))[0] for limiter in (one, other, one, other)]
        assert [verdict.allowed for verdict in verdicts] == [True, True, True, False]
        assert [verdict.decision.remaining for verdict in verdicts] == [2, 1, 0, 0]


async def test_several_rules_are_charged_together_or_not_at_all(server: RedisServer) -> None:
    wide = Rule("wide", limit=10, per=3600)
    async with limiting(server.url) as limiter:
        await limiter.prepare([wide])
        for _ in range(4):
            verdicts = await ask(limiter, wide, LOGIN)
        assert [verdict.allowed for verdict in verdicts] == [True, False]
        (left,) = await ask(limiter, wide, cost=0)
        assert left.decision.remaining == 7


async def test_a_store_that_was_emptied_is_told_the_rules_again(server: RedisServer) -> None:
    async with limiting(server.url) as limiter:
        server.ask("FLUSHALL")
        (verdict,) = await ask(limiter, LOGIN)
        assert verdict.decision.remaining == 2


async def test_an_outage_costs_the_deadline_and_then_nothing(proxy: Proxy) -> None:
    async with limiting(proxy.url) as limiter:
        assert await ask(limiter, LOGIN)
        proxy.hold()
        loop = asyncio.get_running_loop()
        started = loop.time()
        for _ in range(20):
            with pytest.raises(Unavailable):
                await ask(limiter, LOGIN)
        # Five questions in a row wait; after that nobody is asked for a second.
        assert loop.time() - started < 10 * TIMEOUT
        proxy.carry()

        async def decides() -> bool:
            with contextlib.suppress(Unavailable):
                return bool(await ask(limiter, LOGIN, cost=0))
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
        assert (await http.get("/")).status_code == 429, "which is known without asking"
    transport = httpx.ASGITransport(limited, client=("203.0.113.9", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as http:
        open_door = await http.get("/")
        assert (open_door.status_code, "ratelimit" in open_door.headers) == (200, False)
    await limiter.close()


def test_a_url_that_is_none_is_refused_when_the_limiter_is_made() -> None:
    with pytest.raises(ValueError, match="a store is"):
        StoreLimiter("http://127.0.0.1")
