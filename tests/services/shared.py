"""A store that several nodes share: one engine, and for each node its own view of it.

What a node watches and hears takes its time on a wire. Here it takes none, unless a test
holds it back.
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

__all__ = ["Ear", "SharedStore", "Watching"]


class Watching:
    """The watches of one node: each tells once of an effect that names its key."""

    def __init__(self, engine: Engine) -> None:
        self.armed: set[bytes] = set()
        self.asked: list[bytes] = []
        self.held: list[bytes] | None = None
        """What was not told yet; None: nothing is held back."""
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

    def release(self) -> None:
        """Tell what was held back."""
        held, self.held = self.held or [], None
        for key in held:
            self.tell(key)

    def _effect(self, effect: tuple[bytes, ...]) -> None:
        for key in self.armed.intersection(effect[1:]):
            self.armed.discard(key)
            if self.held is None:
                self.tell(key)
            else:
                self.held.append(key)


class Ear(Channels):
    """The channels of one node."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.lost: list[LossListener] = []
        self.deaf = False
        """Whether publications get lost on the way to this node."""

    def listen(
        self, listener: ChannelListener, lost: LossListener | None = None
    ) -> Callable[[], None]:
        if lost is not None:
            self.lost.append(lost)

        def hear(channel: bytes, item: Publication, epoch: str) -> None:
            if not self.deaf:
                listener(channel, item, epoch)

        return super().listen(hear)

    def lose(self, channel: bytes) -> None:
        """What a backend says when it finds that something was lost."""
        for listener in self.lost:
            listener(channel)


class SharedStore:
    """One engine; ``node()`` is the backend of one more service node."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.engine = Engine(self.clock)

    def node(self) -> Backend:
        return replace(
            embedded.backend(self.engine),
            channels=Ear(self.engine),
            watches=Watching(self.engine),
            immediate=False,
        )
