"""A server that webhooks are sent to, and that behaves as badly as a test wants it to."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from tests.redis.waiting import until

__all__ = ["HANG", "Receiver", "Request", "receiving"]

HANG = 0
"""As a status: there is no answer, and the connection stays open."""


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.body)
        return event

    @property
    def user(self) -> str:
        user: str = self.event["user"]
        return user


class Receiver:
    """Listens on a port of its own, also again after ``stop``."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[Request] = []
        self.answers: deque[int] = deque()
        """The statuses of the next answers; then ``otherwise`` always."""
        self.otherwise = 204
        self.extra = ""
        """Header lines of every answer."""
        self.body = b""
        self.greeting = b""
        """What it says before it is asked."""
        self.accepted = 0
        """Connections so far."""
        self.under_way = 0
        self.most_under_way = 0
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._go_on = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks?token=sesame"

    @property
    def users(self) -> list[str]:
        """Of whom it was told, in order."""
        return [request.user for request in self.requests]

    async def start(self) -> None:
        self._go_on = asyncio.Event()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End, in the middle of whatever it does."""
        assert self._server is not None
        self._server.close()
        self.release()
        for writer in list(self._connections):
            writer.transport.abort()
        await until(lambda: not self._connections)

    def release(self) -> None:
        """Answer those who were left hanging."""
        self._go_on.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        self.accepted += 1
        writer.write(self.greeting)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    await self._answer(reader, writer)
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *fields = head.rstrip().split("\r\n")
        headers = {
            name.lower(): value for name, value in (field.split(": ", 1) for field in fields)
        }
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.append(Request(line, headers, body))
        status = self.answers.popleft() if self.answers else self.otherwise
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if status == HANG:
                await self._go_on.wait()
                status = 200
        finally:
            self.under_way -= 1
        length = f"content-length: {len(self.body)}\r\n"
        writer.write(f"HTTP/1.1 {status} X\r\n{length}{self.extra}\r\n".encode() + self.body)
        await writer.drain()


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.start()
    try:
        yield receiver
    finally:
        await receiver.stop()
