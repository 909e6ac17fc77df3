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
    Guard,
    History,
    LossListener,
    NotAnInteger,
    Position,
    Publication,
    Published,
    Wildcard,
)
from realtime.backends.keys import META, channel_key, result_key, topic_key
from realtime.backends.redis.broker import Broker
from realtime.backends.redis.calls import Calls, CommandFailed, misuse
from realtime.backends.redis.scripts import Script, load

__all__ = ["Channels"]

PUBLISH = load("publish", "_append", writes=True, signed=True)
PUBLISH_GUARDED = load("publish_guarded", "_append", writes=True, signed=True)
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
        self,
        channel: bytes,
        data: bytes,
        *,
        info: bytes | None = None,
        tags: bytes | None = None,
        size: int = 0,
        ttl: int = 0,
        guard: Guard | None = None,
        wildcard: Wildcard | None = None,
    ) -> Published:
        word = self._broker.publish_word
        what = (data, info or b"", tags or b"")
        kept = _kept(size, ttl)
        if guard is not None or wildcard is not None:
            args = (*what, *kept, word, topic_key(channel, _name(wildcard)))
            return await self._publish_guarded(channel, args, guard or Guard(), wildcard)
        topic = topic_key(channel)
        if size <= 0 or ttl <= 0:
            await self._calls.command(topic, word, topic, _message(*what))
            return Published(0, "")
        key = channel_key(channel)
        offset, epoch = await self._run(PUBLISH, [key, key + META], *what, *kept, word, topic)
        return Published(int(offset), epoch.decode())

    async def publish_next(
        self, channel: bytes, data: bytes, *, version: bytes, after: int
    ) -> bool:
        word, topic = self._broker.publish_word, topic_key(channel)
        args = (b"%d" % after, word, topic, _message(data))
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
        wildcard: Wildcard | None = None,
    ) -> History:
        start = b"" if since is None else b"%d" % since.offset
        args = (_fresh_epoch(), start, b"%d" % limit, b"1" if reverse else b"0")
        key = channel_key(channel, _name(wildcard))
        found = _history(await self._run(HISTORY, [key, key + META], *args))
        self._broker.note(channel, found.position)
        return found

    async def remove_history(self, channel: bytes, *, wildcard: Wildcard | None = None) -> None:
        key = channel_key(channel, _name(wildcard))
        await self._calls.command(key, b"DEL", key, writes=True)

    def listen(
        self, listener: ChannelListener, lost: LossListener | None = None
    ) -> Callable[[], None]:
        return self._broker.listen(listener, lost)

    async def subscribe(self, channel: bytes, *, wildcard: Wildcard | None = None) -> None:
        await self._broker.subscribe(channel, wildcard)

    async def unsubscribe(self, channel: bytes) -> None:
        await self._broker.unsubscribe(channel)

    async def _publish_guarded(
        self, channel: bytes, args: tuple[bytes, ...], guard: Guard, wildcard: Wildcard | None
    ) -> Published:
        key = channel_key(channel, _name(wildcard))
        keys = [key, key + META]
        shown = (b"", b"", b"0", b"0", b"")
        if wildcard is not None:
            mirror = channel_key(wildcard.channel)
            keys += [mirror, mirror + META]
            shown = (topic_key(wildcard.channel), channel, *_kept(wildcard.size, wildcard.ttl))
        if guard.key is not None:
            keys.append(result_key(key, guard.key))
        has_key = b"0" if guard.key is None else b"1"
        guards = (has_key, b"%d" % max(0, guard.version), guard.version_epoch)
        answer = await self._run(PUBLISH_GUARDED, keys, *args, *guards, *shown)
        offset, epoch, delivered = answer
        return Published(int(offset), epoch.decode(), bool(delivered))

    async def _since(self, channel: bytes, since: Position, wildcard: Wildcard | None) -> History:
        return await self.history(channel, since=since, limit=-1, wildcard=wildcard)

    async def _run(self, script: Script, keys: list[bytes], *args: bytes) -> Any:
        try:
            return await self._calls.run(script, keys, *args)
        except CommandFailed as failed:
            raise misuse(failed, keys[0], "stream") or failed from None


def _name(wildcard: Wildcard | None) -> bytes | None:
    return None if wildcard is None else wildcard.channel


def _kept(size: int, ttl: int) -> tuple[bytes, bytes, bytes]:
    """Size, time to live and an epoch, should one be needed, as the scripts take them."""
    if size <= 0 or ttl <= 0:
        return b"0", b"0", b""
    return b"%d" % size, b"%d" % ttl, _fresh_epoch()


def _message(data: bytes, info: bytes = b"", tags: bytes = b"") -> bytes:
    """As ``_append.lua`` writes it, of a channel that keeps no history."""
    lengths = b"%d,%d,0" % (len(info), len(tags)) if tags else b"%d" % len(info)
    return b"0::%b:%b%b%b" % (lengths, info, tags, data)


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
    get = fields.get
    offset = int(entry_id.partition(b"-")[0])
    return Publication(offset, get(b"d", b"null"), get(b"i"), get(b"t"), get(b"c"))
