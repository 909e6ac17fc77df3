"""The Centrifuge JSON client protocol as bytes: commands in, replies and pushes out.

A frame holds JSON objects separated by single newlines, in both directions. What a client
sends is a *command*: ``{"id": 7, "subscribe": {...}}``, one method, an id above 0; ``{}`` is
its answer to a ping. What we send is a *reply* with the command's id, a *push* without one,
or ``{}``, a ping. Fields at their zero value are left out, except those that clients read
without looking whether they are there.

Sans-I/O: nothing here knows a socket or a loop. Numbers and names are checked for type and
range only; what they mean is the caller's business. The size of what comes in is bounded by
the frame, which the WebSocket layer bounds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from realtime.errors import InvalidRequest

__all__ = [
    "FOSSIL",
    "PONG",
    "REJECT_UNRECOVERED",
    "Command",
    "Connect",
    "ConnectResult",
    "History",
    "HistoryResult",
    "Presence",
    "PresenceResult",
    "PresenceStats",
    "PresenceStatsResult",
    "Publish",
    "Refresh",
    "RefreshResult",
    "Request",
    "Resume",
    "Rpc",
    "RpcResult",
    "Send",
    "SubRefresh",
    "Subscribe",
    "SubscribeResult",
    "Unsubscribe",
    "commands",
    "error_reply",
    "parse",
    "reply",
]

REJECT_UNRECOVERED = 2
"""Bit of a subscribe's ``flag``: answer with an error if the position is lost."""

Offset = Annotated[int, Meta(ge=0, le=2**53)]
"""JavaScript clients keep offsets as doubles."""

Number = Annotated[int, Meta(ge=-(2**31), lt=2**31)]


Label = Annotated[str, Meta(max_length=128)]
"""What is shown to people: which program this is, and which version of it."""

FOSSIL = "fossil"
"""The one kind of ``delta`` that there is."""


class Resume(Struct):
    """Where a client was in a channel that it is subscribed to by the server."""

    recover: bool = False
    offset: Offset = 0
    epoch: str = ""


class Connect(Struct):
    """``data`` is for backends that are asked who may connect; ours is not, and skips it."""

    token: str = ""
    name: Label = ""
    version: Label = ""
    headers: Annotated[dict[str, str], Meta(max_length=64)] = {}
    """Headers that a browser cannot set in a handshake."""
    subs: dict[str, Resume] = {}


class Subscribe(Struct):
    channel: str = ""
    token: str = ""
    recover: bool = False
    offset: Offset = 0
    epoch: str = ""
    positioned: bool = False
    join_leave: bool = False
    delta: str = ""
    flag: Number = 0
    type: Number = 0
    tf: dict[str, object] | None = None
    data: Raw = Raw(b"")


class Unsubscribe(Struct):
    channel: str = ""


class Publish(Struct):
    channel: str = ""
    data: Raw = Raw(b"")


class Presence(Struct):
    channel: str = ""


class PresenceStats(Struct):
    channel: str = ""


class Since(Struct):
    offset: Offset = 0
    epoch: str = ""


class History(Struct):
    channel: str = ""
    limit: Number = 0
    since: Since | None = None
    reverse: bool = False


class Rpc(Struct):
    method: str = ""
    data: Raw = Raw(b"")


class Send(Struct):
    data: Raw = Raw(b"")


class Refresh(Struct):
    token: str = ""


class SubRefresh(Struct):
    channel: str = ""
    token: str = ""


Request = (
    Connect
    | Subscribe
    | Unsubscribe
    | Publish
    | Presence
    | PresenceStats
    | History
    | Rpc
    | Send
    | Refresh
    | SubRefresh
)


class Command(NamedTuple):
    """What a client asks for. No id and no request: a pong. An id alone: a method we lack."""

    id: int
    request: Request | None


PONG = Command(0, None)


class _Envelope(Struct):
    """A command as it travels: the method is the name of a field."""

    id: Annotated[int, Meta(ge=0, lt=2**32)] = 0
    connect: Connect | None = None
    subscribe: Subscribe | None = None
    unsubscribe: Unsubscribe | None = None
    publish: Publish | None = None
    presence: Presence | None = None
    presence_stats: PresenceStats | None = None
    history: History | None = None
    rpc: Rpc | None = None
    send: Send | None = None
    refresh: Refresh | None = None
    sub_refresh: SubRefresh | None = None


class SubscribeResult(Struct, omit_defaults=True):
    recoverable: bool = False
    positioned: bool = False
    epoch: str = ""
    offset: int = 0
    was_recovering: bool = False
    recovered: bool = False
    publications: list[Raw] | UnsetType = UNSET
    expires: bool = False
    ttl: int = 0
    delta: bool = False
    data: Raw | UnsetType = UNSET


class ConnectResult(Struct, omit_defaults=True):
    client: str
    version: str
    ping: int = 0
    pong: bool = False
    expires: bool = False
    ttl: int = 0
    subs: dict[str, SubscribeResult] | UnsetType = UNSET
    session: str = ""
    node: str = ""
    time: int = 0
    """Milliseconds since 1970."""


class RefreshResult(Struct, omit_defaults=True):
    """Also of a sub_refresh."""

    expires: bool = False
    ttl: int = 0


class RpcResult(Struct, omit_defaults=True):
    data: Raw | UnsetType = UNSET


class PresenceResult(Struct):
    presence: dict[str, Raw]


class PresenceStatsResult(Struct):
    num_clients: int
    num_users: int


class HistoryResult(Struct):
    publications: list[Raw]
    epoch: str
    offset: int


Result = (
    ConnectResult
    | SubscribeResult
    | PresenceResult
    | PresenceStatsResult
    | HistoryResult
    | RefreshResult
    | RpcResult
    | None
)

_decode = msgspec.json.Decoder(_Envelope).decode
_encode = msgspec.json.Encoder().encode


def commands(payload: bytes | bytearray) -> list[str]:
    """The commands of a frame, not parsed yet. Raises UnicodeDecodeError. O(bytes)."""
    return payload.decode().removesuffix("\n").split("\n")


def parse(line: str) -> Command:
    """One command. Raises InvalidRequest, which says what is wrong with it. O(length)."""
    try:
        envelope = _decode(line)
    except msgspec.DecodeError as error:
        raise InvalidRequest(str(error) if line else "an empty command") from None
    except RecursionError:
        raise InvalidRequest("nested too deep") from None
    requests = [request for request in _requests(envelope) if request is not None]
    if len(requests) > 1:
        raise InvalidRequest("a command has one method")
    return Command(envelope.id, requests[0] if requests else None)


def _requests(envelope: _Envelope) -> Iterable[Request | None]:
    return (
        envelope.connect,
        envelope.subscribe,
        envelope.unsubscribe,
        envelope.publish,
        envelope.presence,
        envelope.presence_stats,
        envelope.history,
        envelope.rpc,
        envelope.send,
        envelope.refresh,
        envelope.sub_refresh,
    )


def reply(command: int, method: bytes, result: Result = None) -> bytes:
    """The answer to a command; ``{}`` stands for a result without fields."""
    return b'{"id":%d,"%b":%b}' % (command, method, b"{}" if result is None else _encode(result))


def error_reply(command: int, code: int, message: str, temporary: bool = False) -> bytes:
    """The refusal of a command."""
    tail = b',"temporary":true' if temporary else b""
    return b'{"id":%d,"error":{"code":%d,"message":%b%b}}' % (
        command, code, _encode(message), tail,
    )  # fmt: skip
