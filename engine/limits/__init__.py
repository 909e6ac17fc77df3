"""Rate limits: may this caller proceed now, and if not, when?

Five rules, one interface: ``take(state, now, cost)`` answers a `Decision` and what to store.
Everything is exact integer arithmetic on microseconds: no drift, no epsilon. A refusal spends
nothing: if it did, a client hammering a closed door would keep pushing back the moment it
opens. (It stores something only after the clock stepped back.) A ``cost`` of 0 only looks. A
``cost`` above the rule's capacity can never pass; it is refused with ``retry_after`` of
``NEVER``.

What each promises, for a capacity N per period W: a fixed window, and a calendar window, may
admit 2N around a boundary; a sliding window about N in any aligned period and at most 2N in
the worst; a token bucket N at once plus N/W a second; a sliding log N in any W whatever.

Pure: no clock, no I/O.

    decision        what they have in common: decisions, states, the interface
    token_bucket    one integer per caller
    windows         the fixed and the sliding window
    log             the sliding log
    calendar        windows of people, made by somebody who knows the calendar
    penalty         for those who keep violating
    amended         a rule that was changed, on the state that is there
"""

from __future__ import annotations

from engine.limits.amended import Amended, Policy, bare_rule, reader_of, rule_of
from engine.limits.calendar import CalendarWindow
from engine.limits.decision import (
    MAX_LIMIT,
    MAX_PERIOD,
    MAX_REFILL,
    NEVER,
    TAG,
    Decision,
    LimitRule,
    LimitState,
    OutOfTime,
    Parameters,
    Saturated,
    numbers_of,
)
from engine.limits.log import MAX_LOG, SlidingLog
from engine.limits.penalty import PenaltyBox
from engine.limits.token_bucket import TokenBucket
from engine.limits.windows import FixedWindow, SlidingWindow

__all__ = [
    "MAX_LIMIT",
    "MAX_LOG",
    "MAX_PERIOD",
    "MAX_REFILL",
    "NEVER",
    "TAG",
    "Amended",
    "CalendarWindow",
    "Decision",
    "FixedWindow",
    "LimitRule",
    "LimitState",
    "OutOfTime",
    "Parameters",
    "PenaltyBox",
    "Policy",
    "Saturated",
    "SlidingLog",
    "SlidingWindow",
    "TokenBucket",
    "bare_rule",
    "numbers_of",
    "reader_of",
    "rule_of",
]
