"""Rate limits for anybody's ASGI app: one look-up, one decision, two headers.

    app.add_middleware(
        RateLimitMiddleware,
        rules={
            "POST /login": Rule("login", limit=5, per=60, algorithm="sliding_window"),
            "/items/{id}": Rule("items", limit=100, per=60, burst=20),
            "*": (Rule("burst", limit=50, per=1), Rule("daily", limit=100_000, per=86_400)),
        },
    )

A request belongs to one entry of ``rules``: see `realtime.middleware.routes`. Several rules in
an entry apply together: a request passes all of them and is charged under all, or it is
charged under none. ``()`` is no limit. A caller is known by their address unless ``key``
says otherwise; what is counted under is the rule and the caller, never the URL.

The middleware holds configuration only; what belongs to one request is in local variables
and in the function that adds the headers to its response.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from realtime.middleware.answers import Header, Refusal
from realtime.middleware.clients import REMEMBERED, KeyFunction, client_address
from realtime.middleware.guard import Ask, CostFunction, guard
from realtime.middleware.limiter import EmbeddedLimiter, Limiter
from realtime.middleware.routes import Routes
from realtime.middleware.rules import Rule, distinct

__all__ = ["ExemptFunction", "RateLimitMiddleware"]

ExemptFunction = Callable[[Scope], bool]
HeaderMode = Literal["draft-10", "off"]

MAX_KEY = 128
"""Bytes; longer keys are hashed: callers may choose their key, but not how much we remember."""

POLICY_VIOLATION = 1008
DENIAL_RESPONSE = "websocket.http.response"
STARTS = frozenset(("http.response.start", "websocket.accept", f"{DENIAL_RESPONSE}.start"))
"""Messages that carry the headers of a response."""


class RateLimitMiddleware:
    """Pure ASGI, for HTTP requests and WebSocket handshakes."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        rules: Mapping[str, Rule | Sequence[Rule]],
        key: KeyFunction | None = None,
        cost: int | CostFunction = 1,
        exempt: ExemptFunction | None = None,
        headers: HeaderMode = "draft-10",
        limiter: Limiter | None = None,
    ) -> None:
        """``key`` names the caller; where it answers None, the address does. ``exempt`` lets
        pass unseen. The limiter lives in this process unless another is given."""
        if isinstance(cost, int) and cost < 0:
            raise ValueError(f"a cost is 0 or more, not {cost}")
        self.app = app
        self._exempt = exempt
        self._limiter = limiter or EmbeddedLimiter()
        self._prepared = False
        table = {
            route: (together,) if isinstance(together, Rule) else tuple(together)
            for route, together in rules.items()
        }
        self._rules = distinct([rule for together in table.values() for rule in together])
        ask = Ask(self._limiter, _key_function(key), cost, headers == "off")
        self._routes = Routes({route: guard(together, ask) for route, together in table.items()})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind not in ("http", "websocket"):
            await (self._lifespan if kind == "lifespan" else self.app)(scope, receive, send)
            return
        method = scope["method"] if kind == "http" else "GET"  # as a handshake is
        path = _path(scope) if scope.get("root_path") else scope["path"]
        guard = self._routes.find(method, path)
        if guard is None or (self._exempt is not None and self._exempt(scope)):
            await self.app(scope, receive, send)
            return
        if not self._prepared:
            await self._prepare()
        now = guard.decide_now
        answer = await guard.decide(scope) if now is None else now(scope)
        if isinstance(answer, Refusal):
            await _refuse(answer, scope, receive, send)
            return
        await self.app(scope, receive, _announcing(send, answer) if answer else send)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._prepare()
        try:
            await self.app(scope, receive, send)
        finally:
            self._prepared = False
            await self._limiter.close()

    async def _prepare(self) -> None:
        self._prepared = True
        await self._limiter.prepare(self._rules)


async def _refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer in the app's place. A server without denial responses answers a bare 403."""
    messages: tuple[Message, ...]
    if scope["type"] == "http":
        messages = refusal.messages("http", scope["method"])
    else:
        await receive()  # websocket.connect
        if DENIAL_RESPONSE in scope.get("extensions", {}):
            messages = refusal.messages("websocket.http")
        else:
            messages = (
                {"type": "websocket.close", "code": POLICY_VIOLATION, "reason": refusal.title},
            )
    for message in messages:
        await send(message)


def _announcing(send: Send, headers: list[Header]) -> Send:
    """``send``, with these headers on the response. No coroutine of its own: it is called often."""

    def announce(message: Message) -> Awaitable[None]:
        if message["type"] in STARTS:
            # A new list: the app may send the same one with its next response.
            message["headers"] = [*message.get("headers", ()), *headers]
        return send(message)

    return announce


def _path(scope: Scope) -> str:
    """The path as the app's own routes see it: below where the app is mounted."""
    path: str = scope["path"]
    root: str = scope["root_path"]
    below = path.startswith(root) and path[len(root) : len(root) + 1] in ("/", "")
    return path[len(root) :] if below else path


def _key_function(key: KeyFunction | None) -> Callable[[Scope], str]:
    """Who a request is counted under, whatever the app's own function answers."""
    if key is None:
        return client_address()
    ask, address = key, client_address()
    clean = lru_cache(maxsize=REMEMBERED)(_clean)

    def known(scope: Scope) -> str:
        found = ask(scope)
        return clean(found) if found else address(scope)

    return known


def _clean(key: str) -> str:
    encoded = key.encode("utf-8", "surrogatepass")
    if len(encoded) <= MAX_KEY and key.isprintable():
        return key
    return f"sha256:{hashlib.sha256(encoded).hexdigest()}"
