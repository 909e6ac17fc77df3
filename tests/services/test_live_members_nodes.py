"""Live members on several nodes of one store: who moves from one to another is shown the truth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.backends.base import Page, Ranking
from tests.services.live_node import Node, Shown
from tests.services.shared import SharedStore, Watching


@pytest.fixture
async def nodes() -> AsyncIterator[list[Node]]:
    """Two on one store."""
    store = SharedStore()
    nodes = [Node(store.node()) for _ in range(2)]
    yield nodes
    for node in nodes:
        await node.end()


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
    early = await one.look("arcade", [b"ada"])
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
