"""A channel as Server-Sent Events, for whoever has no client: a browser's EventSource, or curl.

    id: 7.KxWdQpZt
    data: {"data":{"text":"hello"},"offset":7}

An event is a publication, and its id the position: the offset, and the epoch it belongs to. An
EventSource that has lost its connection comes back with the last id that it has seen, and gets
what it missed. If that is no longer certain, an event called ``lost`` comes first; its data is
the position from where on it is served, and its id as well. The first thing a subscriber is
sent is an id without an event, so that it has a position before anything is published. What
keeps the connection alive is a comment. The last event, ``close``, says why the stream ends;
an EventSource comes back by itself, unless what it is answered then is an error.

The stream is a `Client` that connects and subscribes to one channel, so whatever is said of
those holds here. Until it is subscribed nothing has been answered: what goes wrong before that
is an HTTP error.
"""

from __future__ import annotations

import re
import socket
from asyncio import Transport
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
from msgspec import Raw
from uvicorn.server import ServerState

from realtime.backends.base import Position, Publication
from realtime.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    RealtimeError,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from realtime.ws import codes, pushes
from realtime.ws.client import Client
from realtime.ws.codes import Close
from realtime.ws.conversation import State
from realtime.ws.credentials import Admitted
from realtime.ws.door import Door
from realtime.ws.framing import LAST_CHUNK, Framing, chunk
from realtime.ws.messages import Command, Connect, Resume, Subscribe
from realtime.ws.outbox import Outbox
from realtime.ws.stream import Stream
from realtime.ws.wish import Wish

__all__ = ["EVENTS", "EventStream", "Listening", "position_of"]

CONNECT, SUBSCRIBE = 1, 2
"""The ids of the two commands of an event stream."""

GONE_AFTER = 60_000
"""Milliseconds after which a peer is gone that does not confirm what it was sent: it has no way
to answer pings."""

_ID = re.compile(r"([0-9]{1,16})\.([!-~]{1,64})")


class Listening(NamedTuple):
    """What a request asks for."""

    channel: str
    token: str = ""
    """A token of a user in the URL, where an EventSource has no other place for it."""
    bearer: str = ""
    subscription_token: str = ""
    since: Position | None = None

    @property
    def resume(self) -> Resume:
        since = self.since
        return Resume() if since is None else Resume(True, since.offset, since.epoch)


def position_of(event_id: str) -> Position:
    """Raises InvalidInput for what is none of our ids."""
    match = _ID.fullmatch(event_id)
    if match is None or int(match[1]) > 2**53:
        raise InvalidInput("the last event id is an offset, a point and an epoch: 7.KxWdQpZt")
    return Position(int(match[1]), match[2])


def _id(offset: int, epoch: str) -> bytes:
    return b"id: %d.%b\n" % (offset, epoch.encode())


def _event(head: bytes, item: Publication, epoch: str) -> bytes:
    """A publication. Where the channel has no positions, the event has no id."""
    body = pushes.publication(*item).replace(b"\r", b" ")
    place = _id(item.offset, epoch) if item.offset else b""
    return b"%bdata: %b\n\n" % (place, body)


def _close(close: Close) -> bytes:
    code, reason = close
    body = b'{"code":%d,"reason":%b}' % (code, msgspec.json.encode(reason))
    return chunk(b"event: close\ndata: %b\n\n" % body) + LAST_CHUNK


def _together(objects: Sequence[bytes]) -> bytes:
    return chunk(b"".join(objects))


EVENTS = Framing("events", _together, chunk(b":\n\n"), _close, _event)
"""The objects of this framing are events as they are."""


class _Subscribed(msgspec.Struct):
    positioned: bool = False
    recovered: bool = False
    epoch: str = ""
    offset: int = 0
    publications: list[Raw] = []


class _Connected(msgspec.Struct):
    subs: dict[str, _Subscribed] = {}


class _Refusal(msgspec.Struct):
    code: int
    message: str


class _Unsubscribed(msgspec.Struct):
    code: int
    reason: str


class _Push(msgspec.Struct):
    unsubscribe: _Unsubscribed | None = None


class _Sent(msgspec.Struct):
    """What the client would be sent, as far as it means something here."""

    connect: _Connected | None = None
    subscribe: _Subscribed | None = None
    error: _Refusal | None = None
    push: _Push | None = None


class _Placed(msgspec.Struct):
    offset: int = 0


_decode = msgspec.json.Decoder(_Sent).decode
_place = msgspec.json.Decoder(_Placed).decode


class _Ear(Outbox):
    """An outbox that gives replies to somebody else than the peer."""

    __slots__ = ("hear",)

    hear: Callable[[bytes], None]

    def send(self, item: bytes) -> None:
        self._hub.settle(self)
        self.hear(item)


class _Listener(Client):
    """A client of one channel, whatever else it would be subscribed to without asking."""

    __slots__ = ("channel",)

    channel: str

    def _server_side(self, request: Connect, admission: Admitted) -> list[Wish]:
        return [
            one for one in super()._server_side(request, admission) if one.channel == self.channel
        ]


class EventStream(Stream):
    """One subscription, in a response of its own."""

    __slots__ = ("_asked", "_begun", "_head", "_refusal")

    def __init__(
        self,
        door: Door,
        server_state: ServerState,
        asked: Listening,
        head: bytes,
        refusal: Callable[[RealtimeError], bytes],
    ) -> None:
        """``refusal`` makes the whole HTTP answer of an error."""
        super().__init__(door, server_state)
        self._asked = asked
        self._begun = False
        """The head is sent: what goes wrong from now on is an event."""
        self._head = head
        self._refusal = refusal

    def begin(self, transport: Transport) -> None:
        door = self._door
        outbox = _Ear(door.hub, transport, door.options.queue_bytes, self.close, EVENTS)
        outbox.hear = self._hear
        client = _Listener(door, outbox, self.close, self._perform)
        client.bearer = self._asked.bearer
        client.channel = self._asked.channel
        self.take_over(transport, outbox, client)
        _expect_confirmation(transport)
        self._backlog.append(self._subscribe)
        self._work()

    async def _subscribe(self) -> None:
        """Connect, and subscribe, unless the token already says so."""
        asked, resume = self._asked, self._asked.resume
        connect = Connect(token=asked.token, subs={asked.channel: resume})
        await self._client.handle(Command(CONNECT, connect))
        if self._client.principal is None or self._begun:
            return
        request = Subscribe(
            asked.channel,
            token=asked.subscription_token,
            recover=resume.recover,
            offset=resume.offset,
            epoch=resume.epoch,
        )
        await self._client.handle(Command(SUBSCRIBE, request))

    def _hear(self, item: bytes) -> None:
        """What a client of another kind would be sent."""
        sent = _decode(item)
        if sent.error is not None:
            error = _REFUSALS.get(sent.error.code, Unavailable)
            self._refuse(error(sent.error.message))
        elif sent.subscribe is not None:
            self._welcome(sent.subscribe)
        elif sent.connect is not None and sent.connect.subs:
            self._welcome(sent.connect.subs[self._asked.channel])
        elif sent.push is not None and sent.push.unsubscribe is not None:
            why = sent.push.unsubscribe
            self.close(Close(why.code, why.reason))

    def _welcome(self, subscribed: _Subscribed) -> None:
        """The head, where the subscriber stands, and what it missed."""
        self._begun = True
        self._outbox.sink(self._head)
        offset, epoch = subscribed.offset, subscribed.epoch
        missed = [_recovered(item, epoch) for item in subscribed.publications]
        place = _id(offset, epoch) if epoch else b""
        if self._asked.since is not None and not subscribed.recovered:
            body = b'{"offset":%d,"epoch":%b}' % (offset, msgspec.json.encode(epoch))
            place = b"event: lost\n%bdata: %b\n" % (place, body)
        self._outbox.queue([b"retry: 1000\n%b\n" % place, *missed])
        self._begin_pings()

    def _refuse(self, error: RealtimeError) -> None:
        """End before it has begun."""
        self._leave_open(State.CLOSING)
        self._outbox.finish(self._refusal(error))
        self._end()

    def _goodbye(self, close: Close) -> bytes:
        if self._begun:
            return super()._goodbye(close)
        return self._refusal(_CLOSES.get(close.code, Unavailable)(close.reason))

    def _ping(self) -> None:
        """Nobody answers a comment."""
        if not self._begun:
            self.close(codes.CLOSE_STALE)  # the store does not answer
            return
        self._outbox.sink(EVENTS.ping)
        self._door.hub.wheel.set(self, self._door.options.ping_interval)


_CLOSES: dict[int, type[RealtimeError]] = {
    codes.CLOSE_INVALID_TOKEN.code: Unauthorized,
    codes.CLOSE_BAD_REQUEST.code: Unauthorized,  # there is no token at all
    codes.CLOSE_CONNECTION_LIMIT.code: TooManyRequests,
    codes.CLOSE_TOO_MANY_REQUESTS.code: TooManyRequests,
}
"""What a close means as long as HTTP has the word; otherwise that one may try again."""

_REFUSALS: dict[int, type[RealtimeError]] = {
    codes.UNKNOWN_CHANNEL.code: NotFound,
    codes.PERMISSION_DENIED.code: Forbidden,
    codes.LIMIT_EXCEEDED.code: TooManyRequests,
    codes.BAD_REQUEST.code: InvalidInput,
    codes.NOT_AVAILABLE.code: Conflict,
    codes.TOKEN_EXPIRED.code: Unauthorized,
    TooManyRequests.ws_error: TooManyRequests,
}
"""What a refusal means."""


def _recovered(item: Raw, epoch: str) -> bytes:
    """The event of a publication that is already one of a reply."""
    offset = _place(item).offset
    place = _id(offset, epoch) if offset else b""
    return b"%bdata: %b\n\n" % (place, bytes(item).replace(b"\r", b" "))


def _expect_confirmation(transport: Transport) -> None:
    """Have the system notice when the peer is gone without a word, where it can."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux
    sock = transport.get_extra_info("socket")
    if option is not None and sock is not None:
        sock.setsockopt(socket.IPPROTO_TCP, option, GONE_AFTER)
