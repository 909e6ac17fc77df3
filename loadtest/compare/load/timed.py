"""Many WebSocket subscribers, and how long each delivery to them took at a steady rate.

    python -m loadtest.compare.load.timed '<json of Plan>'

Publications are due at instants fixed in advance, and every one carries its own: the time of a
delivery runs from there to its arrival here, which the kernel notes: what this one process takes
to read what has arrived for hundreds of subscribers is no server's doing. If a server stands
still, all publications that were due meanwhile show it. Who publishes is a process of its own,
which reads the same plan from its arguments: it must not be late because deliveries are read
here. Some publications at the beginning, for everybody to get warm, carry no instant and do not
count.

Among the subscribers may be some that subscribe and then never read. Prints one line of JSON, a
`Timed`.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
import struct
import sys
import time
from array import array
from collections.abc import Sequence
from contextlib import ExitStack

import msgspec
import uvloop

from loadtest.compare.load.subscribers import (
    MARK,
    Arrivals,
    Plan,
    Subscriber,
    publication,
    subscribed,
)
from loadtest.compare.processes import cpu_seconds, resident

__all__ = ["STAMP", "Pace", "Timed"]

DIGITS = 16
STAMP = MARK.decode() + "0" * DIGITS
"""What the data of a publication begins with: microseconds of the monotonic clock, or nought."""
SINCE_1970 = time.time() - time.monotonic()
"""What the kernel's notes are ahead of the monotonic clock; a run is too short for it to change."""
PATIENCE = 120.0
"""Seconds; a server that has more to do than it can takes longer than planned."""
LOOK_SECONDS = 0.05
NOTE_ARRIVALS = 35
"""SO_TIMESTAMPNS of Linux, which Python has no name for."""
AT_ONCE = 64 * 1024
"""Bytes of a read."""
SMALL = 4 * 1024
"""Bytes that the kernel takes for one that does not read, so that it is soon full."""


class Pace(msgspec.Struct, frozen=True):
    plan: Plan
    rate: float
    """Publications per second."""
    warm: int
    """Publications before anything counts; they are among those of the plan."""
    stalled: int = 0
    """Subscribers more that do not read."""


class Timed(msgspec.Struct, frozen=True):
    p50: float
    p99: float
    """Milliseconds."""
    cpu_seconds: float
    """Of the server, while all was published."""
    grown: int
    """Bytes by which the server's resident set grew at most, from the first publication on."""


class Timing(Subscriber):
    """Notes how old every delivery was when it arrived.

    Once it is subscribed it reads from the socket itself. What has arrived in several pieces and is
    read in one go counts as having arrived with the last of them.
    """

    def __init__(self, plan: Plan, arrivals: Arrivals, ages: array[float]) -> None:
        super().__init__(plan, arrivals)
        self._ages = ages
        self._arrived = 0.0
        """When what is read just now arrived, by the monotonic clock."""

    def _open(self, seen: bytes) -> None:
        super()._open(seen)
        if self.subscribed.done():
            self._transport.pause_reading()
            own = self._transport.get_extra_info("socket")
            self._socket = socket.socket(fileno=os.dup(own.fileno()))
            self._socket.setsockopt(socket.SOL_SOCKET, NOTE_ARRIVALS, 1)
            asyncio.get_running_loop().add_reader(self._socket, self._read)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._counting:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()

    def _read(self) -> None:
        data, notes, _, _ = self._socket.recvmsg(AT_ONCE, AT_ONCE)
        if not data:
            self._transport.abort()
            return
        (_, _, note), *_ = notes
        seconds, nanoseconds = struct.unpack("qq", note)
        self._arrived = seconds + nanoseconds * 1e-9 - SINCE_1970
        self.data_received(data)

    def _count(self, seen: bytes) -> bytes:
        arrived = 0
        at = seen.find(MARK)
        while 0 <= at <= len(seen) - len(STAMP):
            due = int(seen[at + len(MARK) : at + len(STAMP)])
            if due:
                self._ages.append(self._arrived - due * 1e-6)
            arrived += 1
            at = seen.find(MARK, at + len(STAMP))
        self._arrivals.add(arrived)
        return seen[at:] if at >= 0 else seen[-2:]


class Stalled(Subscriber):
    """Subscribes, and reads no more."""

    def _open(self, seen: bytes) -> None:
        super()._open(seen)
        if self.subscribed.done():
            self._transport.pause_reading()


async def run(pace: Pace) -> Timed:
    plan = pace.plan
    arrivals = Arrivals(plan.subscribers * plan.publications)
    ages: array[float] = array("d")
    stalled = msgspec.structs.replace(plan, subscribers=pace.stalled)
    async with (
        asyncio.timeout(PATIENCE),
        subscribed(plan, lambda: Timing(plan, arrivals, ages)),
        subscribed(stalled, lambda: Stalled(plan, arrivals), SMALL),
    ):
        cpu, before = cpu_seconds(plan.pid), resident(plan.pid)
        publisher = asyncio.create_task(_published(pace))
        most = before
        while not (publisher.done() and arrivals.complete.is_set()):
            await asyncio.sleep(LOOK_SECONDS)
            most = max(most, resident(plan.pid))
            if publisher.done():
                publisher.result()
        cpu = cpu_seconds(plan.pid) - cpu
    if arrivals.left:
        raise RuntimeError(f"{-arrivals.left} deliveries too many")
    found = sorted(ages)
    p50, p99 = (found[len(found) * part // 100] * 1e3 for part in (50, 99))
    return Timed(p50, p99, cpu, most - before)


async def _published(pace: Pace) -> None:
    """Let another process publish all of it. Raises RuntimeError if it could not."""
    told = msgspec.json.encode(pace).decode()
    command = (sys.executable, "-m", "loadtest.compare.load.timed", "publish", told)
    publisher = await asyncio.create_subprocess_exec(*command)
    if await publisher.wait():
        raise RuntimeError("publishing failed: see above")


def publish(pace: Pace) -> None:
    """Publish at the instants that are due, on the plan's connections in turn.

    So many publications may be under way: a server that is behind gets what is due all the same. If
    even that is too much for it, the next ones come late, and their time runs already.
    """
    plan, period = pace.plan, 1 / pace.rate
    with ExitStack() as stack:
        at = ("127.0.0.1", plan.port)
        connections = [
            stack.enter_context(socket.create_connection(at, PATIENCE))
            for _ in range(plan.publishers)
        ]
        first = time.monotonic() + period
        for number in range(plan.publications):
            connection = connections[number % plan.publishers]
            if number >= plan.publishers:
                _check_answer(connection)
            due = first + number * period
            time.sleep(max(0.0, due - time.monotonic()))
            stamp = 0 if number < pace.warm else round(due * 1e6)
            connection.sendall(publication(plan, plan.body.replace(STAMP, _stamp(stamp), 1)))
        for number in range(plan.publications, plan.publications + plan.publishers):
            _check_answer(connections[number % plan.publishers])


def _check_answer(connection: socket.socket) -> None:
    """Wait for the answer to what was asked last. Raises ConnectionError if it is a refusal."""
    with http.client.HTTPResponse(connection, method="POST") as response:
        response.begin()
        response.read()
        if response.status // 100 != 2:
            raise ConnectionError(f"publishing was refused: {response.status}")


def _stamp(microseconds: int) -> str:
    return f"{MARK.decode()}{microseconds:0{DIGITS}d}"


def main(arguments: Sequence[str]) -> None:
    pace = msgspec.json.decode(arguments[-1], type=Pace)
    if arguments[0] == "publish":
        publish(pace)
    else:
        sys.stdout.write(msgspec.json.encode(uvloop.run(run(pace))).decode())


if __name__ == "__main__":
    main(sys.argv[1:])
