"""Is what is published heard? A word is sent through every link, from front to back.

A connection may be alive and deaf: to a server that is no master any more, through a
middlebox that has forgotten it, without its subscriptions. Nothing says so, since silence is
what an idle channel sounds like. So each second this node publishes a word to itself, as
anybody would (a question to the master), and expects it as anybody would (a message on the
link). A link that does not bring it by the next turn is cut, and made anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from realtime.backends.base import BackendUnavailable
from realtime.backends.redis.link import Link
from realtime.backends.redis.wire import Wire

__all__ = ["PROBE", "Probes"]

PROBE = 1.0
"""Seconds between two words; the time that one may take."""

STALE = 3 * PROBE
"""Seconds without a word after which a link is not to be trusted."""

TRIES = 16_384
"""Names tried for one that a certain master has; some times the number of masters will do."""


class _Probe:
    """What is known of one link."""

    __slots__ = ("heard_at", "name", "sent_at")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.sent_at: float | None = None
        """When the last word was accepted by the server, in the loop's time."""
        self.heard_at: float | None = None

    @property
    def is_missed(self) -> bool:
        """Whether the last word was sent, and not heard since."""
        return self.sent_at is not None and (self.heard_at or 0.0) < self.sent_at - PROBE / 2

    def note_sent(self, sent: asyncio.Future[Any]) -> None:
        if not sent.cancelled() and sent.exception() is None:
            self.sent_at = asyncio.get_running_loop().time()


class Probes:
    """One per link."""

    def __init__(
        self, wire: Wire, home: Callable[[bytes], Link], words: tuple[bytes, bytes], node: bytes
    ) -> None:
        """``home`` answers the link that must bring what is published on a channel; ``words``
        are the commands that publish and subscribe."""
        self._wire = wire
        self._home = home
        self._publish, self._subscribe = words
        self._node = node
        self._probes: dict[Link, _Probe] = {}

    def restart(self, link: Link) -> None:
        """The link is new: listen for the word on it, then send one."""
        self._probes.pop(link, None)
        name = self._name(link)
        if name is None:
            return
        probe = self._probes[link] = _Probe(name)
        asked = link.send((self._subscribe, name), confirms=name)
        asked.add_done_callback(lambda done: self._begin(probe, done))

    def send(self, link: Link) -> None:
        """Send a word; cut the link if it did not bring the last one."""
        probe = self._probes.get(link)
        if not link.is_up:
            return
        if probe is None:
            self.restart(link)
        elif probe.is_missed:
            link.cut("deaf: what is published does not arrive")
        else:
            self._say(probe)

    def heard(self, link: Link, name: bytes) -> bool:
        """Whether the message was a word of ours."""
        probe = self._probes.get(link)
        if probe is None or probe.name != name:
            return False
        probe.heard_at = asyncio.get_running_loop().time()
        return True

    def check(self, link: Link) -> None:
        """Raises BackendUnavailable unless a word was heard lately."""
        probe = self._probes.get(link)
        heard_at = None if probe is None else probe.heard_at
        if heard_at is None or asyncio.get_running_loop().time() - heard_at > STALE:
            raise BackendUnavailable(f"{link.name}: what is published does not arrive")

    def _begin(self, probe: _Probe, subscribed: asyncio.Future[Any]) -> None:
        if not subscribed.cancelled() and subscribed.exception() is None:
            self._say(probe)

    def _say(self, probe: _Probe) -> None:
        try:
            sent = self._wire.link(probe.name).send((self._publish, probe.name, b""))
        except BackendUnavailable:
            return  # that it cannot be asked says nothing of what can be heard
        sent.add_done_callback(probe.note_sent)

    def _name(self, link: Link) -> bytes | None:
        """A channel of this node alone that the link's own master has."""
        for number in range(TRIES):
            name = b"probe:{%b.%d}" % (self._node, number)
            try:
                if self._home(name) is link:
                    return name
            except BackendUnavailable:
                continue  # this slot is nobody's now
        return None
