"""Live members on one node: what differs and nothing else, once per interval."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest

from engine.clock import ManualClock
from engine.engine import Engine
from realtime.backends import embedded
from realtime.backends.base import BackendUnavailable, Ranking, Submit
from realtime.backends.keys import board_key
from realtime.errors import Unavailable
from realtime.services.live_members import LOOK, SLICE, TICK
from tests.services.live_node import Node


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def node(clock: ManualClock) -> AsyncIterator[Node]:
    """Alone on an engine in its process."""
    node = Node(embedded.backend(Engine(clock)))
    yield node
    await node.end()


async def test_a_member_is_shown_at_once_and_when_others_pass(node: Node) -> None:
    await node.submit("ada", 10)
    first = await node.snapshot("ada")
    assert first == {
        "board": "arcade",
        "member": "ada",
        "version": first["version"],
        "rank": 1,
        "score": 10,
    }
    await node.submit("bob", 20)
    await node.settled()
    (second,) = node.pushed
    assert second == {**first, "version": second["version"], "rank": 2, "previous_rank": 1}
    assert second["version"] > first["version"]
    assert await node.snapshot("ada") == {**first, "version": second["version"], "rank": 2}


async def test_whoever_is_not_on_the_board_has_no_rank(node: Node) -> None:
    absent = await node.snapshot("ada")
    assert (absent["rank"], absent["score"]) == (None, None)
    await node.submit("ada", 1.5)
    await node.settled()
    assert node.news() == [("ada", 1, 1.5, None)]
    await node.services.leaderboards.remove("arcade", "ada")
    await node.interval()
    assert node.news() == [("ada", None, None, 1)]


async def test_however_many_scores_arrive_there_is_one_look_in_an_interval(node: Node) -> None:
    for member in ("ada", "bob"):
        await node.snapshot(member)
    node.looks.clear()
    for number in range(500):
        await node.submit(f"p{number}", number)
        await node.submit("ada", number)
    await node.settled()
    assert node.looks == [("arcade", 2)]
    assert node.news() == [("ada", 2, 499, None)]
    await node.submit("ada", 1000)
    await node.submit("ada", 2000)
    assert node.news() == []
    await node.interval()
    assert node.news() == [("ada", 1, 2000, 2)]
    assert node.looks == [("arcade", 2)] * 2


async def test_what_does_not_differ_is_not_published(node: Node) -> None:
    await node.submit("ada", 10)
    before = await node.snapshot("ada")
    await node.submit("bob", 5)
    await node.settled()
    assert node.news() == []
    after = await node.snapshot("ada")  # it was seen later, though
    assert after["version"] > before["version"]
    await node.submit("ada", 11)
    await node.interval()
    assert node.news() == [("ada", 1, 11, 1)]


async def test_boards_that_nobody_watches_cost_nothing_and_what_ends_is_forgotten(
    node: Node,
) -> None:
    await node.snapshot("ada")
    await node.snapshot("bob")
    node.ended("ada")
    node.ended("nobody")
    node.ended("ada", board="other")
    node.live.ended("leaderboard:arcade")
    node.live.ended("news")
    node.looks.clear()
    await node.submit("ada", 1, board="other")
    await node.submit("ada", 1)
    await node.settled()
    assert node.looks == [("arcade", 1)]
    node.ended("bob")
    assert not node.live._boards and not node.live._due
    await node.submit("ada", 2)
    assert node.looks == [("arcade", 1)]
    assert await node.live.snapshot("news") is None
    assert await node.live.snapshot("leaderboard:arcade") is None


async def test_a_channel_that_ends_while_it_is_looked_at_is_not_remembered(node: Node) -> None:
    await node.snapshot("ada")
    node.before_look = lambda: node.ended("ada")
    await node.submit("ada", 1)
    await node.settled()
    assert node.pushed == []
    assert not node.live._boards


async def test_thousands_of_members_are_looked_at_in_turns(node: Node) -> None:
    """A small board does not wait for a large one, and no tick does more than its share."""
    count = 2 * TICK
    for number in range(count):
        await node.snapshot(f"m{number}")
    await node.snapshot("ada", board="small")
    node.looks.clear()
    scores = [Submit(b"m%d" % number, number) for number in range(count)]
    await node.services.leaderboards.submit("arcade", scores)
    await node.submit("ada", 1, board="small")
    seen: set[str] = set()
    await node.settled()
    for tick in range(count // (TICK - 8 * LOOK) + 1):
        assert sum(size + LOOK for _, size in node.looks) < TICK + SLICE + LOOK
        assert all(size <= SLICE for _, size in node.looks)
        assert (("small", 1) in node.looks) is (tick == 0)
        seen.update(member for member, *_ in node.news())
        node.looks.clear()
        await node.interval()
    seen.update(member for member, *_ in node.news())
    assert seen == {"ada", *(f"m{number}" for number in range(count))}
    node.looks.clear()
    await node.interval()
    assert node.looks == []


async def test_boards_take_turns_also_if_all_change_all_the_time(node: Node) -> None:
    boards = [f"b{number}" for number in range(3 * TICK // LOOK)]
    for board in boards:
        await node.snapshot("ada", board)
    node.looks.clear()
    for points in range(1, 5):
        for board in boards:
            await node.submit("ada", points, board)
        await node.interval()
    assert {board for board, _ in node.looks} == set(boards)
    assert len(node.looks) < 2 * len(boards)


async def test_what_changes_during_a_round_is_found_by_the_next_one(node: Node) -> None:
    count = TICK + SLICE
    for number in range(count):
        await node.snapshot(f"m{number}")
    await node.submit("m0", 1)
    await node.settled()  # the round is under way
    assert node.live._boards["arcade"].left
    for number in range(count):
        await node.submit(f"m{number}", 2)
    for _ in range(4):
        await node.interval()
    last = {p["member"]: p["score"] for p in node.pushed}
    assert last == {f"m{number}": 2 for number in range(count)}


@pytest.mark.parametrize("away", [BackendUnavailable(), Unavailable("its seasons end too fast")])
async def test_an_outage_delays_and_loses_nothing(node: Node, away: Exception) -> None:
    await node.snapshot("ada")

    def fail() -> None:
        raise away

    node.before_look = fail
    await node.submit("ada", 1)
    await node.settled()
    await node.interval()
    assert node.news() == []
    node.before_look = lambda: None
    await node.interval()
    assert node.news() == [("ada", 1, 1, None)]


async def test_a_board_that_cannot_be_read_is_logged_and_others_go_on(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    await node.snapshot("ada")
    await node.snapshot("ada", board="other")
    await node.services.backend.hashes.put(board_key(b"arcade"), {b"a": b"b"})
    node.live._note("arcade")
    with caplog.at_level(logging.WARNING):
        await node.submit("ada", 1, board="other")
        await node.settled()
    assert "'arcade' cannot be read" in caplog.text
    assert node.news() == [("ada", 1, 1, None)]


async def test_nor_is_it_the_end_where_nobody_knows_why(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    """As when a later version, on the same store, has rules that this one does not know."""

    def fail() -> None:
        raise KeyError(b"median")

    await node.snapshot("ada")
    node.before_look = fail
    await node.submit("ada", 1)
    await node.settled()
    assert "members of the live board 'arcade' cannot be shown" in caplog.text
    node.before_look = lambda: None
    await node.submit("ada", 2)
    await node.interval()
    assert node.news() == [("ada", 1, 2, None)]


async def test_whoever_leaves_by_himself_makes_room(node: Node, clock: ManualClock) -> None:
    """Nobody submits or looks; time passes by the clocks of both store and loop."""

    async def news(count: int) -> None:
        while len(node.pushed) < count:
            await node.interval()

    await node.services.leaderboards.configure("arcade", Ranking(entry_ttl=30_000))
    await node.submit("bob", 2)
    clock.advance(10_000)
    await node.submit("ada", 1)
    assert [(await node.snapshot(name))["rank"] for name in ("ada", "bob")] == [2, 1]
    clock.advance(20_000)
    await news(2)
    assert sorted(node.news()) == [("ada", 1, 1, 2), ("bob", None, None, 1)]
    clock.advance(10_000)
    await news(1)
    assert node.news() == [("ada", None, None, 1)]
