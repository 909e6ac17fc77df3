"""The reading verbs of leaderboards: `engine.standings` asked of what lies in the keyspace."""

from __future__ import annotations

from collections.abc import Sequence

from engine import ranking as rank
from engine import standings
from engine.core import Core
from engine.entries import META, Entries
from engine.hashes import Hashes
from engine.ranking import Entry, Page, Ranking, Standing
from engine.sortedset import SortedSet
from engine.standings import EntryPosition, Histogram, Onward

__all__ = ["PLAIN", "BoardReads"]

PLAIN = Ranking()
"""For verbs that hardly depend on the rules: unless entries expire, or ties go to the first."""

_EMPTY = SortedSet()


class BoardReads:
    """Each verb answers of one instant. n is the number of entries on the board."""

    __slots__ = ("_clock", "_core", "_deadlines", "_entries", "_hashes", "_values")

    def __init__(self, core: Core, hashes: Hashes) -> None:
        self._core = core
        self._hashes = hashes
        self._entries = Entries(core, hashes)
        self._clock = core.clock
        self._values = core.keyspace.values
        self._deadlines = core.keyspace.deadlines

    def size(self, key: bytes, ranking: Ranking = PLAIN) -> int:
        """How many entries the board has. O(1)."""
        return len(self._read(key, ranking))

    def standing(self, key: bytes, ranking: Ranking, member: bytes) -> Standing | None:
        """Where the member stands. O(log n)."""
        now = self._clock()
        board = self._find(key, ranking, now) or _EMPTY
        score = board.score(member)
        if score is None:
            return None
        place = rank.rank(board, ranking, member)
        assert place is not None
        note = (self._hashes.live(key + META, now) or {}).get(member)
        ahead = place - 1
        if ranking.ranks == "dense":
            ahead = rank.better(board, ranking, score)
        return Standing(Entry(place, member, score, note), len(board), ahead)

    def page(self, key: bytes, ranking: Ranking, offset: int, limit: int) -> Page:
        """Entries from ``offset``, best first. O(log n + limit)."""
        return standings.page(self._read(key, ranking), ranking, offset, limit)

    def page_by_score(
        self, key: bytes, ranking: Ranking, scores: tuple[float, float], offset: int, limit: int
    ) -> Page:
        """As ``page``, of the entries within ``(minimum, maximum)``, both included."""
        return standings.page_by_score(self._read(key, ranking), ranking, *scores, offset, limit)

    def onward(
        self, key: bytes, ranking: Ranking, after: EntryPosition | None, limit: int
    ) -> Onward:
        """The entries behind a position, or from the first one on. O(log n + limit)."""
        now = self._clock()
        board = self._find(key, ranking, now) or _EMPTY
        page, end = standings.onward(board, ranking, after, limit)
        return Onward(page, end, self._entries.generation(key, now))

    def members(self, key: bytes, ranking: Ranking, members: Sequence[bytes]) -> Page:
        """The entries of those members who are on the board, best first. O(log n) each."""
        board = self._read(key, ranking)
        places = {
            member: index
            for member in members
            if (index := board.index(member, reverse=ranking.descending)) is not None
        }
        entries: list[Entry] = []
        for member in sorted(places, key=places.__getitem__):
            score, place = board.score(member), rank.rank(board, ranking, member)
            assert score is not None and place is not None
            entries.append(Entry(place, member, score))
        return Page(len(board), entries)

    def look(self, key: bytes, ranking: Ranking, members: Sequence[bytes]) -> tuple[int, Page]:
        """As ``members``, with a version that is higher than that of every look before."""
        page = self.members(key, ranking, members)
        return self._entries.looked(key, page.total > 0, self._clock()), page

    def leaving(self, key: bytes) -> int | None:
        """In how many microseconds the next entry leaves by itself; None: none does. O(log n)."""
        now = self._clock()
        instant = self._entries.next_deadline(key, now)
        return None if instant is None else max(0, instant - now)

    def around(self, key: bytes, ranking: Ranking, member: bytes, radius: int) -> Page | None:
        """A full page with the member in its middle, or None. O(log n + radius)."""
        return standings.around(self._read(key, ranking), ranking, member, radius)

    def around_score(self, key: bytes, ranking: Ranking, score: float, radius: int) -> Page:
        """A full page, half of it better than the score. O(log n + radius)."""
        return standings.around_score(self._read(key, ranking), ranking, score, radius)

    def at_percentile(self, key: bytes, ranking: Ranking, percentile: float) -> Page:
        """The last entry of which so many per cent stand no better, if there are entries.

        O(log n)."""
        board = self._read(key, ranking)
        return standings.page(board, ranking, standings.index_at(len(board), percentile), 1)

    def histogram(self, key: bytes, ranking: Ranking, bounds: list[float] | int) -> Histogram:
        """How many scores there are between each two bounds; of a number, as many equal buckets
        over all scores. O(log n) each."""
        board = self._read(key, ranking)
        if isinstance(bounds, int):
            bounds = standings.equal_bounds(board, bounds)
        return standings.histogram(board, bounds)

    def with_metadata(self, key: bytes, page: Page) -> Page:
        """The page with the metadata of its members. O(rows)."""
        notes = self._entries.metadata(key, self._clock())
        return Page(
            page.total, [entry._replace(metadata=notes.get(entry.member)) for entry in page.entries]
        )

    def _find(self, key: bytes, ranking: Ranking, now: int) -> SortedSet | None:
        board = self._values.get(key)
        if type(board) is SortedSet and ranking.plain and key not in self._deadlines:
            return board  # nearly always; the rest is for what may have expired, or has other rules
        return self._entries.find(key, ranking, now)

    def _read(self, key: bytes, ranking: Ranking) -> SortedSet:
        return self._find(key, ranking, self._clock()) or _EMPTY
