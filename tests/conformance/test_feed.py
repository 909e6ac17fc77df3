"""Feeds: every node is handed everything, in order and once, on every backend."""

from __future__ import annotations

import pytest

from realtime.backends.base import Backend
from realtime.services.feed import Feed

from .conftest import Store

SIZE, TTL = 10, 60.0
NAME = b"\x00control"


class Node:
    """A feed, and what it was handed."""

    def __init__(self, backend: Backend, name: str = "control") -> None:
        self.feed = Feed(backend, name, SIZE, TTL)
        self.heard: list[int] = []
        self.feed.listen(lambda data: self.heard.append(int(data)))

    async def publish(self, *numbers: int) -> None:
        for number in numbers:
            await self.feed.publish(b"%d" % number)


async def test_what_is_kept_comes_first_and_what_is_published_after_it(store: Store) -> None:
    one, other = Node(store.backend), Node(store.backend)
    await one.feed.start()
    await one.publish(1, 2)
    await other.feed.start()
    assert other.heard == [1, 2] and other.feed.current
    await other.publish(3)
    await store.until(lambda: one.heard == other.heard == [1, 2, 3])


async def test_feeds_do_not_hear_each_other(store: Store) -> None:
    one, other = Node(store.backend), Node(store.backend, "other")
    await one.feed.start()
    await other.feed.start()
    await other.publish(7)
    await one.publish(1)
    await store.until(lambda: (one.heard, other.heard) == ([1], [7]))


async def test_nothing_is_handed_over_before_the_start_or_after_the_end(store: Store) -> None:
    node, witness = Node(store.backend), Node(store.backend)
    await witness.feed.start()
    await node.publish(1)
    assert node.heard == []
    await node.feed.start()
    await node.feed.close()
    await witness.feed.publish(b"2")
    if store.backend.immediate:  # who closes a feed gives up the channel, for this whole process
        assert witness.heard == [1, 2]
    assert node.heard == [1]


async def test_a_handler_may_come_and_go(store: Store) -> None:
    node = Node(store.backend)
    late: list[bytes] = []
    await node.feed.start()
    end = node.feed.listen(late.append)
    await node.publish(1)
    await store.until(lambda: node.heard == [1])
    end()
    await node.publish(2)
    await store.until(lambda: node.heard == [1, 2])
    assert late == [b"1"]


async def test_only_the_newest_are_kept_for_who_starts(store: Store) -> None:
    early, late = Node(store.backend), Node(store.backend)
    await early.feed.start()
    await early.publish(*range(SIZE + 5))
    await store.until(lambda: early.heard == list(range(SIZE + 5)))
    await late.feed.start()
    assert late.heard == early.heard[5:]


async def test_a_position_that_was_forgotten_begins_anew(store: Store) -> None:
    """The epoch dies of age; what comes after it is news, and nothing comes twice."""
    node = Node(store.backend)
    await node.feed.start()
    await node.publish(1)
    await store.until(lambda: node.heard == [1])
    await store.advance(40 * 86_400 * 1_000_000)
    await node.publish(2, 3)
    await store.until(lambda: node.heard == [1, 2, 3])


@pytest.mark.parametrize("twice", [False, True])
async def test_after_a_loss_the_history_fills_the_gap(store: Store, twice: bool) -> None:
    """What the store says of a lost channel is what it says after a link was lost."""
    node = Node(store.backend)
    await node.feed.start()
    await node.publish(1, 2)
    await store.until(lambda: node.heard == [1, 2])
    for _ in range(1 + twice):
        node.feed._lost(NAME)
    assert not node.feed.current
    await node.publish(3, 4)
    task = node.feed._reading
    assert task is not None
    await task
    assert node.feed.current
    await store.until(lambda: node.heard == [1, 2, 3, 4])
