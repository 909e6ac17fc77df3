"""The verbs of channels: publish, history, and what they store.

The history of a channel is a stream whose ids are ``(offset, 0)``, with fields ``d`` (data)
and ``i`` (who published). A hash beside it holds the position: ``s`` the newest offset, ``e``
the epoch; and ``pe`` and ``ps``, the same of where the epoch before it ended, if this one
goes on from there. The hash outlives the stream: see `engine.channel`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from string import ascii_letters

from engine.channel import History, Position, Publication
from engine.clock import DAY, HOUR
from engine.core import Core
from engine.hashes import Hashes
from engine.keyspace import Hash
from engine.stream import Stream, StreamEntry

__all__ = ["ChannelListener", "Channels"]

PREFIX = b"chan:"
"""What the keys of channels begin with; other features keep hashes under ``META``, too."""

META = b":meta"
META_TTL = 30 * DAY
"""How long a position outlives the last time anybody touched the channel."""

EMPTY_TTL = HOUR
"""The same of a channel on which nothing was ever published: names are free to ask for."""

ChannelListener = Callable[[bytes, Publication, str], None]
"""Called as (channel name, publication, epoch)."""


class Channels:
    """Publications and their histories; subscribers are callbacks of this process."""

    __slots__ = ("_core", "_hashes", "_listeners", "_new_epoch")

    def __init__(self, core: Core, hashes: Hashes, new_epoch: Callable[[], str]) -> None:
        self._core = core
        self._hashes = hashes
        self._new_epoch = new_epoch
        self._listeners: tuple[ChannelListener, ...] = ()

    def listen(self, listener: ChannelListener) -> Callable[[], None]:
        """Hear every publication before ``publish`` returns; answers the function that ends it."""
        self._listeners = (*self._listeners, listener)

        def unlisten() -> None:
            self._listeners = tuple(other for other in self._listeners if other is not listener)

        return unlisten

    def publish(
        self,
        channel: bytes,
        key: bytes,
        data: bytes,
        *,
        info: bytes | None = None,
        size: int = 0,
        ttl: int = 0,
    ) -> Position:
        """Append to the history unless ``size`` or ``ttl`` is 0, and deliver. O(1 + listeners)."""
        position = Position(0, "")
        if size > 0 and ttl > 0:
            position = self._append(key, data, info, size, ttl)
        publication = Publication(position.offset, data, info)
        for listener in self._listeners:
            listener(channel, publication, position.epoch)
        return position

    def history(
        self, key: bytes, *, since: Position | None = None, limit: int = 0, reverse: bool = False
    ) -> History:
        """Up to ``limit`` publications beyond ``since`` (0: none, negative: all). O(answered).

        A channel without a position gets one, so that a subscriber who comes before the
        first publication can still prove later that it missed nothing.
        """
        now = self._core.clock()
        meta = self._meta(key, now)
        position, past = _position(meta), _past(meta)
        self._refresh(key + META, now, META_TTL if position.offset else EMPTY_TTL)
        stream = self._core.keyspace.typed(key, now, Stream, "stream")
        if stream is None or limit == 0:
            return History(position, [], past)
        if reverse:
            entries = stream.before((2**63, 0) if since is None else (since.offset, 0))
        else:
            entries = stream.after((0, 0) if since is None else (since.offset, 0))
        chosen = entries if limit < 0 else islice(entries, limit)
        return History(position, [_publication(entry) for entry in chosen], past)

    def remove_history(self, key: bytes) -> None:
        """Drop the publications; the position lives on. O(publications)."""
        self._core.delete(key)

    def renew_epochs(self, prefix: bytes = PREFIX) -> int:
        """Begin a new epoch in every channel that has a position; answers how many. O(keys).

        For when what is held may be older than what subscribers have seen: after a crash that
        lost answered publications, or on the way back to a backup. The offsets that come next
        were given out before, so they must not be taken for the old ones. The new epoch
        remembers where it begins: who had seen no more than that has missed nothing. Deadlines
        stay. ``prefix`` is what the keys of channels begin with.
        """
        now = self._core.clock()
        renewed = [
            (key, position)
            for key, value, _ in self._core.keyspace.items(now)
            if key.endswith(META) and key.startswith(prefix) and isinstance(value, dict)
            for position in _positions(value)
        ]
        for key, (offset, epoch) in renewed:
            fields = {
                b"pe": epoch.encode(),
                b"ps": b"%d" % offset,
                b"e": self._new_epoch().encode(),
            }
            self._hashes.update(key, fields, now)
        return len(renewed)

    def _append(self, key: bytes, data: bytes, info: bytes | None, size: int, ttl: int) -> Position:
        core = self._core
        now = core.clock()
        top, epoch = _position(self._meta(key, now))
        stream = core.keyspace.typed(key, now, Stream, "stream")
        if stream is None:
            stream = Stream()
            core.keyspace.put(key, stream)
        top += 1
        fields = (b"d", data) if info is None else (b"d", data, b"i", info)
        stream.append((top, 0), fields)
        stream.trim(size)
        core.announce(b"XADD", key, b"MAXLEN", b"%d" % size, b"%d-0" % top, *fields)
        core.move_deadline(key, now + ttl)
        self._hashes.update(key + META, {b"s": b"%d" % top}, now)
        self._refresh(key + META, now)
        return Position(top, epoch)

    def _meta(self, key: bytes, now: int) -> Hash:
        """The channel's position, made now if it has none: then older publications are void."""
        meta = self._hashes.live(key + META, now)
        if meta is not None:
            return meta
        self._core.delete(key)
        made = {b"s": b"0", b"e": self._new_epoch().encode()}
        self._hashes.update(key + META, made, now)
        self._refresh(key + META, now, EMPTY_TTL)
        return made

    def _refresh(self, meta: bytes, now: int, ttl: int = META_TTL) -> None:
        """Keep the position alive. Now and then is enough, and spares an effect per use."""
        if (self._core.keyspace.deadline(meta) or 0) < now + ttl - ttl // 30:
            self._core.move_deadline(meta, now + ttl)


def _position(meta: Hash) -> Position:
    return Position(int(meta[b"s"]), meta[b"e"].decode())


def _past(meta: Hash) -> Position | None:
    epoch = meta.get(b"pe")
    return None if epoch is None else Position(int(meta[b"ps"]), epoch.decode())


def _positions(meta: Hash) -> list[Position]:
    """The position, or none where it is not whole: what we load may have been made by others."""
    try:
        return [_position(meta)]
    except (KeyError, ValueError):
        return []


def _publication(entry: StreamEntry) -> Publication:
    (offset, _), parts = entry
    fields = dict(zip(parts[::2], parts[1::2], strict=True))
    return Publication(offset, fields.get(b"d", b"null"), fields.get(b"i"))


def epoch_letters(numbers: Callable[[int], int]) -> str:
    """Eight letters drawn with ``numbers(n)``, which answers something within 0..n-1."""
    return "".join(ascii_letters[numbers(len(ascii_letters))] for _ in range(8))
