"""The verbs of channels: publish, history, and what they store.

The history of a channel is a stream whose ids are ``(offset, 0)``, with fields ``d`` (data),
``i`` (who published), ``t`` (tags) and ``c`` (on which channel, in the mirror of many). A hash
beside it holds the position: ``s`` the newest offset, ``e`` the epoch; ``pe`` and ``ps``, the
same of where the epoch before it ended, if this one goes on from there; ``v`` and ``ve`` the
newest version that a publisher gave. The hash outlives the stream: see `engine.channel`.

What a publication with an idempotency key was answered is a string, ``offset epoch``.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from string import ascii_letters
from typing import NamedTuple

from engine.channel import Guard, History, Position, Publication, Published
from engine.clock import DAY, HOUR, MINUTE
from engine.core import Core
from engine.hashes import Hashes, flat
from engine.keyspace import Hash, text
from engine.stream import Stream, StreamEntry

__all__ = ["ChannelListener", "Channels", "Mirror"]

PREFIX = b"chan:"
"""What the keys of channels begin with; other features keep hashes under ``META``, too."""

META = b":meta"
META_TTL = 30 * DAY
"""How long a position outlives the last time anybody touched the channel."""

EMPTY_TTL = HOUR
"""The same of a channel on which nothing was ever published: names are free to ask for."""

RESULT_TTL = 5 * MINUTE
"""How long an idempotency key is remembered: longer than anybody tries again."""

NOWHERE = Published(0, "")
"""Where publications lie that are not kept."""

ChannelListener = Callable[[bytes, Publication, str], None]
"""Called as (channel name, publication, epoch)."""


class Mirror(NamedTuple):
    """A channel that shows what is published on others, at positions of its own."""

    channel: bytes
    key: bytes
    size: int
    ttl: int


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
        tags: bytes | None = None,
        size: int = 0,
        ttl: int = 0,
        guard: Guard | None = None,
        result: bytes | None = None,
        mirror: Mirror | None = None,
    ) -> Published:
        """Append to the history unless ``size`` or ``ttl`` is 0, and deliver. O(1 + listeners).

        ``guard`` may hold the publication back; versions are those of what is kept. ``result``
        is where the answer to the guard's key lies. ``mirror`` gets a copy.
        """
        keeps = size > 0 and ttl > 0
        if guard is not None:
            known = self._known(key, guard, result, keeps)
            if known is not None:
                return known
        if mirror is not None:
            self._stream(mirror.key, self._core.clock())  # of another type: nothing is done
        made = NOWHERE
        if keeps:
            bare = info is None and tags is None
            fields = (b"d", data) if bare else _fields(data, info, tags)
            made = self._append(key, fields, size, ttl, guard)
        copy = None if mirror is None else self._mirrored(mirror, channel, data, info, tags)
        if result is not None:
            self._remember(result, made)
        offset, epoch, _ = made
        publication = Publication(offset, data, info, tags)
        for listener in self._listeners:
            listener(channel, publication, epoch)
        if copy is not None:
            for listener in self._listeners:
                listener(*copy)
        return made

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
        stream = self._stream(key, now)
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

    def _known(
        self, key: bytes, guard: Guard, result: bytes | None, keeps: bool
    ) -> Published | None:
        """The answer to what is held back, or None: it is to be made."""
        now = self._core.clock()
        first = None if result is None else self._core.keyspace.string(result, now)
        if first is not None:
            offset, _, epoch = text(first).partition(b" ")
            return Published(int(offset), epoch.decode(), delivered=False)
        if guard.version <= 0 or not keeps:
            return None
        meta = self._meta(key, now)
        if _is_newer(guard, meta):
            return None
        self._refresh(key + META, now)
        return Published(*_position(meta), delivered=False)

    def _remember(self, result: bytes, made: Published) -> None:
        answer = b"%d %b" % (made.offset, made.epoch.encode())
        self._core.put_string(result, answer, self._core.clock() + RESULT_TTL)

    def _mirrored(
        self, mirror: Mirror, channel: bytes, data: bytes, info: bytes | None, tags: bytes | None
    ) -> tuple[bytes, Publication, str]:
        """Append to the mirror, if it keeps anything; what its listeners are to hear."""
        made = NOWHERE
        if mirror.size > 0 and mirror.ttl > 0:
            fields = (*_fields(data, info, tags), b"c", channel)
            made = self._append(mirror.key, fields, mirror.size, mirror.ttl, None)
        return mirror.channel, Publication(made.offset, data, info, tags, channel), made.epoch

    def _append(
        self, key: bytes, fields: tuple[bytes, ...], size: int, ttl: int, guard: Guard | None
    ) -> Published:
        core = self._core
        now = core.clock()
        meta = self._meta(key, now)
        stream = core.keyspace.typed(key, now, Stream, "stream")
        if stream is None:
            stream = Stream()
            core.keyspace.put(key, stream)
        top = int(meta[b"s"]) + 1
        stream.append((top, 0), fields)
        stream.trim(size)
        core.announce(b"XADD", key, b"MAXLEN", b"%d" % size, b"%d-0" % top, *fields)
        core.move_deadline(key, now + ttl)
        marks = {b"s": b"%d" % top}
        if guard is not None and guard.version > 0:
            marks |= {b"v": b"%d" % guard.version, b"ve": guard.version_epoch}
        meta.update(marks)
        core.announce(b"HSET", key + META, *flat(marks))
        self._refresh(key + META, now)
        return Published(top, meta[b"e"].decode())

    def _stream(self, key: bytes, now: int) -> Stream | None:
        return self._core.keyspace.typed(key, now, Stream, "stream")

    def _meta(self, key: bytes, now: int) -> Hash:
        """The record of the channel's position, made now if it has none: then older publications
        are void."""
        meta = self._hashes.live(key + META, now)
        if meta is not None:
            return meta
        self._core.delete(key)
        made = {b"s": b"0", b"e": self._new_epoch().encode()}
        meta = self._hashes.update(key + META, made, now)
        self._refresh(key + META, now, EMPTY_TTL)
        return meta

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
    get = fields.get
    return Publication(offset, get(b"d", b"null"), get(b"i"), get(b"t"), get(b"c"))


def _fields(data: bytes, info: bytes | None, tags: bytes | None) -> tuple[bytes, ...]:
    fields = (b"d", data) if info is None else (b"d", data, b"i", info)
    return fields if tags is None else (*fields, b"t", tags)


def _is_newer(guard: Guard, meta: Hash) -> bool:
    """Whether a guarded publication comes after the newest version of its channel."""
    foreign = guard.version_epoch not in (b"", meta.get(b"ve", b""))
    return foreign or guard.version > int(meta.get(b"v", b"0"))


def epoch_letters(numbers: Callable[[int], int]) -> str:
    """Eight letters drawn with ``numbers(n)``, which answers something within 0..n-1."""
    return "".join(ascii_letters[numbers(len(ascii_letters))] for _ in range(8))
