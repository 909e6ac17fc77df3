"""The verbs of leaderboards: `engine.ranking` applied to what lies in the keyspace.

A board without entries is absent. The metadata of members lies in a hash beside the board,
and goes when the member goes. n is the number of entries on the board. What is done for rules
that need more than the sorted set itself stands in `engine.entries`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from engine import ranking as rank
from engine.boardreads import PLAIN
from engine.core import number
from engine.entries import META, SLICE
from engine.errors import OutOfBounds
from engine.placedset import PlacedSet
from engine.ranking import Ranking, Submission, Submit
from engine.seasons import BoardSeasons
from engine.sortedset import SortedSet

__all__ = ["Boards"]


class Boards(BoardSeasons):
    """Sorted sets with the rules of a board, which the caller passes."""

    __slots__ = ()

    def submit(self, key: bytes, ranking: Ranking, entry: Submit) -> Submission:
        """Bring one score in. O(log n).

        Raises OutOfBounds or SeasonOver, and then nothing was changed."""
        if not ranking.plain or entry[3] is not None:
            return self.submit_many([(key, ranking)], [entry])[0]
        now = self._clock()
        board = self._find(key, ranking, now)
        if board is None:
            return self._submit_first(key, ranking, entry, now)
        answer = rank.submit(board, ranking, entry[0], entry[1])
        if answer[5]:  # changed
            self._changed(key, entry, answer[1], now)
            if ranking.max_entries is not None and self._entries.trim(key, board, ranking, now):
                return answer._replace(rank=rank.rank(board, ranking, entry.member))
        return answer

    def submit_many(
        self,
        targets: Sequence[tuple[bytes, Ranking]],
        entries: Sequence[Submit],
        overtaken: int = 0,
    ) -> list[Submission]:
        """Bring every score to every target, in order, all or nothing. O(log n) each.

        Ranks are those after the last, previous ranks those before the first. With ``overtaken``
        each answer names up to so many of those whom its member has passed when its turn came.
        Raises OutOfBounds or SeasonOver, and then nothing was changed. The targets are distinct.
        """
        if len({key for key, _ in targets}) != len(targets):
            raise ValueError("the same board is named twice")
        now = self._core.clock()
        for key, ranking in targets:
            if ranking.seasonal:
                self._check_season(key, now)
        plans = []
        for key, ranking in targets:
            board = self._find(key, ranking, now)
            plans.append((key, ranking, board, self._plan(key, board, ranking, entries, now)))
        return [answer for plan in plans for answer in self._carry_out(*plan, overtaken, now)]

    def remove(self, key: bytes, member: bytes, ranking: Ranking = PLAIN) -> bool:
        """Whether the member was on the board. O(log n). Raises SeasonOver."""
        now = self._core.clock()
        if ranking.seasonal:
            self._check_season(key, now)
        board = self._find(key, ranking, now)
        if board is None or member not in board:
            return False
        self._entries.remove(key, board, [member], now)
        return True

    def drop(self, keys: Sequence[bytes]) -> bool:
        """Delete a board, the first of the keys, and what lies beside it. O(1). Whoever goes on
        reading after a position can tell, see ``onward``."""
        return self._entries.drop(list(keys), self._core.clock())

    def adapt(self, key: bytes, ranking: Ranking, start: int) -> int | None:
        """Bring what is there in line with rules that have changed, a slice at a time.

        Answers where to go on, None at the end. Begin at 0. Safe to begin anew at any time, and
        while others submit by the rules of before: that does not make it longer. O(SLICE log n)."""
        now = self._core.clock()
        board = self._core.keyspace.typed(key, now, SortedSet, "zset")
        if board is None:
            return None
        if ranking.ties == "first":
            board = self._entries.as_wanted(key, board, ranking)
        if not self._entries.drop_due(key, board, now):  # else it might come back
            return None
        if ranking.entry_ttl is None:
            self._entries.stay_for_good(key, now)
        if ranking.ranks != "dense":
            board.forget_distinct()
        if ranking.ties == "member" and isinstance(board, PlacedSet) and board.placed:
            self._entries.forget_places(key, board, SLICE)
            if board.placed:
                return start
        board = self._entries.as_wanted(key, board, ranking)  # by now that is cheap
        self._entries.trim(key, board, ranking, now, SLICE)
        if ranking.max_entries is not None and len(board) > ranking.max_entries:
            return start
        if ranking.entry_ttl is None:
            return None
        return self._give_deadlines(key, ranking.entry_ttl, board, max(start, 0), now)

    def _give_deadlines(
        self, key: bytes, ttl: int, board: SortedSet, start: int, now: int
    ) -> int | None:
        """Entries move meanwhile, so that some may be missed: then all are looked at again."""
        members = [member for member, _ in board.slice(start, start + SLICE)]
        self._entries.stay(key, self._entries.without_deadline(key, members, now), ttl, now)
        if start + SLICE < len(board):
            return start + SLICE
        return None if self._entries.with_deadline(key, now) >= len(board) else 0

    def _submit_first(self, key: bytes, ranking: Ranking, entry: Submit, now: int) -> Submission:
        """As ``submit``, to a board that is absent: it comes into being with its first entry."""
        board = SortedSet()
        answer = rank.submit(board, ranking, entry.member, entry.score)
        self._core.keyspace.put(key, board)
        self._changed(key, entry, answer.score, now)
        return answer

    def _plan(
        self,
        key: bytes,
        board: SortedSet | None,
        ranking: Ranking,
        entries: Sequence[Submit],
        now: int,
    ) -> list[_Step]:
        """What each entry leads to, the earlier ones counted in; changes nothing."""
        scores: dict[bytes, float] = {}
        ids: set[bytes] = set()
        steps: list[_Step] = []
        for entry in entries:
            before = scores.get(entry.member)
            if before is None and board is not None:
                before = board.score(entry.member)
            if entry.id is not None:
                if entry.id in ids or self._entries.is_known(key, entry.id, now):
                    steps.append(_Step(entry, before, before, True))
                    continue
                ids.add(entry.id)
            try:
                score = rank.counting_score(ranking, before, entry.score)
            except OutOfBounds as refused:
                refused.entry = len(steps)
                raise
            scores[entry.member] = score
            steps.append(_Step(entry, before, score, False))
        return steps

    def _carry_out(
        self,
        key: bytes,
        ranking: Ranking,
        board: SortedSet | None,
        plan: list[_Step],
        overtaken: int,
        now: int,
    ) -> list[Submission]:
        accepted = [step.entry for step in plan if not step.repeated]
        if board is None:
            board = self._entries.create(key, ranking) if accepted else SortedSet()
        before = [rank.rank(board, ranking, step.entry.member) for step in plan]
        passed = self._enter(key, ranking, board, plan, overtaken, now)
        ids = [entry.id for entry in accepted if entry.id is not None]
        if ids:
            self._entries.note_ids(key, ids, now)
        self._entries.trim(key, board, ranking, now)
        if ranking.entry_ttl is not None:
            staying = dict.fromkeys(e.member for e in accepted if e.member in board)
            self._entries.stay(key, list(staying), ranking.entry_ttl, now)
        return [
            Submission(
                step.entry.member,
                step.entry.score if step.score is None else step.score,
                rank.rank(board, ranking, step.entry.member),
                previous_rank,
                step.before,
                step.score != step.before,
                tuple(entry for entry in passers if entry.member in board),
                step.repeated,
            )
            for step, previous_rank, passers in zip(plan, before, passed, strict=True)
        ]

    def _enter(
        self,
        key: bytes,
        ranking: Ranking,
        board: SortedSet,
        plan: list[_Step],
        limit: int,
        now: int,
    ) -> list[tuple[rank.Entry, ...]]:
        """Set the scores of a plan; whom each has passed."""
        passed: list[tuple[rank.Entry, ...]] = []
        for entry, before, score, _ in plan:
            found: tuple[rank.Entry, ...] = ()
            if score is not None and score != before:
                member = entry.member
                index = board.index(member, reverse=ranking.descending) if limit else None
                self._entries.enter(key, board, entry, score, now)
                if limit:
                    found = rank.overtaken(board, ranking, member, (index, before), limit)
            passed.append(found)
        return passed

    def _changed(self, key: bytes, entry: Submit, score: float, now: int) -> None:
        effects = self._core.effects
        effects.changes += 1
        if effects.listeners:
            effects.emit(b"ZADD", key, number(score), entry.member)
        if entry.metadata is not None:
            self._hashes.update(key + META, {entry.member: entry.metadata}, now)


class _Step(NamedTuple):
    """An entry, the score that counted before it, and the one that counts after it; None: the
    member is not on the board."""

    entry: Submit
    before: float | None
    score: float | None
    repeated: bool
