"""Live members: whoever subscribes to ``leaderboard:{board}:{member}`` sees where that one stands.

A member's rank changes when others pass, so a board that has changed is looked at once for all
of its members that somebody watches here, at one instant, and what differs from what their
subscribers saw last is published. However many scores come in, that is once per interval.

    a board changes ──> due ──(the next tick)──> look at 500 of its members, and 500 more, …

A *round* is a look at every watched member of a board. A tick does so much and no more: the
boards that are due take turns, 500 members each, and where there are too many, rounds take
several ticks. What changes during a round makes another one follow.

Where several nodes share a store, each looks for its own subscribers, and publishes to those and
nobody else: nothing is written but the version. That one is the store's, one per look and higher
than all before, so a client that moves to another node can tell what is newer. There a
subscription begins with a look of its own, for its node may not have heard yet of what the
client has seen elsewhere.

A look costs O(watched members * log n). Boards that do not change cost nothing, and what nobody
watches any more is forgotten at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

import msgspec

from realtime.backends.base import BackendUnavailable, EngineError, Entry, Publication
from realtime.backends.keys import board_key, board_of
from realtime.backends.livenames import LiveName, live_channel
from realtime.errors import Unavailable
from realtime.services import Services
from realtime.services.leaving import Leaving
from realtime.services.names import live_of, name_bytes
from realtime.services.standings import json_score

__all__ = ["Deliver", "LiveMembers"]

log = logging.getLogger("realtime")

Deliver = Callable[[bytes, Publication, str], None]
"""Called with a channel, a publication and its epoch; tells the subscribers of this process."""

SLICE = 500
"""Members looked at in one step: some 3 to 6 ms on a board of a million."""

TICK = 2_000
"""What a tick may cost, in members; the rest waits for the next one."""

LOOK = 20
"""What a look costs beside its members, in members."""

_encode = msgspec.json.Encoder().encode


class _Seen:
    """What the subscribers of a member saw last."""

    __slots__ = ("rank", "score", "version")

    def __init__(self) -> None:
        self.version = 0
        """Of the latest look that found it so; 0: nobody has looked yet."""
        self.rank: int | None = None
        """None: not on the board."""
        self.score: float | None = None


class _Watched:
    """A board, and the members of it that somebody watches here."""

    __slots__ = ("changed", "head", "key", "left", "members", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.key = board_key(name_bytes("board", name))
        self.head = live_channel(name).encode() + b":"
        self.members: dict[bytes, _Seen] = {}
        self.left: list[bytes] = []
        """Whom the round that is under way has yet to look at."""
        self.changed = False
        """Whether it may have changed since that round began."""

    @property
    def cost(self) -> int:
        """Of the next look, in members."""
        return LOOK + min(SLICE, len(self.left) or len(self.members))


class LiveMembers:
    """Publishes where the members stand that somebody watches.

    ``interval`` is in seconds, and ``sleep`` is how it passes; tests let it pass at once.
    """

    def __init__(
        self,
        services: Services,
        deliver: Deliver,
        interval: float = 0.1,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._leaderboards = services.leaderboards
        self._watches = services.backend.watches
        self._alone = services.backend.immediate
        self._deliver = deliver
        self._interval = interval
        self._sleep = sleep
        self._boards: dict[str, _Watched] = {}
        self._due: dict[str, None] = {}
        """The boards that want a look, in this order."""
        self._wake = asyncio.Event()
        self._leaving = Leaving(services, self._note)
        services.leaderboards.on_change(self._note)
        services.backend.watches.listen(self._told)

    async def snapshot(self, channel: str) -> bytes | None:
        """What a new subscriber of ``channel`` is to see first; None if it shows no member.

        To be called when the subscriber counts as watching already. From then on changes are
        published, until the channel is said to have `ended`.
        """
        name = live_of(channel)
        if name is None or name.member is None:
            return None
        board = self._boards.get(name.board)
        if board is None:
            board = self._boards[name.board] = _Watched(name.board)
        member = name_bytes("member", name.member)
        seen = board.members.get(member)
        if seen is None:
            seen = board.members[member] = _Seen()
        if not (self._alone and seen.version):
            await self._watches.watch(board.key)
            version, page = await self._leaderboards.look(board.name, [member])
            self._show(board, member, seen, version, next(iter(page.entries), None))
            await self._leaving.expect(board.name)
        return _document(name, seen)

    def ended(self, channel: str) -> None:
        """The last subscriber of a channel has gone. O(1)."""
        name = live_of(channel)
        if name is None or name.member is None:
            return
        board = self._boards.get(name.board)
        if board is not None:
            board.members.pop(name.member.encode(), None)
            if not board.members:
                del self._boards[name.board]
                self._due.pop(name.board, None)
                self._leaving.forget(name.board)

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._tick()
            await self._sleep(self._interval)

    # What we hear of

    def _note(self, name: str) -> None:
        """Members of the board may stand elsewhere than was shown."""
        board = self._boards.get(name)
        if board is not None:
            board.changed = True
            self._want([name])

    def _told(self, key: bytes | None) -> None:
        """By the watch of a key; None: all of them have ended."""
        if key is None:
            for name in self._boards:
                self._note(name)
        elif (name_of := board_of(key)) is not None:
            self._note(name_of.decode())

    def _want(self, names: Iterable[str]) -> None:
        for name in names:
            self._due[name] = None
            self._wake.set()

    # What we do about it

    async def _tick(self) -> None:
        """Look at what is due, as far as one tick goes. What was not its turn is first next time;
        a board whose round is over has its next one in the next tick."""
        waiting, self._due = self._due, {}
        budget = TICK
        while waiting and budget > 0:
            lap: list[_Watched] = []
            while waiting and budget > 0:
                name = next(iter(waiting))
                del waiting[name]
                if (board := self._boards.get(name)) is not None:
                    lap.append(board)
                    budget -= board.cost
            await self._look_at(lap)
            waiting |= {board.name: None for board in lap if board.left}
            self._want(board.name for board in lap if board.changed and not board.left)
        later, self._due = self._due, {}
        self._want([*waiting, *later])

    async def _look_at(self, lap: list[_Watched]) -> None:
        """One look at each of some boards."""
        if not self._alone:
            await asyncio.gather(*map(self._look, lap))
            return
        for board in lap:
            await self._look(board)
            await asyncio.sleep(0)  # this may have taken a while

    async def _look(self, board: _Watched) -> None:
        """Look at the next members of a round, or at the first ones of a new one."""
        try:
            if not board.left:
                board.changed = False
                await self._watches.watch(board.key)
                board.left = list(board.members)
            members = board.left[-SLICE:]
            version, page = await self._leaderboards.look(board.name, members)
            if len(members) == len(board.left):
                await self._leaving.expect(board.name)
        except (BackendUnavailable, Unavailable):
            board.left = []
            self._note(board.name)  # a later look shows what this one would have
            return
        except EngineError as error:
            board.left = []
            log.warning("members of the live board %r cannot be read: %s", board.name, error)
            return
        except Exception:  # nor is what somebody else has stored there a reason to end
            board.left = []
            log.exception("members of the live board %r cannot be shown", board.name)
            return
        del board.left[-SLICE:]
        found = {entry.member: entry for entry in page.entries}
        for member in members:
            seen = board.members.get(member)
            if seen is not None:
                self._show(board, member, seen, version, found.get(member))

    def _show(
        self, board: _Watched, member: bytes, seen: _Seen, version: int, entry: Entry | None
    ) -> None:
        """Take in what a look has found; publish it if it is news to anybody. O(1)."""
        if version <= seen.version:
            return  # another look was later, and overtook this one
        before, is_first = (seen.rank, seen.score), not seen.version
        seen.version = version
        seen.rank, seen.score = (None, None) if entry is None else (entry.rank, entry.score)
        if not is_first and before != (seen.rank, seen.score):
            data = _document(LiveName(board.name, member.decode()), seen, before[0])
            self._deliver(board.head + member, Publication(0, data), "")


def _document(name: LiveName, seen: _Seen, *previous: int | None) -> bytes:
    """``previous``: the rank in the publication before, if there was one."""
    score = None if seen.score is None else json_score(seen.score)
    shown = b'{"board":%b,"member":%b,"version":%d,"rank":%b,"score":%b' % (
        *(_encode(name.board), _encode(name.member), seen.version),
        *(_encode(seen.rank), _encode(score)),
    )
    return shown + b"".join(b',"previous_rank":%b' % _encode(rank) for rank in previous) + b"}"
