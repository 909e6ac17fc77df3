"""How objects become bytes on a transport: the same bytes for every connection that has it.

An object is one reply, push or ping of `realtime.ws.messages`. A `Framing` puts any number of
them, in order, into bytes that are complete in themselves and depend on nothing that was sent
before. So what is framed once can be written to every subscriber with the same framing.

    WEBSOCKET      text frames (RFC 6455), the objects of each separated by newlines
                   ``deflated``: the same, compressed (RFC 7692) where that makes them shorter
    SSE            an event per object (HTML, section 9.2), in chunks (RFC 9112, section 7.1)
    HTTP_STREAM    a line per object, in chunks

Without a WebSocket there is no close frame: the close is an object in front of the last chunk.

What is compressed must depend on nothing that was sent before either ("no context takeover"), so
it, too, is made once for everybody; and nothing has to be remembered for a connection.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from realtime.backends.base import Publication
from realtime.ws import pushes
from realtime.ws.codes import Close

__all__ = [
    "FRAME_BYTES",
    "FRAME_OBJECTS",
    "HTTP_STREAM",
    "LAST_CHUNK",
    "SSE",
    "WEBSOCKET",
    "Encode",
    "Framing",
    "chunk",
    "deflated",
    "pushed",
    "text_frame",
]

FRAME_OBJECTS = 16
"""Objects in one frame at most: beyond this, joining more saves next to nothing."""

FRAME_BYTES = 64 * 1024
"""A frame is closed when it would grow over this; clients refuse frames from 1 MiB on."""

LAST_CHUNK = b"0\r\n\r\n"

TEXT, COMPRESSED_TEXT, CLOSE = 0x81, 0xC1, 0x88
"""First bytes of frames, all of them final."""

DEFLATE_LEVEL, DEFLATE_MEMORY = 1, 5
"""zlib's. Everybody waits while we compress: 11 KB of JSON become 2.2 in 24 µs by this, and with
zlib's defaults 2.0 in 74."""


Encode = Callable[[bytes, Publication, str], bytes]
"""An object of the head of a channel's pushes, a publication, and its epoch."""


def pushed(head: bytes, item: Publication, epoch: str) -> bytes:
    """The push. Who subscribed to an empty channel learns its epoch from the first one."""
    body = pushes.publication(*item, epoch=epoch if item.offset == 1 else "")
    return pushes.push(head, b"pub", body)


@dataclass(frozen=True, eq=False, slots=True)
class Framing:
    """One way to put objects on the wire. Compared by identity: there is one value of each."""

    name: str
    frames: Callable[[Sequence[bytes]], bytes]
    """All objects, in order; nothing for none. O(bytes)."""
    ping: bytes
    """The object ``{}``, framed."""
    close: Callable[[Close], bytes]
    """The last bytes of a connection, saying why it ends."""
    publication: Encode = pushed
    """What a publication becomes. Where it is the same function, it is the same bytes."""


def text_frame(payload: bytes) -> bytes:
    """A WebSocket text frame as a server sends it: final, not masked (RFC 6455, 5.2)."""
    return _frame(TEXT, payload)


def _frame(head: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return b"%c%c%b" % (head, size, payload)
    if size < 65536:
        return b"%c\x7e%b%b" % (head, size.to_bytes(2), payload)
    return b"%c\x7f%b%b" % (head, size.to_bytes(8), payload)


def _payloads(objects: Sequence[bytes]) -> list[bytes]:
    """The payloads of as few frames as the bounds of a frame allow."""
    done: list[bytes] = []
    begin = size = 0
    for end, item in enumerate(objects):
        size += len(item) + 1
        if end > begin and (size > FRAME_BYTES or end - begin == FRAME_OBJECTS):
            done.append(b"\n".join(objects[begin:end]))
            begin, size = end, len(item) + 1
    if begin < len(objects):
        done.append(b"\n".join(objects[begin:]))
    return done


def _text_frames(objects: Sequence[bytes]) -> bytes:
    if len(objects) == 1:
        return text_frame(objects[0])
    return b"".join([text_frame(payload) for payload in _payloads(objects)])


@lru_cache(maxsize=64)
def deflated(minimum: int, window_bits: int = 15) -> Framing:
    """WEBSOCKET, where payloads of ``minimum`` bytes and more are compressed. One value of each.

    ``window_bits`` within 9..15: how far back a peer can look, as the base-2 logarithm.
    """

    def frame(payload: bytes) -> bytes:
        if len(payload) < minimum:
            return text_frame(payload)
        short = _deflate(payload, window_bits)
        return _frame(COMPRESSED_TEXT, short) if len(short) < len(payload) else text_frame(payload)

    def frames(objects: Sequence[bytes]) -> bytes:
        return b"".join([frame(payload) for payload in _payloads(objects)])

    return Framing(f"websocket, deflate {window_bits}", frames, WEBSOCKET.ping, _close_frame)


def _deflate(payload: bytes, window_bits: int) -> bytes:
    """Compressed as a message of its own (RFC 7692, 7.2.1)."""
    compressor = zlib.compressobj(DEFLATE_LEVEL, zlib.DEFLATED, -window_bits, DEFLATE_MEMORY)
    data = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return data.removesuffix(b"\0\0\xff\xff")


def _close_frame(close: Close) -> bytes:
    code, reason = close
    return _frame(CLOSE, code.to_bytes(2) + reason.encode())


def chunk(data: bytes) -> bytes:
    """A chunk of a response body; an empty one would end it, so nothing stays nothing."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def _lines(objects: Sequence[bytes]) -> bytes:
    return chunk(b"".join([b"%b\n" % item for item in objects]))


def _events(objects: Sequence[bytes]) -> bytes:
    """A carriage return between two JSON tokens is white space to us, but ends a line here."""
    events = b"".join([b"data: %b\n\n" % item for item in objects])
    return chunk(events.replace(b"\r", b" ") if b"\r" in events else events)


def _disconnect(close: Close) -> bytes:
    """The close as an object, for transports that have no other way to say it."""
    code, reason = close
    return b'{"push":{"disconnect":{"code":%d,"reason":%b}}}' % (code, msgspec.json.encode(reason))


WEBSOCKET = Framing("websocket", _text_frames, text_frame(b"{}"), _close_frame)
SSE = Framing(
    "sse", _events, _events([b"{}"]), lambda close: _events([_disconnect(close)]) + LAST_CHUNK
)
HTTP_STREAM = Framing(
    "http_stream", _lines, _lines([b"{}"]), lambda close: _lines([_disconnect(close)]) + LAST_CHUNK
)
