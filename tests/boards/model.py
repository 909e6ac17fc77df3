"""A board as one would write it down: rows in a dict, sorted anew at every question."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from realtime.backends.base import (
    Entry,
    EntryPosition,
    Histogram,
    OutOfBounds,
    Ranking,
    Submission,
    Submit,
)

__all__ = ["Model"]

DAY = 24 * 3600 * 1_000_000


@dataclass
class Row:
    score: float
    reached: int | None
    """A number that grows; None: from before the board looked at who was first."""
    note: bytes | None = None
    leaves: int | None = None


@dataclass
class Model:
    ranking: Ranking
    rows: dict[bytes, Row] = field(default_factory=dict)
    ids: dict[bytes, int] = field(default_factory=dict)
    turn: int = 0

    # What is asked

    def order(self) -> list[bytes]:
        """The members, best first."""
        rows = self.rows
        sign = -1 if self.ranking.descending else 1
        if self.ranking.ties == "first":
            return sorted(
                rows, key=lambda name: (sign * rows[name].score, rows[name].reached or 0, name)
            )
        return sorted(
            rows, key=lambda name: (rows[name].score, name), reverse=self.ranking.descending
        )

    def rank(self, name: bytes) -> int | None:
        if name not in self.rows:
            return None
        score = self.rows[name].score
        ahead = [row.score for row in self.rows.values() if self._is_better(row.score, score)]
        match self.ranking.ranks:
            case "ordinal":
                return self.order().index(name) + 1
            case "competition":
                return len(ahead) + 1
            case _:
                return len(set(ahead)) + 1

    def entries(self, names: Sequence[bytes], *, noted: bool = False) -> list[Entry]:
        return [
            Entry(
                self.rank(name) or 0,
                name,
                self.rows[name].score,
                self.rows[name].note if noted else None,
            )
            for name in names
        ]

    def within(self, low: float, high: float) -> list[bytes]:
        return [name for name in self.order() if low <= self.rows[name].score <= high]

    def around(self, index: int, radius: int, rows: int) -> list[bytes]:
        first = max(0, min(index - radius, len(self.rows) - rows))
        return self.order()[first : first + rows]

    def better(self, score: float) -> int:
        return sum(1 for row in self.rows.values() if self._is_better(row.score, score))

    def at_percentile(self, percentile: float) -> bytes | None:
        """By definition: the last of whom so many per cent stand no better."""
        order = self.order()
        total = len(order)
        fitting = [
            name for index, name in enumerate(order) if 100 * (total - index) / total >= percentile
        ]
        return fitting[-1] if fitting else None

    def histogram(self, bounds: list[float]) -> Histogram:
        scores = [row.score for row in self.rows.values()]
        counts = [0] * (len(bounds) - 1)
        for score in scores:
            for at in range(len(counts)):
                is_last = at == len(counts) - 1
                if bounds[at] <= score < bounds[at + 1] or (is_last and score == bounds[-1]):
                    counts[at] += 1
                    break
        below = sum(1 for score in scores if score < bounds[0])
        above = sum(1 for score in scores if score > bounds[-1])
        return Histogram(len(scores), bounds, counts, below, above)

    def stands_after(self, position: EntryPosition, key: object) -> list[bytes]:
        """Who stands behind a position that was noted as ``key`` by ``sort_key``."""
        return [name for name in self.order() if self.sort_key(name) > key]  # type: ignore[operator]

    def sort_key(self, name: bytes) -> tuple[object, ...]:
        """Sorts as ``order``."""
        row = self.rows[name]
        sign = -1 if self.ranking.descending else 1
        if self.ranking.ties == "first":
            return sign * row.score, row.reached or 0, name
        if self.ranking.descending:
            return -row.score, *(255 - byte for byte in name), 256
        return row.score, name

    # What happens

    def submit(self, entries: Sequence[Submit], overtaken: int, now: int) -> list[Submission]:
        """Raises OutOfBounds, and then nothing was changed."""
        self.expire(now)
        plan = self._plan(entries, now)
        before = [self.rank(entry.member) for entry in entries]
        passed = [self._enter(*step, overtaken) for step in plan]
        for entry, (_, _, repeated) in zip(
            entries, [(s[1], s[2], s[3]) for s in plan], strict=True
        ):
            if entry.id is not None and not repeated:
                self.ids[entry.id] = now
        self.trim()
        for entry, _, _, repeated in plan:
            if not repeated and entry.member in self.rows and self.ranking.entry_ttl is not None:
                self.rows[entry.member].leaves = now + self.ranking.entry_ttl
        return [
            Submission(
                entry.member,
                entry.score if after is None else after,
                self.rank(entry.member),
                rank,
                old,
                after != old,
                tuple(other for other in others if other.member in self.rows),
                repeated,
            )
            for (entry, old, after, repeated), rank, others in zip(
                plan, before, passed, strict=True
            )
        ]

    def remove(self, name: bytes) -> bool:
        return self.rows.pop(name, None) is not None

    def expire(self, now: int) -> None:
        for name, row in list(self.rows.items()):
            if row.leaves is not None and row.leaves <= now:
                del self.rows[name]

    def change(self, ranking: Ranking, now: int) -> None:
        """Other rules from now on."""
        if ranking.ties == "member" or self.ranking.ties == "member":
            for row in self.rows.values():
                row.reached = None
        restarts = ranking.entry_ttl != self.ranking.entry_ttl
        self.ranking = ranking
        self.trim()
        for row in self.rows.values():
            if ranking.entry_ttl is None:
                row.leaves = None
            elif restarts:
                row.leaves = now + ranking.entry_ttl

    def trim(self) -> None:
        if self.ranking.max_entries is not None:
            for name in self.order()[self.ranking.max_entries :]:
                del self.rows[name]

    def _is_better(self, one: float, other: float) -> bool:
        return one > other if self.ranking.descending else one < other

    def _plan(
        self, entries: Sequence[Submit], now: int
    ) -> list[tuple[Submit, float | None, float | None, bool]]:
        scores = {name: row.score for name, row in self.rows.items()}
        known = {name for name, since in self.ids.items() if since > now - DAY}
        plan: list[tuple[Submit, float | None, float | None, bool]] = []
        for entry in entries:
            before = scores.get(entry.member)
            if entry.id in known:
                plan.append((entry, before, before, True))
                continue
            if entry.id is not None:
                known.add(entry.id)
            scores[entry.member] = self._counting(before, entry.score)
            plan.append((entry, before, scores[entry.member], False))
        return plan

    def _counting(self, before: float | None, score: float) -> float:
        if before is not None and self.ranking.keep == "sum":
            if score == 0:
                return before
            score += before
        low, high = self.ranking.min_score, self.ranking.max_score
        if (low is not None and score < low) or (high is not None and score > high):
            raise OutOfBounds("", score)
        if not math.isfinite(score):
            raise OutOfBounds("", score)
        if before is None or self.ranking.keep != "best" or self._is_better(score, before):
            return score
        return before

    def _enter(
        self,
        entry: Submit,
        before: float | None,
        after: float | None,
        repeated: bool,
        limit: int,
    ) -> list[Entry]:
        if repeated or after is None or after == before:
            return []
        shared = self.ranking.ranks != "ordinal"
        ahead = self._ahead_of(entry.member, shared)
        self.turn += 1
        row = self.rows.setdefault(entry.member, Row(after, None))
        row.score, row.reached = after, self.turn
        row.note = entry.metadata or row.note
        behind = [
            name
            for name in self.order()
            if name != entry.member and name not in self._ahead_of(entry.member, shared, ties=True)
        ]
        return self.entries([name for name in behind if name in ahead][:limit])

    def _ahead_of(self, member: bytes, shared: bool, *, ties: bool = False) -> set[bytes]:
        """Who stands before a member, or everybody; with shared ranks only scores count."""
        if member not in self.rows:
            return set(self.rows)
        if not shared:
            return set(self.order()[: self.order().index(member)])
        score = self.rows[member].score
        return {
            name
            for name, row in self.rows.items()
            if name != member
            and (self._is_better(row.score, score) or (ties and row.score == score))
        }
