"""Seasons: spans of time, each of which has the scores that were submitted within it.

Beside the entries of a board (see `engine.entries`) lie

    board:season     hash, the season it is in: ``number``, ``began`` and ``ends``, microseconds
                     since 1970; ``ends`` is empty if it does not end by itself
    board:seasons    hash, number -> when that season began, when it ended, how many entries it
                     had, and its rules, which nobody reads here; with spaces between
    board:s:1        the entries of season 1, which is over: a board like any other

Which season a score belongs to is decided by the step that submits it, by the clock of the store.
If the season has ended, that step changes nothing and says so. Whoever is told closes the season,
for which the board is renamed, and tries again: so each score is in one season, however many
write. Only one of them can close it, as the next one has another number.

A clock that steps back leaves the board in the season it is in.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.boardreads import BoardReads
from engine.errors import SeasonOver
from engine.ranking import Ranking

__all__ = ["ARCHIVE", "SEASON", "SEASONS", "BoardSeasons", "Closed", "Season"]

SEASON = b":season"
SEASONS = b":seasons"
ARCHIVE = b":s:%d"

NOTES = (b"%d:packed", b"%d:packing", b"%d:told", b"%d:tried")
"""What is noted of a closed season beside its own field; not of another one of that number."""


class Season(NamedTuple):
    """The season that a board is in. Instants are microseconds since 1970."""

    number: int
    """They count from 1."""
    began: int
    ends: int | None
    """None: not by itself."""


class Closed(NamedTuple):
    """A season that is over, and how many entries it had."""

    number: int
    began: int
    ended: int
    size: int


class BoardSeasons(BoardReads):
    """The verbs of seasons."""

    __slots__ = ()

    def season(self, key: bytes) -> tuple[Season | None, int]:
        """The season that the board is in, if it has seasons, and the time. O(1)."""
        now = self._clock()
        return self._season(key, now), now

    def set_season(self, key: bytes, ends: int | None) -> Season:
        """Let the season that the board is in end then, or never by itself; if it is in none, the
        first one begins now. O(1)."""
        now = self._clock()
        found = self._season(key, now)
        season = Season(1, now, ends) if found is None else found._replace(ends=ends)
        if season != found:
            self._begin(key, season, now)
        return season

    def roll(
        self,
        key: bytes,
        ranking: Ranking,
        number: int,
        *,
        begins: int,
        ends: int | None,
        rules: bytes,
        force: bool = False,
    ) -> Closed | None:
        """Close the season ``number`` and begin the next one.

        None, and nothing was changed, if the board is in another season or this one is not over.
        With ``force`` one that is not over ends now. The next one begins at ``begins``, and no
        earlier than this one ended. O(1), and to remove what is due.
        """
        now = self._clock()
        season = self._season(key, now)
        if season is None or season.number != number or not (force or _is_over(season, now)):
            return None
        ended = max(season.began, now if season.ends is None else min(now, season.ends))
        size = self._entries.put_away(key, key + ARCHIVE % number, ranking, now, ended)
        self._hashes.remove(key + SEASONS, [note % number for note in NOTES], now)
        row = b"%d %d %d %b" % (season.began, ended, size, rules)
        self._hashes.update(key + SEASONS, {b"%d" % number: row}, now)
        self._begin(key, Season(number + 1, max(begins, ended), ends), now)
        return Closed(number, season.began, ended, size)

    def erase(self, key: bytes, ranking: Ranking, number: int, member: bytes) -> bool:
        """Take a member out of the closed season ``number``, which has one entry less then.

        False, and nothing was changed, if there is no such season, or the member is not among
        the entries that lie under its key. ``ranking``: the rules it was played by. O(log n)."""
        now = self._clock()
        archive, name = key + ARCHIVE % number, b"%d" % number
        row = (self._hashes.live(key + SEASONS, now) or {}).get(name)
        board = self._find(archive, ranking, now)
        if row is None or board is None or member not in board:
            return False
        self._entries.remove(archive, board, [member], now)
        began, ended, _, rules = row.split(b" ", 3)
        row = b"%b %b %d %b" % (began, ended, len(board), rules)
        self._hashes.update(key + SEASONS, {name: row}, now)
        return True

    def _check_season(self, key: bytes, now: int) -> None:
        """Raise SeasonOver if nothing may be written any more. O(1)."""
        season = self._season(key, now)
        if season is not None and season.ends is not None and season.ends <= now:
            raise SeasonOver(key, season.number, season.ends, now)

    def _season(self, key: bytes, now: int) -> Season | None:
        fields = self._hashes.live(key + SEASON, now)
        if fields is None:
            return None
        ends = int(fields[b"ends"]) if fields[b"ends"] else None
        return Season(int(fields[b"number"]), int(fields[b"began"]), ends)

    def _begin(self, key: bytes, season: Season, now: int) -> None:
        fields = {
            b"number": b"%d" % season.number,
            b"began": b"%d" % season.began,
            b"ends": b"" if season.ends is None else b"%d" % season.ends,
        }
        self._hashes.update(key + SEASON, fields, now)


def _is_over(season: Season, now: int) -> bool:
    return season.ends is not None and season.ends <= now
