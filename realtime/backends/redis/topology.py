"""Who has which key: one server has them all, or in a cluster each master has some slots.

A master that was replaced is found by itself: its Sentinels are asked at every new
connection; a cluster is asked again when a server said MOVED, when one is missing, and now
and then.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from redis.crc import key_slot
from redis.exceptions import RedisError

from realtime.backends.base import BackendUnavailable
from realtime.backends.redis.address import Address, Host
from realtime.backends.redis.calls import CommandFailed
from realtime.backends.redis.dial import Dialer, Options
from realtime.backends.redis.link import Greeted, Unusable

__all__ = ["Cluster", "OneServer", "Topology", "topology"]

log = logging.getLogger("realtime.store")

SLOTS = 16_384

CALM = 10.0
"""Seconds between two looks at a cluster in which nothing is missing."""
HURRY = 0.25
"""The same while something is."""


class Topology(Protocol):
    """Where the masters are, and how to get to them."""

    @property
    def sharded(self) -> bool: ...

    def hosts(self) -> Sequence[Host]:
        """All masters known now."""

    def home(self, key: bytes) -> Host:
        """The master that has the key. Raises BackendUnavailable if nobody is known to."""

    async def dial(self, host: Host) -> Greeted:
        """A connection to a master. Raises OSError, RedisError or Unusable."""

    def name(self, host: Host) -> str:
        """What to call it in messages."""

    def doubt(self) -> None:
        """Something does not answer, or not as expected: look again soon."""

    def heed(self, redirection: CommandFailed, key: bytes) -> Host:
        """Where MOVED or ASK sends the question; if it is MOVED, for good. Raises
        BackendUnavailable if nobody is known to have the key."""

    async def run(self) -> None:
        """Keep the map up to date, until cancelled."""

    async def close(self) -> None: ...


def topology(address: Address, options: Options, changed: Callable[[], None]) -> Topology:
    """``changed`` is called when keys have moved to other masters."""
    dialer = Dialer(address, options)
    if address.kind == "cluster":
        return Cluster(dialer, address.hosts, options.timeout, changed)
    return OneServer(dialer, str(address))


class OneServer:
    """All keys on one server; who that is, is found out at every connection."""

    sharded = False

    def __init__(self, dialer: Dialer, name: str) -> None:
        self._dialer = dialer
        self._name = name
        self._host = Host("", 0)

    def hosts(self) -> Sequence[Host]:
        return (self._host,)

    def home(self, key: bytes) -> Host:
        return self._host

    async def dial(self, host: Host) -> Greeted:
        return await self._dialer.dial_any()

    def name(self, host: Host) -> str:
        return self._name

    def doubt(self) -> None:
        """The next connection looks anyway."""

    def heed(self, redirection: CommandFailed, key: bytes) -> Host:
        raise redirection  # a server of a cluster, and we were not told that it is one

    async def run(self) -> None:
        """Nothing to keep."""

    async def close(self) -> None:
        await self._dialer.close()


class Cluster:
    """Slots and their masters, as some node of the cluster described them last."""

    sharded = True

    def __init__(
        self, dialer: Dialer, seeds: Sequence[Host], timeout: float, changed: Callable[[], None]
    ) -> None:
        self._dialer = dialer
        self._seeds = seeds
        self._timeout = timeout
        self._changed = changed
        self._homes: list[Host | None] = [None] * SLOTS
        self._doubt = asyncio.Event()
        self._trouble = ""
        """Why nobody could be asked, the last time."""

    def hosts(self) -> Sequence[Host]:
        return sorted({host for host in self._homes if host is not None})

    def home(self, key: bytes) -> Host:
        slot: int = key_slot(key)
        host = self._homes[slot]
        if host is None:
            self.doubt()
            trouble = f": {self._trouble}" if self._trouble else ""
            raise BackendUnavailable(f"no master of the cluster is known to have this key{trouble}")
        return host

    async def dial(self, host: Host) -> Greeted:
        return await self._dialer.dial(host)

    def name(self, host: Host) -> str:
        return str(host)

    def doubt(self) -> None:
        self._doubt.set()

    def heed(self, redirection: CommandFailed, key: bytes) -> Host:
        _, slot, where = str(redirection).split()[:3]
        name, _, port = where.rpartition(":")
        host = Host(name or self.home(key).name, int(port))
        if redirection.code == "MOVED":
            if self._homes[int(slot)] != host:
                self._homes[int(slot)] = host
                self._changed()
            self.doubt()
        return host

    async def run(self) -> None:
        while True:
            self._doubt.clear()
            calm = await self._look()
            if not calm:
                await asyncio.sleep(HURRY)
                continue
            try:
                async with asyncio.timeout(CALM):
                    await self._doubt.wait()
                await asyncio.sleep(HURRY * random.random())  # not all nodes at once
            except TimeoutError:
                continue

    async def close(self) -> None:
        await self._dialer.close()

    async def _look(self) -> bool:
        """Ask somebody where everything is; whether all slots have a master."""
        known = [host for host in self.hosts() if host not in self._seeds]
        trouble = ""
        for host in random.sample(known, len(known)) + list(self._seeds):
            try:
                async with asyncio.timeout(self._timeout / 2):
                    described = await self._ask(host)
            except (OSError, RedisError, Unusable) as fault:
                trouble = f"{host}: {fault or 'it does not answer in time'}"
                continue
            self._trouble = ""
            self._take(described, host)
            return None not in self._homes
        if trouble != self._trouble:
            log.warning("no node of the cluster can be asked; the last was %s", trouble)
            self._trouble = trouble
        return False

    async def _ask(self, host: Host) -> Any:
        connection = (await self._dialer.dial(host, of_any_role=True)).connection
        try:
            await connection.send_command("CLUSTER", "SLOTS")
            return await connection.read_response()
        finally:
            await connection.disconnect(nowait=True)

    def _take(self, described: Any, asked: Host) -> None:
        homes: list[Host | None] = [None] * SLOTS
        for first, last, (name, port, *_), *_ in described:
            # Without a name it means itself; what follows are replicas.
            host = Host(name.decode() if name else asked.name, port)
            homes[first : last + 1] = [host] * (last + 1 - first)
        before, self._homes = self._homes, homes
        if homes != before:
            log.info("the cluster has %d masters", len(self.hosts()))
            self._changed()
