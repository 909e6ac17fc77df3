"""The HTTP requests that belong to this door: what is asked, and whether it may be.

    POST     /connection/http_stream       commands in the body, answers as lines of JSON
    GET      /connection/sse?cf_connect=   the same as Server-Sent Events, for an EventSource
    POST     /connection/sse               … commands in the body
    POST     /emulation                    more commands of one of these sessions
    GET      /v1/channels/{channel}/events one channel as Server-Sent Events

A browser may send these on behalf of any page, so the rules are those of the WebSocket
handshake: pages of our own, those allowed by name, and programs. Pages of elsewhere must be
told in the answer that they may read it (CORS), and ask beforehand for anything that is more
than a form could send (preflight). Credentials in the browser's keeping, such as cookies, play
no part: tokens travel in the commands.
"""

from __future__ import annotations

from asyncio import Transport
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple

from uvicorn.server import ServerState

from realtime.backends.base import BackendUnavailable
from realtime.errors import (
    Forbidden,
    InvalidInput,
    InvalidRequest,
    MethodNotAllowed,
    RealtimeError,
    TooManyRequests,
    Unavailable,
)
from realtime.ws.door import Door
from realtime.ws.emulation import EmulatedStream, Emulation, said
from realtime.ws.events import EventStream, Listening, position_of
from realtime.ws.framing import HTTP_STREAM, SSE, Framing, chunk
from realtime.ws.handshake import foreign
from realtime.ws.stream import Headers, head

__all__ = ["Asked", "Begin", "Outcome", "Short", "Streams"]

HTTP_STREAM_PATH, SSE_PATH = b"/connection/http_stream", b"/connection/sse"
EMULATION_PATH = b"/emulation"
CHANNELS, EVENTS = b"/v1/channels/", b"/events"
EVENTS_DEPTH = 4
"""Slashes in a path between these two that names one channel."""

EVENTS_QUERY = {"last_event_id", "token", "subscription_token"}

EVENT_STREAM = b"text/event-stream; charset=utf-8"
LINES = b"application/x-ndjson"

PREFLIGHT_SECONDS = 7_200
"""How long a browser may remember what it may send; none remembers it for longer."""

ENVELOPE = 1_024
"""Bytes of a request to ``/emulation`` that are not its commands."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that has arrived."""

    method: str
    path: bytes
    """As it came."""
    segments: Sequence[str]
    """What stands between its slashes, decoded."""
    query: Mapping[str, str]
    headers: Mapping[bytes, bytes]
    body: bytes

    def text(self, name: bytes) -> str:
        """A header, empty if there is none."""
        return self.headers.get(name, b"").decode("latin-1")


class Short(NamedTuple):
    """A short answer: an error, or that all is well."""

    headers: Headers
    error: RealtimeError | None = None


Begin = Callable[[Transport, ServerState], None]
"""Takes the connection over."""

Outcome = Short | Begin | Awaitable[Short]


class Streams:
    """One per process."""

    def __init__(self, door: Door, refusal: Callable[[RealtimeError, Headers], bytes]) -> None:
        """``refusal`` makes the whole HTTP answer of an error, with more headers."""
        self.emulation = Emulation(door)
        self._door = door
        self._refusal = refusal
        self._answers: dict[bytes, tuple[str, Callable[[Asked, Headers], Outcome]]] = {
            HTTP_STREAM_PATH: ("POST", self._http_stream),
            SSE_PATH: ("GET, POST", self._sse),
            EMULATION_PATH: ("POST", self._emulate),
        }

    def takes(self, url: bytes) -> bool:
        """Whether a request is ours to answer. O(length), and short for those that are not."""
        if not url.startswith((b"/connection/", EMULATION_PATH, CHANNELS)):
            return False
        path = url.partition(b"?")[0]
        if path.startswith(CHANNELS):
            return path.endswith(EVENTS) and path.count(b"/") == EVENTS_DEPTH
        return path in self._answers

    def body_limit(self, url: bytes) -> int:
        """How long its body may be."""
        most = self._door.options.message_bytes
        # As JSON in JSON the commands have their quotes escaped.
        return 2 * most + ENVELOPE if url.startswith(EMULATION_PATH) else most

    def respond(self, asked: Asked) -> Outcome:
        """What becomes of a request. Raises nothing."""
        shown: Headers = ()
        try:
            shown = self._shown(asked)
            methods, answer = self._answers.get(asked.path, ("GET", self._listen))
            if asked.method == "OPTIONS":
                return Short((*shown, *_preflight(methods)))
            if asked.method not in methods.split(", "):
                raise MethodNotAllowed(f"{asked.method} is not allowed here", f"{methods}, OPTIONS")
            return answer(asked, shown)
        except RealtimeError as error:
            return Short(shown, error)

    def _shown(self, asked: Asked) -> Headers:
        """What lets a page read the answer. Raises Forbidden if its page may not."""
        origin = asked.headers.get(b"origin")
        door = self._door
        refused = foreign(
            asked.text(b"host"),
            None if origin is None else origin.decode("latin-1"),
            allowed_origins=door.options.allowed_origins,
            is_open=door.access.open,
        )
        if refused is not None:
            raise Forbidden(refused.detail)
        if origin is None:
            return ()
        return ((b"access-control-allow-origin", origin), (b"vary", b"origin"))

    def _http_stream(self, asked: Asked, shown: Headers) -> Outcome:
        return self._emulated(asked, HTTP_STREAM, head(LINES, shown), _text(asked.body))

    def _sse(self, asked: Asked, shown: Headers) -> Outcome:
        if asked.method == "POST":
            commands = _text(asked.body)
        else:
            commands = asked.query.get("cf_connect", "")
        if not commands:
            raise InvalidInput("cf_connect is missing: a connect command, or several commands")
        # An empty line, so that even those who wait for a first byte see the stream open.
        return self._emulated(asked, SSE, head(EVENT_STREAM, shown) + chunk(b"\r\n"), commands)

    def _emulated(self, asked: Asked, framing: Framing, head: bytes, commands: str) -> Begin:
        bearer = _bearer(asked)
        self._let_in(bearer)

        def begin(transport: Transport, server_state: ServerState) -> None:
            stream = EmulatedStream(self._door, server_state, self.emulation)
            stream.begin(transport, framing, head, bearer, commands)

        return begin

    def _emulate(self, asked: Asked, shown: Headers) -> Outcome:
        waiting = self.emulation.carry(said(asked.body, self._door.options.message_bytes))
        return Short(shown) if waiting is None else _passed_on(waiting, shown)

    def _listen(self, asked: Asked, shown: Headers) -> Outcome:
        channel = asked.segments[3]  # /v1/channels/{channel}/events
        unknown = asked.query.keys() - EVENTS_QUERY
        if unknown:
            raise InvalidInput(f"there is no query parameter {min(unknown)!r} here")
        event_ids = (asked.text(b"last-event-id"), asked.query.get("last_event_id", ""))
        positions = [position_of(event_id) for event_id in event_ids if event_id]
        token = asked.query.get("token", "")
        if token.count(".") != 2 and token:
            raise InvalidInput("?token= is a token of a user; an API key does not belong in a URL")
        bearer = _bearer(asked)
        listening = Listening(
            channel,
            token=token,
            bearer=bearer,
            subscription_token=asked.query.get("subscription_token", ""),
            since=positions[0] if positions else None,
        )
        self._let_in(token or bearer)

        def refusal(error: RealtimeError) -> bytes:
            return self._refusal(error, shown)

        def begin(transport: Transport, server_state: ServerState) -> None:
            stream = EventStream(
                self._door, server_state, listening, head(EVENT_STREAM, shown), refusal
            )
            stream.begin(transport)

        return begin

    def _let_in(self, credentials: str) -> None:
        """Raises TooManyRequests and Unavailable."""
        refused = self._door.turn_away(credentials)
        if refused is None:
            return
        if refused.status == HTTPStatus.TOO_MANY_REQUESTS:
            raise TooManyRequests(refused.detail)
        raise Unavailable(refused.detail, retry_after=refused.retry_after)


def _preflight(methods: str) -> Headers:
    return (
        (b"access-control-allow-methods", methods.encode()),
        (b"access-control-allow-headers", b"authorization, content-type, last-event-id"),
        (b"access-control-max-age", b"%d" % PREFLIGHT_SECONDS),
    )


async def _passed_on(waiting: Awaitable[None], shown: Headers) -> Short:
    try:
        await waiting
    except RealtimeError as error:
        return Short(shown, error)
    except BackendUnavailable:
        return Short(shown, Unavailable("the store does not answer"))
    return Short(shown)


def _bearer(asked: Asked) -> str:
    scheme, _, credentials = asked.text(b"authorization").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else ""


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise InvalidRequest("commands are UTF-8") from None
