"""Many sort keys in order, and where each stands: the order of a large board.

A submit asks four questions of one order: the rank before, the place to delete, the place to
insert, the rank after. What it waits for on a large board is not the comparisons but memory: a
bisection of a list of bytes follows a pointer at every step, to an object that lies anywhere.
So the keys lie in *runs* of some hundred, as in `sortedcontainers.SortedList`, and beside each
run lies an array of its scores, which is bisected instead: eight bytes a key, side by side. The
keys themselves are only looked at among equal scores.

    runs     key | key | key …          in order, also from run to run
    scores   8 B | 8 B | 8 B …          of the same keys
    tops     of each run a score that none of its keys exceeds and none behind it falls below;
             of the last run, infinity. Only splitting and joining runs changes them.
    sizes    keys in each run
    sums     keys in each BLOCK of runs

The index of a key is its place in its run, and two short sums: the blocks before it, and the
runs of its block before it. Those add up n / (LOAD * BLOCK) numbers and BLOCK at most: half a
microsecond at a million keys. Both bisections are O(log n), and moving the tail of a run is
O(LOAD). What is called O(log n) below leaves the sums out. n is the number of keys.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate, chain
from math import inf
from operator import itemgetter

from engine.sortkey import score_of, scores_of

__all__ = ["RankedList"]

LOAD = 500
"""Keys of a run when it is made; it is split at twice as many, and joined below half."""

_SHIFT = 6
BLOCK = 1 << _SHIFT
"""Runs that are summed up together."""
_FIRST = -BLOCK
"""With this mask the number of a run is that of the first run of its block."""

_last = itemgetter(-1)


class RankedList:
    """Distinct byte strings in order, each of at least the eight bytes of a score."""

    __slots__ = ("_least", "_most", "_runs", "_scores", "_sizes", "_sums", "_tops")

    def __init__(self, keys: list[bytes], load: int = LOAD) -> None:
        """``keys`` are in order. O(n)."""
        self._least, self._most = load >> 1, load << 1
        self._runs = [keys[at : at + load] for at in range(0, len(keys), load)] or [[]]
        self._scores = [scores_of(run) for run in self._runs]
        self._tops = array("d", [scores[-1] for scores in self._scores[:-1]])
        self._tops.append(inf)
        self._sizes = list(map(len, self._runs))
        self._sums: list[int] = []
        self._sum_up(0)

    def __len__(self) -> int:
        return sum(self._sums)

    def __iter__(self) -> Iterator[bytes]:
        return chain.from_iterable(self._runs)

    def __getitem__(self, wanted: slice) -> list[bytes]:
        """The keys ``[start:stop]``, where ``0 <= start <= stop``. O(log n), and their number."""
        start, stop = wanted.start, wanted.stop
        p, start_of_run = self._run_at(start)
        at, left = start - start_of_run, stop - start
        found = self._runs[p][at : at + left]
        while len(found) < left and p + 1 < len(self._runs):
            p += 1
            found += self._runs[p][: left - len(found)]
        return found

    def bisect_left(self, key: bytes) -> int:
        """How many keys are less than this one, which need not be there. O(log n)."""
        p, at = self._find(key, score_of(key))
        return at + self._before(p)

    def span(self, score: float) -> tuple[int, int]:
        """How many keys have a lower score, and how many at most this one. O(log n)."""
        tops = self._tops
        p = bisect_left(tops, score)
        scores, before = self._scores[p], self._before(p)
        below = bisect_left(scores, score)
        if tops[p] != score:
            return before + below, before + bisect_right(scores, score, below)
        q = min(bisect_right(tops, score, p), len(tops) - 1)  # equal scores may fill several runs
        return before + below, self._before(q) + bisect_right(self._scores[q], score)

    def falling(self, key: bytes, score: float) -> int:
        """How many keys stand before this one, of this score, if scores fall from one to the next
        and only equal ones keep their order. It need not be there. O(log n)."""
        p = bisect_left(self._tops, score)
        if self._tops[p] == score:
            below, through = self.span(score)
            return len(self) - through + self.bisect_left(key) - below
        scores = self._scores[p]
        low = bisect_left(scores, score)
        high = bisect_right(scores, score, low)
        place = bisect_left(self._runs[p], key, low, high) - low
        return len(self) - self._before(p) - high + place

    def move(self, old: bytes, new: bytes, before: float, score: float) -> tuple[int, int]:
        """Replace a key that is there by one that is not, given their scores; both indices.

        The index of ``new`` counts ``old`` no more. O(log n). This is ``leave`` and ``enter`` in
        one piece, for nearly every submit comes here.
        """
        runs, tops, sizes, sums = self._runs, self._tops, self._sizes, self._sums
        p = bisect_left(tops, before)
        run, scores = runs[p], self._scores[p]
        left = bisect_left(scores, before)
        if tops[p] == before or run[left] is not old:
            p, left = self._find(old, before)
            run, scores = runs[p], self._scores[p]
        if len(run) <= self._least:
            return self.leave(old), self.enter(new)
        del run[left], scores[left]
        block = p >> _SHIFT
        left += sum(sizes[p & _FIRST : p])
        if block:
            left += sum(sums[:block])
        sizes[p] -= 1
        sums[block] -= 1
        p = bisect_left(tops, score)
        run, scores = runs[p], self._scores[p]
        entered = bisect_left(scores, score)
        if tops[p] == score or (entered < len(scores) and scores[entered] == score):
            p, entered = self._find(new, score)
            run, scores = runs[p], self._scores[p]
        run.insert(entered, new)
        scores.insert(entered, score)
        block = p >> _SHIFT
        entered += sum(sizes[p & _FIRST : p])
        if block:
            entered += sum(sums[:block])
        sizes[p] += 1
        sums[block] += 1
        if len(run) > self._most:
            self._split(p)
        return left, entered

    def enter(self, key: bytes) -> int:
        """Add a key that is not there; its index. O(log n)."""
        score = score_of(key)
        p, at = self._find(key, score)
        run = self._runs[p]
        run.insert(at, key)
        self._scores[p].insert(at, score)
        index = at + self._before(p)
        self._sizes[p] += 1
        self._sums[p >> _SHIFT] += 1
        if len(run) > self._most:
            self._split(p)
        return index

    def leave(self, key: bytes) -> int:
        """Remove a key that is there; the index it had. O(log n)."""
        p, at = self._find(key, score_of(key))
        run = self._runs[p]
        del run[at]
        del self._scores[p][at]
        index = at + self._before(p)
        self._sizes[p] -= 1
        self._sums[p >> _SHIFT] -= 1
        if len(run) < self._least and len(self._runs) > 1:
            self._join(max(1, p))
        return index

    def shed(self, limit: int) -> None:
        """Free whole runs, of about so many keys, of a list that is not used any more."""
        runs = self._runs
        while runs and limit > 0:
            limit -= len(runs.pop())
            self._scores.pop()

    def _find(self, key: bytes, score: float) -> tuple[int, int]:
        """The run where the key is or belongs, and its place there. O(log n)."""
        tops = self._tops
        p = bisect_left(tops, score)
        if tops[p] == score:  # equal scores may fill several runs
            end = min(bisect_right(tops, score, p), len(tops) - 1)
            p = bisect_left(self._runs, key, p, end, key=_last)
        scores = self._scores[p]
        at = bisect_left(scores, score)
        if at < len(scores) and scores[at] == score:
            run = self._runs[p]
            if run[at] is not key:
                at = bisect_left(run, key, at, bisect_right(scores, score, at))
        return p, at

    def _before(self, p: int) -> int:
        """How many keys are in the runs before this one."""
        block = p >> _SHIFT
        return sum(self._sums[:block]) + sum(self._sizes[block << _SHIFT : p])

    def _run_at(self, index: int) -> tuple[int, int]:
        """The run that holds this index, and the index of its first key."""
        ends = list(accumulate(self._sums))
        block = min(bisect_right(ends, index), len(ends) - 1)
        first = block << _SHIFT
        start = ends[block] - self._sums[block]
        starts = list(accumulate(self._sizes[first : first + BLOCK - 1], initial=start))
        place = min(bisect_right(starts, index), len(self._runs) - first) - 1
        return first + place, starts[place]

    def _split(self, p: int) -> None:
        """Let the second half of a run be a run of its own. O(LOAD + runs)."""
        run, scores = self._runs[p], self._scores[p]
        half = len(run) // 2
        self._runs.insert(p + 1, run[half:])
        self._scores.insert(p + 1, scores[half:])
        del run[half:]
        del scores[half:]
        self._tops.insert(p, scores[-1])
        self._sizes[p : p + 1] = [half, len(self._runs[p + 1])]
        self._sum_up(p)

    def _join(self, p: int) -> None:
        """Add a run to the one before it. As ``_split``."""
        run = self._runs[p - 1]
        run += self._runs.pop(p)
        self._scores[p - 1] += self._scores.pop(p)
        del self._tops[p - 1]
        self._sizes[p - 1 : p + 1] = [len(run)]
        if len(run) > self._most:
            self._split(p - 1)
        else:
            self._sum_up(p - 1)

    def _sum_up(self, p: int) -> None:
        """Sum up the blocks from that of a run on."""
        sizes, first = self._sizes, p >> _SHIFT
        starts = range(first << _SHIFT, len(sizes), BLOCK)
        self._sums[first:] = [sum(sizes[at : at + BLOCK]) for at in starts]

    def _check(self) -> None:
        """Assert every invariant; for tests. O(n)."""
        runs, tops = self._runs, self._tops
        keys = list(self)
        assert keys == sorted(set(keys))
        assert self._scores == [scores_of(run) for run in runs]
        assert len(runs) == len(tops) == len(self._sizes)
        assert all(0 < len(run) <= self._most for run in runs) or runs == [[]]
        assert tops[-1] == inf
        for p, top in enumerate(tops[:-1]):
            assert self._scores[p][-1] <= top <= self._scores[p + 1][0]
        assert self._sizes == [len(run) for run in runs]
        assert self._sums == [
            sum(self._sizes[at : at + BLOCK]) for at in range(0, len(runs), BLOCK)
        ]
