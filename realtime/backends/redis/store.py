"""The Redis backend whole: from an address to a `Backend` that looks after itself.

    store = RedisStore(parse("redis://127.0.0.1:6379"), Options())
    await store.start()
    ... store.backend ...
    await store.close()

Two links to each master: one for questions, one for what is published, so that neither a
flood of messages nor a slow script holds up the other; and a third one for writes, if they
have to wait for replicas. Five tasks look after them: they keep
the map of the masters, the presence of our clients and users, the probes and the watches.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

from realtime.backends.base import Backend, BackendUnavailable
from realtime.backends.redis.address import Address, Host
from realtime.backends.redis.boards import SortedSets
from realtime.backends.redis.broker import Broker
from realtime.backends.redis.buckets import Buckets
from realtime.backends.redis.channels import Channels
from realtime.backends.redis.departures import Departures
from realtime.backends.redis.dial import Options
from realtime.backends.redis.ending import end
from realtime.backends.redis.leases import Leases
from realtime.backends.redis.link import Figures, Link, Push
from realtime.backends.redis.presence import Presence
from realtime.backends.redis.sessions import Sessions
from realtime.backends.redis.strings import Counters, Hashes, Values
from realtime.backends.redis.topology import topology
from realtime.backends.redis.watches import Watches
from realtime.backends.redis.wire import Fleet, Wire

__all__ = ["RedisStore"]

log = logging.getLogger("realtime.store")

CLOSING = 1.0
"""Seconds for saying goodbye to a server that may be away."""


class RedisStore:
    """One per process. ``backend`` may be handed out before ``start``; it works after it."""

    def __init__(self, address: Address, options: Options) -> None:
        self.address = address
        self.figures = Figures()
        self._options = options
        node = secrets.token_hex(8).encode()
        self._topology = topology(address, options, self._rehome)
        reads = Fleet(self._topology, self._read_link)
        writes = Fleet(self._topology, self._write_link) if options.wait else reads
        self._fleets = {reads, writes}
        self._wire = wire = Wire(self._topology, reads, writes, options.timeout)
        self._watches = Watches(wire)
        self._broker = Broker(self._topology, wire, self._message_link, node, self.figures)
        self._presence = Presence(wire, node, options.presence_ttl)
        self._departures = Departures(wire, node, options.presence_ttl)
        self._tasks: list[asyncio.Task[None]] = []
        self.backend = Backend(
            values=Values(wire),
            counters=Counters(wire),
            hashes=Hashes(wire),
            sorted_sets=SortedSets(wire),
            buckets=Buckets(wire),
            leases=Leases(wire),
            sessions=Sessions(wire),
            channels=Channels(wire, self._broker),
            presence=self._presence,
            departures=self._departures,
            watches=self._watches,
            immediate=False,
            ping=self.ping,
        )

    @property
    def is_up(self) -> bool:
        """Whether every master is connected now."""
        links = self._links()
        return bool(links) and all(link.is_up for link in links)

    async def start(self) -> str | None:
        """Begin, and wait for the first answer; what is wrong, if there is none in time.

        Either way it goes on by itself from here: a store that is away now may come back.
        """
        for work in (
            self._topology.run(),
            self._broker.run(),
            self._presence.run(),
            self._departures.run(),
            self._watches.run(),
        ):
            self._tasks.append(asyncio.create_task(work))
            self._tasks[-1].add_done_callback(_report)
        return await self._first_answer()

    async def ping(self) -> None:
        """Raises BackendUnavailable unless every master answers and brings what is published."""
        links = self._links()
        if not links:
            raise BackendUnavailable(f"{self.address}: no master is known yet")
        for asked in [link.send((b"PING",)) for link in links]:
            await asked
        self._broker.check()

    async def close(self) -> None:
        """Take leave. What was not answered by now fails."""
        await end(self._tasks)
        try:
            async with asyncio.timeout(CLOSING):
                await self._presence.close()
        except (BackendUnavailable, TimeoutError) as fault:
            log.info("closed without taking leave of the store: %s", fault)
        await self._broker.close()
        for fleet in self._fleets:
            await fleet.close()
        await self._topology.close()

    async def _first_answer(self) -> str | None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 2 * self._options.timeout
        while True:
            try:
                await self.ping()
            except BackendUnavailable as fault:
                if loop.time() > deadline:
                    return str(fault)
                await asyncio.sleep(0.01)
            else:
                return None

    def _rehome(self) -> None:
        for fleet in self._fleets:
            fleet.prune()
        self._broker.rehome()
        self._watches.doubt()

    def _links(self) -> list[Link]:
        """Those that questions are asked on."""
        return [link for fleet in self._fleets for link in fleet.links()]

    def _read_link(self, host: Host) -> Link:
        link = self._link(host, on_push=self._watches.take)
        link.on_up = partial(self._greet, link)
        return link

    def _write_link(self, host: Host) -> Link:
        return self._link(host, wait=self._options.wait)

    def _message_link(self, host: Host, on_push: Callable[[Push], None]) -> Link:
        return self._link(host, on_push=on_push)

    def _link(self, host: Host, **options: Any) -> Link:
        name, dial = self._topology.name(host), partial(self._topology.dial, host)
        link = Link(name, dial, self._options.timeout, self.figures, **options)
        link.on_down = self._topology.doubt
        return link

    def _greet(self, link: Link) -> None:
        self._watches.greet(link)
        self._presence.renew()
        self._departures.renew()


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.critical("looking after the store has ended", exc_info=task.exception())
