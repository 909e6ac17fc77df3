"""Requests at a steady rate, whatever becomes of them, until standard input ends.

    python -m loadtest.compare.load.steady '<json of Plan>'

Each request is due at an instant fixed in advance, and its latency counts from that instant:
if the service stands still, every request that was due meanwhile shows it, not only the
one that was under way. Every kind of request has connections of its own. In its path and body
``$m`` becomes a member and ``$s`` a score; both change, and scores rise with the clock, so that
nearly every submission changes the board. Writes one JSON object into the file: of each kind,
[[due (seconds of the monotonic clock, common to all processes), latency], …].
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import uvloop

__all__ = ["Kind", "Latencies", "Plan"]

CONNECTIONS = 16
"""Of each kind."""
STRIDE = 7919
"""A prime, so that consecutive requests are about members far apart."""

Latencies = list[tuple[float, float]]


class Kind(msgspec.Struct, frozen=True):
    method: str
    path: str
    body: str
    """Of JSON; may be empty."""


class Plan(msgspec.Struct, frozen=True):
    port: int
    members: int
    rate: float
    """Requests per second of each kind."""
    kinds: Mapping[str, Kind]
    file: str


async def _ask(
    plan: Plan, kind: Kind, due: float, period: float, ended: asyncio.Event
) -> Latencies:
    """One connection, on which a request is due every ``period``."""
    reader, writer = await asyncio.open_connection("127.0.0.1", plan.port)
    latencies: Latencies = []
    number = int(due * 1e6)
    while not ended.is_set():
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        began = min(due, time.monotonic())  # the loop's timers may be early, by less than 1 ms
        writer.write(_request(plan, kind, number))
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise ConnectionError(f"{kind.method} {kind.path} was refused: {head!r}")
        await reader.readexactly(int(head.partition(b"content-length:")[2].split()[0]))
        latencies.append((due, time.monotonic() - began))
        due += period
        number += STRIDE
    writer.close()
    return latencies


def _request(plan: Plan, kind: Kind, number: int) -> bytes:
    """``number`` rises slower than the microseconds do, so a later run begins above this one."""

    def fill(text: str) -> str:
        return text.replace("$m", f"player:{number % plan.members}").replace("$s", str(number))

    body = fill(kind.body)
    head = f"{kind.method} {fill(kind.path)} HTTP/1.1\r\nHost: 127.0.0.1:{plan.port}\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n{body}".encode()


async def run(plan: Plan) -> dict[str, Latencies]:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    period = CONNECTIONS / plan.rate
    first = time.monotonic() + 0.1
    async with asyncio.TaskGroup() as group:
        tasks = {
            name: [
                group.create_task(_ask(plan, kind, first + number / plan.rate, period, ended))
                for number in range(CONNECTIONS)
            ]
            for name, kind in plan.kinds.items()
        }
    return {
        name: sorted(latency for task in found for latency in task.result())
        for name, found in tasks.items()
    }


if __name__ == "__main__":
    given = msgspec.json.decode(sys.argv[1], type=Plan)
    Path(given.file).write_bytes(msgspec.json.encode(uvloop.run(run(given))))
