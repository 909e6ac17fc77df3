"""Namespaces: what a class of channels may do, by the prefix of their names.

A channel belongs to the namespace with the longest prefix that its name begins with; what
belongs to none has the defaults, which are themselves a namespace, with an empty name and
prefix. So ``orders:17`` is of ``Namespace("orders", "orders:")``, and ``ordersheet`` is not.

Who may do something is an *audience*. API keys are not among those: what they may do is
said by their scopes, in every namespace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from realtime.backends.keys import LIVE_PREFIX
from realtime.rate import Rate

__all__ = [
    "PERSONAL_PREFIX",
    "Audience",
    "Namespace",
    "Namespaces",
    "Rate",
    "Recovery",
    "SlowPolicy",
]


PERSONAL_PREFIX = "#"
"""Channels of one user: ``#42``."""

_ALWAYS = (LIVE_PREFIX, PERSONAL_PREFIX)


class Audience(StrEnum):
    """Which users may do something. Each includes those before it."""

    NOBODY = "nobody"
    """No user; only API keys with the scope."""
    TOKEN = "token"
    """Whoever has a token for the channel; of what one does in a channel: its subscribers."""
    USERS = "users"
    """Everybody who has said who they are."""
    ANYONE = "anyone"
    """Also those whose token names no user."""


class SlowPolicy(StrEnum):
    """What becomes of a subscriber who reads more slowly than others publish."""

    DISCONNECT = "disconnect"
    """It is closed, comes back and recovers: nothing is lost, if the channel keeps enough."""
    DROP_OLDEST = "drop-oldest"
    """What has waited longest is dropped, for this subscriber alone."""
    LATEST = "latest"
    """Only the newest publication waits."""


class Recovery(StrEnum):
    """What those get who come back."""

    STREAM = "stream"
    """Everything they missed, or the news that some of it is lost."""
    CACHE = "cache"
    """The newest publication; whoever comes for the first time gets it, too."""
    OFF = "off"


@dataclass(frozen=True, kw_only=True)
class Namespace:
    """The options of a class of channels. Times are seconds."""

    name: str = ""
    prefix: str = ""
    history_size: int = 100
    """Publications kept; 0 keeps none."""
    history_ttl: float = 300.0
    """How long after the last publication; 0 keeps none."""
    recovery: Recovery = Recovery.STREAM
    presence: bool = True
    join_leave: bool = True
    """Whether joins and leaves are pushed to subscribers who ask for them."""
    subscribe: Audience = Audience.TOKEN
    publish: Audience = Audience.NOBODY
    read_history: Audience = Audience.TOKEN
    read_presence: Audience = Audience.TOKEN
    delta: bool = False
    """Whether subscribers may ask for differences instead of whole publications."""
    wildcards: bool = False
    """Whether ``{prefix}*`` may be subscribed to."""
    slow: SlowPolicy = SlowPolicy.DISCONNECT
    publish_rate: Rate | None = None
    """Of each channel."""
    user_publish_rate: Rate | None = None
    """Of each user, over the channels of the namespace."""
    message_bytes: int = 65_536
    """The longest publication, whoever publishes it."""

    @cached_property
    def keeps_history(self) -> bool:
        return self.history_size > 0 and self.history_ttl > 0

    @cached_property
    def is_rated(self) -> bool:
        """Whether publications are counted at all."""
        return self.publish_rate is not None or self.user_publish_rate is not None

    @cached_property
    def is_positioned(self) -> bool:
        """Whether subscribers have a position, so that gaps are noticed and filled."""
        return self.keeps_history and self.recovery is not Recovery.OFF


class Namespaces:
    """All of them; asked for every publication, so the answer is one or two look-ups."""

    def __init__(
        self, default: Namespace, others: Iterable[Namespace] = (), *, strict: bool = False
    ) -> None:
        """``strict``: there are no channels but those of a namespace that has a prefix."""
        self.default = default
        self.strict = strict
        self._by_prefix = {other.prefix: other for other in others}
        self._lengths = sorted({len(prefix) for prefix in self._by_prefix}, reverse=True)

    def __iter__(self) -> Iterator[Namespace]:
        """The default first."""
        return iter((self.default, *self._by_prefix.values()))

    def of(self, channel: str) -> Namespace:
        """Whose options a channel has. O(different lengths of prefixes)."""
        for length in self._lengths:
            found = self._by_prefix.get(channel[:length])
            if found is not None:
                return found
        return self.default

    def find(self, channel: str) -> Namespace | None:
        """Like ``of``, but None if there must be no such channel.

        Live leaderboards, and the channels of users, ``#…``, are there in any case.
        """
        namespace = self.of(channel)
        if self.strict and namespace is self.default and not channel.startswith(_ALWAYS):
            return None
        return namespace

    def wildcard_of(self, channel: str) -> str | None:
        """The channel that shows all of its namespace, if there is one: ``orders.*``."""
        namespace = self.of(channel)
        return namespace.prefix + "*" if namespace.wildcards else None
