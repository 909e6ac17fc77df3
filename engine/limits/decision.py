"""What every limit has in common: the decision, the rule's interface, the stored state.

A state is a few integers. It is absent (``None``) for a caller who has spent nothing, and it
may expire at the deadline that ``take`` answers: from then on, absent and stored mean the same.

The three oldest algorithms store bare numbers, told apart by how many there are. All others
begin with a negative number, a *mark*, which no count and no instant can be.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Protocol

from engine.errors import EngineError

__all__ = [
    "MAX_LIMIT",
    "MAX_PERIOD",
    "MAX_REFILL",
    "NEVER",
    "TAG",
    "Decision",
    "LimitRule",
    "LimitState",
    "OutOfTime",
    "Outcome",
    "Parameters",
    "Saturated",
    "bare_numbers",
    "check_cost",
    "check_rule",
    "decide",
    "is_tagged",
    "marked",
    "numbers_of",
]

NEVER = -1
"""The ``retry_after`` of a cost that no wait will ever make affordable."""

LimitState = int | tuple[int, ...] | bytes
"""What is stored per caller: integers, or their decimal text when it comes from a file.

What reads one raises TypeError for anything else, for a state that is damaged, and for a *tagged*
one, which only `engine.limits.amended` reads.
"""

TAG = -1
"""The mark of states that say what they were written under."""

MAX_LIMIT = 2**31 - 1
MAX_PERIOD = 366 * 86_400 * 1_000_000
"""A year and a day: beyond it the integers would outgrow what Redis' Lua can count exactly."""

MAX_REFILL = 100 * MAX_PERIOD
"""A century from empty to full: the instant of being full must stay one that a double holds to
the microsecond (until 2255), and that Redis takes for a deadline."""

Parameters = tuple[int, int, int, int]
"""Which algorithm, quota, period, burst: what is remembered of a rule in a state."""


class OutOfTime(EngineError):
    """The rule was made for a span of time that the clock, at ``now``, is not in.

    Nothing was changed. Whoever made the rule makes the one that holds at ``now``, and asks
    again.
    """

    def __init__(self, now: int) -> None:
        super().__init__(f"the rule does not hold at {now}")
        self.now = now


class Decision(NamedTuple):
    """The answer to one take. Durations are microseconds."""

    allowed: bool
    limit: int
    """The rule's capacity."""
    remaining: int
    """What could still be taken right now."""
    retry_after: int
    """How long until the same cost passes if nobody else takes; 0 if allowed, or NEVER."""
    reset_after: int
    """How long until the caller, left alone, has the full capacity again."""


class Saturated(Decision):
    """Refused because there is no room to remember the caller: see `engine.buckets`."""

    __slots__ = ()


Outcome = tuple[Decision, LimitState | None, int]
"""A decision, what to store (None: nothing), and the deadline at which it may be forgotten.

A plain tuple, and decisions are built by ``decide``: a named tuple's own constructor would
cost a fifth of a take.
"""

_new = tuple.__new__

_TEXT = re.compile(rb"-?\d{1,16}(?: -?\d{1,16})*|-\d{1,19}")
"""No rule writes a number of more digits: all of them are below 2**53. A counter may be."""


def decide(
    allowed: bool, limit: int, remaining: int, retry_after: int, reset_after: int
) -> Decision:
    return _new(Decision, (allowed, limit, remaining, retry_after, reset_after))


class LimitRule(Protocol):
    """What the rules have in common. Every method is pure and O(1) but where it says otherwise."""

    @property
    def limit(self) -> int:
        """The most that can be had at once."""

    @property
    def period(self) -> int:
        """Microseconds in which ``quota`` is given."""

    @property
    def quota(self) -> int:
        """How much is given per period."""

    @property
    def parameters(self) -> Parameters:
        """What the rule is, in numbers: see `engine.limits.amended`."""

    def take(self, state: LimitState | None, now: int, cost: int) -> Outcome:
        """Spend ``cost`` if that is allowed; the state is None where nothing is to be stored."""

    def adjusted(
        self, state: LimitState | None, now: int, by: int, until: int | None = None
    ) -> tuple[LimitState | None, int]:
        """The state after ``by`` more was spent, or -by given back, and its deadline.

        Never below empty and never above full; None is full. ``until`` says when the clock will
        have given back all of what is given back: what it has by now is not given twice."""

    def next_after(self, decision: Decision) -> int:
        """Microseconds after which ``remaining`` will have grown, never too few; 0 if full."""

    def left(self, state: LimitState, now: int) -> int:
        """How much of this rule's own state remains at ``now``."""

    def deadline(self, state: LimitState) -> int:
        """From when on this rule's own state means the same as none."""

    def spent_at(self, spent: int, now: int) -> LimitState | None:
        """The state of a caller who has spent ``spent`` at once, at ``now``."""

    def keeps(self, other: LimitRule) -> bool:
        """Whether what ``other`` stores says of this rule, as it stands, what was spent."""


def numbers_of(state: LimitState) -> tuple[int, ...]:
    """Raises TypeError for what no rule can have written."""
    if isinstance(state, tuple) and state:
        return state
    if isinstance(state, int) and state < 2**53:
        return (state,)
    if isinstance(state, bytes) and _TEXT.fullmatch(state):
        numbers = tuple(map(int, state.split(b" ")))
        if _is_whole(numbers):
            return numbers
    raise TypeError(f"{state!r:.80} is no state of a limit")


def bare_numbers(state: LimitState) -> tuple[int, ...]:
    """Raises TypeError for a tagged state, too."""
    numbers = numbers_of(state)
    if is_tagged(numbers):
        raise TypeError("the state was written under parameters of its own")
    return numbers


def is_tagged(numbers: tuple[int, ...]) -> bool:
    """Whether a state says what it was written under. A number alone is no tag."""
    return numbers[0] == TAG and len(numbers) > 1


def marked(state: LimitState, mark: int, count: int | None = None) -> tuple[int, ...] | None:
    """The numbers of a state with this mark; None if it is another algorithm's, as is a mark
    that stands alone.

    Raises TypeError if there are not ``count``; without one, if they are no pairs."""
    numbers = bare_numbers(state)
    if numbers[0] != mark or len(numbers) == 1:
        return None
    if len(numbers) != count and (count or len(numbers) < 3 or len(numbers) % 2 == 0):
        raise TypeError(f"{state!r:.80} is a damaged state of a limit")
    return numbers


def _is_whole(numbers: tuple[int, ...]) -> bool:
    """Of numbers that come from a text; the same bounds hold in Redis, see `_limits.lua`."""
    first, *rest = numbers
    if first < 0:
        return first == TAG or not rest or min(rest) >= 0
    return first < 2**53 and len(rest) < 3 and all(number in range(2**31) for number in rest)


def check_rule(limit: int, period: int, most: int = MAX_LIMIT) -> None:
    if not 1 <= limit <= most:
        raise ValueError(f"limit must be within 1..{most}, got {limit}")
    if not 1 <= period <= MAX_PERIOD:
        raise ValueError(f"period must be within 1..{MAX_PERIOD} microseconds, got {period}")


def check_cost(cost: int) -> None:
    if cost < 0:
        raise ValueError(f"cost must not be negative, got {cost}")
