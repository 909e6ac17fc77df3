"""Channels on Redis: one script publishes, to the history and to everybody who listens.

The epoch of a channel tells more here than embedded. A server that goes on with less than
the last one had (a replica that was promoted, a master back from an old snapshot) would give
out offsets again that subscribers have seen. So the channel remembers who appended last, by
run id; when another server appends, a new epoch begins, and the position at which the old one
ended is kept. Who comes back from before that position has missed nothing that it cannot be
given; who comes back from beyond is told that it has (`engine.channel.History.covers`).
"""

from __future__ import annotations

from collections.abc import Callable
from random import SystemRandom
from string import ascii_letters
from typing import Any

from realtime.backends.base import (
    ChannelListener,
    History,
    LossListener,
    NotAnInteger,
    Position,
    Publication,
)
from realtime.backends.keys import META, channel_key, topic_key
from realtime.backends.redis.broker import Broker
from realtime.backends.redis.calls import Calls, CommandFailed, misuse
from realtime.backends.redis.scripts import load

__all__ = ["Channels"]

PUBLISH = load("publish", writes=True, signed=True)
PUBLISH_NEXT = load("publish_next", writes=True)
HISTORY = load("history", writes=False)  # it may name a new epoch, and promises nothing by that

EPOCH_LETTERS = 8

_draw = SystemRandom().choices


class Channels:
    """See `realtime.backends.base.Channels`."""

    def __init__(self, calls: Calls, broker: Broker) -> None:
        self._calls = calls
        self._broker = broker
        broker.read_history = self._since

    async def publish(
        self, channel: bytes, data: bytes, *, info: bytes | None = None, size: int = 0, ttl: int = 0
    ) -> Position:
        who = info or b""
        topic = topic_key(channel)
        if size <= 0 or ttl <= 0:
            message = _message(data, who)
            await self._calls.command(topic, self._broker.publish_word, topic, message)
            return Position(0, "")
        key = channel_key(channel)
        kept = (b"%d" % size, b"%d" % ttl, _fresh_epoch())
        args = (data, who, *kept, self._broker.publish_word, topic)
        offset, epoch = await self._run(PUBLISH, key, *args)
        return Position(int(offset), epoch.decode())

    async def publish_next(
        self, channel: bytes, data: bytes, *, version: bytes, after: int
    ) -> bool:
        word, topic = self._broker.publish_word, topic_key(channel)
        args = (b"%d" % after, word, topic, _message(data, b""))
        try:
            return bool(await self._calls.run(PUBLISH_NEXT, [version], *args))
        except CommandFailed as failed:
            if "not an integer" in str(failed):
                raise NotAnInteger(version) from None
            raise misuse(failed, version, "string") or failed from None

    async def history(
        self,
        channel: bytes,
        *,
        since: Position | None = None,
        limit: int = 0,
        reverse: bool = False,
    ) -> History:
        start = b"" if since is None else b"%d" % since.offset
        args = (_fresh_epoch(), start, b"%d" % limit, b"1" if reverse else b"0")
        found = _history(await self._run(HISTORY, channel_key(channel), *args))
        self._broker.note(channel, found.position)
        return found

    async def remove_history(self, channel: bytes) -> None:
        key = channel_key(channel)
        await self._calls.command(key, b"DEL", key, writes=True)

    def listen(
        self, listener: ChannelListener, lost: LossListener | None = None
    ) -> Callable[[], None]:
        return self._broker.listen(listener, lost)

    async def subscribe(self, channel: bytes) -> None:
        await self._broker.subscribe(channel)

    async def unsubscribe(self, channel: bytes) -> None:
        await self._broker.unsubscribe(channel)

    async def _since(self, channel: bytes, since: Position) -> History:
        return await self.history(channel, since=since, limit=-1)

    async def _run(self, script: Any, key: bytes, *args: bytes) -> Any:
        try:
            return await self._calls.run(script, [key, key + META], *args)
        except CommandFailed as failed:
            raise misuse(failed, key, "stream") or failed from None


def _message(data: bytes, info: bytes) -> bytes:
    """As ``publish.lua`` writes it, of a channel that keeps no history."""
    return b"0::%d:%b%b" % (len(info), info, data)


def _fresh_epoch() -> bytes:
    return "".join(_draw(ascii_letters, k=EPOCH_LETTERS)).encode()


def _history(answer: Any) -> History:
    top, epoch, past_epoch, past_offset, entries = answer
    past = None if past_epoch is None else Position(int(past_offset), past_epoch.decode())
    publications = [_publication(entry) for entry in entries]
    return History(Position(int(top), epoch.decode()), publications, past)


def _publication(entry: Any) -> Publication:
    entry_id, parts = entry
    fields = dict(zip(parts[::2], parts[1::2], strict=True))
    return Publication(
        int(entry_id.partition(b"-")[0]), fields.get(b"d", b"null"), fields.get(b"i")
    )
