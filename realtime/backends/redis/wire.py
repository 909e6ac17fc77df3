"""`Calls` over links: each question to the master that has its key.

A `Fleet` is one link per master, made when it is first needed. The wire has one for
questions; the broker has another one for what is published.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from redis.crc import key_slot

from realtime.backends.base import BackendUnavailable
from realtime.backends.redis.address import Host
from realtime.backends.redis.calls import CommandFailed, CrossSlot
from realtime.backends.redis.ending import end
from realtime.backends.redis.link import Link
from realtime.backends.redis.scripts import Script
from realtime.backends.redis.topology import Topology

__all__ = ["Fleet", "Wire"]

log = logging.getLogger("realtime.store")

BETWEEN = 0.02
"""Seconds before asking again for keys that are between two servers."""

REDIRECTIONS = 3
"""Times that a watch is sent after its key."""

MOVING = frozenset(("MOVED", "ASK", "TRYAGAIN"))
"""Answers that say: not carried out, ask elsewhere or later."""


_CACHING = (b"CLIENT", b"CACHING", b"YES")


class Fleet:
    """One link per master; those of masters that are no more are given up."""

    def __init__(self, topology: Topology, make: Callable[[Host], Link]) -> None:
        self._topology = topology
        self._make = make
        self._links: dict[Host, tuple[Link, asyncio.Task[None]]] = {}
        self._endings: set[asyncio.Task[None]] = set()

    def link(self, host: Host) -> Link:
        found = self._links.get(host)
        if found is None:
            link = self._make(host)
            task = asyncio.get_running_loop().create_task(link.run())
            task.add_done_callback(_report)
            found = self._links[host] = (link, task)
        return found[0]

    def links(self) -> list[Link]:
        """Those to all masters there are now."""
        return [self.link(host) for host in self._topology.hosts()]

    def prune(self) -> None:
        """Let go of links to who is no master any more."""
        for host in self._links.keys() - set(self._topology.hosts()):
            ending = asyncio.get_running_loop().create_task(end([self._links.pop(host)[1]]))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

    async def close(self) -> None:
        tasks = [task for _, task in self._links.values()]
        self._links.clear()
        await end(tasks)
        await asyncio.gather(*self._endings)


class Wire:
    """What the parts of the backend call; see `realtime.backends.redis.calls`."""

    def __init__(self, topology: Topology, reads: Fleet, writes: Fleet, timeout: float) -> None:
        """Both are the same fleet, unless writes have to wait for replicas: reads need not."""
        self.sharded = topology.sharded
        self._topology = topology
        self._reads = reads
        self._writes = writes
        self._timeout = timeout

    def link(self, key: bytes, *, writes: bool = False) -> Link:
        """To the master that has the key. Raises BackendUnavailable."""
        return (self._writes if writes else self._reads).link(self._topology.home(key))

    async def command(self, key: bytes, *words: bytes, writes: bool = False) -> Any:
        return await self._ask(key, words, writes=writes)

    async def run(self, script: Script, keys: Sequence[bytes], *args: bytes) -> Any:
        if self.sharded and len({key_slot(key) for key in keys}) > 1:
            raise CrossSlot
        rest = (b"%d" % len(keys), *keys, *args)
        mode = {"writes": script.writes, "signed": script.signed}
        try:
            return await self._ask(keys[0], (b"EVALSHA", script.sha, *rest), **mode)
        except CommandFailed as failed:
            if failed.code != "NOSCRIPT":
                raise
        return await self._ask(keys[0], (b"EVAL", script.text, *rest), **mode)

    async def watch(self, key: bytes) -> None:
        """From now on the server tells, once, that the key has changed.

        A key on its way to another server cannot be watched there before its slot is: whoever
        keeps what he reads is told to look again when that has happened. Raises
        BackendUnavailable and CommandFailed."""
        link = self.link(key)
        for _ in range(REDIRECTIONS):
            link.tell(_CACHING)  # speaks of the command after it, whatever link that goes by
            try:
                await link.send((b"EXISTS", key))
                return
            except CommandFailed as failed:
                if failed.code in ("ASK", "TRYAGAIN"):
                    return
                if failed.code != "MOVED":
                    raise
                link = self._next(failed, key, False)
        raise BackendUnavailable("the slot of the key moves faster than it can be followed")

    async def _ask(
        self, key: bytes, words: tuple[bytes, ...], *, writes: bool, signed: bool = False
    ) -> Any:
        try:
            link = self.link(key, writes=writes)
            return await link.send(words, writes=writes, signed=signed)
        except CommandFailed as failed:
            if failed.code not in MOVING:
                raise
            return await self._follow(failed, key, words, writes=writes, signed=signed)

    async def _follow(
        self,
        failed: CommandFailed,
        key: bytes,
        words: tuple[bytes, ...],
        *,
        writes: bool,
        signed: bool,
    ) -> Any:
        """Go after a key whose slot is on the move, as long as a question may take."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout
        while loop.time() < deadline:
            link = self._next(failed, key, writes)
            if failed.code == "TRYAGAIN":
                await asyncio.sleep(BETWEEN)
            elif failed.code == "ASK":
                link.tell((b"ASKING",))
            try:
                return await link.send(words, writes=writes, signed=signed)
            except CommandFailed as again:
                if again.code not in MOVING:
                    raise
                failed = again
        raise BackendUnavailable(f"the slot of the key is on the move: {failed}")

    def _next(self, failed: CommandFailed, key: bytes, writes: bool) -> Link:
        if failed.code == "TRYAGAIN":
            return self.link(key, writes=writes)
        host = self._topology.heed(failed, key)
        return (self._writes if writes else self._reads).link(host)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.critical("a link to the store has ended", exc_info=task.exception())
