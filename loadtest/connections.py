"""What an idle connection costs, and how long one broadcast to all of them takes.

    python -m loadtest.connections [CONNECTIONS] [--subscribe] [--transport NAME]

The service is in a process of its own, with its defaults. Connections are opened by raw
sockets here, which connect, and with ``--subscribe`` all subscribe to one channel; nothing is
sent after that. Memory is the growth of the service's resident set over the first connections,
which pay for what is made once, divided by the others. The broadcast is one publication of 100
bytes, from its POST to the last connection's first byte of it; it needs subscribers, which event
streams always are.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import time

import uvloop

from loadtest.compare.peers import servers
from loadtest.compare.processes import cpu_seconds, resident

WARM = 100
"""Connections that are opened before anything is counted."""
AT_ONCE = 100
CHANNEL = "bench"
UPGRADE = (
    b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
"""With a path."""
PER_ADDRESS = 20_000
"""Connections that come from one address of loopback: it has some 28,000 ports to spare."""
CONNECT = b'{"id":1,"connect":{}}'
SUBSCRIBE = CONNECT + b'\n{"id":2,"subscribe":{"channel":"%b"}}' % CHANNEL.encode()
TRANSPORTS = ("websocket", "http_stream", "sse", "events")
BODY = b'{"data":"%b"}' % (b"x" * 98)
PUBLISH = f"/v1/channels/{CHANNEL}/messages"

Opening = tuple[bytes, bytes, bytes]
"""The request, what is said after it, and how the answer to that ends."""


class Idle(asyncio.Protocol):
    """Shakes hands, says what it is told to, and notes when something comes after the answer."""

    def __init__(self, request: bytes, hello: bytes, answer: bytes) -> None:
        """``hello`` is sent once the ``request`` has been answered."""
        self._request = request
        self._hello = hello
        self._answer = answer
        self._seen = b""
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.pushed: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self.ready.done():
            if not self.pushed.done():
                self.pushed.set_result(None)
            return
        self._seen += data
        if self._hello and b"\r\n\r\n" in self._seen:
            assert b" 101 " in self._seen, self._seen
            self.transport.write(self._hello)
            self._hello = self._seen = b""
        elif self._answer in self._seen:
            self.ready.set_result(None)


def _masked(payload: bytes) -> bytes:
    """A text frame of a client; the mask of zeros leaves the payload as it is."""
    return b"\x81%c%b%b" % (0x80 | len(payload), bytes(4), payload)


def opening(transport: str, subscribe: bool) -> Opening:
    """Of ours."""
    commands, answer = (SUBSCRIBE, b'"id":2') if subscribe else (CONNECT, b'"id":1')
    match transport:
        case "websocket":
            return UPGRADE % b"/connection/websocket", _masked(commands), answer
        case "events":
            return _request("GET", f"/v1/channels/{CHANNEL}/events"), b"", b"id: "
        case _:
            return _request("POST", f"/connection/{transport}", commands), b"", answer


def _request(method: str, path: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def opened(port: int, count: int, way: Opening) -> list[Idle]:
    """So many more connections, some at a time."""
    loop = asyncio.get_running_loop()
    found: list[Idle] = []
    while len(found) < count:
        some = [
            loop.create_connection(
                lambda: Idle(*way),
                "127.0.0.1",
                port,
                local_addr=_source(len(found)),
            )
            for _ in range(min(AT_ONCE, count - len(found)))
        ]
        new = [protocol for _, protocol in await asyncio.gather(*some)]
        await asyncio.gather(*[idle.ready for idle in new])
        found += new
    return found


async def broadcast(port: int, idles: list[Idle], path: str = PUBLISH, body: bytes = BODY) -> float:
    """Seconds from the POST to the last arrival."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    started = time.perf_counter()
    writer.write(head.encode() + body)
    await asyncio.gather(*[idle.pushed for idle in idles])
    seconds = time.perf_counter() - started
    assert (await reader.readline()).startswith(b"HTTP/1.1 2")
    writer.close()
    return seconds


def _source(number: int) -> tuple[str, int] | None:
    """Where a connection comes from; the first ones have their address from the kernel."""
    address = number // PER_ADDRESS
    return (f"127.0.0.{1 + address}", 0) if address else None


def raise_limit() -> int:
    """Let this process, and the servers that it starts, have as many open files as may be."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


async def measure(count: int, transport: str, subscribe: bool) -> None:
    # One process opens them all: more than its share of a limit per address is no wonder here.
    with servers.realtime() as server:
        way = opening(transport, subscribe)
        await opened(server.port, WARM, way)
        before, spent = resident(server.pid), cpu_seconds(server.pid)
        idles = await opened(server.port, count, way)
        spent = cpu_seconds(server.pid) - spent
        grown = (resident(server.pid) - before) / count
        print(f"memory     {grown / 1024:6.2f} KiB a connection, of {count}")
        print(f"opening    {spent / count * 1e6:6.0f} µs of the server's CPU time each")
        if subscribe or transport == "events":
            print(f"broadcast  {await broadcast(server.port, idles) * 1e3:6.1f} ms to all of them")


def main() -> None:
    parser = argparse.ArgumentParser(description="What an idle connection costs.")
    parser.add_argument("connections", type=int, nargs="?", default=5_000)
    parser.add_argument("--subscribe", action="store_true", help="all to one channel")
    parser.add_argument("--transport", choices=TRANSPORTS, default=TRANSPORTS[0])
    asked = parser.parse_args()
    raise_limit()
    uvloop.run(measure(asked.connections, asked.transport, asked.subscribe))


if __name__ == "__main__":
    main()
