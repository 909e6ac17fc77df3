"""An app in front of which a remote limiter stands."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Literal

import httpx

from realtime.middleware import Limiter, RateLimitMiddleware, RemoteLimiter, Rule
from tests.middleware.conftest import Ask, shop

__all__ = ["ITEMS", "Policy", "guarded", "limiter"]

ITEMS = Rule("items", limit=3, per=300)
PAIR = (
    Rule("burst", limit=2, per=300),
    Rule("daily", limit=9, per=86_400, algorithm="fixed_window"),
)
Policy = Literal["allow", "deny"]
Answering = Callable[[httpx.Request], httpx.Response]


def guarded(limiter: Limiter, **options: object) -> Ask:
    rules = {"/items/{id}": ITEMS, "/login": PAIR}
    return Ask(RateLimitMiddleware(shop(), rules=rules, limiter=limiter, **options))  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def limiter(
    answer: Answering | None = None,
    url: str = "http://limits",
    *,
    on_outage: Policy = "allow",
    timeout: float = 5.0,
    api_key: str = "rt_key",
) -> AsyncIterator[RemoteLimiter]:
    transport = None if answer is None else httpx.MockTransport(answer)
    made = RemoteLimiter(url, api_key, timeout=timeout, on_outage=on_outage, transport=transport)
    yield made
    await made.close()
