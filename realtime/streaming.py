"""Requests that become streams: from uvicorn's parser to `realtime.ws.streams` and back.

Most of what that door answers is short, and is written like any other answer. A request that
opens a stream is handed over: once it has arrived, the stream takes the transport, as a
WebSocket connection does after its upgrade, and nothing of uvicorn's is left on it.

Such a request must be alone on its connection: nothing before it may still be under way, and
what is behind it is not read.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any

import httptools

from realtime.direct import BURST, DirectHttp, rendered
from realtime.errors import InvalidRequest, RealtimeError, TooLarge, Unavailable
from realtime.http.problem import Response, problem
from realtime.http.uri import parse_query, path_segments
from realtime.ws.streams import Asked, Begin, Outcome, Short, Streams

__all__ = ["StreamingHttp", "refusal", "streaming_http"]

log = logging.getLogger("realtime")

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class StreamingHttp(DirectHttp):
    """`DirectHttp` that hands over what becomes a stream."""

    streams: Streams

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_theirs = False
        """The request that arrives is for `Streams` to answer."""
        self._body_limit = 0
        self._begin: Begin | None = None
        """The request has become a stream, which is about to take over."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._begin is not None:
            self._hand_over(self._begin)

    def on_message_begin(self) -> None:
        if self._begin is not None:
            self.stop(HTTPStatus.BAD_REQUEST, "nothing comes behind a stream")
        super().on_message_begin()
        self._is_theirs = False

    def on_headers_complete(self) -> None:
        self._is_theirs = self.streams.takes(self.url) and not self._should_upgrade()
        if not self._is_theirs:
            super().on_headers_complete()
            return
        self.check_head()
        self._body_limit = self.streams.body_limit(self.url)
        self._check_length(self._length)
        self._check_alone()
        self._is_direct = True  # its body is collected as that of any request without a task
        if self.expect_100_continue:
            self.transport.write(CONTINUE)

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if self._is_theirs:
            self._check_length(len(self._body))

    def on_message_complete(self) -> None:
        if not self._is_theirs:
            super().on_message_complete()
            return
        self.end_message()
        self._burst += 1
        try:
            self._take(self._outcome())
        except Exception:
            log.exception("a request could not be answered")
            self.reject(HTTPStatus.INTERNAL_SERVER_ERROR, "our fault; the log has it")

    def send_400_response(self, msg: str) -> None:
        # Unless it is about what comes behind a stream, or has been answered.
        if self._begin is None and not self.transport.is_closing():
            super().send_400_response(msg)

    def _check_length(self, length: int) -> None:
        """Raises what stops the parser."""
        if length > self._body_limit:
            error = TooLarge(f"a body may have {self._body_limit} bytes here")
            self.transport.write(refusal(error, ()))
            self.transport.close()
            self.stop(HTTPStatus(error.status), error.detail)

    def _check_alone(self) -> None:
        """Raises what stops the parser."""
        under_way = self.cycle is not None and not self.cycle.response_complete
        if under_way or self.pipeline or self.flow.write_paused or self._burst >= BURST:
            self.stop(HTTPStatus.BAD_REQUEST, "this wants a connection with nothing else under way")

    def _outcome(self) -> Outcome:
        if not self.is_ready():
            return Short((), Unavailable("the service is not ready yet"))
        try:
            asked = self._asked()
        except RealtimeError as error:
            return Short((), error)
        outcome = self.streams.respond(asked)
        if callable(outcome) and self.parser.get_http_version() == "1.0":
            why = "streams are chunked, which HTTP/1.0 is not (nginx: proxy_http_version 1.1)"
            return Short((), InvalidRequest(why))
        return outcome

    def _asked(self) -> Asked:
        """Raises InvalidRequest and InvalidInput."""
        parsed = httptools.parse_url(self.url)
        path: bytes = parsed.path
        query = parse_query(parsed.query or b"", ())
        return Asked(
            method=self.parser.get_method().decode("ascii"),
            path=path,
            segments=path_segments(path.decode("ascii"), path),
            query={name: text for name, text in query.items() if isinstance(text, str)},
            headers=_single(self.headers),
            body=bytes(self._body),
        )

    def _take(self, outcome: Outcome) -> None:
        if isinstance(outcome, Short):
            self._write(_response(outcome), True, self._keeps_alive())
        elif callable(outcome):
            self._begin = outcome
            self.server_state.total_requests += 1
        else:
            self._await(_answer(outcome), with_body=True, keep=self._keeps_alive())

    def _hand_over(self, begin: Begin) -> None:
        self._begin = None
        self.connections.discard(self)
        self.parser = None  # it refers to us: else both would wait for the collector
        if not self.transport.is_closing():
            begin(self.transport, self.server_state)


def streaming_http(streams: Streams, direct: type[DirectHttp]) -> type[StreamingHttp]:
    """The protocol class in front of both doors."""
    return type("Protocol", (StreamingHttp, direct), {"streams": streams})


def refusal(error: RealtimeError, headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """The whole answer of an error, after which the connection is closed."""
    return rendered(_response(Short(headers, error)))


def _response(short: Short) -> Response:
    if short.error is None:
        return Response(HTTPStatus.NO_CONTENT, short.headers, b"")
    response = problem(short.error)
    return response._replace(headers=(*response.headers, *short.headers))


async def _answer(outcome: Awaitable[Short]) -> Response:
    return _response(await outcome)


def _single(pairs: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by name; of one that comes twice, what none can be: they contradict each other."""
    headers: dict[bytes, bytes] = {}
    for name, value in pairs:
        headers[name] = b"several" if name in headers else value
    return headers
