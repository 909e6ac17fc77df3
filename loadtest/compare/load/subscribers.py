"""Many WebSocket subscribers and a few publishers, in one process that does as little as it can.

    python -m loadtest.compare.load.subscribers '<json of Plan>'

Everybody subscribes first. The timed region then runs from the first publication's POST to
the last delivery's arrival, and the server's CPU time is read at both ends. A delivery is
counted by a mark that every publication carries once, not by frames, since a server may
put several publications into a frame. Prints one line of JSON, a `Result`.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import uvloop

from loadtest.compare.processes import cpu_seconds

__all__ = ["MARK", "Arrivals", "Plan", "Result", "Subscriber", "publication", "subscribed"]

MARK = b"<!>"
"""No two of its bytes are alike, so that the two last bytes of a read never hold a whole one."""
TIMEOUT = 60.0


class Plan(msgspec.Struct, frozen=True):
    port: int
    pid: int
    """The server's, whose CPU time is read."""
    subscribe_path: str
    hello: str
    """What a subscriber sends in one message once it is connected; may be empty."""
    welcome: str
    """What the server's answer to ``hello`` ends with, so to say: then it is subscribed."""
    publish_path: str
    body: str
    subscribers: int
    publications: int
    publishers: int
    batch: int = 1
    """Publications that a request carries."""


class Result(msgspec.Struct, frozen=True):
    deliveries: int
    seconds: float
    cpu_seconds: float


class Arrivals:
    """Counts what all subscribers together have got."""

    def __init__(self, expected: int) -> None:
        self.left = expected
        self.complete = asyncio.Event()

    def add(self, deliveries: int) -> None:
        self.left -= deliveries
        if self.left <= 0:
            self.complete.set()


class Subscriber(asyncio.Protocol):
    """A WebSocket client as small as can be: it shakes hands, subscribes, and counts."""

    def __init__(self, plan: Plan, arrivals: Arrivals) -> None:
        self._plan = plan
        self._arrivals = arrivals
        self._seen = b""
        self._counting = False
        self._awaited = b"\r\n\r\n"
        self.subscribed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        transport.write(_upgrade(self._plan))

    def data_received(self, data: bytes) -> None:
        seen = self._seen + data
        if self._counting:
            self._seen = self._count(seen)
        else:
            self._open(seen)

    def _count(self, seen: bytes) -> bytes:
        """Count the deliveries; what of it must be seen again, since it may be half of one."""
        self._arrivals.add(seen.count(MARK))
        return seen[-2:]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.subscribed.done():
            self.subscribed.set_exception(ConnectionError(f"refused: {self._seen[:200]!r}"))

    def _open(self, seen: bytes) -> None:
        """Answer the handshake with the hello; once that is answered, begin to count."""
        self._seen = seen
        if self._awaited not in seen:
            return
        if self._awaited == b"\r\n\r\n" and self._plan.hello:
            self._awaited = self._plan.welcome.encode()
            self._transport.write(_frame(self._plan.hello.encode()))
        else:
            self._seen, self._counting = b"", True
            self.subscribed.set_result(None)


def _upgrade(plan: Plan) -> bytes:
    return (
        f"GET {plan.subscribe_path} HTTP/1.1\r\nHost: 127.0.0.1:{plan.port}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


def _frame(text: bytes) -> bytes:
    """A short text frame, masked with zeros."""
    assert len(text) < 126, "a hello fits into the short form of a frame"
    return b"\x81" + bytes([0x80 | len(text)]) + bytes(4) + text


def publication(plan: Plan, body: str) -> bytes:
    """The request that publishes; the body is ASCII."""
    return (
        f"POST {plan.publish_path} HTTP/1.1\r\nHost: 127.0.0.1:{plan.port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


async def _publish(plan: Plan, remaining: list[int]) -> None:
    """One publisher: POST, wait for the answer, and again, until nothing remains."""
    request = publication(plan, plan.body)
    reader, writer = await asyncio.open_connection("127.0.0.1", plan.port)
    while remaining:
        remaining.pop()
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 2"):
            raise ConnectionError(f"publishing was refused: {head!r}")
        await reader.readexactly(int(head.partition(b"content-length:")[2].split()[0]))
    writer.close()


@asynccontextmanager
async def subscribed(
    plan: Plan, make: Callable[[], Subscriber], receive_buffer: int = 0
) -> AsyncIterator[None]:
    """All subscribers, each made by ``make``, until the block ends; ``receive_buffer`` is in bytes,
    if it is not to be the kernel's business."""
    loop = asyncio.get_running_loop()
    transports = []
    for _ in range(plan.subscribers):
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await loop.sock_connect(sock, ("127.0.0.1", plan.port))
        transport, protocol = await loop.create_connection(make, sock=sock)
        transports.append(transport)
        await protocol.subscribed
    yield
    for transport in transports:
        transport.abort()


async def run(plan: Plan) -> Result:
    deliveries = plan.subscribers * plan.publications
    arrivals = Arrivals(deliveries)
    remaining = [0] * (plan.publications // plan.batch)
    async with asyncio.timeout(TIMEOUT), subscribed(plan, lambda: Subscriber(plan, arrivals)):
        cpu, started = cpu_seconds(plan.pid), time.perf_counter()
        async with asyncio.TaskGroup() as publishers:
            for _ in range(plan.publishers):
                publishers.create_task(_publish(plan, remaining))
        await arrivals.complete.wait()
        seconds, cpu = time.perf_counter() - started, cpu_seconds(plan.pid) - cpu
    if arrivals.left:
        raise RuntimeError(f"{-arrivals.left} deliveries too many")
    return Result(deliveries, seconds, cpu)


if __name__ == "__main__":
    result = uvloop.run(run(msgspec.json.decode(sys.argv[1], type=Plan)))
    sys.stdout.write(msgspec.json.encode(result).decode())
