"""The engine: one object, one family of verbs per type of value.

    engine = Engine(clock)
    engine.boards.submit(b"lb:{arcade}", Ranking(), Submit(b"ada", 1200))
    engine.buckets.take(b"rl:login:{ada}", TokenBucket(quota=5, period=60 * SECOND, burst=5))

Each verb reads the clock once, returns at once, and either happens whole or not at all.
Absence is None; misuse raises `EngineError` or ValueError and changes nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from engine.boards import Boards
from engine.buckets import Buckets
from engine.channels import Channels, epoch_letters
from engine.clock import Clock
from engine.core import Core
from engine.departures import Departures
from engine.effects import Effects
from engine.hashes import Hashes
from engine.keyspace import Keyspace, Value
from engine.leases import Leases
from engine.sessions import Sessions
from engine.strings import Counters, Strings

__all__ = ["Engine"]

SWEEP_BATCH = 200
"""Keys looked at between two readings of the clock: about 0.1 ms."""
FREED_AT_ONCE = 500
"""Members of what was deleted, likewise."""


class Engine:
    """Everything the process holds. Not thread-safe: one loop, one engine."""

    __slots__ = (
        "boards",
        "buckets",
        "channels",
        "clock",
        "counters",
        "departures",
        "effects",
        "hashes",
        "keyspace",
        "leases",
        "replaced",
        "sessions",
        "strings",
    )

    def __init__(self, clock: Clock, random_below: Callable[[int], int] | None = None) -> None:
        """``random_below(n)`` draws the letters of epochs; tests make it predictable."""
        draw = random_below or random.SystemRandom().randrange
        core = Core(clock)
        self.clock = clock
        self.keyspace: Keyspace = core.keyspace
        self.effects: Effects = core.effects
        self.replaced: list[Callable[[], None]] = []
        """Called after ``replace``, for those who keep copies. They must not call the engine."""
        self.strings = Strings(core)
        self.counters = Counters(core)
        self.hashes = Hashes(core)
        self.boards = Boards(core, self.hashes)
        self.buckets = Buckets(core)
        self.leases = Leases(core, self.buckets.room)
        self.sessions = Sessions(core, self.hashes)
        self.departures = Departures(core, self.hashes)
        self.channels = Channels(core, self.hashes, lambda: epoch_letters(draw))

    def replace(self, other: Engine) -> dict[bytes, Value]:
        """Hold what ``other`` holds from now on; answers the values that were held. O(keys).

        ``other`` must not be used any more. It counts as a change, but no effect says it: who
        writes down effects must begin anew. Positions of channels go back, too: see
        `Channels.renew_epochs`.
        """
        held = self.keyspace.replace(other.keyspace)
        self.effects.changes += 1
        for listener in self.replaced:
            listener()
        return held

    def sweep(self, budget: int) -> int:
        """Give back the memory of expired keys, and of large values that were deleted, for up to
        ``budget`` microseconds.

        Answers how many keys were looked at. Expired keys are absent with or without it.
        """
        started = self.clock()
        looked = 0
        while True:
            batch = self.keyspace.sweep(self.clock(), SWEEP_BATCH)
            looked += batch
            left = self.keyspace.free(FREED_AT_ONCE) or batch == SWEEP_BATCH
            if not left or self.clock() - started >= budget:
                return looked
