"""What is pushed to clients, as the bytes of the Centrifuge JSON protocol.

A *push* has no id: nobody asked for it. ``{"push":{"channel":"news","pub":{...}}}`` is a
publication; there are also joins and leaves, subscriptions that the service makes or ends, and
messages for one client alone. Each is encoded once, whoever gets it; see `realtime.ws.messages`
for what goes the other way.

Sans-I/O: nothing here knows a socket or a loop.
"""

from __future__ import annotations

import msgspec

from realtime.ws.messages import SubscribeResult

__all__ = [
    "client_info",
    "joined",
    "left",
    "message",
    "publication",
    "push",
    "push_head",
    "subscribed",
    "unsubscribed",
]

_encode = msgspec.json.Encoder().encode
_decode_tags = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def push_head(channel: str) -> bytes:
    """How every push of a channel begins; encoded once per channel."""
    return b'{"push":{"channel":%b,' % _encode(channel)


def push(head: bytes, kind: bytes, body: bytes) -> bytes:
    """A push of ``kind`` (pub, join, leave); ``head`` is its channel's."""
    return b'%b"%b":%b}}' % (head, kind, body)


def subscribed(channel: str, result: SubscribeResult) -> bytes:
    """The push that tells a client of a subscription that it has not asked for."""
    return push(push_head(channel), b"subscribe", _encode(result))


def unsubscribed(channel: str, code: int, reason: str) -> bytes:
    """The push that tells a client of the end of a subscription; the code, whether to try anew."""
    body = b'{"code":%d,"reason":%b}' % (code, _encode(reason))
    return push(push_head(channel), b"unsubscribe", body)


def joined(who: bytes, *, first: bool = False) -> bytes:
    """The body of a join; ``first``: none of the user's connections was there before."""
    return b'{"info":%b%b}' % (who, b',"first":true' if first else b"")


def left(who: bytes, *, last: bool = False) -> bytes:
    """The body of a leave; ``last``: none of the user's connections is left there."""
    return b'{"info":%b%b}' % (who, b',"last":true' if last else b"")


def message(data: bytes) -> bytes:
    """The push of something for this client alone. ``data`` is JSON text."""
    return b'{"push":{"message":{"data":%b}}}' % _on_one_line(data)


def publication(
    offset: int,
    data: bytes,
    info: bytes | None = None,
    tags: bytes | None = None,
    channel: bytes | None = None,
    *,
    epoch: str = "",
    delta: bool = False,
) -> bytes:
    """A publication, as in pushes, recoveries and histories: the fields of a `Publication`.

    ``data``, ``info`` and ``tags`` are JSON text. A newline in it can only be white space between
    tokens (inside a string it would be escaped), so a space means the same; as it is, it
    would end the object for the reader. ``delta``: the data is the difference to the one before,
    as a JSON string.

    ``channel``, of those who are subscribed to a pattern, is also among the tags: stock clients
    show these, and not the field of the protocol.
    """
    parts = [b'{"data":', _on_one_line(data)]
    if offset:
        parts.append(b',"offset":%d' % offset)
    if info is not None:
        parts.append(b',"info":%b' % info)
    if channel is not None:
        name = _encode(channel.decode())
        parts.append(b',"tags":%b,"channel":%b' % (_tagged(tags, name), name))
    elif tags is not None:
        parts.append(b',"tags":%b' % tags)
    if epoch:
        parts.append(b',"epoch":%b' % _encode(epoch))
    if delta:
        parts.append(b',"delta":true')
    parts.append(b"}")
    return b"".join(parts)


def client_info(
    client: str, user: str, info: bytes | None = None, chan_info: bytes | None = None
) -> bytes:
    """Who stands behind a connection, and behind a subscription of it; both are JSON text."""
    parts = [b'{"user":%b,"client":%b' % (_encode(user), _encode(client))]
    if info is not None:
        parts.append(b',"conn_info":%b' % _on_one_line(info))
    if chan_info is not None:
        parts.append(b',"chan_info":%b' % _on_one_line(chan_info))
    parts.append(b"}")
    return b"".join(parts)


def _tagged(tags: bytes | None, channel: bytes) -> bytes:
    """The tags, and the channel among them; a tag of the publisher that has its name wins."""
    try:
        said = {} if tags is None else _decode_tags(tags)
    except msgspec.DecodeError:
        said = {}  # no object: others may write to a store, and this is no reason to send nothing
    return _encode({"channel": msgspec.Raw(channel)} | said)


def _on_one_line(text: bytes) -> bytes:
    """The same JSON; see ``publication``."""
    return text.replace(b"\n", b" ") if b"\n" in text else text
