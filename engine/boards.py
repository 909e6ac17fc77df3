"""The verbs of leaderboards: `engine.ranking` applied to what lies in the keyspace.

A board without entries is absent. The metadata of members lies in a hash beside the board,
and goes when the member goes. n is the number of entries on the board.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine import ranking as rank
from engine.core import Core, number
from engine.hashes import Hashes
from engine.ranking import Entry, Page, Ranking, Standing, Submission, Submit
from engine.sortedset import SortedSet

__all__ = ["Boards"]

META = b":meta"
"""What a board's key is followed by where its members' metadata lies."""

_EMPTY = SortedSet()


class Boards:
    """Sorted sets with the rules of a board, which the caller passes."""

    __slots__ = ("_clock", "_core", "_deadlines", "_hashes", "_values")

    def __init__(self, core: Core, hashes: Hashes) -> None:
        self._core = core
        self._hashes = hashes
        self._clock = core.clock
        self._values = core.keyspace.values
        self._deadlines = core.keyspace.deadlines

    def submit(self, key: bytes, ranking: Ranking, entry: Submit) -> Submission:
        """Bring one score in. O(log n). Raises OutOfBounds, and then nothing was changed."""
        now = self._clock()
        board = self._find(key, now)
        if board is None:
            return self._submit_first(key, ranking, entry, now)
        answer = rank.submit(board, ranking, entry[0], entry[1])
        if answer[5]:  # changed
            self._changed(key, entry, answer[1], now)
            if ranking.max_entries is not None and self._trim(key, board, ranking, now):
                return answer._replace(rank=rank.rank(board, ranking, entry.member))
        return answer

    def submit_many(
        self, targets: Sequence[tuple[bytes, Ranking]], entries: Sequence[Submit]
    ) -> list[Submission]:
        """Bring every score to every target, in order, all or nothing. O(log n) each.

        Ranks are those after the last, previous ranks those before the first. Raises
        OutOfBounds, and then nothing was changed. The targets must be distinct.
        """
        if len({key for key, _ in targets}) != len(targets):
            raise ValueError("the same board is named twice")
        now = self._core.clock()
        plans = []
        for key, ranking in targets:
            board = self._find(key, now) or SortedSet()
            plans.append((key, ranking, board, _plan(board, ranking, entries)))
        return [answer for plan in plans for answer in self._carry_out(*plan, now)]

    def remove(self, key: bytes, member: bytes) -> bool:
        """Whether the member was on the board. O(log n)."""
        now = self._core.clock()
        board = self._find(key, now)
        if board is None or member not in board:
            return False
        self._remove(key, board, [member], now)
        return True

    def size(self, key: bytes) -> int:
        """How many entries the board has. O(1)."""
        return len(self._read(key))

    def standing(self, key: bytes, ranking: Ranking, member: bytes) -> Standing | None:
        """Where the member stands. O(log n)."""
        now = self._core.clock()
        board = self._find(key, now) or _EMPTY
        score = board.score(member)
        if score is None:
            return None
        place = rank.rank(board, ranking, member)
        assert place is not None
        note = (self._hashes.live(key + META, now) or {}).get(member)
        return Standing(Entry(place, member, score, note), len(board))

    def page(self, key: bytes, ranking: Ranking, offset: int, limit: int) -> Page:
        """Entries from ``offset``, best first. O(log n + limit)."""
        return rank.page(self._read(key), ranking, offset, limit)

    def page_by_score(
        self, key: bytes, ranking: Ranking, scores: tuple[float, float], offset: int, limit: int
    ) -> Page:
        """As ``page``, of the entries within ``(minimum, maximum)``, both included."""
        return rank.page_by_score(self._read(key), ranking, *scores, offset, limit)

    def members(self, key: bytes, ranking: Ranking, members: Sequence[bytes]) -> Page:
        """The entries of those members who are on the board, best first. O(log n) each."""
        board = self._read(key)
        rows = {member: score for member in members if (score := board.score(member)) is not None}
        entries = [
            Entry(place, member, score)
            for member, score in rows.items()
            if (place := rank.rank(board, ranking, member)) is not None
        ]
        entries.sort(key=lambda entry: board.index(entry.member, reverse=ranking.descending) or 0)
        return Page(len(board), entries)

    def around(self, key: bytes, ranking: Ranking, member: bytes, radius: int) -> Page | None:
        """A full page with the member in its middle, or None. O(log n + radius)."""
        return rank.around(self._read(key), ranking, member, radius)

    def with_metadata(self, key: bytes, page: Page) -> Page:
        """The page with the metadata of its members. O(rows)."""
        notes = self._hashes.live(key + META, self._core.clock()) or {}
        return Page(
            page.total, [entry._replace(metadata=notes.get(entry.member)) for entry in page.entries]
        )

    def _submit_first(self, key: bytes, ranking: Ranking, entry: Submit, now: int) -> Submission:
        """As ``submit``, to a board that is absent: it comes into being with its first entry."""
        board = SortedSet()
        answer = rank.submit(board, ranking, entry.member, entry.score)
        self._core.keyspace.put(key, board)
        self._changed(key, entry, answer.score, now)
        return answer

    def _find(self, key: bytes, now: int) -> SortedSet | None:
        board = self._values.get(key)
        if type(board) is SortedSet and key not in self._deadlines:
            return board  # nearly always; the rest is for what may have expired
        return self._core.keyspace.typed(key, now, SortedSet, "zset")

    def _read(self, key: bytes) -> SortedSet:
        return self._find(key, self._core.clock()) or _EMPTY

    def _carry_out(
        self, key: bytes, ranking: Ranking, board: SortedSet, plan: list[_Step], now: int
    ) -> list[Submission]:
        before = [rank.rank(board, ranking, entry.member) for entry, _, _ in plan]
        if plan and not board:
            self._core.keyspace.put(key, board)
        for entry, _, score in plan:
            if board.add(entry.member, score):
                self._changed(key, entry, score, now)
        self._trim(key, board, ranking, now)
        return [
            Submission(
                entry.member,
                score,
                rank.rank(board, ranking, entry.member),
                previous_rank,
                previous_score,
                score != previous_score,
            )
            for (entry, previous_score, score), previous_rank in zip(plan, before, strict=True)
        ]

    def _changed(self, key: bytes, entry: Submit, score: float, now: int) -> None:
        effects = self._core.effects
        effects.changes += 1
        if effects.listeners:
            effects.emit(b"ZADD", key, number(score), entry.member)
        if entry.metadata is not None:
            self._hashes.update(key + META, {entry.member: entry.metadata}, now)

    def _trim(self, key: bytes, board: SortedSet, ranking: Ranking, now: int) -> bool:
        rows = rank.surplus(board, ranking)
        if rows:
            self._remove(key, board, [member for member, _ in rows], now)
        return bool(rows)

    def _remove(self, key: bytes, board: SortedSet, members: list[bytes], now: int) -> None:
        for member in members:
            board.remove(member)
        self._core.announce(b"ZREM", key, *members)
        self._hashes.remove(key + META, members, now)
        if not board:
            self._core.keyspace.delete(key)


_Step = tuple[Submit, float | None, float]
"""An entry, the score that counted before it, and the one that counts after it."""


def _plan(board: SortedSet, ranking: Ranking, entries: Sequence[Submit]) -> list[_Step]:
    """What each entry leads to, the earlier ones counted in; changes nothing."""
    scores: dict[bytes, float] = {}
    steps: list[_Step] = []
    for entry in entries:
        before = scores.get(entry.member)
        if before is None:
            before = board.score(entry.member)
        score = rank.counting_score(ranking, before, entry.score)
        scores[entry.member] = score
        steps.append((entry, before, score))
    return steps
