"""Limits on single endpoints, written where the endpoint is.

    limits = EndpointLimits(key=caller)

    @app.get("/search")
    @limits.limited(Rule("search", limit=30, per=60))
    async def search(q: str) -> list[str]: ...

For functions of Starlette and FastAPI, ``async`` or not; those that are not run in the thread
pool, as they would. The core is the middleware's: the same rules, keys, limiters, headers and
refusals. What is charged is the call of the function: a request that the framework turns away
before it costs nothing, and a lease is given back when the function has returned, before what
it streams is sent. Where that matters, take the middleware.

FastAPI gives a function what its signature asks for, so ours asks for the request and the
response as well. Starlette gives the request, and nothing else.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, Unpack

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from realtime.middleware.answers import Refusal
from realtime.middleware.ask import Ask, Options, ask, together
from realtime.middleware.costs import cost_of
from realtime.middleware.fields import Header
from realtime.middleware.guard import Admission, Guard
from realtime.middleware.messages import POLICY_VIOLATION
from realtime.middleware.rules import Rule, distinct

__all__ = ["EndpointLimits"]

T = TypeVar("T")

Endpoint = Callable[..., Any]

REQUEST, RESPONSE = "rate_limited_request", "rate_limited_response"
"""Parameters that FastAPI fills, and the function does not see."""


class EndpointLimits:
    """Makes decorators. All endpoints that one object limits share its limiter."""

    def __init__(self, **options: Unpack[Options]) -> None:
        """As for `RateLimitMiddleware`."""
        self._options = options
        self._ask = ask(**options)
        self._rules: tuple[Rule, ...] = ()
        self._prepared = 0

    def limited(self, *rules: Rule, **options: Unpack[Options]) -> Callable[[Endpoint], Endpoint]:
        """A decorator: a request passes all rules, and is charged under all, or under none.

        ``options`` go before those of the object; the limiter is the object's. Raises ValueError
        if two rules that differ have one name."""
        self._rules = distinct([*self._rules, *rules])
        wanted: Options = {**self._options, **options, "limiter": self._ask.limiter}
        own = replace(ask(**wanted), running=self._ask.running, fallback=self._ask.fallback)
        guard = Guard(together(rules), own)

        def decorate(endpoint: Endpoint) -> Endpoint:
            return _wrapped(endpoint, _Limited(self._prepare, guard, own))

        return decorate

    async def close(self) -> None:
        """Let go of the limiter's connections; call it when the app shuts down."""
        self._prepared = 0
        await self._ask.close()

    async def _prepare(self) -> None:
        if self._prepared < len(self._rules):
            self._prepared = len(self._rules)
            await self._ask.limiter.prepare(self._rules)


class _Limited:
    """What stands before one function."""

    def __init__(self, prepare: Callable[[], Awaitable[None]], guard: Guard, own: Ask) -> None:
        self._prepare = prepare
        self._guard = guard
        self._ask = own

    async def call(
        self,
        request: HTTPConnection,
        response: Response | None,
        function: Callable[[], Awaitable[Any]],
    ) -> Any:
        """What the function answers, or the refusal. ``response`` takes the headers if the
        function's answer is none itself."""
        scope = request.scope
        if self._ask.exempt is not None and self._ask.exempt(scope):
            return await function()
        await self._prepare()
        answer = await self._decide(scope)
        if isinstance(answer, Refusal):
            return await _refused(request, answer)
        if isinstance(answer, list):
            with _announcing_errors(answer):
                return _announced(await function(), response, answer)
        return await self._to_its_end(answer, request, response, function)

    async def _decide(self, scope: Any) -> list[Header] | Refusal | Admission:
        now = self._guard.decide_now
        answer = None if now is None else now(scope)
        if isinstance(answer, list | Refusal):
            return answer
        return await self._guard.decide(scope, answer)

    async def _to_its_end(
        self,
        admission: Admission,
        request: HTTPConnection,
        response: Response | None,
        function: Callable[[], Awaitable[Any]],
    ) -> Any:
        told: Sequence[Header] = ()
        try:
            with _announcing_errors(admission.headers):
                answer = await function()
            found = answer if isinstance(answer, Response) else response
            told = () if found is None else found.raw_headers
        except HTTPException as error:
            told = [
                (name.encode(), value.encode()) for name, value in (error.headers or {}).items()
            ]
            raise
        finally:
            await admission.end(cost_of(self._ask.cost_after, request.scope, told))
        return _announced(answer, response, admission.headers)


def _wrapped(endpoint: Endpoint, limited: _Limited) -> Endpoint:
    """The endpoint behind its limits, with what it needs of the framework in its signature."""
    if inspect.isasyncgenfunction(endpoint) or inspect.isgeneratorfunction(endpoint):
        raise TypeError("an endpoint that yields begins after it was called: use the middleware")
    if inspect.isclass(endpoint):
        raise TypeError(f"{endpoint.__name__} is a class: limit its methods, or use the middleware")
    is_async = any(map(inspect.iscoroutinefunction, (endpoint, type(endpoint).__call__)))

    @functools.wraps(endpoint)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        request = kwargs.pop(REQUEST, None) or _given(HTTPConnection, args, kwargs)
        response = kwargs.pop(RESPONSE, None) or _given(Response, args, kwargs)
        if request is None:
            raise TypeError("a limited endpoint is called with the request that it answers")

        async def function() -> Any:
            if is_async:
                return await endpoint(*args, **kwargs)
            return await run_in_threadpool(endpoint, *args, **kwargs)

        return await limited.call(request, response, function)

    wrapper.__signature__ = _signature(endpoint)  # type: ignore[attr-defined]
    return wrapper


def _signature(endpoint: Endpoint) -> inspect.Signature:
    """The endpoint's own, and what it does not ask for: FastAPI gives each of them once."""
    try:
        # Annotations that are texts mean what they mean where the endpoint is written.
        own = inspect.signature(endpoint, eval_str=True)
    except (
        NameError
    ):  # imported for type checkers only: no matter, unless to FastAPI, which says so
        own = inspect.signature(endpoint)
    parameters = list(own.parameters.values())
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind)
        for name, kind, any_kind in (
            (REQUEST, Request, HTTPConnection),
            (RESPONSE, Response, Response),
        )
        if not any(_is_a(parameter.annotation, any_kind) for parameter in parameters)
    ]
    is_open = parameters and parameters[-1].kind is inspect.Parameter.VAR_KEYWORD
    at = len(parameters) - 1 if is_open else len(parameters)
    return own.replace(parameters=[*parameters[:at], *more, *parameters[at:]])


def _is_a(annotation: object, kind: type) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, kind)


def _given(kind: type[T], args: Sequence[Any], kwargs: Mapping[str, Any]) -> T | None:
    """What the framework gave of this kind, to a function or to a method."""
    return next((one for one in (*args, *kwargs.values()) if isinstance(one, kind)), None)


async def _refused(request: HTTPConnection, refusal: Refusal) -> Response | None:
    """The answer; to a handshake it is sent, since nobody looks at what the function answers."""
    response = _response(refusal)
    if not isinstance(request, WebSocket):
        return response
    if "websocket.http.response" in request.scope.get("extensions", {}):
        await request.send_denial_response(response)
    else:
        await request.close(POLICY_VIOLATION, refusal.title)
    return None


@contextlib.contextmanager
def _announcing_errors(headers: Sequence[Header]) -> Iterator[None]:
    """Frameworks make an answer of these exceptions, which is one like others."""
    try:
        yield
    except HTTPException as error:
        told = {name.decode(): value.decode() for name, value in headers}
        error.headers = {**(error.headers or {}), **told}
        raise


def _response(refusal: Refusal) -> Response:
    response = Response(refusal.body, refusal.status)
    response.raw_headers = list(refusal.headers)
    return response


def _announced(answer: Any, response: Response | None, headers: Sequence[Header]) -> Any:
    """The function's answer; the headers are on it, or on what FastAPI makes of it."""
    told = answer if isinstance(answer, Response) else response
    if told is not None:
        for name, value in headers:
            told.headers[name.decode()] = value.decode()
    return answer
