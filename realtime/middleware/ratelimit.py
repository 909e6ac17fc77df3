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

The middleware holds configuration only; what belongs to one request is in local variables,
in the function that adds the headers to its response, and, if something has to be seen to at its
end, in an `Admission`.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from realtime.middleware.answers import Refusal
from realtime.middleware.ask import (
    CostAfter,
    CostFunction,
    ExemptFunction,
    TierFunction,
    ask,
    together,
)
from realtime.middleware.costs import cost_of
from realtime.middleware.events import Observer
from realtime.middleware.fields import Header, HeaderMode, ResetForm
from realtime.middleware.guard import Admission, Guard
from realtime.middleware.limiter import Limiter
from realtime.middleware.messages import POLICY_VIOLATION, Closed, MessageGuard, Messages
from realtime.middleware.routes import Routes
from realtime.middleware.rules import KeyFunction, Rule, distinct

__all__ = ["RateLimitMiddleware"]

DENIAL_RESPONSE = "websocket.http.response"
STARTS = frozenset(("http.response.start", "websocket.accept", f"{DENIAL_RESPONSE}.start"))
"""Messages that carry the headers of a response."""


class RateLimitMiddleware:
    """Pure ASGI, for HTTP requests, WebSocket handshakes and what WebSockets receive."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        rules: Mapping[str, Rule | Sequence[Rule]],
        messages: Mapping[str, Messages] | None = None,
        key: KeyFunction | None = None,
        cost: int | CostFunction = 1,
        cost_after: CostAfter | None = None,
        tier: TierFunction | None = None,
        exempt: ExemptFunction | None = None,
        headers: HeaderMode = "draft10",
        reset: ResetForm = "seconds",
        jitter: float = 0.0,
        limiter: Limiter | None = None,
        observe: Observer | None = None,
    ) -> None:
        """``key`` names the caller; where it answers None, the address does. ``exempt`` lets
        pass unseen. The limiter lives in this process unless another is given."""
        self.app = app
        self._exempt = exempt
        self._prepared = False
        self._ask = ask(
            key=key,
            cost=cost,
            cost_after=cost_after,
            tier=tier,
            headers=headers,
            reset=reset,
            jitter=jitter,
            limiter=limiter,
            observe=observe,
        )
        table = {route: together(entry) for route, entry in rules.items()}
        limited = messages or {}
        self._rules = distinct(
            [rule for entry in table.values() for rule in entry]
            + [rule for entry in limited.values() for rule in entry.rules]
        )
        self._routes = Routes({route: Guard(entry, self._ask) for route, entry in table.items()})
        self._find = self._routes.find
        self._messages = Routes(
            {route: MessageGuard(entry, self._ask) for route, entry in limited.items()}
        )

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # No coroutine of its own where all there is to wait for is the app: nearly always.
        if scope["type"] != "http":
            return self._other(scope, receive, send)
        path = _path(scope) if scope.get("root_path") else scope["path"]
        guard = self._find(scope["method"], path)
        if guard is None or (self._exempt is not None and self._exempt(scope)):
            return self.app(scope, receive, send)
        now = guard.decide_now
        if now is None or not self._prepared:
            return self._slowly(guard, scope, receive, send)
        answer = now(scope)
        if answer.__class__ is list:
            return self.app(scope, receive, _announcing(send, answer) if answer else send)
        return self._answer(guard, answer, scope, receive, send)

    async def _slowly(self, guard: Guard, scope: Scope, receive: Receive, send: Send) -> None:
        """What has to be waited for."""
        if not self._prepared:
            await self._prepare()
        answer = None if guard.decide_now is None else guard.decide_now(scope)
        await self._answer(guard, answer, scope, receive, send)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What is no request."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A handshake is a GET, and then there are messages."""
        path = _path(scope) if scope.get("root_path") else scope["path"]
        guard = self._find("GET", path)
        limited = self._messages.find("GET", path)
        if self._exempt is not None and self._exempt(scope):
            guard, limited = None, None
        if not self._prepared:
            await self._prepare()
        if limited is not None:
            receive, send = limited.around(scope, receive, send)
        with contextlib.suppress(Closed):  # the app may end by it, as by a client who left
            if guard is None:
                await self.app(scope, receive, send)
            else:
                await self._slowly(guard, scope, receive, send)

    async def _answer(
        self,
        guard: Guard,
        answer: list[Header] | Refusal | int | None,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """As was decided at once; a number, or None, if it was not."""
        if isinstance(answer, Refusal):
            await _refuse(answer, scope, receive, send)
        elif isinstance(answer, list):
            await self.app(scope, receive, _telling(scope, send, answer))
        else:
            decision = await guard.decide(scope, answer)
            await self._decided(decision, scope, receive, send)

    async def _decided(
        self, answer: Admission | Refusal, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """The request, if it was let through, and its end."""
        if isinstance(answer, Refusal):
            await _refuse(answer, scope, receive, send)
            return
        send = _telling(scope, send, answer.headers)
        if not answer.has_end:
            await self.app(scope, receive, send)
            return
        told: list[Header] = []
        after = self._ask.cost_after
        try:
            await self.app(
                scope, receive, _overhearing(send, told) if isinstance(after, str) else send
            )
        finally:
            await answer.end(cost_of(after, scope, told))

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._prepare(at_start=True)
        try:
            await self.app(scope, receive, send)
        finally:
            self._prepared = False
            await self._ask.close()

    async def _prepare(self, *, at_start: bool = False) -> None:
        self._prepared = True
        await self._ask.limiter.prepare(self._rules, at_start=at_start)


def _mark_as_coroutine_function(function: Callable[..., object]) -> None:
    """Servers tell an ASGI app from one of an older kind by asking whether it is one."""
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(function)
    else:
        vars(function)["_is_coroutine"] = vars(asyncio.coroutines)["_is_coroutine"]


_mark_as_coroutine_function(RateLimitMiddleware.__call__)


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


def _telling(scope: Scope, send: Send, headers: list[Header]) -> Send:
    """``send``, with these headers on the response, if there are any."""
    if not headers:
        return send
    return (_announcing if scope["type"] == "http" else _announcing_handshake)(send, headers)


def _announcing(send: Send, headers: list[Header]) -> Send:
    """``send``, with these headers on the response. No coroutine of its own: it is called often."""

    def announce(message: Message) -> Awaitable[None]:
        if "status" in message:  # as the start of a response has, and nothing else
            # A new list in a new message: the app may send the same ones with its next response.
            try:
                own = message["headers"]
            except KeyError:  # which is allowed, and rare
                own = []
            told = own + headers if type(own) is list else [*own, *headers]
            message = {**message, "headers": told}
        return send(message)

    return announce


def _announcing_handshake(send: Send, headers: list[Header]) -> Send:
    """The same for a WebSocket, that is accepted or denied by the app."""

    def announce(message: Message) -> Awaitable[None]:
        if message["type"] in STARTS:
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
        return send(message)

    return announce


def _overhearing(send: Send, told: list[Header]) -> Send:
    """``send``, and the headers of the response in ``told``."""

    def overhear(message: Message) -> Awaitable[None]:
        if message["type"] in STARTS:
            told.extend(message.get("headers", ()))
        return send(message)

    return overhear


def _path(scope: Scope) -> str:
    """The path as the app's own routes see it: below where the app is mounted."""
    path: str = scope["path"]
    root: str = scope["root_path"]
    below = path.startswith(root) and path[len(root) : len(root) + 1] in ("/", "")
    return path[len(root) :] if below else path
