"""What a client is told: the RateLimit headers (draft 10), a 429 and a 503.

    RateLimit-Policy: "burst";q=20;w=12       the rule: 20 at once, all regained in 12 s
    RateLimit: "burst";r=4;t=1                what is left, and in how many seconds there is more

All that a rule alone decides is made once, when the middleware is. Seconds are rounded up:
whoever waits as long as we said is never too early.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from starlette.types import Message

from realtime.backends.base import NEVER, Decision
from realtime.middleware.rules import Rule

__all__ = ["OUTAGE", "Header", "Refusal", "Refusals", "item_of", "policies"]

Header = tuple[bytes, bytes]

SECOND = 1_000_000

_PROBLEM_TYPES = "https://iana.org/assignments/http-problem-types"


class Refusal:
    """An answer instead of the app's, for HTTP and for a WebSocket that was not accepted."""

    __slots__ = ("_body", "_headers", "_status", "title")

    def __init__(self, status: int, title: str, body: bytes, headers: Sequence[Header]) -> None:
        self.title = title
        self._status = status
        self._body = body
        self._headers = [
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
                "status": self._status,
                "headers": self._headers,
            },
            {"type": f"{prefix}.response.body", "body": b"" if method == "HEAD" else self._body},
        )


OUTAGE = Refusal(
    503,
    "Temporary reduced capacity",
    json.dumps(
        {
            "type": f"{_PROBLEM_TYPES}#temporary-reduced-capacity",
            "title": "Temporary reduced capacity",
            "status": 503,
            "detail": "It cannot be said whether this request is within its limit. Try again.",
        }
    ).encode(),
    [(b"retry-after", b"1")],
)
"""The limiter cannot be asked, and whoever configured it wants no request to pass then."""


class Refusals:
    """The 429s of a route: which rules forbid, and when the same request can pass, if ever.

    Whoever is refused will often come again at once, so all but the time is written only
    the first time, for each set of rules that forbid together.
    """

    __slots__ = ("_beginnings",)

    def __init__(self) -> None:
        self._beginnings: dict[tuple[str, ...], bytes] = {}

    def refusal(
        self,
        violated: Sequence[tuple[Rule, Decision]],
        cost: int,
        announced: Sequence[Header],
    ) -> Refusal:
        """``announced`` are the RateLimit headers."""
        waits = [decision.retry_after for _, decision in violated]
        if NEVER in waits:
            body = _problem(violated, cost)
            return Refusal(429, QUOTA_EXCEEDED, body, announced)
        names = tuple([rule.name for rule, _ in violated])
        beginning = self._beginnings.get(names)
        if beginning is None:
            beginning = self._beginnings[names] = _problem(violated, cost)[:-1]
        wait = max(waits)
        body = b'%b, "retry_after": %b}' % (beginning, repr(wait / SECOND).encode())
        return Refusal(
            429, QUOTA_EXCEEDED, body, [*announced, (b"retry-after", b"%d" % _seconds(wait))]
        )


QUOTA_EXCEEDED = "Quota exceeded"


def _problem(violated: Sequence[tuple[Rule, Decision]], cost: int) -> bytes:
    problem = {
        "type": f"{_PROBLEM_TYPES}#quota-exceeded",
        "title": QUOTA_EXCEEDED,
        "status": 429,
        "detail": " ".join(_sentence(rule, decision, cost) for rule, decision in violated),
        "violated-policies": [rule.name for rule, _ in violated],
    }
    return json.dumps(problem).encode()


def _sentence(rule: Rule, decision: Decision, cost: int) -> str:
    if decision.retry_after == NEVER:
        return f"This costs {cost}; the rule {rule.name} never allows more than {decision.limit}."
    burst = f", {rule.burst} at once" if rule.burst is not None else ""
    return f"The rule {rule.name} allows {rule.limit} in {rule.per:g} s{burst}."


def item_of(rule: Rule) -> Callable[[Decision], bytes]:
    """A function that writes the rule's item of the RateLimit header."""
    name = _quoted(rule.name).replace(b"%", b"%%")
    full, partial = name + b";r=%d", name + b";r=%d;t=%d"
    next_after_of = rule.spec.build().next_after

    def item(decision: Decision) -> bytes:
        next_after = next_after_of(decision)
        if next_after > 0:  # a service may decide by a rule that differs from ours
            return partial % (decision.remaining, -(-next_after // SECOND))
        return full % decision.remaining

    return item


def policies(rules: Sequence[Rule]) -> Header:
    """The RateLimit-Policy header of rules that apply together."""
    return b"ratelimit-policy", b", ".join(map(_policy, rules))


def _policy(rule: Rule) -> bytes:
    """``w`` is whole seconds; of a token bucket it is the time from empty to full."""
    quota = rule.spec.build().limit
    window = _seconds(round(rule.per * quota / rule.limit * SECOND))
    return b"%b;q=%d;w=%d" % (_quoted(rule.name), quota, window)


def _quoted(name: str) -> bytes:
    """An sf-String."""
    return b'"%b"' % name.replace("\\", "\\\\").replace('"', '\\"').encode()


def _seconds(microseconds: int) -> int:
    return max(1, -(-microseconds // SECOND))
