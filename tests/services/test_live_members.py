"""Live members: what differs and nothing else, once per interval, on one node and on several."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import ManualClock
from engine.engine import Engine
from realtime.backends import embedded
from realtime.backends.base import Backend, BackendUnavailable, Page, Publication, Ranking, Submit
from realtime.backends.keys import board_key
from realtime.backends.livenames import live_channel
from realtime.services import Services
from realtime.services.live_members import LOOK, SLICE, TICK, LiveMembers
from tests.services.shared import SharedStore, Watching

Shown = dict[str, Any]

INTERVAL = 0.1


class Node:
    """A node whose intervals pass when the test says so."""

    def __init__(self, backend: Backend) -> None:
        self.services = Services.on(backend)
        self.pushed: list[Shown] = []
        self.looks: list[tuple[str, int]] = []
        """Every board that was looked at, and for how many members."""
        self.before_look: Callable[[], None] = lambda: None
        self.asleep, self.wake = asyncio.Event(), asyncio.Event()
        self._look = self.services.leaderboards.look
        self.services.leaderboards.look = self._counted  # type: ignore[method-assign]
        self.live = LiveMembers(self.services, self._push, INTERVAL, self._sleep)
        self.task = asyncio.create_task(self.live.run())

    async def _counted(self, board: str, members: Sequence[bytes]) -> tuple[int, Page]:
        self.looks.append((board, len(members)))
        self.before_look()
        return await self._look(board, members)

    def _push(self, channel: bytes, item: Publication, epoch: str) -> None:
        shown = msgspec.json.decode(item.data)
        assert channel.decode() == live_channel(shown["board"], shown["member"])
        assert (item.offset, epoch) == (0, "")
        self.pushed.append(shown)

    async def _sleep(self, interval: float) -> None:
        assert interval == INTERVAL
        self.asleep.set()
        await self.wake.wait()
        self.wake.clear()
        self.asleep.clear()

    async def settled(self) -> None:
        """Let it do what there is to do within this interval."""
        for _ in range(50):
            await asyncio.sleep(0)

    async def interval(self) -> None:
        """Let one interval pass, and what is due after it be done."""
        await self.settled()
        if self.asleep.is_set():
            self.wake.set()
        await self.settled()

    async def submit(self, member: str, score: float, board: str = "arcade") -> None:
        await self.services.leaderboards.submit(board, [Submit(member.encode(), score)])

    async def snapshot(self, member: str, board: str = "arcade") -> Shown:
        data = await self.live.snapshot(live_channel(board, member))
        assert data is not None
        answer: Shown = msgspec.json.decode(data)
        return answer

    def ended(self, member: str, board: str = "arcade") -> None:
        self.live.ended(live_channel(board, member))

    def news(self) -> list[tuple[str, int | None, float | None, int | None]]:
        """What was pushed since the last call."""
        pushed, self.pushed = self.pushed, []
        return [(p["member"], p["rank"], p["score"], p["previous_rank"]) for p in pushed]

    async def end(self) -> None:
        self.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.task


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """Alone on an engine in its process."""
    node = Node(embedded.backend(Engine(ManualClock())))
    yield node
    await node.end()


@pytest.fixture
async def nodes() -> AsyncIterator[list[Node]]:
    """Two on one store."""
    store = SharedStore()
    nodes = [Node(store.node()) for _ in range(2)]
    yield nodes
    for node in nodes:
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


async def test_an_outage_delays_and_loses_nothing(node: Node) -> None:
    await node.snapshot("ada")

    def away() -> None:
        raise BackendUnavailable

    node.before_look = away
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


async def test_a_new_beginning_of_the_store_is_looked_at(nodes: list[Node]) -> None:
    """Where watches have ended nobody has told what changed meanwhile."""
    one, other = nodes
    await one.snapshot("ada")
    watches = one.services.backend.watches
    assert isinstance(watches, Watching)
    watches.armed.clear()
    await other.submit("ada", 1)
    assert one.news() == []
    watches.lapse()
    await one.settled()
    assert one.news() == [("ada", 1, 1, None)]


async def test_each_node_tells_its_own_and_what_was_seen_later_has_the_higher_version(
    nodes: list[Node],
) -> None:
    one, other = nodes
    firsts = [await node.snapshot("ada") for node in nodes]
    assert firsts[1]["version"] >= firsts[0]["version"]
    await one.submit("ada", 1)
    for node in nodes:
        await node.settled()
    versions = [node.pushed[0]["version"] for node in nodes]
    assert [node.news() for node in nodes] == [[("ada", 1, 1, None)]] * 2
    assert versions[0] != versions[1]
    moved = await other.snapshot("ada")
    assert moved["version"] > max(versions)


async def test_whoever_moves_is_not_left_with_what_is_over(nodes: list[Node]) -> None:
    """There and back before the other node has looked: to that one nothing has changed."""
    one, other = nodes
    await one.submit("ada", 10)
    first = await other.snapshot("ada")
    await one.submit("bob", 20)
    seen = await one.snapshot("ada")
    assert (first["rank"], seen["rank"]) == (1, 2)
    await one.services.leaderboards.remove("arcade", "bob")
    now = await other.snapshot("ada")
    assert now["rank"] == 1
    assert now["version"] > seen["version"]


async def test_a_subscription_that_finds_news_tells_the_others(nodes: list[Node]) -> None:
    one, other = nodes
    await one.snapshot("ada")
    await other.submit("ada", 3)
    assert (await one.snapshot("ada"))["rank"] == 1
    assert one.news() == [("ada", 1, 3, None)]


async def test_a_look_that_is_overtaken_by_a_later_one_changes_nothing(nodes: list[Node]) -> None:
    one, _ = nodes
    await one.submit("ada", 1)
    await one.snapshot("ada")
    early = await one._look("arcade", [b"ada"])
    await one.submit("ada", 2)
    await one.settled()
    assert one.news() == [("ada", 1, 2, 1)]

    async def late(board: str, members: Sequence[bytes]) -> tuple[int, Page]:
        return early

    one.services.leaderboards.look = late  # type: ignore[method-assign]
    assert (await one.snapshot("ada"))["score"] == 2
    assert one.news() == []


steps = st.lists(
    st.tuples(
        st.sampled_from(["submit", "remove", "drop", "move", "tick"]),
        st.integers(0, 3),
        st.integers(0, 3),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(steps, st.sampled_from([Ranking(), Ranking(ranks="dense"), Ranking(ties="first")]))
def test_clients_that_keep_the_highest_version_see_the_truth(
    steps: list[tuple[str, int, int]], rules: Ranking
) -> None:
    """However they move between nodes, and whenever those look."""
    asyncio.run(_follow(steps, rules))


class Client:
    """Watches a member on one of the nodes; takes what is newer than what it has."""

    def __init__(self, member: str, nodes: list[Node]) -> None:
        self.member, self._nodes, self.at = member, nodes, 0
        self.shown: Shown = {"version": -1}

    def take(self, shown: Shown) -> None:
        if shown["version"] > self.shown["version"]:
            self.shown = shown

    async def move(self) -> None:
        self._nodes[self.at].ended(self.member)
        self.at = 1 - self.at
        self.take(await self._nodes[self.at].snapshot(self.member))

    def hear(self) -> None:
        for shown in self._nodes[self.at].pushed:
            if shown["member"] == self.member:
                self.take(shown)


async def _follow(steps: list[tuple[str, int, int]], rules: Ranking) -> None:
    store = SharedStore()
    nodes = [Node(store.node()) for _ in range(2)]
    boards = nodes[0].services.leaderboards
    await boards.configure("arcade", rules)
    clients = [Client(f"m{number}", nodes) for number in range(4)]
    for client in clients:
        await client.move()
    for step, which, value in [*steps, ("tick", 0, 0), ("tick", 0, 0), ("tick", 0, 0)]:
        member, node = f"m{which}", nodes[value % 2]
        if step == "submit":
            await node.submit(member, value)
        elif step == "remove":
            await node.services.leaderboards.remove("arcade", member)
        elif step == "drop":
            await boards.drop("arcade")
            await boards.configure("arcade", rules)
        elif step == "move":
            await clients[which].move()
        else:
            for each in nodes:
                await each.interval()
        for client in clients:
            client.hear()
        for each in nodes:
            each.pushed.clear()
    for client in clients:
        standing = await boards.standing("arcade", client.member)
        truth = (standing.entry.rank, standing.entry.score) if standing else (None, None)
        assert (client.shown["rank"], client.shown["score"]) == truth
    for each in nodes:
        await each.end()
