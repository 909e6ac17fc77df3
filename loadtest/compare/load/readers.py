"""Requests at a steady rate, whatever becomes of them, until standard input ends.

    python -m loadtest.compare.load.readers PORT PATH RATE FILE

Each request is due at an instant fixed in advance, and its latency counts from that instant:
if the service stands still, every request that was due meanwhile shows it, not only the
one that was under way. ``{}`` in the path becomes a number that changes. Writes JSON into the
file: [[due (seconds of the monotonic clock, common to all processes), latency], …].
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import uvloop

CONNECTIONS = 16
Latencies = list[tuple[float, float]]


async def _read(port: int, path: str, due: float, period: float, ended: asyncio.Event) -> Latencies:
    """One connection, on which a request is due every ``period``."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    latencies: Latencies = []
    number = int(due * 1e6)
    while not ended.is_set():
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        target = path.replace("{}", str(number % 100_003))
        writer.write(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise ConnectionError(f"{target} was refused: {head!r}")
        await reader.readexactly(int(head.partition(b"content-length:")[2].split()[0]))
        latencies.append((due, time.monotonic() - due))
        due += period
        number += 7919
    writer.close()
    return latencies


async def run(port: int, path: str, rate: float) -> Latencies:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    period = CONNECTIONS / rate
    first = time.monotonic() + 0.1
    async with asyncio.TaskGroup() as tasks:
        readers = [
            tasks.create_task(_read(port, path, first + number / rate, period, ended))
            for number in range(CONNECTIONS)
        ]
    return sorted(latency for task in readers for latency in task.result())


if __name__ == "__main__":
    answer = uvloop.run(run(int(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
    Path(sys.argv[4]).write_text(json.dumps(answer))
