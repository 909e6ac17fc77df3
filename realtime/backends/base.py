"""The seam: what a store must do for the services, whatever it is made of.

Four rules, and every backend keeps them:

1. **One method is one atomic step.** Embedded: one uninterrupted run of the engine. Redis:
   one command or one Lua script. A service never reads, thinks and writes back over two
   calls where the answer must be right.
2. **The backend's clock decides.** Callers pass durations, in microseconds.
3. **Only plain values cross**: bytes, int, float and the frozen values named here. No
   client, no pipeline, no lock.
4. **Absence is ``None``, misuse is ``ValueError``, an outage is `BackendUnavailable`.** Whether
   an outage lets a request pass is the caller's policy, never the backend's.

Keys and members are bytes; `realtime.backends.keys` lays them out, the same for all backends.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from engine.channel import Recovery, recover, recover_latest
from engine.departures import HARVEST, Claimed, Departure, DepartureKeys, Due
from engine.errors import EngineError, NotAnInteger, OutOfBounds, SeasonOver, WrongType
from engine.sessions import Patched
from engine.sessions import StoredSession as Session
from realtime.backends.base_boards import (
    UNHEARD,
    Board,
    Closed,
    Entry,
    EntryPosition,
    Histogram,
    Keep,
    Onward,
    Page,
    Ranking,
    Ranks,
    Season,
    SortedSetReads,
    SortedSets,
    Standing,
    Submission,
    Submit,
    Ties,
    bounds_between,
    counting_score,
    index_at,
    no_better,
)
from realtime.backends.base_channels import (
    ChannelListener,
    Channels,
    ClientInfo,
    Guard,
    History,
    LossListener,
    Position,
    Presence,
    PresenceStats,
    Publication,
    Published,
    Wildcard,
)
from realtime.backends.base_limits import (
    MAX_LIMIT,
    MAX_LOG,
    MAX_PERIOD,
    NEVER,
    Amended,
    Buckets,
    CalendarWindow,
    Decision,
    FixedWindow,
    LeaseDecision,
    Leases,
    LimitRule,
    OutOfTime,
    Parameters,
    PenaltyBox,
    Policy,
    Saturated,
    SlidingLog,
    SlidingWindow,
    Take,
    TokenBucket,
    Wanted,
)

__all__ = [
    "HARVEST",
    "MAX_LIMIT",
    "MAX_LOG",
    "MAX_PERIOD",
    "NEVER",
    "UNHEARD",
    "Amended",
    "Backend",
    "BackendUnavailable",
    "Board",
    "Buckets",
    "CalendarWindow",
    "ChangeListener",
    "ChannelListener",
    "Channels",
    "Claimed",
    "ClientInfo",
    "Closed",
    "Counters",
    "Decision",
    "Departure",
    "DepartureKeys",
    "Departures",
    "Due",
    "EngineError",
    "Entry",
    "EntryPosition",
    "FixedWindow",
    "Guard",
    "Hashes",
    "Histogram",
    "History",
    "Keep",
    "LeaseDecision",
    "Leases",
    "LimitRule",
    "LossListener",
    "NotAnInteger",
    "Onward",
    "OutOfBounds",
    "OutOfTime",
    "Page",
    "Parameters",
    "Patched",
    "PenaltyBox",
    "Policy",
    "Position",
    "Presence",
    "PresenceStats",
    "Publication",
    "Published",
    "Ranking",
    "Ranks",
    "Recovery",
    "Saturated",
    "Season",
    "SeasonOver",
    "Session",
    "SessionKeys",
    "Sessions",
    "SlidingLog",
    "SlidingWindow",
    "SortedSetReads",
    "SortedSets",
    "Standing",
    "Submission",
    "Submit",
    "Take",
    "Ties",
    "TokenBucket",
    "Values",
    "Wanted",
    "Watches",
    "Wildcard",
    "WritesRefused",
    "WrongType",
    "bounds_between",
    "counting_score",
    "index_at",
    "no_better",
    "recover",
    "recover_latest",
]


class BackendUnavailable(Exception):
    """The store cannot be reached, or did not answer in time. Nothing is known of the write."""


class WritesRefused(BackendUnavailable):
    """Nothing can be written just now, and nothing was. Reads go on. The text is for clients."""


class SessionKeys(NamedTuple):
    """Where a session lies, and the sorted set of its user's sessions (None: no user)."""

    record: bytes
    by_user: bytes | None


class Values(Protocol):
    """Strings."""

    async def get(self, key: bytes) -> bytes | None: ...

    async def get_all(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """As many ``get``, each of an instant of its own, in one round trip. In a cluster the
        keys lie in one slot. All values are held at once: bound them."""

    async def set(
        self, key: bytes, value: bytes, *, ttl: int | None = None, only_if_absent: bool = False
    ) -> bool:
        """Whether it was stored: False only if ``only_if_absent`` found a value."""

    async def delete(self, *keys: bytes) -> int:
        """How many of the keys there were, of whatever type."""


class Counters(Protocol):
    """Strings that hold 64-bit integers."""

    async def add(
        self,
        key: bytes,
        by: int,
        *,
        minimum: int | None = None,
        maximum: int | None = None,
        ttl: int | None = None,
    ) -> int:
        """The new value. ``ttl`` applies if this call creates the counter.

        Raises OutOfBounds, and changes nothing, if the value would leave the bounds or 64 bits.
        """

    async def get(self, keys: Sequence[bytes]) -> list[int | None]:
        """Raises NotAnInteger if a key holds other text."""

    async def set(self, key: bytes, value: int) -> None: ...


class Hashes(Protocol):
    """Small records of fields: the rules of boards and limits."""

    async def get(self, key: bytes) -> dict[bytes, bytes] | None: ...

    async def fields(self, key: bytes, names: Sequence[bytes]) -> list[bytes | None]:
        """Some fields of a record, of one instant; None where there is none."""

    async def put(self, key: bytes, fields: Mapping[bytes, bytes]) -> None:
        """Replace the whole record."""

    async def patch(
        self, key: bytes, changes: Mapping[bytes, bytes], removals: Sequence[bytes] = ()
    ) -> None:
        """Set and remove fields; the record comes and goes with its fields."""

    async def commit(
        self,
        key: bytes,
        seen: Mapping[bytes, bytes | None],
        changes: Mapping[bytes, bytes],
        *,
        present: bytes | None = None,
        values: Mapping[bytes, bytes] | None = None,
        gone: Sequence[bytes] = (),
    ) -> bool:
        """Change a record and what lies beside it, if the record is as it was seen.

        Answers False, and nothing was changed, unless each field of ``seen`` has that text, or
        is absent where it is None, and there is a value under ``present``. Otherwise fields are
        set by ``changes``, strings by ``values``, and the keys ``gone`` deleted, of whatever type
        they are. In a cluster all of these keys lie in one slot. O(what is named)."""


class Sessions(Protocol):
    """Records with an idle and an absolute deadline, indexed by user.

    The index is the sorted set session-key -> absolute deadline (µs); entries of sessions
    that ended are dropped whenever it is read or written.
    """

    async def create(
        self,
        keys: SessionKeys,
        fields: Mapping[bytes, bytes],
        *,
        user: bytes | None,
        idle_timeout: int,
        absolute_timeout: int,
    ) -> Session | None:
        """None if the key is taken."""

    async def read(self, record: bytes, *, touch: bool) -> Session | None:
        """Touching moves the idle deadline, never beyond the absolute one."""

    async def patch(
        self,
        record: bytes,
        changes: Mapping[bytes, bytes],
        removals: Sequence[bytes],
        *,
        expected_version: int | None = None,
        max_size: int | None = None,
    ) -> Patched | None:
        """Set and remove fields, and touch; not applied if the version is not the expected one.

        Raises OutOfBounds, changing nothing, over ``max_size`` bytes of fields."""

    async def delete(self, record: bytes) -> bool: ...

    async def of_user(self, by_user: bytes) -> list[tuple[bytes, Session]]:
        """(record key, session) of the user's live sessions, oldest first. Does not touch."""

    async def end_all(self, by_user: bytes) -> int:
        """End every session of the user; how many there were."""


ChangeListener = Callable[[bytes | None], None]
"""Called with a key that may have changed; None: any may have."""


class Departures(Protocol):
    """Who has left for good: for whoever wants to be told, at least once.

    Users are spread over `realtime.backends.keys.DEPARTURE_SHARDS`. Nothing is stored of users
    before the first ``arrive``, so whoever has nobody to tell calls nothing of this."""

    async def arrive(self, user: bytes) -> None:
        """The user is connected to this process, until ``leave`` or the end of the process; may
        be said again. What the store cannot take now is said as soon as it can."""

    async def leave(self, user: bytes) -> None:
        """The last connection of the user to this process has ended. Never lost: see ``arrive``."""

    async def claim(
        self, shard: int, *, debounce: int, gap: int, lease: int, limit: int
    ) -> Claimed:
        """Up to ``limit`` departures that are to be told now, for the time of a ``lease``.

        A departure is a user who has been connected to no process for ``debounce``. That time,
        too, is one in which claims of the shard came without a ``gap``: nobody could be seen to
        come back while nobody looked."""

    async def postpone(self, departure: Departure, *, delay: int, tries: int) -> None:
        """Not told: to be claimed again after ``delay``. ``tries`` is handed out with it then."""

    async def done(self, departure: Departure) -> None:
        """Told, or given up."""


class Watches(Protocol):
    """Hear when what was read and kept is changed by somebody else.

    A store of one process has no somebody else: there nothing is heard, unless all is replaced."""

    def listen(self, listener: ChangeListener) -> None:
        """Hear of the keys that are watched, until the end of the process."""

    async def watch(self, key: bytes) -> None:
        """Tell the listeners once, when the key changes in any way after this.

        What is read after this is therefore right until they are told, give or take the way
        through the wire. Watch first, then read."""


@dataclass(frozen=True, slots=True)
class Backend:
    """One of each; what `realtime.app` hands to the services."""

    values: Values
    counters: Counters
    hashes: Hashes
    sorted_sets: SortedSets
    buckets: Buckets
    leases: Leases
    sessions: Sessions
    channels: Channels
    presence: Presence
    departures: Departures
    watches: Watches
    immediate: bool
    """No method ever suspends, so a caller may drive its coroutines without a task."""
    ping: Callable[[], Awaitable[None]]
    """Raises BackendUnavailable while the store is away, or what it publishes does not arrive."""
