"""Steps: takes under several rules at once, written out as one function.

Calling a take costs as much as what it does. The rules of a route are fixed, so a step is bound
to them beforehand, and its function put together from what each algorithm does in the common
case; as `dataclasses` does it for ``__init__``, once per sequence of algorithms. Common is that
all callers are known, by states of the rule's own, and that each spends something. What is not
is left to `take_all`, as long as nothing was written. A step answers as that would. A take under
one rule is written out likewise.

Three rules - a burst, an hour, a day - cost little more than two bare takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import combinations
from textwrap import indent
from typing import Any, Protocol, cast

from engine.core import Core, milliseconds
from engine.keyspace import text
from engine.limits import Decision, FixedWindow, LimitRule, SlidingWindow, TokenBucket

__all__ = ["Step", "Take", "TakeAll", "TakeBound", "Wanted", "bind", "bind_one"]

MOST = 4
"""Rules that are written out: so there are at most 4 + 4**2 + 4**3 + 4**4 functions."""

Wanted = tuple[bytes, LimitRule, int]
"""(key, rule, cost)"""


class Take(Protocol):
    """Spend ``cost`` if the rule allows it; a cost of 0 only looks. O(1).

    Answers `Saturated` if there is no room for a new caller. Raises WrongType, and OutOfTime
    if the rule does not hold now."""

    def __call__(self, key: bytes, rule: LimitRule, cost: int = 1) -> Decision: ...


class TakeBound(Protocol):
    """`Take` under a rule it is bound to."""

    def __call__(self, key: bytes, cost: int, /) -> Decision: ...


class TakeAll(Protocol):
    """Spend all, or nothing if any is refused. O(wanted). Raises as `Take` does.

    Each decision is what its take would meet after the earlier ones of the same call.
    """

    def __call__(self, wanted: Sequence[Wanted]) -> list[Decision]: ...


class Step(Protocol):
    """`TakeAll` under rules it is bound to: there is a key, and a cost, for each."""

    def __call__(self, keys: Sequence[bytes], costs: Sequence[int]) -> list[Decision]: ...


Written = Callable[..., object]
"""A step, or a take, that is not bound yet: see `STEP`."""


# What each algorithm does, as in its ``take``, with ``state_N`` at ``now``; N is the rule's place.
# If all is spent, ``after_N`` is stored until ``due_N``.

REFUSED = """
    decision_N = take_N(state_N, now, cost_N)[0]
    spent = False
"""
REFUSED_ALONE = """
    return aside(key_N, cost_N)
"""
"""A take alone may change the state although it refuses."""

BUCKET = f"""
price = cost_N * rule_N.interval
after_N = due_N = (state_N if state_N > now else now) + price
missing = after_N - now
left = rule_N.capacity - missing
if left >= 0:
    decision_N = new(Decision, (True, rule_N.burst, left // rule_N.interval, 0, missing))
elif left + price >= 0 and cost_N <= rule_N.burst:
    room = (left + price) // rule_N.interval
    decision_N = new(Decision, (False, rule_N.burst, room, -left, missing - price))
    spent = False
else:{REFUSED}"""

WINDOW = """
if not begins_N <= now < ends_N:
    window_N = now // rule_N.period
    begins_N = window_N * rule_N.period
    ends_N = begins_N + rule_N.period
"""

FIXED = f"""{WINDOW}
seen, count = state_N
if seen != window_N:
    if seen < 0 or type(state_N) is bytes:
        raise TypeError
    if seen < window_N:
        count = 0
count += cost_N
left = rule_N.quota - count
if left >= 0:
    after_N, due_N = (window_N, count), ends_N
    decision_N = new(Decision, (True, rule_N.quota, left, 0, ends_N - now))
else:{REFUSED}"""

SLIDING = f"""{WINDOW}
seen, previous, current = state_N
if seen != window_N:
    if seen < 0 or type(state_N) is bytes:
        raise TypeError
    if seen < window_N:
        previous, current = current if seen == window_N - 1 else 0, 0
current += cost_N
left = rule_N.quota - current + -previous * (ends_N - now) // rule_N.period
if left >= 0:
    after_N, due_N = (window_N, previous, current), ends_N + rule_N.period
    decision_N = new(Decision, (True, rule_N.quota, left, 0, due_N - now))
else:{REFUSED}"""

OTHER = """
decision_N, after_N, due_N = take_N(state_N, now, cost_N)
if not decision_N[0]:
    spent = False
"""

# Two states are the same object where a key is there twice. A state that is not the rule's own, or
# is text, may raise TypeError or ValueError; `take_all` then converts it, or says what is wrong.
STEP = """
def bound(core, values, deadlines, aside, tell, rules):
    clock, effects = core.clock, core.effects
    [{rules}] = rules
    [{takes}] = [rule.take for rule in rules]
    {windows} = 0

    def step({asked}):
        nonlocal {memory}
        {parted}
        if not ({common}):
            return aside({asked})
        {states}
        if {alike}:
            return aside({asked})
        now = clock()
        spent = True
        try:
{work}
        except (TypeError, ValueError):
            return aside({asked})
        if spent:
            {writing}
            effects.changes += {number}
            if effects.listeners:
                tell([{keys}])
        return {answer}

    return step
"""


def bind(core: Core, take_all: TakeAll, rules: Sequence[LimitRule]) -> Step:
    """The step under these rules. A few microseconds; a millisecond for a new sequence."""

    def aside(keys: Sequence[bytes], costs: Sequence[int]) -> list[Decision]:
        return take_all(list(zip(keys, rules, costs, strict=True)))

    if not 1 <= len(rules) <= MOST:
        return aside
    return cast(Step, _bound(_written(tuple(map(_algorithm, rules))), core, aside, rules))


def bind_one(core: Core, take: Take, rule: LimitRule) -> TakeBound:
    """The take under this rule alone. As ``bind``."""

    def aside(key: bytes, cost: int) -> Decision:
        return take(key, rule, cost)

    algorithm = _algorithm(rule)
    if algorithm is OTHER:
        return aside
    return cast(TakeBound, _bound(_written_alone(algorithm), core, aside, [rule]))


def _bound(written: Written, core: Core, aside: object, rules: Sequence[LimitRule]) -> object:
    values: dict[bytes, Any] = core.keyspace.values
    deadlines = core.keyspace.deadlines

    def tell(keys: Sequence[bytes]) -> None:
        for key in keys:
            due = milliseconds(deadlines[key])
            core.effects.emit(b"SET", key, text(values[key]), b"PXAT", due)

    return written(core, values, deadlines, aside, tell, rules)


def _algorithm(rule: LimitRule) -> str:
    if type(rule) is TokenBucket and rule.scale == 1:
        return BUCKET
    if type(rule) is FixedWindow:
        return FIXED
    return SLIDING if type(rule) is SlidingWindow else OTHER


@cache  # bounded by `MOST`
def _written(algorithms: tuple[str, ...]) -> Written:
    parted = "[{keys}] = keys; [{costs}] = costs"
    return _compiled(algorithms, asked="keys, costs", parted=parted, answer="[{decisions}]")


@cache
def _written_alone(algorithm: str) -> Written:
    alone = algorithm.replace(REFUSED, REFUSED_ALONE)
    return _compiled([alone], asked="key_0, cost_0", parted="", answer="decision_0")


def _compiled(algorithms: Sequence[str], asked: str, parted: str, answer: str) -> Written:
    """``asked`` is what the step is called with, ``parted`` how that falls apart."""
    fields = _fields(algorithms)
    shape = {"asked": asked, "parted": parted, "answer": answer}
    source = STEP.format(**fields, **{name: part.format(**fields) for name, part in shape.items()})
    namespace: dict[str, Any] = {"Decision": Decision, "new": tuple.__new__}
    exec(source, namespace)
    written: Written = namespace["bound"]
    return written


def _fields(algorithms: Sequence[str]) -> dict[str, object]:
    places = range(len(algorithms))

    def each(part: str, between: str = ", ") -> str:
        return between.join([part.replace("_N", f"_{place}") for place in places])

    alike = [f"state_{one} is state_{other}" for one, other in combinations(places, 2)]
    work = [part.replace("_N", f"_{place}") for place, part in enumerate(algorithms)]
    return {
        "rules": each("rule_N"),
        "takes": each("take_N"),
        "windows": each("window_N = begins_N = ends_N", " = "),
        "memory": each("window_N, begins_N, ends_N"),
        "keys": each("key_N"),
        "costs": each("cost_N"),
        "common": each("key_N in deadlines and cost_N > 0", " and "),
        "states": each("state_N = values[key_N]", "; "),
        "alike": " or ".join(alike) or "False",
        "work": indent("".join(work), " " * 12),
        "writing": each("values[key_N] = after_N; deadlines[key_N] = due_N", "; "),
        "number": len(algorithms),
        "decisions": each("decision_N"),
    }
