"""Writers who submit while a clock ends season after season, and all that they know of it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from engine.clock import SECOND, ManualClock
from realtime.backends.base import Entry, Ranking, Ranks, Submit
from realtime.services import Services
from realtime.services.archives import Archives
from realtime.services.rolling import ClosedSeason
from realtime.services.seasons import SeasonRules, view_name

__all__ = ["RANKS", "RULES", "SCORES", "TALLY", "Load", "Played", "Stage", "ranked"]

BEGIN = 1_704_067_195 * SECOND
"""Five seconds before a year, a month, a week and a day begin."""

RULES = SeasonRules(
    resets=tuple(BEGIN + second * SECOND for second in range(1, 1_000)),
    archives=1_000,
    views=("daily", "weekly", "monthly", "all-time"),
)

SCORES = "scores"
"""Each score is of a member of its own, so that it shows where it came to lie."""
TALLY = "tally"
"""A dozen members get points from everybody."""

RANKS: dict[str, Ranks] = {SCORES: "competition", TALLY: "dense"}
RANKINGS = {
    SCORES: Ranking(ranks=RANKS[SCORES]),
    TALLY: Ranking(keep="sum", ranks=RANKS[TALLY]),
}
WRITERS = 50


class Sent(NamedTuple):
    """A score that was acknowledged, and what the clock showed while it was on its way."""

    member: bytes
    score: float
    earliest: int
    highest: int
    """The latest that the clock had ever shown by the answer."""

    def may_be_in(self, season: Played) -> bool:
        """A clock that steps back begins no season again: what comes then belongs to the season
        that the board is in."""
        return self.earliest < season.ended and self.highest >= season.began


class Played(NamedTuple):
    """A season with all its entries, as it is read."""

    number: int
    began: int
    ended: float
    entries: list[Entry]


@dataclass
class Stage:
    """Nodes on one store, and its clock."""

    clock: ManualClock
    nodes: Sequence[Services]
    shown: list[int] = field(default_factory=lambda: [BEGIN])
    """All that the clock has shown."""

    def move(self, duration: int) -> None:
        self.clock.advance(duration)
        self.shown.append(self.clock.now)

    async def begin(self) -> None:
        self.clock.now = BEGIN
        configure = self.nodes[0].leaderboards.configure
        await asyncio.gather(*[configure(board, RANKINGS[board], RULES) for board in RANKINGS])

    async def played(self, board: str) -> list[Played]:
        """All seasons of a board, the current one last."""
        services = self.nodes[-1]
        boards = services.leaderboards
        season = await boards.catch_up(board)
        assert season is not None or board.endswith("all-time")
        played = [await self._archived(board, one) for one in await boards.closed(board)]
        page = await boards.page(board, 0, 10_000)
        number, began = (1, BEGIN) if season is None else (season.number, season.began)
        return [*reversed(played), Played(number, began, inf, page.entries)]

    async def is_packed(self, board: str) -> bool:
        closed = await self.nodes[0].leaderboards.closed(board)
        return all(one.packed for one in closed)

    async def pack(self, board: str) -> None:
        archives = Archives(self.nodes[0].backend, rows=7)
        for one in await self.nodes[0].leaderboards.closed(board):
            await archives.pack(board, one)

    async def _archived(self, board: str, season: ClosedSeason) -> Played:
        archives = Archives(self.nodes[-1].backend, rows=7)
        sets = archives.sets(board, season)
        page = await sets.page(archives.board(board, season), 0, 10_000)
        assert page.total == season.size == len(page.entries)
        return Played(season.number, season.began, season.ended, page.entries)


class Load:
    """Fifty writers at once, who also move the clock. ``sent`` is by board."""

    def __init__(self, stage: Stage, seed: int, steps: int) -> None:
        self.sent: dict[str, list[Sent]] = {SCORES: [], TALLY: []}
        self._stage = stage
        self._seed = seed
        self._steps = steps

    @property
    def boards(self) -> list[tuple[str, str]]:
        """Every board that is written to, and the one to which it is submitted."""
        views = [(view_name(board, view), board) for board in self.sent for view in RULES.views]
        return [(board, board) for board in self.sent] + views

    async def run(self) -> None:
        await asyncio.gather(*[self._write(number) for number in range(WRITERS)])

    async def _write(self, number: int) -> None:
        draw = random.Random(self._seed * WRITERS + number)
        services = self._stage.nodes[number % len(self._stage.nodes)]
        for step in range(self._steps):
            name = b"%d of writer %d" % (step, number)
            score = Submit(name, draw.randrange(20))
            point = Submit(b"player %d" % draw.randrange(12), 1, None, name)
            await self._submit(services, SCORES, score)
            await self._submit(services, TALLY, point)
            for _ in range(draw.randrange(10)):
                await asyncio.sleep(0)  # a store of this process never gives way
            if draw.random() < 0.1:
                (again,) = await services.leaderboards.submit(TALLY, [point])
                assert again.repeated, "also if a season has ended meanwhile"
            if draw.random() < 0.1:
                self._stage.move(round(draw.choice([-1.2, 0.1, 0.7, 1.0, 1.3]) * SECOND))

    async def _submit(self, services: Services, board: str, entry: Submit) -> None:
        shown = self._stage.shown
        since = len(shown) - 1
        (answer,) = await services.leaderboards.submit(board, [entry])
        assert answer.changed
        assert not answer.repeated
        sent = Sent(entry.member, entry.score, min(shown[since:]), max(shown))
        self.sent[board].append(sent)


def ranked(scores: dict[bytes, float], ranks: Ranks) -> list[Entry]:
    """A season as one would write it down."""
    order = sorted(scores, key=lambda member: (scores[member], member), reverse=True)
    entries = []
    for member in order:
        better = [score for score in scores.values() if score > scores[member]]
        rank = len(better) if ranks == "competition" else len(set(better))
        entries.append(Entry(rank + 1, member, scores[member]))
    return entries


def points(entries: Sequence[Entry]) -> Counter[bytes]:
    return Counter({entry.member: int(entry.score) for entry in entries})
