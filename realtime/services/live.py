"""Live leaderboards: whoever subscribes to ``leaderboard:{board}`` sees the top as it changes.

Every publication is a complete top with ranks and a version that only grows, so nothing
needs to be recovered: the newest one is all there is to know. However many scores come
in, a board is published at most once per interval, and only if its top has changed. A
new subscriber is sent the last publication at once (`LiveBoards.snapshot`).

The season of a board that has seasons is part of what is shown: that a new one has begun is
published even if the top is empty before and after.

One task serves all boards; it sleeps while nothing that anybody watches changes. That an entry
leaves by itself is a change, too, which nobody makes: see `realtime.services.leaving`.

Where several nodes share a store, each of them looks after the boards that are watched on it,
and still each board is published once for all. What is *shown* of a board is what the last
publication showed that was heard here, and with it everybody here has seen the same. A board
is *changed* when it may differ from that, and stays so until a look has found that it does not:

    watch the board; read its version; read its top
    the top is what is shown          nothing is to do until the watch tells
    it is another one                 publish it as the next version, unless somebody else
                                      has done so since we read; look again when we have
                                      heard it

This holds because a publication reaches us and all subscribers in one step (`Channels.listen`).
Whoever subscribes while one is on its way either sees it, and then so do we, and look again; or
comes after it, and begins with what is shown or what the store has.

Whoever published last goes on at once after an interval, the others half an interval later:
so one node reads the board each time, and when it dies another one takes over.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from math import inf
from typing import NamedTuple

import msgspec

from realtime.backends.base import BackendUnavailable, Board, EngineError, Publication
from realtime.backends.keys import LIVE_PREFIX, SEASON, VERSION, board_key, board_of
from realtime.backends.livenames import live_channel
from realtime.errors import Unavailable
from realtime.services import Services
from realtime.services.leaving import Leaving
from realtime.services.names import live_of, name_bytes
from realtime.services.standings import json_score

__all__ = ["LiveBoards"]

log = logging.getLogger("realtime")

TOP = 10

PATIENCE = 1.5
"""Intervals for which we leave a board to another node that has published it."""

KEPT = 1_000
"""Boards shown from which on those that nobody watches any more are sought and forgotten."""

_PREFIX = LIVE_PREFIX.encode()
_EMPTY = b'"entries":[]'


class _Shown(NamedTuple):
    """What the subscribers of a board saw last."""

    content: bytes
    """The season and the entries as JSON: nodes compare what they show, and not how they found
    it."""
    data: bytes
    by_others_at: float = -inf
    """When another node published it, by our clock."""


class _Heard(msgspec.Struct):
    """As much of a publication as we need to know."""

    entries: msgspec.Raw
    season: int | None = None


class _Row(msgspec.Struct):
    rank: int
    member: str
    score: float


_decode = msgspec.json.Decoder(_Heard).decode
_encode = msgspec.json.Encoder().encode


class LiveBoards:
    """Publishes the boards that somebody watches; ``watched`` says it of a channel.

    ``interval`` is in seconds, and ``sleep`` is how it passes; tests let it pass at once.
    """

    def __init__(
        self,
        services: Services,
        watched: Callable[[str], bool],
        interval: float = 0.1,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        backend = services.backend
        self._boards = services.leaderboards
        self._sets = backend.sorted_sets
        self._channels = backend.channels
        self._counters = backend.counters
        self._watches = backend.watches
        self._alone = backend.immediate
        self._watched = watched
        self._interval = interval
        self._sleep = sleep
        self._clock = clock
        self._shown: dict[str, _Shown] = {}
        """Every board that is watched here is among them, once its first subscriber is complete."""
        self._sought = KEPT
        self._made: dict[str, bytes] = {}
        """What we have published, until we hear it."""
        self._changed: set[str] = set()
        self._wake = asyncio.Event()
        self._leaving = Leaving(services, self._note)
        services.leaderboards.on_change(self._note)
        backend.watches.listen(self._told)
        if not self._alone:
            backend.channels.listen(self._heard)

    async def snapshot(self, channel: str) -> bytes | None:
        """What a new subscriber of ``channel`` is to see first; None if it shows no whole board.

        To be called when the subscriber counts as watching already, and does until the answer: it
        is what all others here have seen, and what changes from now on will be published to all.
        Whoever has been sent a publication by then does not need it.
        """
        name = live_of(channel)
        if name is None or name.member is not None:
            return None
        shown = self._shown.get(name.board)
        if shown is None:
            shown = await self._begin(name.board)
        return shown.data

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            boards, self._changed = self._changed, set()
            if self._alone:
                for board in boards:
                    await self._attend(board)
            else:
                await asyncio.gather(*map(self._attend, boards))
            await self._sleep(self._interval)

    # What we hear of

    def _note(self, board: str) -> None:
        """The board may differ from what is shown."""
        if self._watched(live_channel(board)):
            self._changed.add(board)
            self._wake.set()
        else:
            self._forget(board)

    def _told(self, key: bytes | None) -> None:
        """By the watch of a key; None: all of them have ended."""
        if key is None:
            for board in list(self._shown):
                self._note(board)
        elif (name := board_of(key.removesuffix(SEASON))) is not None:
            self._note(name.decode())

    def _heard(self, channel: bytes, item: Publication, epoch: str) -> None:
        """A publication, by whomever. It may be of before a change that we know of already."""
        if not channel.startswith(_PREFIX) or not self._watched(channel.decode()):
            return
        name = live_of(channel.decode())
        if name is None or name.member is not None:
            return
        board = name.board
        try:
            heard = _decode(item.data)
            content = _content(heard.season, bytes(heard.entries))
        except msgspec.DecodeError:
            content = b""  # not ours; the next look will set it right
        is_ours = self._made.pop(board, None) == item.data
        self._keep(board, _Shown(content, item.data, -inf if is_ours else self._clock()))
        self._note(board)

    # What we do about it

    async def _attend(self, board: str) -> None:
        """Publish a board that may have changed, if it has."""
        shown = self._shown.get(board)
        if not self._watched(live_channel(board)):
            self._forget(board)
            return
        if shown is not None and self._clock() - shown.by_others_at < PATIENCE * self._interval:
            self._note(board)
            return
        try:
            version, content = await self._look(board)
            shown = self._shown.get(board)  # of now: something may have been heard meanwhile
            if shown is None or shown.content != content:
                await self._publish(board, version, content)
            await self._leaving.expect(board)
        except (BackendUnavailable, Unavailable):
            self._note(board)  # the top is complete each time: a later one replaces it
        except EngineError as error:
            log.warning("the live board %r cannot be read: %s", board, error)
        except Exception:  # nor is what somebody else has stored there a reason to end
            log.exception("the live board %r cannot be shown", board)

    async def _look(self, board: str) -> tuple[int, bytes]:
        """The version, and a top that is of after it. The order is that of the module's head."""
        key = _key(board)
        await self._watches.watch(key)
        if (await self._boards.rules(board)).seasonal:
            await self._watches.watch(key + SEASON)
        (version,) = await self._counters.get([key + VERSION])
        return version or 0, await self._content(board)

    async def _publish(self, board: str, version: int, content: bytes) -> None:
        """Publish the next version. Whether somebody else was first, we shall hear."""
        channel = name_bytes("channel", live_channel(board))
        data = _document(board, version + 1, content)
        if self._alone:
            self._keep(board, _Shown(content, data))
        else:
            self._made[board] = data
            self._note(board)
        await self._channels.publish_next(
            channel, data, version=_key(board) + VERSION, after=version
        )

    async def _begin(self, board: str) -> _Shown:
        """What the first subscriber sees. Subscribing to random names must not fill the store.

        There is no telling whether the top is the one that was published as the current
        version, so it gets a version of its own; and is read after that, for it must not be
        older than what others publish as the version before.
        """
        version, content = await self._look(board)
        if content != _EMPTY:
            version = await self._counters.add(_key(board) + VERSION, 1)
            content = await self._content(board)
        if self._alone:
            await self._leaving.expect(board)
        else:
            self._note(board)  # the end of all watches is not told of a board that is not shown
        shown = self._shown.get(board)  # by now something may have been heard, or another begun
        return shown or self._keep(board, _Shown(content, _document(board, version, content)))

    async def _content(self, board: str) -> bytes:
        """The top, and the season that it is of."""
        season = await self._season(board)
        while True:
            rows = await self._top(board)
            before, season = season, await self._season(board)
            if before == season:  # else it has ended meanwhile, and the rows may be of either
                return _content(season, rows)

    async def _season(self, board: str) -> int | None:
        ranking = await self._boards.rules(board)
        if not ranking.seasonal:
            return None
        season, _ = await self._sets.season(Board(_key(board), ranking))
        return None if season is None else season.number

    async def _top(self, board: str) -> bytes:
        page = await self._boards.page(board, 0, TOP)
        return _encode(
            [
                _Row(entry.rank, entry.member.decode(), json_score(entry.score))
                for entry in page.entries
            ]
        )

    def _keep(self, board: str, shown: _Shown) -> _Shown:
        """O(1), amortized: nobody tells us when a board's last subscriber has gone."""
        if len(self._shown) >= self._sought:
            for other in [name for name in self._shown if not self._watched(live_channel(name))]:
                self._forget(other)
            self._sought = max(KEPT, 2 * len(self._shown))
        self._shown[board] = shown
        return shown

    def _forget(self, board: str) -> None:
        self._shown.pop(board, None)
        self._made.pop(board, None)
        self._leaving.forget(board)


def _key(board: str) -> bytes:
    return board_key(name_bytes("board", board))


def _content(season: int | None, rows: bytes) -> bytes:
    if season is None:
        return b'"entries":%b' % rows
    return b'"season":%d,"entries":%b' % (season, rows)


def _document(board: str, version: int, content: bytes) -> bytes:
    return b'{"board":%b,"version":%d,%b}' % (_encode(board), version, content)
