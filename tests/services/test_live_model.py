"""Live boards of several nodes at random: whatever happens when, in the end all see the top.

Every call takes its time on the way there and back, news of changes and publications travel
apart from each other and from the answers, watches end, publications get lost, nodes die.

What does not vary: a publication arrives at a node once, for its live boards and its subscribers
alike, as `Channels.listen` has it. Were it twice, whoever subscribes in between would see it and
nothing after it; the examples that are written down here have found that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from realtime.backends.base import Board, Publication, Ranking, Submit
from realtime.backends.keys import board_key
from realtime.services import Services
from realtime.services.live import LiveBoards
from tests.services.shared import SharedStore, Watching

CHANNEL = "leaderboard:b"
INTERVAL = 20
"""Turns of the event loop: time is counted in them."""


class Document(msgspec.Struct):
    version: int
    entries: list[dict[str, Any]]

    @property
    def score(self) -> float:
        """The best one only grows, so this says of when the top is."""
        return self.entries[0]["score"] if self.entries else 0


def parse(data: bytes) -> Document:
    return msgspec.json.decode(data, type=Document)


class World:
    """What the nodes share: the store, the time, and the luck."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.store = SharedStore()
        self.turns = 0
        self.published: list[Document] = []
        self.snapshots: list[Document] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.store.engine.channels.listen(
            lambda _, item, __: self.published.append(parse(item.data))
        )

    async def run(self) -> None:
        """Let time pass."""
        while True:
            self.turns += 1
            await asyncio.sleep(0)

    async def turn(self, number: int) -> None:
        for _ in range(number):
            await asyncio.sleep(0)

    async def pause(self) -> None:
        await self.turn(self.random.randrange(6))

    def start(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task


class Slow:
    """A part of a store at the other end of a wire."""

    def __init__(self, world: World, part: Any) -> None:
        self._world = world
        self._part = part

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._part, name)
        if name == "listen":
            return method

        async def call(*args: Any, **options: Any) -> Any:
            await self._world.pause()
            answer = await method(*args, **options)
            await self._world.pause()
            return answer

        return call


class Line:
    """Brings what it is given, in order, after a while, which is a long one now and then."""

    def __init__(self, world: World) -> None:
        self.waiting: deque[Callable[[], None]] = deque()
        self._world = world

    def __call__(self, arrive: Callable[[], None]) -> None:
        self.waiting.append(arrive)

    async def run(self) -> None:
        while True:
            await self._world.turn(self._world.random.choice((1, 2, 3, 5, 8, 50)))
            if self.waiting:
                self.waiting.popleft()()


class Node:
    """A service node, as far as live boards are concerned."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.told, self.heard, self.asked = Line(world), Line(world), Line(world)
        bare = world.store.node(told=self.told, heard=self._bring)
        assert isinstance(bare.watches, Watching)
        self.watching = bare.watches
        parts = ("counters", "sorted_sets", "hashes", "channels", "watches")
        slow: Any = {part: Slow(world, getattr(bare, part)) for part in parts}
        self.services = Services.on(replace(bare, **slow))
        self.live = LiveBoards(
            self.services, self._watched, INTERVAL, self._sleep, lambda: world.turns
        )
        bare.channels.listen(self._push)
        self.deaf = False
        """Whether what is published gets lost on the way to this node."""
        self.confirmed: asyncio.Event | None = None
        """That the store brings what is published; None if it need not."""
        self.brings = False
        """Whether it does."""
        self.arriving: list[list[Document]] = []
        self.subscribers: list[list[Document]] = []
        """Of each, what it has seen."""
        works = (self.told, self.heard, self.asked, self.live)
        self.tasks = [world.start(work.run()) for work in works]

    def _watched(self, channel: str) -> bool:
        return channel == CHANNEL and bool(self.arriving or self.subscribers)

    async def _sleep(self, interval: float) -> None:
        until = self.world.turns + interval
        while self.world.turns < until:
            await self.world.turn(1)

    def _bring(self, arrive: Callable[[], None]) -> None:
        if self.brings and not self.deaf:
            self.heard(arrive)

    def _push(self, channel: bytes, item: Publication, epoch: str) -> None:
        for seen in (*self.arriving, *self.subscribers):
            seen.append(parse(item.data))

    async def subscribe(self) -> None:
        """As `realtime.ws.subscriptions` does."""
        seen: list[Document] = []
        self.arriving.append(seen)
        await self._listen()
        snapshot = await self.live.snapshot(CHANNEL)
        assert snapshot is not None
        self.world.snapshots.append(parse(snapshot))
        await self.world.pause()  # until all that the client subscribes to at once has begun
        self.arriving = [other for other in self.arriving if other is not seen]
        if self.world.random.randrange(8):
            self.subscribers.append(seen)
            if not seen:
                seen.append(parse(snapshot))
        else:  # something else could not begin, so nothing does
            self._unlisten()

    def leave(self) -> None:
        """One of the subscribers goes."""
        self.subscribers.pop(self.world.random.randrange(len(self.subscribers)))
        self._unlisten()

    async def _listen(self) -> None:
        """As `realtime.backends.redis.broker` does. What was published before is not brought, and
        the confirmation comes the way of publications."""
        if self.confirmed is None:
            confirmed = self.confirmed = asyncio.Event()
            self.asked(lambda: self._begin(confirmed))
        await self.confirmed.wait()

    def _begin(self, confirmed: asyncio.Event) -> None:
        self.brings = True
        self.heard(confirmed.set)

    def _unlisten(self) -> None:
        """Unless somebody is still here."""
        if not self._watched(CHANNEL):
            self.confirmed = None
            self.asked(self._end)

    def _end(self) -> None:
        self.brings = False

    async def submit(self, score: int) -> None:
        await self.services.leaderboards.submit("b", [Submit(b"ada", score)])

    @property
    def busy(self) -> bool:
        waiting = self.told.waiting or self.heard.waiting or self.asked.waiting
        return bool(self.live._changed or waiting or self.arriving)

    def die(self) -> None:
        for task in self.tasks:
            task.cancel()
        self.subscribers.clear()
        self.arriving.clear()


async def live(world: World, steps: list[str]) -> None:
    """Carry out the steps, and let everything come to rest."""
    nodes = [Node(world) for _ in range(3)]
    await asyncio.gather(*(node.subscribe() for node in nodes[1:]))
    for number, step in enumerate(steps, 1):
        node = world.random.choice(nodes)
        if step == "submit":
            world.start(node.submit(number))
        elif step == "subscribe":
            world.start(node.subscribe())
        elif step == "leave" and node.subscribers:
            node.leave()
        elif step == "lapse":
            node.watching.lapse()
        elif step == "deaf":
            node.deaf = not node.deaf
        elif step == "die" and len(nodes) > 1 and not node.arriving:
            nodes.remove(node)
            node.die()
        await world.turn(world.random.choice((0, 0, 1, 2, 3, 5, 8, 60)))
    for node in nodes:
        node.deaf = False
    rest = 0
    for _ in range(5_000):
        await world.turn(1)
        rest = 0 if any(node.busy for node in nodes) else rest + 1
        if rest > 8 * INTERVAL:
            break
    else:
        raise AssertionError("they never come to rest")
    top = await world.store.node().sorted_sets.page(Board(board_key(b"b"), Ranking()), 0, 1)
    score = top.entries[0].score if top.entries else 0
    for node in nodes:
        assert [seen[-1].score for seen in node.subscribers] == [score] * len(node.subscribers)


def check_order(world: World) -> None:
    """No publication goes back to before the last one, and no snapshot to before its version.

    No two tops have the same version.
    """
    published = [(document.version, document.score) for document in world.published]
    assert published == sorted(published)
    for snapshot in world.snapshots:
        before = [score for version, score in published if version < snapshot.version]
        assert snapshot.score >= max(before, default=0)
    tops = {(document.version, document.score) for document in world.snapshots} | set(published)
    assert len({version for version, _ in tops}) == len(tops)


STEPS = ["submit"] * 9 + ["subscribe"] * 3 + ["leave"] * 2 + ["lapse", "deaf", "die"]


@settings(max_examples=100, deadline=None)
@example(
    2750180467,
    ["submit", "submit", "leave", "submit", "subscribe", "leave", "submit", *["subscribe"] * 3],
)
@example(3955, ["leave", "leave", "leave", "submit", "leave", "submit", "subscribe"])
@given(st.integers(0, 2**32), st.lists(st.sampled_from(STEPS), min_size=1, max_size=40))
async def test_in_the_end_everybody_sees_the_top(seed: int, steps: list[str]) -> None:
    world = World(seed)
    world.start(world.run())
    try:
        await live(world, steps)
        check_order(world)
    finally:
        tasks = list(world.tasks)
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            assert ended is None or isinstance(ended, asyncio.CancelledError), ended
