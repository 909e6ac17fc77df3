"""A WebSocket client that tests can make misbehave: it sends any bytes, and reads when told to.

It speaks just enough of RFC 6455 to be served, and asserts that the server keeps to it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import socket
import struct
from collections import deque
from typing import Any, NamedTuple

__all__ = ["BINARY", "CLOSE", "CONT", "PING", "PONG", "TEXT", "Closed", "Object", "Peer", "frame"]

Object = dict[str, Any]

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

PATIENCE = 20.0
"""Seconds until a test that waits for something fails."""


class Closed(NamedTuple):
    """The close frame of the server."""

    code: int
    reason: str


def frame(opcode: int, payload: bytes, *, fin: bool = True, masked: bool = True) -> bytes:
    """A frame as a client sends it; the mask of zeros leaves the payload as it is."""
    head = bytes([(0x80 if fin else 0) | opcode])
    bit = 0x80 if masked else 0
    size = len(payload)
    if size < 126:
        head += bytes([bit | size])
    elif size < 65536:
        head += bytes([bit | 126]) + struct.pack("!H", size)
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", size)
    return head + (bytes(4) if masked else b"") + payload


class Peer:
    """One connection. ``frames`` counts the text frames that came, whatever they held."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.status = 0
        self.head = ""
        self.frames = 0
        self.pongs: list[bytes] = []
        self.closed: Closed | None = None
        self.client = ""
        self._objects: deque[Object] = deque()
        self._ids = 0

    @classmethod
    async def dial(
        cls,
        port: int,
        *,
        path: str = "/connection/websocket",
        host: str = "",
        headers: tuple[str, ...] = (),
        receive_buffer: int | None = None,
    ) -> Peer:
        """Shake hands; ``status`` tells how that went."""
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except BaseException:
            sock.close()
            raise
        # The stream stops reading at twice its limit, so that a peer that is not asked to
        # receive is one that does not read.
        reader, writer = await asyncio.open_connection(sock=sock, limit=receive_buffer or 2**16)
        peer = cls(reader, writer)
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {host or f'127.0.0.1:{port}'}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            *headers,
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        try:
            peer.head = (await peer._in_time(reader.readuntil(b"\r\n\r\n"))).decode()
        except BaseException:
            await peer.end()
            raise
        peer.status = int(peer.head.split(" ", 2)[1])
        return peer

    async def connect(self, token: str = "") -> None:
        """Become a client."""
        assert self.status == 101, self.head
        reply = await self.ask(connect={"token": token} if token else {})
        self.client = reply["connect"]["client"]

    async def ask(self, **method: object) -> Object:
        """Send one command and answer its reply; what comes before it stays to be received."""
        number = self.send(**method)
        early: list[Object] = []
        while (item := await self.receive()).get("id") != number:
            early.append(item)
        self._objects.extendleft(reversed(early))
        return item

    async def subscribe(self, channel: str, **more: object) -> Object:
        """Subscribe; the result."""
        reply = await self.ask(subscribe={"channel": channel, **more})
        assert "error" not in reply, reply
        result: Object = reply["subscribe"]
        return result

    def send(self, **method: object) -> int:
        """Send one command in a frame of its own; its id."""
        self._ids += 1
        self.send_text(json.dumps({"id": self._ids, **method}))
        return self._ids

    def send_text(self, text: str) -> None:
        self.writer.write(frame(TEXT, text.encode()))

    def send_bytes(self, data: bytes) -> None:
        self.writer.write(data)

    async def receive(self) -> Object:
        """The next object. Fails if the server closed instead."""
        while not self._objects:
            if self.closed is not None:
                raise ConnectionError(f"closed with {self.closed}")
            await self._read_frame()
        return self._objects.popleft()

    async def pushed(self) -> Object:
        """The next push, which must be the next object."""
        item = await self.receive()
        assert "push" in item, item
        push: Object = item["push"]
        return push

    async def published(self) -> Any:
        """The data of the next publication, which must be the next object."""
        return (await self.pushed())["pub"]["data"]

    async def hang_up(self) -> Closed:
        """Everything up to the server's close frame, and what that said."""
        while self.closed is None:
            await self._read_frame()
        return self.closed

    async def eof(self) -> None:
        """Wait until the server has closed the TCP connection."""
        await self._in_time(self.reader.read())

    async def eof_or_reset(self) -> None:
        """Wait until the connection has ended, however rudely."""
        with contextlib.suppress(ConnectionError):
            await self.eof()

    async def leave(self) -> None:
        """Close properly and wait for the end."""
        self.writer.write(frame(CLOSE, struct.pack("!H", 1000)))
        await self.hang_up()
        self.vanish()

    def vanish(self) -> None:
        """Drop the TCP connection without a word."""
        self.writer.close()

    async def end(self) -> None:
        """Close the socket, whatever state the connection is in."""
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    async def _read_frame(self) -> None:
        opcode, payload = await self._frame()
        if opcode == TEXT:
            self.frames += 1
            self._objects.extend(json.loads(line) for line in payload.decode().split("\n"))
        elif opcode == CLOSE:
            (code,) = struct.unpack("!H", payload[:2]) if payload else (1005,)
            self.closed = Closed(code, payload[2:].decode())
        elif opcode == PONG:
            self.pongs.append(payload)

    async def _frame(self) -> tuple[int, bytes]:
        first, second = await self._exactly(2)
        assert first & 0xF0 == 0x80, "the server neither fragments nor uses extensions"
        assert not second & 0x80, "a server does not mask"
        size = second
        if second == 126:
            (size,) = struct.unpack("!H", await self._exactly(2))
        elif second == 127:
            (size,) = struct.unpack("!Q", await self._exactly(8))
        return first & 0x0F, await self._exactly(size)

    async def _exactly(self, size: int) -> bytes:
        return await self._in_time(self.reader.readexactly(size))

    async def _in_time(self, reading: Any) -> bytes:
        async with asyncio.timeout(PATIENCE):  # wait_for may lose a cancellation
            data: bytes = await reading
        return data
