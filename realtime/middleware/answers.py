"""What a client is told who is not let through: a 429, or a 503, as a problem document.

Titles and types are those that the IANA registers for draft 10. ``retry_after`` in the body is
exact; the header of that name is whole seconds, rounded up. What no wait will help has neither.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

from starlette.types import Message

from realtime.backends.base import NEVER
from realtime.middleware.fields import SECOND, Header, Standing, seconds
from realtime.middleware.rules import CONCURRENCY, Rule
from realtime.services.leases import Lease
from realtime.services.limits import Reason, RuleSpec, Verdict

__all__ = ["OUTAGE", "Refusal", "Refusals", "Violation"]

_PROBLEM_TYPES = "https://iana.org/assignments/http-problem-types"

REDUCED = "Temporary reduced capacity"
QUOTA_EXCEEDED = "Quota exceeded"
ABNORMAL = "Abnormal usage detected"

KEPT = 256
"""Beginnings of bodies that a route keeps; overrides make more of them than there are rules."""


class Refusal:
    """An answer instead of the app's, for HTTP and for a WebSocket that was not accepted."""

    __slots__ = ("body", "headers", "status", "title")

    def __init__(self, status: int, title: str, body: bytes, headers: Sequence[Header]) -> None:
        self.title = title
        self.status = status
        self.body = body
        self.headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", b"%d" % len(body)),
            # A cache that kept a refusal would refuse others, and for longer.
            (b"cache-control", b"no-store"),
            *headers,
        ]

    def messages(self, prefix: str, method: str = "GET") -> tuple[Message, Message]:
        """The two messages of a response; ``prefix`` is http or websocket.http."""
        return (
            {
                "type": f"{prefix}.response.start",
                "status": self.status,
                # Not the list itself: whoever stands outside may add to it, and one is sent again.
                "headers": [*self.headers],
            },
            {"type": f"{prefix}.response.body", "body": b"" if method == "HEAD" else self.body},
        )


OUTAGE = Refusal(
    503,
    REDUCED,
    json.dumps(
        {
            "type": f"{_PROBLEM_TYPES}#temporary-reduced-capacity",
            "title": REDUCED,
            "status": 503,
            "detail": "It cannot be said whether this request is within its limit. Try again.",
        }
    ).encode(),
    [(b"retry-after", b"1")],
)
"""The limiter cannot be asked, and whoever configured it wants no request to pass then."""


class Violation(NamedTuple):
    """A rule that does not let a request through, and how its caller stands."""

    standing: Standing
    spec: RuleSpec
    reason: Reason
    retry_after: int
    status: int

    @classmethod
    def of(cls, verdict: Verdict, status: int) -> Violation:
        wait = verdict.decision.retry_after
        return cls(Standing.of(verdict), verdict.spec, verdict.reason, wait, status)

    @classmethod
    def of_lease(cls, rule: str, spec: RuleSpec, lease: Lease, status: int) -> Violation:
        wait = lease.retry_after
        standing = Standing(rule, lease.limit, max(0, lease.limit - lease.active), wait, wait, 0)
        return cls(standing, spec, lease.reason, wait, status)


class Refusals:
    """The refusals of a route: which rules forbid, and when the same request can pass, if ever.

    Whoever is refused will often come again at once, so all but the time is written only
    the first time, for each set of rules that forbid together.
    """

    __slots__ = ("_beginnings",)

    def __init__(self) -> None:
        self._beginnings: dict[tuple[object, ...], bytes] = {}

    def of_rule(self, rule: Rule) -> Callable[[int, Sequence[Header]], Refusal]:
        """`refusal` for one rule that is the same for all callers, made ready for a hot path:
        a function of the wait and the fields about the limit."""
        limit = rule.spec.build().limit
        standing = Standing(rule.name, limit, 0, 0, 0, 1)
        violated = [Violation(standing, rule.spec, "limit", 0, rule.status)]
        status, title, kind = _kind(violated)
        beginning = _problem(violated, 0, status, title, kind)[:-1]

        def refused(wait: int, announced: Sequence[Header]) -> Refusal:
            return _refused(status, title, beginning, wait, announced)

        return refused

    def refusal(
        self, violated: Sequence[Violation], cost: int, announced: Sequence[Header], late: int = 0
    ) -> Refusal:
        """``announced`` are the fields about the limits; ``late`` is added to the wait."""
        waits = [one.retry_after for one in violated]
        status, title, kind = _kind(violated)
        if NEVER in waits:
            return Refusal(status, title, _problem(violated, cost, status, title, kind), announced)
        case = tuple([_case(one) for one in violated])
        beginning = self._beginnings.get(case)
        if beginning is None:
            if len(self._beginnings) >= KEPT:
                self._beginnings.clear()
            beginning = _problem(violated, cost, status, title, kind)[:-1]
            self._beginnings[case] = beginning
        return _refused(status, title, beginning, max(waits) + late, announced)


def _refused(
    status: int, title: str, beginning: bytes, wait: int, announced: Sequence[Header]
) -> Refusal:
    body = b'%b, "retry_after": %b}' % (beginning, repr(wait / SECOND).encode())
    retry_after = (b"retry-after", b"%d" % seconds(wait))
    return Refusal(status, title, body, [*announced, retry_after])


def _kind(violated: Sequence[Violation]) -> tuple[int, str, str]:
    """Status, title and type: a caller who did nothing wrong is not told that he did."""
    if all(one.status == 503 or one.reason == "saturated" for one in violated):
        return 503, REDUCED, "temporary-reduced-capacity"
    if any(one.reason == "penalty" for one in violated):
        return 429, ABNORMAL, "abnormal-usage-detected"
    return 429, QUOTA_EXCEEDED, "quota-exceeded"


def _problem(violated: Sequence[Violation], cost: int, status: int, title: str, kind: str) -> bytes:
    problem = {
        "type": f"{_PROBLEM_TYPES}#{kind}",
        "title": title,
        "status": status,
        "detail": " ".join(_sentence(one, cost) for one in violated),
        "violated-policies": [one.standing.rule for one in violated],
    }
    return json.dumps(problem).encode()


def _case(one: Violation) -> tuple[object, ...]:
    """All that the beginning of a body says of it. A rule's name is not enough: of a tier, or at
    a rate of the caller's own, the same rule is another limit."""
    spec = one.spec
    return one.standing.rule, one.reason, spec.limit, spec.burst, spec.per, spec.unit


def _sentence(one: Violation, cost: int) -> str:
    name, spec = one.standing.rule, one.spec
    if one.reason == "denied":
        return f"The rule {name} does not admit this caller."
    if one.reason == "penalty":
        return f"The rule {name} was violated too often."
    if one.reason == "saturated":
        return f"The rule {name} has no room for another caller."
    if one.retry_after == NEVER:
        return f"This costs {cost}; the rule {name} never allows more than {one.standing.limit}."
    if spec.algorithm == CONCURRENCY:
        return f"The rule {name} allows {spec.limit} at once."
    if spec.unit is not None:
        return f"The rule {name} allows {spec.limit} in a {spec.unit}."
    burst = f", {spec.burst} at once" if spec.burst is not None else ""
    return f"The rule {name} allows {spec.limit} in {spec.per:g} s{burst}."
