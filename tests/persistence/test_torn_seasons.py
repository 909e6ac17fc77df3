"""A crash around the end of a season: after it every score is in one season, and none is lost."""

from __future__ import annotations

import random
from pathlib import Path

from engine.clock import DAY, SECOND, ManualClock
from engine.engine import Engine
from engine.errors import SeasonOver
from engine.keyspace import Keyspace
from engine.ranking import Ranking, Submit
from engine.seasons import ARCHIVE, SEASONS, Season
from tests.persistence.journals import Journal, recovered
from tests.persistence.redis_process import redis_server
from tests.persistence.samples import NOW
from tests.support import require

KEY = b"lb:{arcade}"
RANKING = Ranking(seasonal=True, ties="first", ranks="dense", entry_ttl=36_500 * DAY)
"""Nobody leaves by a real server's clock either."""
ARCHIVED = Ranking(ties="first", ranks="dense")
SPAN = SECOND


def play(journal: Journal, steps: int, seed: int) -> list[int]:
    """Scores, each by a member of its own; how many there are after each byte of the journal that
    ends a batch, by the number of batches."""
    boards, clock, draw = journal.engine.boards, journal.engine.clock, random.Random(seed)
    assert isinstance(clock, ManualClock)
    counts = [0, 0]
    boards.set_season(KEY, clock() + SPAN)
    journal.commit()
    while len(counts) < steps:
        clock.advance(draw.randrange(SPAN // 3))
        entry = Submit(b"%d" % counts[-1], draw.randrange(9), b"1", b"i%d" % counts[-1])
        try:
            boards.submit(KEY, RANKING, entry)
            counts.append(counts[-1] + 1)
        except SeasonOver as over:
            begins = over.now
            boards.roll(KEY, RANKING, over.number, begins=begins, ends=begins + SPAN, rules=b"{}")
            counts.append(counts[-1])
        journal.commit()
    return counts


def check(keyspace: Keyspace, count: int) -> None:
    """Every member is in one season, with the metadata; and the seasons say how many they have."""
    engine = Engine(ManualClock(NOW))
    engine.keyspace.replace(keyspace)
    boards = engine.boards
    season, _ = boards.season(KEY)
    closed = engine.hashes.get(KEY + SEASONS) or {}
    assert sorted(map(int, closed)) == list(range(1, season.number if season else 1))
    found: list[bytes] = []
    for name, row in closed.items():
        key = KEY + ARCHIVE % int(name)
        page = boards.with_metadata(key, boards.page(key, ARCHIVED, 0, 10_000))
        assert page.total == int(row.split()[2])
        assert all(entry.metadata == b"1" for entry in page.entries)
        found += [entry.member for entry in page.entries]
    found += [entry.member for entry in boards.page(KEY, RANKING, 0, 10_000).entries]
    assert sorted(found, key=int) == [b"%d" % number for number in range(count)]


def test_cut_at_any_byte_no_score_is_lost_or_in_two_seasons(tmp_path: Path) -> None:
    (folder := tmp_path / "journal").mkdir()
    journal = Journal(folder)
    counts = play(journal, 60, seed=1)
    whole, draw, seasons = journal.path.read_bytes(), random.Random(2), set()
    for _ in range(150):
        journal.path.write_bytes(whole[: draw.randrange(len(whole) + 1)])
        keyspace, found = recovered(folder)
        season = keyspace.values.get(KEY + b":season")
        seasons.add(season[b"number"] if isinstance(season, dict) else None)
        check(keyspace, counts[found.sequence or 0])
    assert len(seasons) > 4


def test_redis_goes_on_where_a_season_was_closed(tmp_path: Path) -> None:
    require("redis-server")
    (folder := tmp_path / "appendonlydir").mkdir()
    journal = Journal(folder)
    counts = play(journal, 60, seed=3)
    boards = journal.engine.boards
    season, _ = boards.season(KEY)
    assert isinstance(season, Season) and season.number > 4
    with redis_server(tmp_path, "--appendonly", "yes") as client:
        keys = [KEY, *(KEY + ARCHIVE % number for number in range(1, season.number))]
        sizes = [client.zcard(key) for key in keys]
        assert sum(sizes) == counts[-1]
        assert [client.hlen(key + b":meta") for key in keys] == sizes
        assert client.hget(KEY + b":season", b"number") == b"%d" % season.number
        assert client.hlen(KEY + SEASONS) == season.number - 1
        assert {client.pttl(key) for key in keys[1:]} == {-1}
