"""Many clients doing anything at any time: what each one sees has no hole and no repetition."""

from __future__ import annotations

import gc
import random

import pytest

from realtime.ws.connection import Connection
from tests.ws.conftest import Serve
from tests.ws.house import House
from tests.ws.peer import Object, Peer

CHANNELS = "abc"


class Actor:
    """A client that sends random commands without waiting, and checks what it hears.

    A subscription that begins at an offset is followed by exactly the next ones, until it ends.
    """

    def __init__(self, peer: Peer, dice: random.Random) -> None:
        self.peer = peer
        self.dice = dice
        self.sent: dict[int, tuple[str, str]] = {}
        self.wants: set[str] = set()
        self.next: dict[str, int] = {}
        """Channel -> the offset that must be heard next, while subscribed."""

    def act(self) -> None:
        channel = self.dice.choice(CHANNELS)
        if self.dice.random() < 0.5:
            self._send("publish", channel, data=1)
        elif channel in self.wants:
            self.wants.discard(channel)
            self._send("unsubscribe", channel)
        else:
            self.wants.add(channel)
            self._send("subscribe", channel, join_leave=self.dice.random() < 0.5)

    async def listen(self) -> None:
        """Hear everything up to the answer of the last command."""
        while self.sent:
            self._hear(await self.peer.receive())

    def hear_publication(self, push: Object) -> None:
        channel, offset = push["channel"], push["pub"]["offset"]
        assert self.next[channel] == offset
        self.next[channel] += 1

    def _send(self, method: str, channel: str, **more: object) -> None:
        number = self.peer.send(**{method: {"channel": channel, **more}})
        self.sent[number] = (method, channel)

    def _hear(self, item: Object) -> None:
        if "push" in item:
            if "pub" in item["push"]:
                self.hear_publication(item["push"])
            return
        method, channel = self.sent.pop(item["id"])
        assert "error" not in item
        if method == "subscribe":
            assert channel not in self.next
            self.next[channel] = item["subscribe"].get("offset", 0) + 1
        elif method == "unsubscribe":
            del self.next[channel]


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_clients_do_what_they_hear_is_whole(any_house: House, seed: int) -> None:
    dice = random.Random(seed)
    actors = [Actor(await any_house.peer(), dice) for _ in range(8)]
    for _ in range(300):
        dice.choice(actors).act()
        if dice.random() < 0.1:
            await dice.choice(actors).listen()
    for actor in actors:
        await actor.listen()
    assert any_house.hub.subscriptions == sum(len(actor.wants) for actor in actors)
    for channel in CHANNELS:
        last = (await any_house.services.channels.publish(channel, b"0")).offset
        for actor in actors:
            while actor.next.get(channel, last + 1) <= last:
                push = await actor.peer.pushed()
                if "pub" in push:
                    actor.hear_publication(push)


async def test_clients_that_vanish_at_any_time_leave_nothing_behind(any_house: House) -> None:
    dice = random.Random(7)
    for _ in range(30):
        actor = Actor(await any_house.peer(), dice)
        for _ in range(dice.randrange(20)):
            actor.act()
        if dice.random() < 0.5:
            actor.peer.vanish()
        elif dice.random() < 0.5:
            await actor.peer.leave()
    # The fixture checks, as after every test, that the hub and the presence end up empty.


async def test_a_connection_that_is_gone_does_not_wait_for_the_collector(serve: Serve) -> None:
    house = await serve()
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            peer = await house.peer()
            await peer.subscribe("c")
            await peer.leave()
        await house.until(lambda: not house.state.connections and len(house.door.clients) == 0)
        await house.until(lambda: not any(type(it) is Connection for it in gc.get_objects()))
    finally:
        gc.enable()
