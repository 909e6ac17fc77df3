"""What others publish, brought to this process: one subscription per channel and server.

Redis forgets whoever is not there at the moment, so what arrives here is held against the
offsets of the channel's history. Every topic remembers the last position it delivered:

    the next offset          is delivered
    one that was delivered   is dropped
    a gap, or a new link     the history since then is read and delivered, in order
    no proof, or new epoch   the channel is *lost*: its subscribers must recover themselves

Channels without history have no offsets; what is missed there, nobody can know.

A connection may be alive and deaf: see `probe`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from realtime.backends.base import (
    BackendUnavailable,
    ChannelListener,
    History,
    LossListener,
    Position,
    Publication,
    Wildcard,
    recover,
)
from realtime.backends.keys import topic_key
from realtime.backends.redis.address import Host
from realtime.backends.redis.calls import CommandFailed
from realtime.backends.redis.ending import end
from realtime.backends.redis.link import Figures, Link, Push
from realtime.backends.redis.probe import PROBE, Probes
from realtime.backends.redis.topology import Topology
from realtime.backends.redis.wire import Fleet, Wire

__all__ = ["Broker"]

log = logging.getLogger("realtime.store")

LOOK_BACK = 60.0
"""Seconds after which the position of a quiet channel is compared with the store's."""

AT_ONCE = 200
"""Histories that are read in one pipeline after a link was made anew."""

MAX_MISSED = 10_000
"""Publications that a channel's history holds at most."""

AGAIN = 0.1
"""Seconds before a history that could not be read is asked for again."""

ReadHistory = Callable[[bytes, Position, Wildcard | None], Awaitable[History]]
"""Called as (channel, since, wildcard)."""


class Topic:
    """A channel that somebody here wants to hear."""

    __slots__ = (
        "channel", "heard_at", "held", "last", "link", "name", "noted", "subscribed", "wildcard",
    )  # fmt: skip

    def __init__(self, channel: bytes, wildcard: Wildcard | None, name: bytes, link: Link) -> None:
        self.channel = channel
        self.wildcard = wildcard
        self.name = name
        self.link = link
        self.subscribed: asyncio.Future[Any]
        """Done once the server has confirmed that it will tell."""
        self.last: Position | None = None
        """The last position that was delivered; None as long as nothing with an offset was."""
        self.noted: Position | None = None
        """Until then, a position that the store has had since we listen: what comes after it is
        ours to deliver; what it holds may still be on its way."""
        self.held: list[tuple[Publication, str]] | None = None
        """What arrives while the history is being read."""
        self.heard_at = asyncio.get_running_loop().time()

    @property
    def failed(self) -> bool:
        done = self.subscribed
        return done.done() and (done.cancelled() or done.exception() is not None)

    def hold(self) -> None:
        """Keep what arrives until the history has been read."""
        if self.held is None:
            self.held = []


class Broker:
    """Subscriptions of this process, their links, and who listens."""

    def __init__(
        self,
        topology: Topology,
        wire: Wire,
        make: Callable[[Host, Callable[[Push], None]], Link],
        node: bytes,
        figures: Figures,
    ) -> None:
        """``make`` makes the link to a master, which hands over what is said unasked."""
        self.read_history: ReadHistory
        """To be set before anybody subscribes."""
        self._topology = topology
        self._make = make
        self._figures = figures
        self._fleet = Fleet(topology, self._link)
        self._topics: dict[bytes, Topic] = {}
        self._by_name: dict[bytes, Topic] = {}
        self._listeners: tuple[tuple[ChannelListener, LossListener | None], ...] = ()
        self._recovering: set[asyncio.Task[None]] = set()
        prefix = b"S" if topology.sharded else b""
        self.publish_word = prefix + b"PUBLISH"
        self._subscribe_word = prefix + b"SUBSCRIBE"
        self._unsubscribe_word = prefix + b"UNSUBSCRIBE"
        self._message = prefix.lower() + b"message"
        words = (self.publish_word, self._subscribe_word)
        self._probes = Probes(wire, self._home, words, node)

    def listen(
        self, listener: ChannelListener, lost: LossListener | None = None
    ) -> Callable[[], None]:
        entry = (listener, lost)
        self._listeners = (*self._listeners, entry)

        def unlisten() -> None:
            self._listeners = tuple(other for other in self._listeners if other is not entry)

        return unlisten

    async def subscribe(self, channel: bytes, wildcard: Wildcard | None = None) -> None:
        """Hear a channel; answers once the server has confirmed it. O(1) if it has already."""
        topic = self._topics.get(channel)
        if topic is None:
            topic = self._open(channel, wildcard)
        elif topic.failed:
            topic.subscribed = self._ask_for(topic)
        try:
            await asyncio.shield(topic.subscribed)
        except CommandFailed as failed:
            self._heed(topic, failed)
            raise

    async def unsubscribe(self, channel: bytes) -> None:
        """Hear it no more."""
        topic = self._topics.pop(channel, None)
        if topic is not None:
            del self._by_name[topic.name]
            self._drop(topic.link, topic.name)

    def note(self, channel: bytes, position: Position) -> None:
        """The store's position of a channel was read."""
        topic = self._topics.get(channel)
        if topic is not None and topic.last is None and topic.noted is None:
            topic.noted = position

    def check(self) -> None:
        """Raises BackendUnavailable if something that is published would not be heard."""
        for link in self._fleet.links():
            if link.reason is not None:
                raise BackendUnavailable(f"{link.name}: {link.reason}")
            self._probes.check(link)

    async def run(self) -> None:
        """Probe, and look back at quiet channels, until cancelled."""
        loop = asyncio.get_running_loop()
        looked = loop.time()
        while True:
            for link in self._fleet.links():
                self._probes.send(link)
            await asyncio.sleep(PROBE)
            if loop.time() - looked > LOOK_BACK / 3:
                looked = loop.time()
                self._look_back(looked - LOOK_BACK)

    def rehome(self) -> None:
        """Slots have moved: subscribe where they are now."""
        moved: dict[Link, list[Topic]] = {}
        for topic in self._topics.values():
            try:
                home = self._home(topic.name)
            except BackendUnavailable:
                continue  # the topology speaks again once it knows
            if home is not topic.link:
                self._drop(topic.link, topic.name)
                topic.link = home
                moved.setdefault(home, []).append(topic)
        for link, topics in moved.items():
            if link.is_up:
                self._resubscribe(link, topics)
        self._fleet.prune()

    async def close(self) -> None:
        await end(self._recovering)
        await self._fleet.close()

    # Links

    def _link(self, host: Host) -> Link:
        link = self._make(host, lambda push: self._take(link, push))
        link.on_up = lambda: self._greet(link)
        return link

    def _home(self, name: bytes) -> Link:
        return self._fleet.link(self._topology.home(name))

    def _greet(self, link: Link) -> None:
        """A link is new: nothing is subscribed on it, and something may have been missed."""
        self._probes.restart(link)
        self._resubscribe(link, [topic for topic in self._topics.values() if topic.link is link])

    def _open(self, channel: bytes, wildcard: Wildcard | None) -> Topic:
        name = topic_key(channel, None if wildcard is None else wildcard.channel)
        topic = Topic(channel, wildcard, name, self._home(name))
        topic.subscribed = self._ask_for(topic)
        self._topics[channel] = self._by_name[name] = topic
        return topic

    def _ask_for(self, topic: Topic) -> asyncio.Future[Any]:
        asked = topic.link.send((self._subscribe_word, topic.name), confirms=topic.name)
        asked.add_done_callback(_seen)
        return asked

    def _heed(self, topic: Topic, fault: BackendUnavailable) -> None:
        """A subscription was refused: most likely the slot is elsewhere."""
        if isinstance(fault, CommandFailed) and fault.code == "MOVED":
            self._topology.heed(fault, topic.name)
        self._topology.doubt()

    def _drop(self, link: Link, name: bytes) -> None:
        if link.is_up:  # a link that comes up begins without subscriptions
            link.send((self._unsubscribe_word, name), confirms=name).add_done_callback(_seen)

    def _resubscribe(self, link: Link, topics: Sequence[Topic]) -> None:
        """Some after the other: there may be very many, and others have their turn between."""
        for topic in topics:
            topic.hold()
        self._start(self._subscribe_anew(link, topics))

    async def _subscribe_anew(self, link: Link, topics: Sequence[Topic]) -> None:
        life = link.lives
        for start in range(0, len(topics), AT_ONCE):
            if not link.is_up or link.lives != life:
                return  # whoever finds it up again begins anew
            some = [
                topic
                for topic in topics[start : start + AT_ONCE]
                if topic.link is link and self._topics.get(topic.channel) is topic
            ]
            for topic in some:
                topic.subscribed = self._ask_for(topic)
            await self._catch_up(some)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._recovering.add(task)
        task.add_done_callback(self._recovering.discard)

    # What arrives

    def _take(self, link: Link, push: Push) -> None:
        kind, name, *rest = push
        if kind == self._message:
            topic = self._by_name.get(name)
            if topic is not None:
                self._advance(topic, *_publication(rest[0]))
            elif not self._probes.heard(link, name):
                self._drop(link, name)  # it was given up while it was being asked for
        elif kind == b"sunsubscribe" and name in self._by_name:
            self._topology.doubt()  # the slot has left this server

    def _advance(self, topic: Topic, item: Publication, epoch: str) -> None:
        """Deliver what comes next; what does not, says that something is missing."""
        if topic.held is not None:
            if len(topic.held) < MAX_MISSED:  # what is over it will be missed, and read anew
                topic.held.append((item, epoch))
            return
        last = topic.last
        had = last or topic.noted or Position(item.offset - 1, epoch)
        if item.offset == 0:
            self._deliver(topic, item, epoch)
        elif epoch != had.epoch:
            self._lose(topic, Position(item.offset, epoch))
        elif item.offset == had.offset + 1 or (last is None and item.offset <= had.offset):
            topic.last = Position(item.offset, epoch)
            self._deliver(topic, item, epoch)
        elif item.offset > had.offset:
            topic.hold()
            self._advance(topic, item, epoch)
            self._start(self._catch_up([topic]))

    def _deliver(self, topic: Topic, item: Publication, epoch: str) -> None:
        topic.heard_at = asyncio.get_running_loop().time()
        for listener, _ in self._listeners:
            listener(topic.channel, item, epoch)

    def _lose(self, topic: Topic, position: Position) -> None:
        """What subscribers had does not lead here: they must come back and recover."""
        topic.last = position
        self._figures.lost_channels += 1
        for _, lost in self._listeners:
            if lost is not None:
                lost(topic.channel)

    # What was missed

    def _look_back(self, since: float) -> None:
        quiet = [
            topic
            for topic in self._topics.values()
            if topic.heard_at < since and topic.held is None and topic.link.is_up
        ]
        for topic in quiet:
            topic.hold()
            topic.heard_at = asyncio.get_running_loop().time()
        self._start(self._catch_up(quiet))

    async def _catch_up(self, topics: Sequence[Topic]) -> None:
        for start in range(0, len(topics), AT_ONCE):
            chunk = topics[start : start + AT_ONCE]
            await asyncio.gather(*[self._recover(topic) for topic in chunk])

    async def _recover(self, topic: Topic) -> None:
        """Read what was missed, deliver it, and then what arrived meanwhile."""
        subscribed = topic.subscribed
        while self._topics.get(topic.channel) is topic and topic.subscribed is subscribed:
            try:
                await asyncio.shield(subscribed)
                had = topic.last or topic.noted
                if had is not None:
                    history = await self.read_history(topic.channel, had, topic.wildcard)
                    if topic.subscribed is not subscribed:
                        return  # the link was lost meanwhile: whoever subscribed anew goes on
                    self._follow(topic, had, history)
            except BackendUnavailable as fault:
                if not topic.link.is_up:
                    return  # a new link subscribes anew, and comes here again
                await asyncio.sleep(AGAIN)
                if topic.subscribed is subscribed and topic.failed:
                    self._heed(topic, fault)
                    subscribed = topic.subscribed = self._ask_for(topic)
                continue
            self._release(topic)
            return

    def _follow(self, topic: Topic, last: Position, history: History) -> None:
        recovered, missed = recover(last, history, MAX_MISSED)
        if not recovered or history.position.epoch != last.epoch:
            self._lose(topic, history.position)
            return
        for item in missed:
            topic.last = Position(item.offset, last.epoch)
            self._deliver(topic, item, last.epoch)

    def _release(self, topic: Topic) -> None:
        held, topic.held = topic.held or [], None
        for item, epoch in held:
            self._advance(topic, item, epoch)


def _publication(message: bytes) -> tuple[Publication, str]:
    """What ``_append.lua`` says a message is."""
    offset, epoch, lengths, rest = message.split(b":", 3)
    if b"," not in lengths:
        size = int(lengths)
        return Publication(int(offset), rest[size:], rest[:size] or None), epoch.decode()
    info, tags, channel = [int(length) for length in lengths.split(b",")]
    tags += info
    channel += tags
    parts = (rest[channel:], rest[:info], rest[info:tags], rest[tags:channel])
    data, *others = parts
    return Publication(int(offset), data, *[one or None for one in others]), epoch.decode()


def _seen(asked: asyncio.Future[Any]) -> None:
    """Whoever wants to know is told by the topic; an error that nobody waits for is no news."""
    if not asked.cancelled():
        asked.exception()
