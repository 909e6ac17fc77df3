"""The header fields that tell a client about limits, in the mode that an app has chosen.

    draft10         RateLimit-Policy: "burst";q=20;w=12     the rule: 20, all regained in 12 s
                    RateLimit: "burst";r=4;t=1              what is left; in t seconds there is more
    x-ratelimit     X-RateLimit-Limit: 20                   of the rule with the least left
                    X-RateLimit-Remaining: 4
                    X-RateLimit-Reset: 10                   until all of it is there again

Seconds are rounded up: whoever waits as long as we said is never too early. A jitter only adds,
so that those who were refused together do not come back together. Shadow rules, and rules
that a caller is exempt from, are not spoken of.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from realtime.backends.base import NEVER, Decision, LimitRule, TokenBucket
from realtime.services.limits import Verdict

__all__ = [
    "NOTHING",
    "SECOND",
    "Announcer",
    "Fields",
    "Header",
    "HeaderMode",
    "ResetForm",
    "Standing",
    "joined",
    "seconds",
]

Header = tuple[bytes, bytes]

HeaderMode = Literal["draft10", "draft-10", "x-ratelimit", "off"]
"""The second is how the first used to be written here."""

ResetForm = Literal["seconds", "epoch"]
"""Of X-RateLimit-Reset: from now on, or since 1970. Both are common; it does not say which."""

Announcer = Callable[[Decision], list[Header]]

SECOND = 1_000_000

NOTHING: list[Header] = []

KEPT = 1_024
"""Policies and names that are kept as bytes; tiers and overrides make more of them than rules."""


class Standing(NamedTuple):
    """How a caller stands with one rule, whatever kind of rule it is. Durations: microseconds."""

    rule: str
    limit: int
    remaining: int
    next_after: int
    """Until there is more; 0 if nothing is missing, or if nobody knows."""
    reset_after: int
    window: int
    """From empty to full; 0 for what is not spent, but held: so many at once."""

    @classmethod
    def of(cls, verdict: Verdict) -> Standing:
        decision, build = verdict.decision, verdict.build
        window = -(-build.period * build.limit // build.quota)
        return cls(
            verdict.rule,
            decision.limit,
            decision.remaining,
            verdict.next_after,
            decision.reset_after,
            max(1, window),
        )


class Fields:
    """Writes them. ``jitter`` is the most seconds that are added to a wait."""

    __slots__ = ("_jitter", "_mode", "_reset")

    def __init__(
        self, mode: HeaderMode = "draft10", reset: ResetForm = "seconds", jitter: float = 0.0
    ) -> None:
        if mode not in ("draft10", "draft-10", "x-ratelimit", "off"):
            raise ValueError(f"headers are draft10, x-ratelimit or off, not {mode!r}")
        if reset not in ("seconds", "epoch"):
            raise ValueError(f"a reset is told in seconds or as an epoch, not {reset!r}")
        if not 0 <= jitter < math.inf:
            raise ValueError(f"a jitter is 0 or more seconds, not {jitter}")
        self._mode = "draft10" if mode == "draft-10" else mode
        self._reset = reset
        self._jitter = jitter

    def draw(self) -> int:
        """Microseconds to add to every wait of one response."""
        return round(random.random() * self._jitter * SECOND) if self._jitter else 0

    def of(
        self, policies: Sequence[Standing], items: Sequence[Standing], late: int
    ) -> list[Header]:
        """``items`` are those whose numbers are true of now; ``late`` is from `draw`."""
        if not items or self._mode == "off":
            return NOTHING
        if self._mode == "x-ratelimit":
            tightest = min(items, key=lambda one: (one.remaining, -one.reset_after))
            return self._numbers(tightest, late)
        return [
            (b"ratelimit-policy", b", ".join([_policy(p[0], p[1], p[5]) for p in policies])),
            (b"ratelimit", b", ".join([_item(item, late) for item in items])),
        ]

    @property
    def is_plain(self) -> bool:
        """Whether what is told follows from the decision alone: see `announcer`."""
        return self._mode != "x-ratelimit" and not self._jitter

    def announcer(self, name: str, build: LimitRule) -> Announcer:
        """`of` for allowed takes under one rule, made ready for a hot path, if this is plain."""
        if self._mode == "off":
            return lambda decision: NOTHING
        window = -(-build.period * build.limit // build.quota)
        policy = (b"ratelimit-policy", _policy(name, build.limit, max(1, window)))
        return _announcer(build, quoted(name), policy)

    def announcer_of_all(
        self, rules: Sequence[tuple[str, LimitRule]]
    ) -> Callable[[Sequence[Decision]], list[Header]]:
        """The same for takes under several rules, one decision for each."""
        announcers = [self.announcer(name, build) for name, build in rules]

        def announce(decisions: Sequence[Decision]) -> list[Header]:
            pairs = zip(announcers, decisions, strict=True)
            return joined([one(decision) for one, decision in pairs])

        return announce

    def _numbers(self, one: Standing, late: int) -> list[Header]:
        reset = one.reset_after + late if one.reset_after else 0
        if self._reset == "epoch":
            reset += time.time_ns() // 1_000
        return [
            (b"x-ratelimit-limit", b"%d" % one.limit),
            (b"x-ratelimit-remaining", b"%d" % one.remaining),
            (b"x-ratelimit-reset", b"%d" % -(-reset // SECOND)),
        ]


def joined(announced: Sequence[list[Header]]) -> list[Header]:
    """What several announcers say, as one."""
    told = [headers for headers in announced if headers]
    if len(told) < 2:
        return told[0] if told else NOTHING
    return [
        (b"ratelimit-policy", b", ".join([headers[0][1] for headers in told])),
        (b"ratelimit", b", ".join([headers[1][1] for headers in told])),
    ]


def _announcer(build: LimitRule, name: bytes, policy: Header) -> Announcer:
    """Of a rule without terms. Requests that are alike are told the same: it is written once."""
    kept: dict[tuple[int, int], list[Header]] = {}

    def write(remaining: int, wait: int) -> list[Header]:
        if len(kept) >= KEPT:
            kept.clear()
        item = name + (b";r=%d;t=%d" % (remaining, wait) if wait > 0 else b";r=%d" % remaining)
        found = kept[remaining, wait] = [policy, (b"ratelimit", item)]
        return found

    def announce(decision: Decision) -> list[Header]:
        remaining, wait = decision[2], -(-build.next_after(decision) // SECOND)
        return kept.get((remaining, wait)) or write(remaining, wait)

    if isinstance(build, TokenBucket) and build.period <= build.quota * SECOND:
        return _of_fast_bucket(announce)
    return announce


def _of_fast_bucket(announce: Announcer) -> Announcer:
    """Of a bucket that regains one a second, or more: there is always more within a second, so
    all follows from what is left."""
    kept: dict[int, list[Header]] = {}

    def write(decision: Decision) -> list[Header]:
        if len(kept) >= KEPT:
            kept.clear()
        found = kept[decision[2]] = announce(decision)
        return found

    def announce_fast(decision: Decision) -> list[Header]:
        return kept.get(decision[2]) or write(decision)

    return announce_fast


def seconds(microseconds: int) -> int:
    """Whole ones, rounded up, and at least 1."""
    return max(1, -(-microseconds // SECOND))


@lru_cache(KEPT)
def quoted(name: str) -> bytes:
    """An sf-String."""
    return b'"%b"' % name.replace("\\", "\\\\").replace('"', '\\"').encode()


@lru_cache(KEPT)
def _policy(name: str, limit: int, window: int) -> bytes:
    """``w`` is whole seconds; of a token bucket it is the time from empty to full."""
    if not window:
        return b'%b;q=%d;qu="concurrent-requests"' % (quoted(name), limit)
    return b"%b;q=%d;w=%d" % (quoted(name), limit, seconds(window))


def _item(one: Standing, late: int) -> bytes:
    rest = b"%b;r=%d" % (quoted(one.rule), one.remaining)
    if one.next_after <= 0 or one.next_after == NEVER:
        return rest
    return b"%b;t=%d" % (rest, seconds(one.next_after + late))
