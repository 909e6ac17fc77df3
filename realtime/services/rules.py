"""What a rate-limit rule says, and how it is stored.

A rule is one hash. The fields in which it is defined come first; ``since`` is when it last
changed, ``first`` the parameters that untagged states were written under (`engine.limits`), and
``k:`` and a caller's name hold what is said of that caller alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, cast

import msgspec

from realtime.backends.base import (
    CalendarWindow,
    FixedWindow,
    LimitRule,
    Parameters,
    PenaltyBox,
    Policy,
    SlidingLog,
    SlidingWindow,
    TokenBucket,
)
from realtime.errors import InvalidInput
from realtime.services.calendars import Unit, check_zone, window_at
from realtime.services.durations import microseconds
from realtime.services.names import name_bytes

__all__ = [
    "DEFINED",
    "MAX_LISTED",
    "MAX_OVERRIDES",
    "MAX_TIERS",
    "Algorithm",
    "Override",
    "Penalty",
    "RuleSpec",
    "Stored",
    "Tier",
    "fields_of",
    "override_field",
    "override_text",
    "stored",
]

Algorithm = Literal[
    "token_bucket", "sliding_window", "fixed_window", "sliding_log", "calendar", "concurrency"
]

MAX_LISTED = 1_000
"""Callers on the allow list, and on the deny list, of a rule."""
MAX_TIERS = 100
MAX_OVERRIDES = 10_000
"""Callers of a rule with a word of their own. All of them are kept in memory by every process."""

_OVERRIDE = b"k:"


class Tier(NamedTuple):
    """Another rate under the same rule; what is not said is as the rule says.

    Calendars and concurrency rules have no other period."""

    limit: int
    per: float | None = None
    burst: int | None = None


class Penalty(NamedTuple):
    """Who is refused ``after`` times within ``within`` seconds is refused for ``duration``."""

    after: int
    within: float
    duration: float

    def build(self) -> PenaltyBox:
        try:
            return PenaltyBox(
                self.after,
                microseconds("within", self.within),
                microseconds("for", self.duration),
            )
        except ValueError as error:
            raise InvalidInput(str(error), path="$.penalty") from None


class Override(NamedTuple):
    """What holds for one caller: one of the rule's tiers, or a rate of his own."""

    tier: str | None = None
    rate: Tier | None = None
    expires: int | None = None
    """Microseconds since 1970; None: as long as it stands."""
    since: int = 0


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """A rule as people state it: ``limit`` per ``per`` seconds."""

    algorithm: Algorithm = "token_bucket"
    limit: int = 100
    per: float = 60.0
    """Of a concurrency rule: how long a lease lasts unless it is renewed. Not for calendars."""
    burst: int | None = None
    """Token bucket: how many may come at once; as many as the limit if not said."""
    shadow: bool = False
    unit: Unit | None = None
    """Calendar: the window."""
    timezone: str = "UTC"
    """Calendar: where the windows begin, by its name in the IANA database."""
    tiers: Mapping[str, Tier] = field(default_factory=dict, hash=False)
    penalty: Penalty | None = None
    allow: tuple[str, ...] = ()
    """Callers who are never refused, and spend nothing."""
    deny: tuple[str, ...] = ()
    """Callers who are always refused; who is on both lists, too."""
    on_change: Policy = "as-is"
    """What becomes of what callers have spent: see `engine.limits.amended`."""

    def build(self, now: int = 0) -> LimitRule:
        """The rule itself, as it holds at ``now``. Raises InvalidInput."""
        if self.algorithm == "concurrency":
            raise InvalidInput("a concurrency rule is asked for leases, not taken from")
        self._check_words()
        try:
            return self._build(now)
        except ValueError as error:
            path = None if self.burst is None else "$.burst"
            raise InvalidInput(str(error), path=path) from None

    def check(self) -> None:
        """Raises InvalidInput if anything of it makes no sense."""
        if self.algorithm == "concurrency":
            self._check_words()
            microseconds("per", self.per)
            if not 1 <= self.limit < 2**31:
                raise InvalidInput("limit must be within 1..2147483647", path="$.limit")
        else:
            self.build()
        self._check_lists()
        if self.penalty is not None:
            self.penalty.build()
        if len(self.tiers) > MAX_TIERS:
            raise InvalidInput(f"a rule has at most {MAX_TIERS} tiers", path="$.tiers")
        for name, tier in self.tiers.items():
            name_bytes("tier", name)
            self.check_rate(tier)

    def check_rate(self, rate: Tier) -> None:
        """Raises InvalidInput if the rule cannot have it."""
        if rate.per is not None and self.algorithm in ("calendar", "concurrency"):
            raise InvalidInput(f"the rates of a {self.algorithm} rule have no period of their own")
        self.at_rate(rate).check()

    def at_rate(self, rate: Tier) -> RuleSpec:
        """The same at another rate, without what belongs to the rule as a whole."""
        return replace(
            self,
            limit=rate.limit,
            per=self.per if rate.per is None else rate.per,
            burst=self.burst if rate.burst is None else rate.burst,
            tiers={},
            penalty=None,
            allow=(),
            deny=(),
        )

    def _build(self, now: int) -> LimitRule:
        if self.algorithm == "calendar":
            assert self.unit is not None
            return CalendarWindow(self.limit, *window_at(self.unit, self.timezone, now))
        period = microseconds("per", self.per)
        match self.algorithm:
            case "token_bucket":
                burst = self.limit if self.burst is None else self.burst
                return TokenBucket(self.limit, period, burst)
            case "sliding_window":
                return SlidingWindow(self.limit, period)
            case "sliding_log":
                return SlidingLog(self.limit, period)
            case "fixed_window":
                return FixedWindow(self.limit, period)
        raise ValueError(f"there is no algorithm {self.algorithm!r}")

    def _check_words(self) -> None:
        if self.burst is not None and self.algorithm != "token_bucket":
            raise InvalidInput(f"a {self.algorithm} has no burst", path="$.burst")
        if (self.unit is None) == (self.algorithm == "calendar"):
            raise InvalidInput("a calendar, and nothing else, has a unit", path="$.unit")
        if self.penalty is not None and self.algorithm == "concurrency":
            raise InvalidInput("a concurrency rule has no penalty", path="$.penalty")
        check_zone(self.timezone)

    def _check_lists(self) -> None:
        for what, names in (("allow", self.allow), ("deny", self.deny)):
            if len(names) > MAX_LISTED:
                raise InvalidInput(f"the list holds at most {MAX_LISTED} keys", path=f"$.{what}")
            for name in names:
                name_bytes("key", name)


class Stored(NamedTuple):
    """A rule as it lies in the store."""

    spec: RuleSpec
    since: int | None
    """When it last changed; None for a rule of an older version."""
    first: Parameters | None
    """Of its first definition, if it has changed since."""
    overrides: Mapping[str, Override]
    is_amended: bool
    """Whether a state may have been written under other parameters than the rule's."""


DEFINED = (
    b"algorithm", b"limit", b"per", b"burst", b"shadow", b"unit", b"timezone", b"tiers",
    b"penalty", b"allow", b"deny", b"on_change",
)  # fmt: skip
"""Fields that a definition replaces."""


def fields_of(spec: RuleSpec) -> dict[bytes, bytes]:
    """What is as it is by default is not stored, but for the four that always were."""
    fields = {
        b"algorithm": spec.algorithm.encode(),
        b"limit": b"%d" % spec.limit,
        b"per": repr(spec.per).encode(),
        b"shadow": b"1" if spec.shadow else b"0",
    }
    if spec.burst is not None:
        fields[b"burst"] = b"%d" % spec.burst
    if spec.unit is not None:
        fields |= {b"unit": spec.unit.encode(), b"timezone": spec.timezone.encode()}
    if spec.on_change != "as-is":
        fields[b"on_change"] = spec.on_change.encode()
    lists: dict[bytes, Any] = {
        b"tiers": dict(spec.tiers),
        b"penalty": spec.penalty,
        b"allow": spec.allow,
        b"deny": spec.deny,
    }
    return fields | {name: msgspec.json.encode(value) for name, value in lists.items() if value}


def stored(fields: Mapping[bytes, bytes]) -> Stored | None:
    """None for what is no rule. Raises ValueError for one that cannot be read."""
    if b"algorithm" not in fields:
        return None
    try:
        return _stored(fields)
    except (KeyError, TypeError, InvalidInput, msgspec.MsgspecError) as error:
        raise ValueError(str(error)) from None


def _stored(fields: Mapping[bytes, bytes]) -> Stored:
    first = fields.get(b"first")
    numbers = None if first is None else tuple(map(int, first.split()))
    since = fields.get(b"since")
    if numbers is not None and len(numbers) != 4:
        raise ValueError(f"its first parameters are {first!r}")
    spec = _spec(fields)
    if spec.algorithm != "concurrency":
        spec.build()
    return Stored(
        spec,
        None if since is None else int(since),
        numbers,
        {
            name[len(_OVERRIDE) :].decode(): msgspec.json.decode(text, type=Override)
            for name, text in fields.items()
            if name.startswith(_OVERRIDE)
        },
        bool(spec.tiers) or b"amended" in fields,
    )


def override_field(key: str) -> bytes:
    return _OVERRIDE + name_bytes("key", key)


def override_text(override: Override) -> bytes:
    return msgspec.json.encode(override)


def _spec(fields: Mapping[bytes, bytes]) -> RuleSpec:
    burst, unit = fields.get(b"burst"), fields.get(b"unit")
    penalty = fields.get(b"penalty")
    return RuleSpec(
        algorithm=cast(Algorithm, fields[b"algorithm"].decode()),
        limit=int(fields[b"limit"]),
        per=float(fields[b"per"]),
        burst=None if burst is None else int(burst),
        shadow=fields.get(b"shadow") == b"1",
        unit=None if unit is None else cast(Unit, unit.decode()),
        timezone=fields.get(b"timezone", b"UTC").decode(),
        tiers=msgspec.json.decode(fields.get(b"tiers", b"{}"), type=dict[str, Tier]),
        penalty=None if penalty is None else msgspec.json.decode(penalty, type=Penalty),
        allow=msgspec.json.decode(fields.get(b"allow", b"[]"), type=tuple[str, ...]),
        deny=msgspec.json.decode(fields.get(b"deny", b"[]"), type=tuple[str, ...]),
        on_change=cast(Policy, fields.get(b"on_change", b"as-is").decode()),
    )
