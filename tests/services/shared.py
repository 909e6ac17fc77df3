"""A store that several nodes share: one engine, and for each node its own way to it.

What a node is told and what it hears comes through its own wire. Here that takes no time,
unless a test says how it passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from engine.clock import ManualClock
from engine.engine import Engine
from realtime.backends import embedded
from realtime.backends.base import (
    Backend,
    ChangeListener,
    ChannelListener,
    LossListener,
    Publication,
)
from realtime.backends.embedded_channels import Channels

__all__ = ["Ear", "SharedStore", "Watching", "Wire"]

Wire = Callable[[Callable[[], None]], None]
"""Calls what it is given, now or later, in order."""


def at_once(arrive: Callable[[], None]) -> None:
    arrive()


class Watching:
    """The watches of one node: each tells once of an effect that names its key."""

    def __init__(self, engine: Engine, wire: Wire = at_once) -> None:
        self.armed: set[bytes] = set()
        self.asked: list[bytes] = []
        self._wire = wire
        self._listeners: list[ChangeListener] = []
        engine.effects.listen(self._effect)

    def listen(self, listener: ChangeListener) -> None:
        self._listeners.append(listener)

    async def watch(self, key: bytes) -> None:
        self.asked.append(key)
        self.armed.add(key)

    def tell(self, key: bytes | None) -> None:
        for listener in self._listeners:
            listener(key)

    def lapse(self) -> None:
        """The connection of the watches is lost, and made anew."""
        self.armed.clear()
        self._wire(lambda: self.tell(None))

    def _effect(self, effect: tuple[bytes, ...]) -> None:
        for key in self.armed.intersection(effect[1:]):
            self.armed.discard(key)
            self._wire(lambda key=key: self.tell(key))  # type: ignore[misc]


class Ear(Channels):
    """The channels of one node. As with any backend, all who listen hear a publication at once:
    there is one wire, and what it brings is handed round."""

    def __init__(self, engine: Engine, wire: Wire = at_once) -> None:
        super().__init__(engine)
        self.deaf = False
        """Whether publications get lost on the way to this node."""
        self._wire = wire
        self._listeners: tuple[ChannelListener, ...] = ()
        super().listen(self._published)

    def listen(
        self, listener: ChannelListener, lost: LossListener | None = None
    ) -> Callable[[], None]:
        self._listeners = (*self._listeners, listener)

        def unlisten() -> None:
            self._listeners = tuple(other for other in self._listeners if other is not listener)

        return unlisten

    def _published(self, channel: bytes, item: Publication, epoch: str) -> None:
        if not self.deaf:
            self._wire(lambda: self._hear(channel, item, epoch))

    def _hear(self, channel: bytes, item: Publication, epoch: str) -> None:
        for listener in self._listeners:
            listener(channel, item, epoch)


class SharedStore:
    """One engine; ``node()`` is the backend of one more service node."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.engine = Engine(self.clock)

    def node(self, *, told: Wire = at_once, heard: Wire = at_once) -> Backend:
        """``told`` brings the news of watches, ``heard`` the publications."""
        return replace(
            embedded.backend(self.engine),
            channels=Ear(self.engine, heard),
            watches=Watching(self.engine, told),
            immediate=False,
        )
