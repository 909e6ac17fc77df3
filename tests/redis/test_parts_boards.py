"""Leaderboards on Redis, held against the engine: large batches, odd scores, and what they cost."""

from __future__ import annotations

import math
from random import Random

import pytest

from realtime.backends.base import Board, EntryPosition, Ranking, Submit
from tests.redis.pair import Pair

KEY = b"lb:{arcade}"
BOARD = Board(KEY, Ranking())

MORE_THAN_LUA_UNPACKS = 8_500
ODD = [0.0, 1.0, 2.0, 5e-324, -5e-324, math.nextafter(math.inf, 0), math.nextafter(-math.inf, 0)]


def board(**rules: object) -> Board:
    return Board(KEY, Ranking(**rules))  # type: ignore[arg-type]


def fill(pair: Pair, count: int, rules: Board = BOARD) -> None:
    """Scores with ties, every second member with metadata."""
    entries = [
        Submit(b"m%d" % n, float(n // 3), b"%d" % n if n % 2 else None) for n in range(count)
    ]
    pair.sorted_sets.submit(rules, entries)


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("ranks", ["ordinal", "competition"])
def test_a_batch_may_be_larger_than_what_lua_unpacks(
    pair: Pair, descending: bool, ranks: str
) -> None:
    """And so may a page, the members asked for, and the surplus of a board made smaller."""
    rules = {"descending": descending, "ranks": ranks}
    full = board(**rules)
    fill(pair, MORE_THAN_LUA_UNPACKS, full)
    fill(pair, 10, full)
    pair.check_contents()
    everybody = [b"m%d" % n for n in range(0, MORE_THAN_LUA_UNPACKS + 10)]
    for metadata in (True, False):
        pair.sorted_sets.page(full, 0, 10**6, metadata=metadata)
        pair.sorted_sets.members(full, everybody, metadata=metadata)
    small = board(**rules, max_entries=5)
    fill(pair, 7, small)
    assert pair.run(pair.redis.sorted_sets.size(small)) == 5
    pair.check_contents()


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("ranks", ["ordinal", "competition"])
def test_every_page_of_a_board(pair: Pair, descending: bool, ranks: str) -> None:
    """Around each member, at each offset, within each range of scores: the ends are the trouble."""
    rules = board(descending=descending, ranks=ranks)
    fill(pair, 8, rules)
    pair.sorted_sets.around(rules, b"nobody", 2)
    for at in range(10):
        for width in range(7):
            pair.sorted_sets.around(rules, b"m%d" % at, width, metadata=at % 2 == 0)
            pair.sorted_sets.page(rules, at, width, metadata=at % 2 == 1)
            for offset in range(3):
                scores = (float(at // 3), float(width // 2))
                pair.sorted_sets.page_by_score(rules, *scores, offset, width, metadata=at % 2 == 1)


def test_who_is_removed_takes_the_metadata_along(pair: Pair) -> None:
    fill(pair, 4)
    for member in (b"m1", b"m2", b"m1", b"nobody", b"m3", b"m0"):
        pair.sorted_sets.remove(BOARD, member)
        pair.check_contents()


def test_metadata_comes_with_a_score_that_changes_something_only(pair: Pair) -> None:
    entries = [
        Submit(b"a", 5.0, b"1"), Submit(b"a", 5.0, b"2"), Submit(b"a", 4.0, b"3"),
        Submit(b"b", 1.0), Submit(b"b", 2.0, b""), Submit(b"b", 3.0),
    ]  # fmt: skip
    for rules in (BOARD, board(keep="latest"), board(keep="sum")):
        pair.sorted_sets.submit(rules, entries)
        pair.check_contents()
        for entry in entries:
            pair.sorted_sets.submit(rules, [entry])
            pair.check_contents()


def test_a_member_who_is_trimmed_at_once_has_no_rank(pair: Pair) -> None:
    """Also where an equal score, which stays, has one."""
    for ranks in ("ordinal", "competition"):
        pair.reset()
        small = board(max_entries=2, ranks=ranks)
        fill(pair, 2, small)
        for entry in (Submit(b"a", 0.0, b"gone"), Submit(b"z", 0.0), Submit(b"a", -1.0)):
            pair.sorted_sets.submit(small, [entry])
            pair.sorted_sets.submit_to([small], [entry])
        pair.check_contents()


@pytest.mark.parametrize("score", [-0.0, 5e-324, -1.5, 0.1 + 0.2, 2.0**53 + 2, 1e308, -1e308])
def test_a_double_comes_back_as_it_went(pair: Pair, score: float) -> None:
    for keep in ("best", "sum", "latest"):
        rules = board(keep=keep)
        for entries in ([Submit(b"a", score)], [Submit(b"a", score), Submit(b"b", score / 3)]):
            pair.sorted_sets.submit(rules, entries)
            pair.sorted_sets.page(rules, 0, 9)
            pair.sorted_sets.standing(rules, b"a")
            pair.sorted_sets.page_by_score(rules, score / 3, score, 0, 9)
    pair.check_contents()


@pytest.mark.parametrize("score", [float("inf"), float("-inf"), float("nan")])
def test_no_number_is_refused_as_the_engine_refuses_it(pair: Pair, score: float) -> None:
    for descending in (True, False):
        for keep in ("best", "latest", "sum"):
            pair.reset()
            rules = board(keep=keep, descending=descending)
            for entries in ([Submit(b"a", score)], [Submit(b"a", 1.0), Submit(b"a", score)]):
                pair.sorted_sets.submit(rules, entries)
                pair.sorted_sets.submit(rules, [*entries, *entries])
                pair.sorted_sets.submit_to([rules], [entries[-1]])
            pair.check_contents()


def test_the_first_board_that_refuses_says_so_and_none_changes(pair: Pair) -> None:
    boards = [
        BOARD,
        Board(b"lb:{arcade}=%7Barcade%7D", Ranking(keep="sum", max_score=4.0)),
        Board(b"lb:{arcade}=daily", Ranking(min_score=9.0)),
    ]
    for score in (3.0, 3.0, 12.0):
        pair.sorted_sets.submit_to(boards, [Submit(b"a", score, b"n")])
        pair.sorted_sets.submit_to(boards[:2], [Submit(b"a", score, b"n")])
        pair.check_contents()


def test_the_same_board_is_not_named_twice(pair: Pair) -> None:
    with pytest.raises(ValueError, match="the same board is named twice"):
        pair.run(pair.redis.sorted_sets.submit_to([BOARD, BOARD], [Submit(b"a", 1.0)]))


def test_nothing_to_do_is_nothing_done(pair: Pair) -> None:
    fill(pair, 5)
    pair.sorted_sets.submit(BOARD, [])
    pair.sorted_sets.submit_to([], [Submit(b"a", 1.0)])
    pair.sorted_sets.members(BOARD, [])
    pair.sorted_sets.page(BOARD, 0, 0)
    pair.sorted_sets.page(BOARD, 3, 0, metadata=True)
    pair.sorted_sets.page(BOARD, 99, 10, metadata=True)
    pair.sorted_sets.page_by_score(BOARD, 9.0, 1.0, 0, 10)
    pair.sorted_sets.page_by_score(BOARD, 0.0, 1.0, 9, 10)
    pair.sorted_sets.page_by_score(BOARD, 0.0, 1.0, 0, 0)
    pair.check_contents()
    pair.sorted_sets.submit(board(max_entries=2), [])  # but what was too much goes
    pair.check_contents()


def test_another_type_is_refused(pair: Pair) -> None:
    pair.values.set(KEY, b"v")
    pair.sorted_sets.submit(BOARD, [Submit(b"a", 1.0)])
    pair.sorted_sets.submit(BOARD, [Submit(b"a", 1.0)] * 2)
    pair.sorted_sets.remove(BOARD, b"a")
    pair.sorted_sets.size(BOARD)
    pair.sorted_sets.standing(BOARD, b"a")
    pair.sorted_sets.page(BOARD, 0, 1)
    pair.sorted_sets.around(BOARD, b"a", 1)
    pair.check_contents()


@pytest.mark.parametrize(
    ("entry", "rules", "asked"),
    [
        (Submit(b"new", 9.0), BOARD, {"zscore": 1, "zadd": 1, "zrevrank": 1}),
        (Submit(b"m0", 9.0), BOARD, {"zscore": 1, "zadd": 1, "zrevrank": 2}),
        (Submit(b"m0", -9.0), BOARD, {"zscore": 1, "zrevrank": 1}),
        (Submit(b"m0", 9.0, b"n"), BOARD, {"zscore": 1, "zadd": 1, "zrevrank": 2, "hset": 1}),
        (Submit(b"m0", 9.0), board(ranks="competition"), {"zscore": 1, "zadd": 1, "zcount": 2}),
        (
            Submit(b"m0", 9.0),
            board(max_entries=9, descending=False, keep="latest"),
            {"zscore": 1, "zadd": 1, "zrank": 2, "zcard": 1},
        ),
    ],
)
def test_a_submit_asks_for_no_more_than_it_tells(
    pair: Pair, entry: Submit, rules: Board, asked: dict[str, int]
) -> None:
    """Every command within a script holds up all other callers of the server."""
    fill(pair, 3)
    pair.client.config_resetstat()
    pair.run(pair.redis.sorted_sets.submit(rules, [entry]))
    stats = pair.client.info("commandstats")
    calls = {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in stats.items()}
    assert {name: n for name, n in calls.items() if name[0] in "zh" and name != "hello"} == asked


@pytest.mark.parametrize("ties", ["member", "first"])
@pytest.mark.parametrize("descending", [True, False])
def test_places_where_nobody_stood_are_found_alike(pair: Pair, descending: bool, ties: str) -> None:
    """Whoever makes a cursor up may say any bytes, and any score: on a board of the oddest ones."""
    draw, rules = Random(3), board(keep="latest", descending=descending, ties=ties)
    for _ in range(60):
        pair.sorted_sets.submit(rules, [Submit(b"m%d" % draw.randrange(40), draw.choice(ODD))])
        pair.clock.advance(draw.randrange(3))
    stored = [*pair.client.zrange(KEY, 0, -1), *(b"\xff" * size for size in (1, 9, 10, 264)), b"m"]
    for _ in range(200):
        score, limit = draw.choice([*ODD, math.inf, -math.inf, 1.5]), draw.randrange(1, 6)
        name = draw.choice([*stored, draw.randbytes(draw.randrange(1, 20))])
        pair.sorted_sets.onward(rules, EntryPosition(score, name), limit)
        pair.sorted_sets.around_score(rules, score, limit)
        pair.sorted_sets.page_by_score(rules, score, draw.choice(ODD), draw.randrange(3), limit)
    for bounds in (1, 3, 1_000, [-math.inf, 0.0, math.inf], [0.0, 5e-324], [1.0, 1.0 + 2**-52]):
        pair.sorted_sets.histogram(rules, bounds)
