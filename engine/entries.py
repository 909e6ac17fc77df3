"""The entries of a board in the keyspace, and what is kept beside them.

    board            sorted set, member -> score; with places where ties go to the first
    board:meta       hash, member -> metadata
    board:ttl        sorted set, member -> when the entry leaves (microseconds since 1970)
    board:ids        sorted set, id of a submit -> when it was brought in
    board:generation string, when the board was deleted or its season closed last
    board:looks      string, the version of the latest look

A board without entries is absent, and what belongs to a member goes when the member goes.

An entry whose time is up is gone from that instant: every look at a board with an ``entry_ttl``
removes what is due before it looks. Nobody has to look for its memory to come back: the keys of
such a board have a deadline, too, which is no earlier than that of any entry, and moves with
the submits. The keyspace sweeps them like everything that expires.

The version of a look is the time in microseconds, or one more than that of the look before if
that is not less: a hybrid logical clock (Kulkarni, Demirbas et al. 2014). What is kept of it is
only needed while the clock stands still or goes back, so it leaves by itself; and versions go on
growing where the latest of them is lost: with a deleted board, by a failover, from a backup.
"""

from __future__ import annotations

from math import inf

from engine import ranking as rank
from engine.core import Core, milliseconds, number
from engine.hashes import Hashes
from engine.keyspace import text
from engine.placedset import PlacedSet
from engine.ranking import Ranking, Submit
from engine.sortedset import SortedSet

__all__ = ["IDS", "META", "TTL", "Entries"]

META = b":meta"
TTL = b":ttl"
IDS = b":ids"
GENERATION = b":generation"
LOOKS = b":looks"
INDICES = (b":places", b":scores")
"""What Redis finds things by; here it is in the sets themselves, and would only get out of date."""

DAY = 24 * 3600 * 1_000_000
IDS_KEPT = DAY
"""Microseconds for which an id of a submit is remembered."""
MOST_IDS = 1_000_000
"""Ids remembered per board, about 170 bytes each; beyond it the oldest are forgotten sooner."""
IDS_FORGOTTEN = 1_000
"""Old ids dropped per submit, at most: more than one submit may bring in."""
GENERATION_KEPT = 30 * DAY
"""For so long it is known that a board was deleted, or its season closed."""
LOOKS_KEPT = GENERATION_KEPT
"""For so long the clock may be behind the versions of looks."""

SLICE = 1_000
"""Entries changed in one step where there may be a million: a few milliseconds."""

_EMPTY = SortedSet()


class Entries:
    """Finds boards, and changes entries with all that belongs to them."""

    __slots__ = ("_core", "_deadlines", "_hashes", "_values")

    def __init__(self, core: Core, hashes: Hashes) -> None:
        self._core = core
        self._hashes = hashes
        self._values = core.keyspace.values
        self._deadlines = core.keyspace.deadlines

    def find(
        self, key: bytes, ranking: Ranking, now: int, due: int | None = None
    ) -> SortedSet | None:
        """The board, of the kind that its rules want, with nothing on it that is due: now, or at
        the instant ``due``, as long as nobody has looked since.

        O(1), and what is due; if the board was stored by other rules, or has been loaded and is
        looked at for the first time, O(n): see `PlacedSet`.
        """
        if not ranking.plain:
            for end in INDICES:
                if key + end in self._values:
                    self._core.delete(key + end)
        board = self._core.keyspace.typed(key, now, SortedSet, "zset")
        if board is None:
            if ranking.entry_ttl is not None:
                self._drop_rest(key)
            return None
        board = self.as_wanted(key, board, ranking)
        due = now if due is None else due
        if ranking.entry_ttl is not None and not self.drop_due(key, board, due):
            return None
        return board

    def metadata(self, key: bytes, now: int) -> dict[bytes, bytes]:
        """Member -> JSON. Not a copy."""
        return self._hashes.live(key + META, now) or {}

    def create(self, key: bytes, ranking: Ranking) -> SortedSet:
        """A board for its first entry."""
        board = PlacedSet() if ranking.ties == "first" else SortedSet()
        self._core.keyspace.put(key, board)
        return board

    def enter(self, key: bytes, board: SortedSet, entry: Submit, score: float, now: int) -> None:
        """Set a member's score, which is another one than before. O(log n)."""
        if isinstance(board, PlacedSet):
            before = board.stored(entry.member)
            board.reach(entry.member, score, now)
            stored = board.stored(entry.member)
            assert stored is not None
            self._core.announce(b"ZADD", key, number(score), stored)
            if before is not None:  # not the other way round: an empty set would be gone
                self._core.announce(b"ZREM", key, before)
        else:
            board.move(entry.member, score)
            self._core.announce(b"ZADD", key, number(score), entry.member)
        if entry.metadata is not None:
            self._hashes.update(key + META, {entry.member: entry.metadata}, now)

    def remove(self, key: bytes, board: SortedSet, members: list[bytes], now: int) -> None:
        """Remove members who are on the board. O(log n) each."""
        if isinstance(board, PlacedSet):
            stored = [name for member in members if (name := board.stored(member)) is not None]
        else:
            stored = members
        for member in members:
            board.remove(member)
        self._core.announce(b"ZREM", key, *stored)
        self._hashes.remove(key + META, members, now)
        deadlines = self._sorted_set(key + TTL, now)
        if deadlines is not None:
            self._take_out(key + TTL, deadlines, members)
        if not board:
            self._core.keyspace.delete(key)

    def trim(
        self, key: bytes, board: SortedSet, ranking: Ranking, now: int, limit: int | None = None
    ) -> bool:
        """Drop the worst beyond ``max_entries``; whether there were any."""
        rows = rank.surplus(board, ranking, limit)
        if rows:
            self.remove(key, board, [member for member, _ in rows], now)
        return bool(rows)

    # Entries that leave by themselves

    def stay(self, key: bytes, members: list[bytes], ttl: int, now: int) -> None:
        """Let entries leave after ``ttl`` from now. O(log n) each."""
        if not members:
            return
        deadlines = self._or_new(key + TTL, now)
        leave = now + ttl
        row: list[bytes] = []
        for member in members:
            if deadlines.add(member, float(leave)):
                row += (b"%d" % leave, member)
        if row:
            self._core.announce(b"ZADD", key + TTL, *row)
        for kept in (key, key + META, key + TTL):
            self._keep(kept, leave, ttl)

    def drop_due(self, key: bytes, board: SortedSet, now: int) -> bool:
        """Remove what should have left by now; whether anybody stays. O(1) if nothing is due.

        ``board`` is of the kind that it is stored as."""
        deadlines = self._sorted_set(key + TTL, now)
        if deadlines is None:
            return True
        due = [member for member, _ in deadlines.slice(*deadlines.by_score(-inf, now))]
        if len(due) == len(board):
            self._core.delete(key)
            self._drop_rest(key)
            return False
        if due:
            self.remove(key, board, due, now)
        return bool(board)

    def stay_for_good(self, key: bytes, now: int) -> None:
        """Let no entry leave any more. O(1)."""
        if self._core.keyspace.get(key + TTL, now) is None:
            return
        self._core.delete(key + TTL)
        for kept in (key, key + META):
            if kept in self._deadlines:
                self._core.keyspace.put(kept, self._values[kept])
                self._core.announce(b"PERSIST", kept)

    def without_deadline(self, key: bytes, members: list[bytes], now: int) -> list[bytes]:
        """Which of the members will not leave by themselves."""
        deadlines = self._sorted_set(key + TTL, now) or _EMPTY
        return [member for member in members if member not in deadlines]

    def with_deadline(self, key: bytes, now: int) -> int:
        """How many members will leave by themselves. O(1)."""
        return len(self._sorted_set(key + TTL, now) or _EMPTY)

    def next_deadline(self, key: bytes, now: int) -> int | None:
        """When the next entry leaves, or should have; None: none leaves by itself. O(log n)."""
        first = (self._sorted_set(key + TTL, now) or _EMPTY).slice(0, 1)
        return int(first[0][1]) if first else None

    # Submits that count once

    def is_known(self, key: bytes, name: bytes, now: int) -> bool:
        """Whether a submit with this id was brought in within `IDS_KEPT`. O(1)."""
        since = (self._sorted_set(key + IDS, now) or _EMPTY).score(name)
        return since is not None and since > now - IDS_KEPT

    def note_ids(self, key: bytes, names: list[bytes], now: int) -> None:
        """Remember the ids of submits, and forget old ones. O(log n) each."""
        ids = self._or_new(key + IDS, now)
        old = ids.slice(0, min(ids.below(now - IDS_KEPT, inclusive=True), IDS_FORGOTTEN))
        if len(ids) - len(old) + len(names) > MOST_IDS:
            old = ids.slice(0, min(len(ids), max(IDS_FORGOTTEN, len(names))))
        row: list[bytes] = []
        for name in names:
            ids.add(name, float(now))
            row += (b"%d" % now, name)
        self._core.announce(b"ZADD", key + IDS, *row)
        gone = [name for name, since in old if ids.score(name) == since]
        if gone:
            self._take_out(key + IDS, ids, gone)
        self._keep(key + IDS, now + IDS_KEPT, IDS_KEPT)

    # Looks at a board

    def looked(self, key: bytes, is_there: bool, now: int) -> int:
        """The version of a look, higher than of all before. O(1).

        Where there is no board, and never was one that was looked at, nothing is kept: that
        version is the time, which the first look at the board will be later than.
        """
        newest = self._core.keyspace.string(key + LOOKS, now)
        if newest is None and not is_there:
            return now
        version = max(now, 0 if newest is None else int(text(newest))) + 1
        self._core.put_string(key + LOOKS, b"%d" % version, _whole(now + LOOKS_KEPT))
        return version

    # The end of a board

    def put_away(self, key: bytes, archive: bytes, ranking: Ranking, now: int, ended: int) -> int:
        """Let the entries lie under another key, for good; how many they are. The ids of submits
        stay, so that each still counts once. Whoever should have left by the instant ``ended`` has
        left, and whoever should have left since has not.

        O(1), and what is due. Whoever goes on reading after a position can tell, see ``onward``.
        """
        board = self.find(key, ranking, now, min(ended, now))
        self._core.delete(key + TTL)
        for end in (b"", META):
            self._core.delete(archive + end)
            if board is None:
                self._core.delete(key + end)
            else:
                self._core.rename(key + end, archive + end, now)
        self._renew(key, now)
        return len(board or _EMPTY)

    def drop(self, keys: list[bytes], now: int) -> bool:
        """Delete a board and what lies beside it; whether there was anything."""
        core = self._core
        gone = [key for key in keys if core.keyspace.get(key, now) is not None and core.delete(key)]
        if gone:
            self._renew(keys[0], now)
        return bool(gone)

    def generation(self, key: bytes, now: int) -> int:
        """When the board was emptied last, in microseconds since 1970; 0: not that we know."""
        value = self._core.keyspace.string(key + GENERATION, now)
        return 0 if value is None else int(text(value))

    def _renew(self, key: bytes, now: int) -> None:
        """From now on it is another board of that name; each has its own generation."""
        generation = max(now, self.generation(key, now) + 1)
        self._core.put_string(key + GENERATION, b"%d" % generation, _whole(now + GENERATION_KEPT))

    def as_wanted(self, key: bytes, board: SortedSet, ranking: Ranking) -> SortedSet:
        """The board as a set of the kind that its rules want. O(1) if it is: see `PlacedSet`."""
        if isinstance(board, PlacedSet) is (ranking.ties == "first"):
            return board
        made: SortedSet
        if isinstance(board, PlacedSet):
            self.forget_places(key, board, len(board))
            made = board.plain()
        else:
            made = PlacedSet.of(board)
        self._values[key] = made  # the deadline stays
        return made

    def forget_places(self, key: bytes, board: PlacedSet, limit: int) -> None:
        """Let up to so many equals stand as their names order them. See `PlacedSet`."""
        for stored, name, score in board.forget_places(limit):
            self._core.announce(b"ZADD", key, number(score), name)
            self._core.announce(b"ZREM", key, stored)

    def _drop_rest(self, key: bytes) -> None:
        """What lies beside a board that is gone may be kept a little longer by its own deadline."""
        self._core.delete(key + META)
        self._core.delete(key + TTL)

    def _keep(self, key: bytes, until: int, ttl: int) -> None:
        """Let a key live until then. An eighth longer, so that it is seldom said."""
        deadline = self._deadlines.get(key)
        if key in self._values and (deadline is None or deadline < until):
            later = until + ttl // 8
            self._core.move_deadline(key, int(milliseconds(later)) * 1000)

    def _sorted_set(self, key: bytes, now: int) -> SortedSet | None:
        return self._core.keyspace.typed(key, now, SortedSet, "zset")

    def _or_new(self, key: bytes, now: int) -> SortedSet:
        found = self._sorted_set(key, now)
        if found is None:
            found = SortedSet()
            self._core.keyspace.put(key, found)
        return found

    def _take_out(self, key: bytes, board: SortedSet, members: list[bytes]) -> None:
        gone = [member for member in members if board.remove(member)]
        if gone:
            self._core.announce(b"ZREM", key, *gone)
        if not board:
            self._core.keyspace.delete(key)


def _whole(deadline: int) -> int:
    """In whole milliseconds, as Redis keeps it."""
    return -(-deadline // 1000) * 1000
