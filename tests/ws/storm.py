"""Clients that connect, subscribe, publish, unsubscribe, stall and vanish at random, for a while.

Each remembers where it is in every channel, comes back from there, and holds what it hears to
what a client must be able to rely on: the next offset, or a recovery without a hole, or the
plain word that there is one. A witness that never stalls or leaves knows what was published.

    weather ──> Sailor, Sailor, …     any of some channels
            ──> Sluggard, …           a channel of much data, which they are too slow for
            ──> Witness               all of them

What a client learns from one `Sailor._hear` to the next is all it knows; nothing is read from
the service by another way until it is over.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import httpx

from tests.ws.peer import CLOSE, Object, Peer, frame

__all__ = ["Log", "Weather", "storm"]

SEAS = tuple(f"sea:{number}" for number in range(8))
FLOOD = "flood"
FLOOD_BYTES = 60_000
FLOOD_PAUSE = 0.03
SMALL = 4 * 1024
"""Bytes that the kernel takes for a sluggard."""
PAUSE = 0.6
"""Seconds between two deeds, at most; a stall is as long for most, and longer for sluggards."""
SLUGGISH = 8.0
PATIENCE = 60.0
"""Seconds for everybody to have heard everything, once it is calm."""
INSUFFICIENT = 2500
"""The code of an unsubscription from which on the client is to subscribe again."""
LOST = (ConnectionError, asyncio.IncompleteReadError)


class Weather(NamedTuple):
    sailors: int
    sluggards: int
    seconds: float


class Heard(NamedTuple):
    offset: int
    data: str


@dataclass
class Place:
    """Where a client is in a channel, and what it has heard since it began there."""

    offset: int
    epoch: str
    heard: list[Heard] = field(default_factory=list)

    def hear(self, pub: Object) -> None:
        assert pub["offset"] == self.offset + 1, f"{pub['offset']} comes after {self.offset}"
        self.offset += 1
        self.heard.append(Heard(self.offset, pub["data"].partition("~")[0]))


@dataclass
class Log:
    """What has happened to all of them."""

    published: set[str] = field(default_factory=set)
    """Data whose publication was acknowledged."""
    events: Counter[str] = field(default_factory=Counter)


class Sailor:
    """One client, over many connections."""

    channels: Sequence[str] = SEAS
    receive_buffer: int | None = None
    stall = PAUSE

    def __init__(
        self, name: str, port: int, dice: random.Random, log: Log, calm: asyncio.Future[None]
    ) -> None:
        """``calm`` is done when the storm is over."""
        self.places: dict[str, Place] = {}
        """Kept for the next connection, and for channels that were left."""
        self.wants: set[str] = set()
        self._data = (f"{name}-{number}" for number in itertools.count())
        self._port = port
        self._dice = dice
        self._log = log
        self._calm = calm
        self._peer: Peer
        self._listening: asyncio.Task[None]
        self._live: set[str] = set()
        self._sent: dict[int, tuple[str, str, str]] = {}
        """Command -> its method, its channel, and its data."""
        self._reads = asyncio.Event()
        self._news = asyncio.Event()

    async def sail(self) -> None:
        """Until it is calm."""
        while not self._calm.done():
            if self._ended:
                await self._embark()
            while not (self._calm.done() or self._ended):
                await self._act()
                await self._pause(PAUSE)

    async def settle(self, tops: dict[str, int]) -> None:
        """Come back if need be, and hear all there is in each channel that it wants."""
        self._reads.set()
        while not self._has_heard(tops):
            if self._ended:
                await self._embark()
            self._news.clear()
            await self._news.wait()

    async def leave(self) -> None:
        """With a word, or without."""
        if self._dice.random() < 0.5:
            self._peer.send_bytes(frame(CLOSE, struct.pack("!H", 1000)))
        else:
            self._peer.vanish()
        await asyncio.wait([self._listening])
        await self._part()

    async def end(self) -> None:
        """Whatever state it is in."""
        if hasattr(self, "_listening"):
            self._listening.cancel()
            await asyncio.wait([self._listening])
            await self._peer.end()

    @property
    def _ended(self) -> bool:
        return not hasattr(self, "_listening") or self._listening.done()

    def _has_heard(self, tops: dict[str, int]) -> bool:
        arrived = self._live == self.wants and not self._sent
        return arrived and all(self.places[each].offset >= tops[each] for each in self.wants)

    async def _embark(self) -> None:
        """A new connection, with the channels and the places of the last one."""
        if hasattr(self, "_listening"):
            await self._part()
        self._peer = await self._dial()
        self._log.events["connected"] += 1
        self._live, self._sent = set(), {}
        self._reads.set()
        self._listening = asyncio.create_task(self._listen())
        for channel in self.wants:
            self._subscribe(channel)

    async def _dial(self) -> Peer:
        peer = await Peer.dial(self._port, receive_buffer=self.receive_buffer)
        try:
            await peer.connect()
        except BaseException:
            await peer.end()
            raise
        return peer

    async def _part(self) -> None:
        """Let go of a connection that has ended. Raises what was wrong with it."""
        await self._peer.end()
        fault = self._listening.exception()
        if not isinstance(fault, LOST):
            assert fault is not None
            raise fault
        if self._peer.closed is not None:
            self._log.events[f"closed {self._peer.closed.code}"] += 1

    async def _pause(self, longest: float) -> None:
        seconds = self._dice.uniform(0, longest)
        await asyncio.wait({self._calm, self._listening}, timeout=seconds, return_when=FIRST)

    async def _act(self) -> None:
        luck, channel = self._dice.random(), self._dice.choice(self.channels)
        if luck < 0.3:
            self._command("publish", channel, next(self._data))
        elif luck < 0.8:
            self._turn(channel)
        elif luck < 0.95:
            await self._stand_still()
        else:
            self._peer.vanish()
            self._log.events["vanished"] += 1

    def _turn(self, channel: str) -> None:
        """To a channel, or away from it, unless that is under way."""
        if any(about == channel for _, about, _ in self._sent.values()):
            return
        if channel not in self.wants:
            self.wants.add(channel)
            self._subscribe(channel)
        elif channel in self._live and len(self.wants) > 2:
            self.wants.discard(channel)
            self._command("unsubscribe", channel)

    async def _stand_still(self) -> None:
        """Not read."""
        self._log.events["stalled"] += 1
        self._reads.clear()
        await self._pause(self.stall)
        self._reads.set()

    def _subscribe(self, channel: str) -> None:
        place = self.places.get(channel)
        since = {} if place is None else {"offset": place.offset, "epoch": place.epoch}
        self._command("subscribe", channel, "", recover=place is not None, **since)

    def _command(self, method: str, channel: str, data: str = "", **more: object) -> None:
        body = {"channel": channel, **more, **({"data": data} if data else {})}
        self._sent[self._peer.send(**{method: body})] = (method, channel, data)

    async def _listen(self) -> None:
        """Hear everything, until the connection ends: that raises one of LOST."""
        try:
            while True:
                await self._reads.wait()
                self._hear(await self._peer.receive())
                self._news.set()
        finally:
            self._news.set()

    def _hear(self, item: Object) -> None:
        if not item:
            self._peer.send_text("{}")
        elif "push" in item:
            self._hear_push(item["push"])
        else:
            assert "error" not in item, item
            self._hear_reply(*self._sent.pop(item["id"]), item)

    def _hear_push(self, push: Object) -> None:
        channel = push["channel"]
        assert channel in self._live, push
        if "pub" in push:
            self.places[channel].hear(push["pub"])
        elif "unsubscribe" in push:
            assert push["unsubscribe"]["code"] >= INSUFFICIENT, push
            self._log.events["something was lost"] += 1
            self._live.discard(channel)
            self._subscribe(channel)

    def _hear_reply(self, method: str, channel: str, data: str, reply: Object) -> None:
        if method == "publish":
            self._log.published.add(data)
        elif method == "unsubscribe":
            self._live.discard(channel)
        else:
            self._begin(channel, reply["subscribe"])
            self._live.add(channel)

    def _begin(self, channel: str, result: Object) -> None:
        if channel in self.places and result.get("recovered"):
            self._log.events["recovered"] += 1
            place = self.places[channel]
            assert (result.get("offset", 0), result["epoch"]) == (place.offset, place.epoch)
            for pub in result.get("publications", []):
                place.hear(pub)
        else:
            self._log.events["began anew"] += channel in self.places
            self.places[channel] = Place(result.get("offset", 0), result["epoch"])


FIRST = asyncio.FIRST_COMPLETED


class Sluggard(Sailor):
    """Does not read for long, where there is much to be read."""

    channels = (FLOOD,)
    receive_buffer = SMALL
    stall = SLUGGISH

    async def _act(self) -> None:
        self._turn(FLOOD)
        await self._stand_still()


class Witness(Sailor):
    """Hears everything, and does nothing."""

    def __init__(self, *known: object) -> None:
        super().__init__(*known)  # type: ignore[arg-type]
        self.wants = {*SEAS, FLOOD}

    async def _act(self) -> None:
        """Read on."""


async def storm(port: int, weather: Weather, dice: random.Random) -> Log:
    """Let it rage, and check that everybody heard what was published. Everybody has left then."""
    log, calm = Log(), asyncio.get_running_loop().create_future()

    def some(kind: type[Sailor], count: int) -> list[Sailor]:
        names = [f"{kind.__name__}{dice.getrandbits(64):x}" for _ in range(count)]
        return [kind(name, port, random.Random(dice.getrandbits(64)), log, calm) for name in names]

    crews = some(Witness, 1) + some(Sailor, weather.sailors) + some(Sluggard, weather.sluggards)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            await _through(http, crews, weather.seconds, calm)
        for each in crews:
            await each.leave()
    finally:
        for each in crews:
            await each.end()
    _check_published(crews[0], log)
    return log


async def _through(
    http: httpx.AsyncClient, crews: Sequence[Sailor], seconds: float, calm: asyncio.Future[None]
) -> None:
    """The storm, and what everybody has heard when it is over. The first one is the witness."""
    witness = crews[0]
    await witness.settle(dict.fromkeys(witness.wants, 0))
    await _rage(http, crews, seconds, calm)
    tops = {channel: await _publish(http, channel, "the end") for channel in witness.wants}
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*[each.settle(tops) for each in crews])
    for each in crews:
        _compare(each, witness)


async def _rage(
    http: httpx.AsyncClient, crews: Sequence[Sailor], seconds: float, calm: asyncio.Future[None]
) -> None:
    async with asyncio.TaskGroup() as group:
        for each in crews:
            group.create_task(each.sail())
        number = itertools.count()
        with_calm = asyncio.get_running_loop().call_later(seconds, calm.set_result, None)
        while not calm.done():
            await _publish(http, FLOOD, f"{next(number)}~{'x' * FLOOD_BYTES}")
            await asyncio.wait({calm}, timeout=FLOOD_PAUSE)
        with_calm.cancel()


async def _publish(http: httpx.AsyncClient, channel: str, data: str) -> int:
    answer = await http.post(f"/v1/channels/{channel}/messages", json={"data": data})
    offset: int = answer.raise_for_status().json()["offset"]
    return offset


def _compare(sailor: Sailor, witness: Sailor) -> None:
    """It ends with the exact sequence, from where it last began to the end."""
    for channel in sailor.wants:
        mine, all_of_it = sailor.places[channel].heard, witness.places[channel].heard
        assert mine == all_of_it[len(all_of_it) - len(mine) :], channel


def _check_published(witness: Sailor, log: Log) -> None:
    """What was acknowledged was heard, and nothing was heard twice."""
    heard = Counter(
        each.data for channel in SEAS for each in witness.places[channel].heard
    ) - Counter({"the end": len(SEAS)})
    assert not [data for data, times in heard.items() if times > 1]
    assert log.published <= heard.keys()
