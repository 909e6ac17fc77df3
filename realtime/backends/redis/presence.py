"""Who is subscribed to what, over all nodes.

Each node answers for its own clients: it takes them for present until a deadline, and moves
that deadline as long as it lives. When it dies they are gone after `ttl`, whoever looks. What
is in Redis is a copy: after an outage, or a failover that lost some of it, it is written anew.

    pres:{channel}         hash, client -> user and info
    pres:{channel}:until   sorted set, client -> when it is taken for gone (µs)
    pres:{channel}:users   hash, user -> number of connections; whoever has no name is ""
    node:{id}              hash, channel -> how many clients of this node are in it
    nodes                  sorted set, node -> when it is taken for gone (µs)
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from realtime.backends.base import BackendUnavailable, ClientInfo, PresenceStats
from realtime.backends.keys import UNTIL, USERS, presence_key
from realtime.backends.redis.calls import Calls
from realtime.backends.redis.scripts import load

__all__ = ["Presence"]

ADD = load("presence_add", "_presence", writes=False)
REMOVE = load("presence_remove", "_presence", writes=False)
MEMBERS = load("presence_members", writes=False)
STATS = load("presence_stats", "_presence", writes=False)
COUNT = load("node_count", writes=False)
NODES = load("nodes", writes=False)

NODES_KEY = b"nodes"

AT_ONCE = 500
"""Clients, or channels, in one command of a refresh."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[bytes | None, bytes | None]).decode


class Presence:
    """See `realtime.backends.base.Presence`."""

    def __init__(self, calls: Calls, node: bytes, ttl: float) -> None:
        """``node`` names this process; ``ttl`` is in seconds."""
        self._calls = calls
        self._node = node
        self._node_key = b"node:{%b}" % node
        self._interval = ttl / 3
        self._ttl = b"%d" % round(ttl * 1_000_000)
        self._here: dict[bytes, dict[str, ClientInfo]] = {}
        self._wake = asyncio.Event()

    async def add(self, channel: bytes, info: ClientInfo) -> bool:
        self._here.setdefault(channel, {})[info.client] = info
        first, _ = await asyncio.gather(self._write(channel, [info]), self._count([channel]))
        return first

    async def remove(self, channel: bytes, client: str) -> bool:
        members = self._here.get(channel, {})
        members.pop(client, None)
        if not members:
            self._here.pop(channel, None)
        removed = self._calls.run(REMOVE, _keys(channel), client.encode())
        last, _ = await asyncio.gather(removed, self._count([channel]))
        return bool(last)

    async def members(self, channel: bytes) -> list[ClientInfo]:
        found = iter(await self._calls.run(MEMBERS, _keys(channel)))
        pairs = zip(found, found, strict=True)
        return [_client(client, who) for client, who in pairs]

    async def stats(self, channel: bytes) -> PresenceStats:
        return PresenceStats(*await self._calls.run(STATS, _keys(channel)))

    async def channels(self) -> dict[bytes, int]:
        counts: dict[bytes, int] = {}
        for node in await self._calls.run(NODES, [NODES_KEY]):
            key = b"node:{%b}" % node
            for channel, count in (await self._calls.command(key, b"HGETALL", key)).items():
                counts[channel] = counts.get(channel, 0) + int(count)
        return counts

    def renew(self) -> None:
        """Write everything anew, soon: the store may have lost it."""
        self._wake.set()

    async def run(self) -> None:
        """Keep those who are here present, until cancelled."""
        while True:
            try:
                await self._refresh()
            except BackendUnavailable:
                self._wake.clear()  # whoever notices that it is back wakes us
            try:
                # Not wait_for: it may lose a cancellation that comes with what it waits for.
                async with asyncio.timeout(self._interval):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()

    async def close(self) -> None:
        """This node is nobody's home any more."""
        self._here.clear()
        await self._calls.command(self._node_key, b"DEL", self._node_key)
        await self._calls.command(NODES_KEY, b"ZREM", NODES_KEY, self._node)

    async def _refresh(self) -> None:
        await self._announce()
        for channel in list(self._here):
            clients = list(self._here.get(channel, ()))
            for start in range(0, len(clients), AT_ONCE):
                # Of those who are here now: who has left meanwhile must not be written again.
                here = self._here.get(channel, {})
                some = [
                    here[client] for client in clients[start : start + AT_ONCE] if client in here
                ]
                await self._write(channel, some)

    async def _write(self, channel: bytes, infos: Sequence[ClientInfo]) -> bool:
        """Whether one of them is the first connection of its user."""
        who = [part for info in infos for part in (info.client.encode(), _who(info))]
        return bool(await self._calls.run(ADD, _keys(channel), self._ttl, *who))

    async def _announce(self) -> None:
        """Say that this node lives, and what is in use here."""
        await self._calls.run(NODES, [NODES_KEY], self._ttl, self._node)
        channels = list(self._here)
        await self._count(channels[:AT_ONCE], anew=True)
        for start in range(AT_ONCE, len(channels), AT_ONCE):
            await self._count(channels[start : start + AT_ONCE])

    async def _count(self, channels: Sequence[bytes], *, anew: bool = False) -> None:
        """Tell those who ask which channels are in use how many of our clients are in these."""
        counts = [
            part
            for channel in channels
            for part in (channel, b"%d" % len(self._here.get(channel, ())))
        ]
        begins = b"1" if anew else b"0"
        await self._calls.run(COUNT, [self._node_key], self._ttl, begins, *counts)


def _who(info: ClientInfo) -> bytes:
    """``length of user:``, the user, for the scripts; and what else is said of the client."""
    user = info.user.encode()
    return b"%d:%b%b" % (len(user), user, _encode((info.info, info.chan_info)))


def _client(client: bytes, who: bytes) -> ClientInfo:
    length, _, rest = who.partition(b":")
    end = int(length)
    return ClientInfo(client.decode(), rest[:end].decode(), *_decode(rest[end:]))


def _keys(channel: bytes) -> list[bytes]:
    key = presence_key(channel)
    return [key, key + UNTIL, key + USERS]
