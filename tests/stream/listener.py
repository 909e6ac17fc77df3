"""HTTP as tests can make it misbehave: any bytes are sent, and what comes is read when asked to.

A `Listener` reads one streamed response, and asserts that the chunks of it are well-formed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections import deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote

from tests.ws.peer import PATIENCE, Closed, Object

__all__ = [
    "Answer", "Event", "Listener", "Speaker", "asking", "lines", "opening", "request", "speaking",
]  # fmt: skip


class Answer(NamedTuple):
    """A short answer, or the head of a long one."""

    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def problem(self) -> Object:
        problem: Object = json.loads(self.body)
        assert problem["status"] == self.status
        return problem


@dataclass
class Event:
    """One of Server-Sent Events."""

    kind: str = "message"
    data: str = ""
    id: str | None = None
    comment: str | None = None

    @property
    def json(self) -> Any:
        return json.loads(self.data)


def request(method: str, target: str, body: bytes = b"", *headers: str, host: str = "") -> bytes:
    """A request, as it goes on the wire."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host or 'localhost'}", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Listener:
    """One connection, on which one response is read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.answer = Answer(0, {})
        self.ended = False
        """The last chunk has come."""
        self._text = ""

    @classmethod
    async def dial(cls, port: int, receive_buffer: int | None = None) -> Listener:
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except BaseException:
            sock.close()
            raise
        # The stream stops reading at twice its limit: who is not asked to read, does not.
        reader, writer = await asyncio.open_connection(sock=sock, limit=receive_buffer or 2**16)
        return cls(reader, writer)

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def respond(self) -> Answer:
        """The head of the next answer, and its body unless it is a stream."""
        head = (await self.in_time(self.reader.readuntil(b"\r\n\r\n"))).decode()
        first, *lines = head.rstrip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        size = int(headers.get("content-length", 0))
        body = await self.in_time(self.reader.readexactly(size))
        self.answer = Answer(int(first.split(" ")[1]), headers, body)
        return self.answer

    async def text_until(self, end: str) -> str:
        """Of the response's body, up to and without ``end``. Fails if the body ends before."""
        while end not in self._text:
            piece = await self.chunk()
            if not piece:
                raise ConnectionError(f"the stream has ended: {self._text!r}")
            self._text += piece
        text, _, self._text = self._text.partition(end)
        return text

    async def chunk(self) -> str:
        """The next chunk; empty at the end of the response."""
        if self.ended:
            return ""
        size = int(await self.in_time(self.reader.readuntil(b"\r\n")), 16)
        data = await self.in_time(self.reader.readexactly(size + 2))
        assert data.endswith(b"\r\n")
        self.ended = size == 0
        text: str = data[:-2].decode()
        return text

    async def event(self) -> Event:
        """The next of Server-Sent Events, also one without data."""
        found = Event()
        for line in (await self.text_until("\n\n")).split("\n"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                found.kind = value
            elif name == "data":
                found.data += value
            elif name == "id":
                found.id = value
            elif not name:
                found.comment = value
            else:
                assert name == "retry", line
        return found

    async def eof(self) -> None:
        """The last chunk, and behind it the end of the connection."""
        assert await self.chunk() == ""
        assert await self.in_time(self.reader.read()) == b""

    async def in_time(self, what: Any) -> Any:
        return await asyncio.wait_for(what, PATIENCE)

    async def end(self) -> None:
        """Close the socket, whatever state the connection is in."""
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


@dataclass
class Speaker:
    """A client of one of the emulated transports: it listens to a stream, and speaks elsewhere."""

    port: int
    transport: str
    listener: Listener
    session: str = ""
    node: str = ""
    client: str = ""
    closed: Closed | None = None
    _objects: deque[Object] = field(default_factory=deque)
    _ids: int = 0

    @classmethod
    async def open(
        cls,
        port: int,
        transport: str,
        commands: str,
        *headers: str,
        receive_buffer: int | None = None,
        behind: bytes = b"",
    ) -> Speaker:
        """Send the first commands; what came of that is in ``listener.answer``.

        ``behind`` is sent with the request, and does not belong to it."""
        listener = await Listener.dial(port, receive_buffer)
        speaker = cls(port, transport, listener)
        try:
            listener.say(opening(transport, commands, *headers) + behind)
            if (await listener.respond()).status == 200 and transport != "http_stream":
                assert await listener.text_until("\r\n") == ""
        except BaseException:
            await listener.end()
            raise
        return speaker

    async def connected(self) -> Object:
        """The reply to the connect command, which must be the next object."""
        reply = await self.receive()
        result: Object = reply["connect"]
        self.client, self.session, self.node = (
            result["client"],
            result["session"],
            result["node"],
        )
        self._ids = max(self._ids, reply["id"])
        return result

    async def receive(self) -> Object:
        """The next object. Fails if the service closed instead."""
        item = await self._next()
        if "disconnect" in item.get("push", {}):
            self.closed = Closed(**item["push"]["disconnect"])
            raise ConnectionError(f"closed with {self.closed}")
        return item

    async def _next(self) -> Object:
        if self._objects:
            return self._objects.popleft()
        if self.transport == "http_stream":
            item: Object = json.loads(await self.listener.text_until("\n"))
        else:
            item = (await self.listener.event()).json
        return item

    async def pushed(self) -> Object:
        """The next push, which must be the next object."""
        item = await self.receive()
        assert "push" in item, item
        push: Object = item["push"]
        return push

    async def published(self) -> Any:
        return (await self.pushed())["pub"]["data"]

    async def hang_up(self) -> Closed:
        """Everything up to the object that says why the stream ends."""
        with contextlib.suppress(ConnectionError):
            while True:
                await self.receive()
        assert self.closed is not None
        return self.closed

    async def ask(self, **method: object) -> Object:
        """Send one command in a request of its own, and answer its reply."""
        number = self.command(**method)
        answer = await self.say(number[1])
        assert answer.status == 204, answer
        early: list[Object] = []
        while (item := await self.receive()).get("id") != number[0]:
            early.append(item)
        self._objects.extendleft(reversed(early))
        return item

    async def subscribe(self, channel: str, **more: object) -> Object:
        reply = await self.ask(subscribe={"channel": channel, **more})
        assert "error" not in reply, reply
        result: Object = reply["subscribe"]
        return result

    def command(self, **method: object) -> tuple[int, str]:
        """The next command, and its id."""
        self._ids += 1
        return self._ids, json.dumps({"id": self._ids, **method})

    async def say(self, commands: str, **more: str) -> Answer:
        """Send commands, one to a line."""
        message = {"session": self.session, "node": self.node, "data": commands, **more}
        return await speaking(self.port, message)

    async def end(self) -> None:
        await self.listener.end()


def opening(transport: str, commands: str, *headers: str) -> bytes:
    """The request that opens a stream."""
    if transport == "http_stream":
        return request("POST", "/connection/http_stream", commands.encode(), *headers)
    if transport == "sse-post":
        return request("POST", "/connection/sse", commands.encode(), *headers)
    return request("GET", f"/connection/sse?cf_connect={quote(commands)}", b"", *headers)


async def speaking(port: int, message: object, *headers: str) -> Answer:
    """What is answered to a request to ``/emulation``."""
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return await asking(port, request("POST", "/emulation", body, *headers))


async def asking(port: int, data: bytes) -> Answer:
    """The answer to a request on a connection of its own."""
    listener = await Listener.dial(port)
    try:
        listener.say(data)
        return await listener.respond()
    finally:
        await listener.end()


def lines(*commands: dict[str, object]) -> str:
    """Commands as they travel together, numbered from 1."""
    numbered = ({"id": number, **command} for number, command in enumerate(commands, 1))
    return "\n".join(map(json.dumps, numbered))
