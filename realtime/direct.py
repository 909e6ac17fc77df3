"""The short way from bytes to an answer, for requests that are simple.

uvicorn gives each request a task, an event, a scope and half a dozen messages, so that
any application may do anything in the middle of it. Ours does not: a request under ``/v1/`` or
``/api/`` is answered in one go once it has arrived. `DirectHttp` does just that. On a backend
that never suspends it does so within the parser's callback: no task, no messages, one write. On
a store that has to be waited for, a request is a task, and still no message; `_Pending` then
stands where uvicorn looks whether it may begin with the next request of the connection.

Whatever is not so simple goes the long way, which is uvicorn's own: other paths, bodies of
unknown or excessive length, operations that do more than ask the store, reads of seasons that may
be packed, a peer that does not read its answers, a peer that sends so many requests at once that
others would have to wait.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any, cast

import httptools
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from realtime.http.door import Door
from realtime.http.problem import Response
from realtime.http.stream import PROGRESSED
from realtime.http.uri import asks_for_season
from realtime.likeness import Known, Likeness, likeness_of
from realtime.server import BoundedHttp, HttpBounds

__all__ = ["DirectHttp", "direct_http", "rendered"]

log = logging.getLogger("realtime")

IMMEDIATE = (
    b"/v1/leaderboards/", b"/v1/scores", b"/v1/counters", b"/v1/sessions", b"/v1/users/",
    b"/v1/limits/", b"/v1/channels", b"/v1/messages",
    b"/api/publish", b"/api/presence", b"/api/history",
)  # fmt: skip
"""Operations that do nothing but ask the store: all but a snapshot, and a batch, which lets others
have their turn. Named one by one, for a path may be spelled in many ways (``/v1/%62atch``)."""

STREAMED = re.compile(rb"/(?:b|%62)(?:u|%75)(?:l|%6[Cc])(?:k|%6[Bb])(?:[?#]|$)")
"""Among them are those whose body or answer has any length: they go the long way, however they
are spelled."""

SHORT = 64 * 1024
"""Bytes of a body that is carried out at one go: at most some 2,500 scores. With more of them
others have their turn in between, for which there must be a task."""

REARRANGED = b"/v1/leaderboards/"
"""A PUT here may have to go over a million entries: likewise."""

_NO_CONTENT = int(HTTPStatus.NO_CONTENT)

KNOWN_BYTES = 1024
"""Of a head that a connection remembers: a client that is no browser sends some 200."""

BURST = 64
"""Requests answered at one go per read; each costs some 30 µs, and others want their turn."""


class _Pending:
    """A request that waits for the store, where uvicorn has its cycle of request and response."""

    __slots__ = (
        "disconnected", "keep_alive", "message_event", "response_complete", "response_started",
    )  # fmt: skip

    def __init__(self, keep_alive: bool) -> None:
        self.keep_alive = keep_alive
        self.disconnected = False
        self.response_started = False
        self.response_complete = False
        self.message_event = self

    def set(self) -> None:
        """The connection is gone; nobody waits for a message here."""


class DirectHttp(BoundedHttp):
    """`BoundedHttp` that answers what it can without messages, and without a task if it may."""

    door: Door
    waits: bool
    """The store may have to be waited for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_direct = False
        self._burst = 0
        self._body: bytes | bytearray = b""
        self._length = 0
        self._is_simple = True
        """Nothing in the head asks for the long way."""
        self._data = b""
        """What was read last, if it begins with a request."""
        self._last: Likeness | None = None
        """That of the last request that might come again."""
        self._known: Known | None = None
        self._most = min(self.door.body_limit, SHORT)
        """Bytes of a body; a known request may have as many with its head."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # A gate may have to replace an answer; other transports know nothing of that.
        self._write_answer: Callable[[bytes], None] = getattr(
            self.transport, "write_answer", self.transport.write
        )

    def data_received(self, data: bytes) -> None:
        self.idle_since = None
        known = self._known
        if known is not None and self._answer_again(known, data):
            return
        self._burst = 0
        is_first = self.arriving_since is None and not self._head_bytes
        self._data = data if is_first else b""
        super().data_received(data)
        self._data = b""

    def on_message_begin(self) -> None:
        """As uvicorn's, but the scope is only made if somebody will read it."""
        self.begin_head()
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._body = b""
        self._length = 0
        self._is_simple = True

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        name = self.headers[-1][0]
        if name == b"content-length":
            self._length = int(value) if value.isdigit() and len(value) < 10 else 1 << 62
        elif name in (b"transfer-encoding", b"expect", b"upgrade"):
            self._is_simple = False

    def on_headers_complete(self) -> None:
        self.check_head()
        self._is_direct = self._may_be_direct()
        if not self._is_direct:
            self._make_scope()
            HttpToolsProtocol.on_headers_complete(self)

    def on_body(self, body: bytes) -> None:
        if not self._is_direct:
            super().on_body(body)
        elif not self._body:
            self._body = body  # nearly always all of it
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += body

    def on_message_complete(self) -> None:
        if not self._is_direct:
            super().on_message_complete()
            return
        self.end_message()
        self._burst += 1
        try:
            self._answer()
        except Exception:
            # Raised through the parser it would pass for the client's fault.
            self._fail()

    def _may_be_direct(self) -> bool:
        url = self.url
        return (
            self._is_simple
            and url.startswith(IMMEDIATE)
            and self._length <= self._most
            and not (url.startswith(REARRANGED) and self.parser.get_method() == b"PUT")
            and self._burst < BURST
            and not _is_streamed(url)
            and not (b"?" in url and asks_for_season(url.partition(b"?")[2]))
            and (self.cycle is None or self.cycle.response_complete)
            and not self.pipeline
            and not self.flow.write_paused
        )

    def _answer(self) -> None:
        parsed = httptools.parse_url(self.url)
        path: bytes = parsed.path
        method = self.parser.get_method().decode("ascii")
        scope = {
            "method": method,
            "path": path.decode("ascii"),  # the door decodes what is escaped, from the raw path
            "raw_path": path,
            "query_string": parsed.query or b"",
            "headers": self.headers,
        }
        answer = self.door.respond(scope, _receiver(bytes(self._body)))
        keep, with_body = self._keeps_alive(), method != "HEAD"
        likeness = self._repeated() if keep else None
        if likeness is not None:
            answer = self._learning(answer, scope, likeness)
        self._send(answer, with_body=with_body, keep=keep)

    def _keeps_alive(self) -> bool:
        """Whether the connection is for another request after this one."""
        return bool(self.parser.should_keep_alive()) and self.parser.get_http_version() != "1.0"

    def _send(self, answer: Awaitable[Response], *, with_body: bool, keep: bool) -> None:
        if self.waits:
            self._await(answer, with_body=with_body, keep=keep)
        else:
            self._write(_run(answer), with_body, keep)

    def _repeated(self) -> Likeness | None:
        """What requests like this one look like, if it came in one piece, and so did one like it
        before."""
        data = self._data
        head = data[: data.find(b"\r\n\r\n") + 4]
        if self._burst > 1 or not head or len(head) > KNOWN_BYTES:
            return None
        if len(head) + len(self._body) != len(data):
            return None
        likeness = likeness_of(head)
        last, self._last = self._last, likeness
        return likeness if likeness == last else None

    async def _learning(
        self, answer: Awaitable[Response], scope: Scope, likeness: Likeness
    ) -> Response:
        """The same answer; if it is none to what is wrong with the request, know that likeness."""
        response = await answer
        if response.status < HTTPStatus.BAD_REQUEST:
            self._known = Known(likeness, self.door.recall(scope), scope["method"] != "HEAD")
        return response

    def _answer_again(self, known: Known, data: bytes) -> bool:
        """Whether it was a request like the one that is known, and nothing else is under way."""
        if (
            self.arriving_since is not None
            or self._head_bytes
            or not (self.cycle is None or self.cycle.response_complete)
            or self.pipeline
            or self.flow.write_paused
            or len(data) > self._most
            or self.transport.is_closing()
        ):
            return False
        body = known.likeness.body(data)
        if body is None:
            return False
        self._unset_keepalive_if_required()
        try:
            answer = self.door.respond_again(known.request, body)
            self._send(answer, with_body=known.with_body, keep=True)
        except Exception:
            self._fail()
        return True

    def _fail(self) -> None:
        log.exception("a request could not be answered")
        self.reject(HTTPStatus.INTERNAL_SERVER_ERROR, "our fault; the log has it")

    def _await(self, answer: Awaitable[Response], *, with_body: bool, keep: bool) -> None:
        """Answer when it is there. Until then the next request of the connection waits."""
        pending = _Pending(keep)
        self.cycle = cast(Any, pending)
        task = self.loop.create_task(self._finish(answer, pending, with_body))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _finish(
        self, answer: Awaitable[Response], pending: _Pending, with_body: bool
    ) -> None:
        """Wait for the answer, write it, and let the next request of the connection begin."""
        try:
            response = await answer
            pending.response_complete = True
            if not self.transport.is_closing():
                self._write(response, with_body, pending.keep_alive)
        except Exception:
            if not self.transport.is_closing():
                self._fail()
            else:
                log.exception("a request could not be answered")
            pending.response_complete = True
        if self.pipeline and not self.transport.is_closing():
            self.idle_since = None
            self.flow.resume_reading()
            self._start_asgi_task(*self.pipeline.pop())

    def _write(self, response: Response, with_body: bool, keep: bool) -> None:
        headers = self.server_state.default_headers
        self._write_answer(rendered(response, headers, with_body=with_body, keep=keep))
        self.server_state.total_requests += 1
        if keep:
            self.idle_since = self.loop.time()
        else:
            self.transport.close()

    def _make_scope(self) -> None:
        """What uvicorn would have made when the request began."""
        url, headers, expected = self.url, self.headers, self.expect_100_continue
        HttpToolsProtocol.on_message_begin(self)
        self.url, self.expect_100_continue = url, expected
        self.scope.setdefault("state", {})[PROGRESSED] = self.progressed
        self.headers.extend(headers)


def rendered(
    response: Response,
    default_headers: Sequence[tuple[bytes, bytes]] = (),
    *,
    with_body: bool = True,
    keep: bool = False,
) -> bytes:
    """The bytes of an answer; ``keep``: the connection stays open. O(bytes)."""
    status, headers, body = response
    parts = [STATUS_LINE[status]]
    for name, value in (*default_headers, *headers):
        parts += (name, b": ", value, b"\r\n")
    if status != _NO_CONTENT:
        parts.append(b"content-length: %d\r\n" % len(body))
    parts.append(b"\r\n" if keep else b"connection: close\r\n\r\n")
    if with_body:
        parts.append(body)
    return b"".join(parts)


def direct_http(
    bounds: HttpBounds,
    is_ready: Callable[[], bool],
    door: Door,
    *,
    waits: bool,
    gate: Callable[[asyncio.Transport], asyncio.Transport] | None = None,
) -> type[DirectHttp]:
    """The protocol class in front of this door, for uvicorn, which makes the instances.

    ``waits``: operations may suspend. ``gate`` wraps the transport of each connection."""
    parts = {
        "bounds": bounds,
        "is_ready": staticmethod(is_ready),
        "door": door,
        "waits": waits,
        "gate": None if gate is None else staticmethod(gate),
    }
    return type("Protocol", (DirectHttp,), parts)


def _is_streamed(url: bytes) -> bool:
    """Looked at closely only if need be, for this is asked of every request."""
    return (b"bulk" in url or b"%" in url) and STREAMED.search(url) is not None


def _receiver(body: bytes) -> Callable[[], Awaitable[dict[str, Any]]]:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    return receive


def _run(answer: Awaitable[Response]) -> Response:
    """The result of a coroutine that does not wait. One that does is a bug of ours."""
    coroutine = answer.__await__()
    try:
        next(coroutine)
    except StopIteration as done:
        response: Response = done.value
        return response
    raise RuntimeError("an operation waited on the way that is only for those that do not")
