"""Publishers and subscribers of a service that is killed again and again.

Publishers, over HTTP and WebSocket, publish what is never published twice, and note what was
acknowledged. Subscribers come back after every crash from where they were, and must be told that
nothing is missing. In the end each has heard all that was acknowledged, once, and a publisher's
own in the order in which they were published. What was never acknowledged may be there or not.

Levels differ only in what a power cut costs: a kill costs nothing on either.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.service import Service, running_service
from tests.ws.peer import Object, Peer

__all__ = ["Publications"]

CHANNELS = ("a", "b")
PUBLISHERS = 2
"""Of each kind."""
SUBSCRIBERS = 4
LONGEST = 0.5
"""Seconds until a kill, after something was acknowledged."""
OPTIONS = ("--channel-history-size", "10000", "--compaction-floor", "20000", "--log-level", "error")
"""So much is kept that nobody is away for too long; and kills fall into compactions, too."""
PATIENCE = 30.0
GONE = (ConnectionError, asyncio.IncompleteReadError, httpx.TransportError)


@dataclass
class Tally:
    """What was published, in the order of the answers."""

    acknowledged: dict[str, list[str]] = field(default_factory=lambda: {it: [] for it in CHANNELS})
    sent: set[str] = field(default_factory=set)
    kills: int = 0

    @property
    def count(self) -> int:
        return sum(map(len, self.acknowledged.values()))


@dataclass
class Subscriber:
    """Where it is in each channel, and all it has heard."""

    places: dict[str, Object] = field(default_factory=dict)
    heard: dict[str, list[str]] = field(default_factory=lambda: {it: [] for it in CHANNELS})

    is_back: bool = False
    """In every channel."""

    def has_heard(self, tops: dict[str, int]) -> bool:
        return self.is_back and all(self.places[it]["offset"] >= top for it, top in tops.items())

    async def listen(self, port: int) -> None:
        """Come back and hear everything, until the service is gone."""
        self.is_back = False
        peer = await Peer.dial(port)
        try:
            await peer.connect()
            for channel in CHANNELS:
                await self._return(peer, channel)
            self.is_back = True
            while True:
                push = await peer.pushed()
                self._hear(push["channel"], push["pub"])
        finally:
            await peer.end()

    async def _return(self, peer: Peer, channel: str) -> None:
        place = self.places.get(channel)
        result = await peer.subscribe(channel, recover=place is not None, **(place or {}))
        if place is None:
            place = {"offset": result.get("offset", 0)}
        else:
            assert result.get("recovered"), (channel, place, result)
        self.places[channel] = {"offset": place["offset"], "epoch": result["epoch"]}
        for pub in result.get("publications", []):
            self._hear(channel, pub)

    def _hear(self, channel: str, pub: Object) -> None:
        place = self.places[channel]
        place["offset"] += 1
        assert pub["offset"] == place["offset"], (channel, pub, place)
        self.heard[channel].append(pub["data"])


class Publications:
    """One directory, one level of durability, publishers and subscribers."""

    def __init__(self, data: Path, level: str, seed: int) -> None:
        self.tally = Tally()
        self._data = data
        self._level = level
        self._seed = seed
        self._draw = random.Random(seed)
        self._numbers = itertools.count()
        self._subscribers = [Subscriber() for _ in range(SUBSCRIBERS)]

    async def round(self) -> None:
        """Serve; listen, and publish when everybody listens; and kill."""
        with self._service() as service:
            async with asyncio.TaskGroup() as group:
                for each in self._subscribers:
                    group.create_task(_until_gone(each.listen(service.port)))
                await self._until(lambda: all(each.is_back for each in self._subscribers))
                before = self.tally.count
                for kind, number in itertools.product(self._kinds(), range(PUBLISHERS)):
                    work = kind(f"{kind.__name__}{number}", service)
                    group.create_task(_until_gone(work))
                await self._until(lambda: self.tally.count > before)
                await asyncio.sleep(self._draw.uniform(0, LONGEST))  # it comes at any time
                service.process.kill()
        self.tally.kills += 1

    async def check(self) -> None:
        """Serve once more: everybody hears all of it. Raises AssertionError, or TimeoutError."""
        with self._service() as service:
            async with asyncio.TaskGroup() as group:
                for each in self._subscribers:
                    group.create_task(_until_gone(each.listen(service.port)))
                tops = await self._tops(service)
                await self._until(lambda: all(each.has_heard(tops) for each in self._subscribers))
                service.process.kill()
        for each, channel in itertools.product(self._subscribers, CHANNELS):
            self._compare(channel, each.heard[channel])

    def _service(self) -> AbstractContextManager[Service]:
        return running_service(self._data, "--durability", self._level, *OPTIONS)

    def _kinds(self) -> list[Callable[[str, Service], Coroutine[None, None, None]]]:
        return [self._publish_by_http, self._publish_by_websocket]

    async def _tops(self, service: Service) -> dict[str, int]:
        async with httpx.AsyncClient(base_url=service.url) as http:
            answers = [await http.get(f"/v1/channels/{it}/messages?limit=0") for it in CHANNELS]
        return {it: answer.json()["offset"] for it, answer in zip(CHANNELS, answers, strict=True)}

    def _compare(self, channel: str, heard: list[str]) -> None:
        acknowledged, sent = self.tally.acknowledged[channel], self.tally.sent
        where = f"seed {self._seed}, {self._level}, {channel}"
        assert not [data for data, times in Counter(heard).items() if times > 1], where
        assert set(acknowledged) <= set(heard) <= sent, where
        place = {data: index for index, data in enumerate(heard)}
        by_publisher: dict[str, int] = {}
        for data in acknowledged:
            publisher = data.partition("-")[0]
            assert by_publisher.get(publisher, -1) < place[data], (where, data)
            by_publisher[publisher] = place[data]

    async def _publish_by_http(self, name: str, service: Service) -> None:
        async with httpx.AsyncClient(base_url=service.url, timeout=PATIENCE) as http:
            while True:
                channel, data = self._next(name)
                path = f"/v1/channels/{channel}/messages"
                answer = await http.post(path, json={"data": data})
                assert answer.status_code == 200, answer.text
                self.tally.acknowledged[channel].append(data)

    async def _publish_by_websocket(self, name: str, service: Service) -> None:
        peer = await Peer.dial(service.port)
        try:
            await peer.connect()
            while True:
                channel, data = self._next(name)
                reply = await peer.ask(publish={"channel": channel, "data": data})
                assert "error" not in reply, reply
                self.tally.acknowledged[channel].append(data)
        finally:
            await peer.end()

    def _next(self, name: str) -> tuple[str, str]:
        """Where to publish what."""
        data = f"{name}-{next(self._numbers)}"
        self.tally.sent.add(data)
        return self._draw.choice(CHANNELS), data

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110  # whoever makes it true tells nobody
                await asyncio.sleep(0.005)


async def _until_gone(work: Coroutine[None, None, None]) -> None:
    with suppress(*GONE):
        await work
