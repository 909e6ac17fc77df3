"""The HTTP door: an ASGI application that answers /v1 and /api itself, and leaves the pages to
Starlette.

A request to /v1 or /api crosses as few frames as possible: its headers become one dictionary, its
path is split and walked down the router's tree, its body is read within a bound, and what
the dispatcher answers is sent in two messages. No task, no request object, no middleware.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from realtime.access import Access
from realtime.errors import (
    InvalidRequest,
    MethodNotAllowed,
    RealtimeError,
    TooLarge,
    Unavailable,
    UnsupportedMedia,
)
from realtime.http.dispatch import Dispatcher
from realtime.http.endpoint import Endpoint
from realtime.http.inputs import Call
from realtime.http.problem import Response, problem
from realtime.http.stream import Stream
from realtime.http.uri import path_segments
from realtime.metrics import Meter
from realtime.services.turns import may_wait
from realtime.state import ServiceState

__all__ = ["Door", "Head"]

PREFIXES = ("/v1/", "/api/")

SINGLE = frozenset(
    (
        b"authorization",
        b"content-length",
        b"content-type",
        b"idempotency-key",
        b"if-match",
        b"session-id",
        b"x-api-key",
    )
)
"""Headers that we act on. Twice in a request, two readers may each believe another one."""


class _Gone(Exception):
    """The client hung up before its request was complete: nobody waits for an answer."""


class Head(NamedTuple):
    """What there is to know of a request before its body and its caller are looked at."""

    endpoint: Endpoint
    names: Sequence[str]
    """The segments of the path that are names."""
    query: bytes
    headers: Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Door:
    """Holds configuration; all that belongs to a request stays in local variables."""

    state: ServiceState
    access: Access
    dispatcher: Dispatcher
    pages: ASGIApp
    unmatched: Meter
    """Counts what no operation answers."""
    body_limit: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIXES):
            await self.pages(scope, receive, send)
            return
        may_wait.set(True)  # whoever calls an application has a task for it
        stream = Stream(scope, receive)
        try:
            response = await self.respond(scope, receive, stream)
        except _Gone:
            return
        if stream.outgoing is None:
            await _send(scope["method"], response, send)
        else:
            with_body = scope["method"] != "HEAD"
            await stream.answer(response.status, response.headers, send, with_body=with_body)

    async def respond(
        self, scope: Scope, receive: Receive, stream: Stream | None = None
    ) -> Response:
        """The answer to a request under ``PREFIXES``. Raises nothing but `_Gone`.

        Of the scope it reads method, path, raw_path, query_string and headers. With a ``stream``
        operations may read the body and answer by it.
        """
        try:
            if not self.state.ready:
                raise Unavailable(f"the service is {self.state.reason}")
            segments = path_segments(scope["path"], scope.get("raw_path"))
            endpoint, names = self.dispatcher.router.find(scope["method"], segments)
        except RealtimeError as error:
            return self._unmatched(scope["method"], error)
        try:
            pairs = scope["headers"]
            headers = dict(pairs)
            if len(headers) != len(pairs):
                _refuse_repeated(pairs)
            caller = endpoint.admit(self.access, headers, endpoint.scope)
            body = b""
            if endpoint.takes_body and not endpoint.takes_parts:
                if not endpoint.any_media:
                    _refuse_other_media(headers)
                body = await _body(receive, headers, self.body_limit)
        except RealtimeError as error:
            return _refusal(endpoint, error)
        call = Call(names, scope["query_string"], headers, body, caller, stream)
        return await self.dispatcher.perform(endpoint, call)

    def recall(self, scope: Scope) -> Head:
        """The head of a request that `respond` has just carried out, for ``respond_again``."""
        segments = path_segments(scope["path"], scope.get("raw_path"))
        endpoint, names = self.dispatcher.router.find(scope["method"], segments)
        headers = dict(scope["headers"])
        headers.pop(b"content-length", None)  # each request has its own
        return Head(endpoint, names, scope["query_string"], headers)

    async def respond_again(self, head: Head, body: bytes) -> Response:
        """The answer to a request whose head is, byte for byte, that of an earlier one, but for
        the length of the body, which is within the bound. Raises nothing.

        What was found right in the head still is; who may call is asked anew."""
        endpoint = head.endpoint
        if not self.state.ready:
            return self._unmatched("", Unavailable(f"the service is {self.state.reason}"))
        try:
            caller = endpoint.admit(self.access, head.headers, endpoint.scope)
        except RealtimeError as error:
            return _refusal(endpoint, error)
        call = Call(head.names, head.query, head.headers, body, caller)
        return await self.dispatcher.perform(endpoint, call)

    def _unmatched(self, method: str, error: RealtimeError) -> Response:
        if method == "OPTIONS" and isinstance(error, MethodNotAllowed):
            response = Response(204, ((b"allow", error.allowed.encode()),), b"")
        else:
            response = problem(error)
        self.unmatched.count(response.status)
        return response


def _refusal(endpoint: Endpoint, error: RealtimeError) -> Response:
    """Refused at the door."""
    response = endpoint.refusal(error)
    endpoint.meter.count(response.status)
    return response


def _refuse_repeated(pairs: Iterable[tuple[bytes, bytes]]) -> None:
    seen: set[bytes] = set()
    for name, _ in pairs:
        if name in seen and name in SINGLE:
            raise InvalidRequest(f"the header {name.decode()} is given twice")
        seen.add(name)


def _refuse_other_media(headers: Mapping[bytes, bytes]) -> None:
    media = headers.get(b"content-type")
    if media is None or media == b"application/json":
        return
    kind, _, parameters = media.lower().partition(b";")
    charset = parameters.strip().removeprefix(b"charset=").strip(b'"')
    if kind.strip() != b"application/json" or charset not in (b"", b"utf-8"):
        raise UnsupportedMedia("a body here is application/json in UTF-8 (with curl: --json)")


async def _body(receive: Receive, headers: Mapping[bytes, bytes], limit: int) -> bytes:
    """The whole body. Raises TooLarge as early as it can, and _Gone."""
    announced = headers.get(b"content-length", b"0")
    if not announced.isdigit():
        raise InvalidRequest("content-length is not a number")
    if len(announced) > 18 or int(announced) > limit:
        raise TooLarge(f"a body may have {limit} bytes")
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise TooLarge(f"a body may have {limit} bytes")
        if not message.get("more_body", False):
            return b"".join((*parts, part)) if parts else part
        parts.append(part)


async def _send(method: str, response: Response, send: Send) -> None:
    status, headers, body = response
    length = () if status == 204 else ((b"content-length", b"%d" % len(body)),)
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
