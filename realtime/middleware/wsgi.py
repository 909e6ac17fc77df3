"""Limits for apps that are not ASGI: Flask, Django, and whatever else speaks WSGI.

    app.wsgi_app = RateLimit(app.wsgi_app, rules={"POST /login": Rule("login", 5, per=60)})

The decisions are the middleware's own, asked of the same limiters; keys, costs and tiers are
functions of the same scope, in which ``environ`` is WSGI's. Threads are welcome. A limiter in
this process is asked by one thread at a time, behind a lock, since nothing it does has to be
waited for. Any other, and leases, which have to be renewed, live in an event loop in a thread of
their own, started by the first request of a process: so a server may fork after it has loaded
the app, and connections are kept open from request to request.

A lease is held, and a real cost settled, when the server closes the response.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar, Unpack
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from starlette.types import Scope

from realtime.middleware.answers import Refusal
from realtime.middleware.ask import Options, ask, together
from realtime.middleware.costs import cost_of
from realtime.middleware.fields import Header
from realtime.middleware.guard import Admission, Guard, Question
from realtime.middleware.routes import Routes
from realtime.middleware.rules import CONCURRENCY, Rule, distinct

__all__ = ["RateLimit"]

T = TypeVar("T")

CONTENT = {"CONTENT_TYPE": b"content-type", "CONTENT_LENGTH": b"content-length"}
"""Headers that CGI names otherwise than all others."""

REASONS = {429: "429 Too Many Requests", 503: "503 Service Unavailable"}

Answer = list[Header] | Refusal | Admission


class RateLimit:
    """A WSGI app in front of another."""

    def __init__(
        self,
        app: WSGIApplication,
        *,
        rules: Mapping[str, Rule | Sequence[Rule]],
        **options: Unpack[Options],
    ) -> None:
        """As `realtime.middleware.RateLimitMiddleware`, but for WebSockets."""
        self.app = app
        self._ask = ask(**options)
        table = {route: together(entry) for route, entry in rules.items()}
        self._rules = distinct([rule for entry in table.values() for rule in entry])
        self._routes = Routes({route: Guard(entry, self._ask) for route, entry in table.items()})
        has_leases = any(rule.algorithm == CONCURRENCY for rule in self._rules)
        is_simple = self._ask.limiter.immediate and not has_leases
        self._runner: _Runner = _Locked() if is_simple else _Looped()
        self._prepared_in = 0

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        scope = _scope(environ)
        guard = self._routes.find(method, scope["path"])
        if guard is None or (self._ask.exempt is not None and self._ask.exempt(scope)):
            return self.app(environ, start)
        # The app's own functions may take their time, or look into a database: that is for the
        # thread of the request, and neither for the lock nor for the event loop of all.
        question = guard.question(scope) if guard.asks_app else None
        answer = self._runner.run(lambda: self._decide(guard, scope, question))
        if isinstance(answer, Refusal):
            start(REASONS[answer.status], _native(answer.headers))
            return [] if method == "HEAD" else [answer.body]
        if isinstance(answer, list):
            return self.app(environ, _announcing(start, answer, []))
        told: list[Header] = []
        announcing = _announcing(start, answer.headers, told)
        if not answer.has_end:
            return self.app(environ, announcing)
        return self._to_its_end(answer, scope, environ, announcing, told)

    def close(self) -> None:
        """Let go of connections, and end the thread; a later request begins anew."""
        self._prepared_in = 0
        self._runner.close(self._ask.close)

    async def _decide(self, guard: Guard, scope: Scope, question: Question | None) -> Answer:
        if self._prepared_in != os.getpid():
            self._prepared_in = os.getpid()
            await self._ask.limiter.prepare(self._rules)
        if question is not None:
            return await guard.answer(question)
        answer = None if guard.decide_now is None else guard.decide_now(scope)
        if isinstance(answer, list | Refusal):
            return answer
        return await guard.decide(scope, answer)

    def _to_its_end(
        self,
        admission: Admission,
        scope: Scope,
        environ: WSGIEnvironment,
        start: StartResponse,
        told: list[Header],
    ) -> Iterable[bytes]:
        def end() -> None:
            cost = cost_of(self._ask.cost_after, scope, told)
            self._runner.run(lambda: admission.end(cost))

        try:
            body = self.app(environ, start)
        except BaseException:
            end()
            raise
        return _Body(body, end)


class _Body:
    """A response, and what is done when the server closes it, once."""

    def __init__(self, body: Iterable[bytes], end: Callable[[], None]) -> None:
        self._body = body
        self._end: Callable[[], None] | None = end

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        end, self._end = self._end, None
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            if end is not None:
                end()


class _Runner(Protocol):
    """Sees a coroutine through, from any thread."""

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T: ...

    def close(self, last: Callable[[], Awaitable[None]]) -> None: ...


class _Locked:
    """For what waits for nothing: it is run where it is, by one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        coroutine = work()
        with self._lock, contextlib.closing(coroutine):
            try:
                coroutine.send(None)
            except StopIteration as stop:
                result: T = stop.value
                return result
        raise RuntimeError("a limiter that is immediate has waited for something")

    def close(self, last: Callable[[], Awaitable[None]]) -> None:
        """Nothing is held but memory."""


class _Looped:
    """For everything else: an event loop in a thread of its own, made anew after a fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return asyncio.run_coroutine_threadsafe(work(), self._started()).result()

    def close(self, last: Callable[[], Awaitable[None]]) -> None:
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None or self._pid != os.getpid():
            return

        async def end() -> None:
            await last()

        asyncio.run_coroutine_threadsafe(end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                self._loop, self._pid = asyncio.new_event_loop(), os.getpid()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="rate-limits", daemon=True
                )
                self._thread.start()
            return self._loop


def _scope(environ: WSGIEnvironment) -> Scope:
    """What key functions and others look at, as ASGI has it."""
    address = environ.get("REMOTE_ADDR")
    return {
        "type": "http",
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "path": environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace"),
        "root_path": environ.get("SCRIPT_NAME", ""),
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "headers": list(_headers(environ)),
        "client": (address, int(environ.get("REMOTE_PORT") or 0)) if address else None,
        "state": {},
        "environ": environ,
    }


def _headers(environ: WSGIEnvironment) -> Iterator[Header]:
    """Those of the request, from what CGI has made of them."""
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            field = name[5:].replace("_", "-").lower().encode()
        elif name in CONTENT and value:  # servers write "" where there was none
            field = CONTENT[name]
        else:
            continue
        # Not every server, and no test client, sees to it that values are Latin-1.
        yield field, value.encode("latin-1", "replace")


def _announcing(
    start: StartResponse, headers: Sequence[Header], told: list[Header]
) -> StartResponse:
    """``start``, with these headers on the response; those of the app go to ``told``."""
    more = _native(headers)

    def announce(
        status: str, own: list[tuple[str, str]], exc_info: Any = None, /
    ) -> Callable[[bytes], object]:
        told[:] = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in own]
        if exc_info is None:
            return start(status, [*own, *more])
        return start(status, [*own, *more], exc_info)

    return announce


def _native(headers: Sequence[Header]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
