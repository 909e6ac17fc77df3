"""What a client is told: the RateLimit headers (draft 10), a 429 and a 503.

    RateLimit-Policy: "burst";q=20;w=12       the rule: 20 at once, all regained in 12 s
    RateLimit: "burst";r=4;t=1                what is left, and in how many seconds there is more

All that a rule alone decides is made once, when the middleware is. Seconds are rounded up:
whoever waits as long as we said is never too early.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from starlette.types import Message

from realtime.backends.base import NEVER, Decision
from realtime.middleware.rules import Rule

__all__ = ["OUTAGE", "Announcement", "Header", "Refusal", "policies", "refusal"]

Header = tuple[bytes, bytes]

SECOND = 1_000_000

_PROBLEM_TYPES = "https://iana.org/assignments/http-problem-types"
_NO_STORE = (b"cache-control", b"no-store")
"""A cache that kept a refusal would refuse others, and for longer."""


class Refusal:
    """An answer instead of the app's, for HTTP and for a WebSocket that was not accepted."""

    __slots__ = ("body", "headers", "status", "title")

    def __init__(self, status: int, headers: Iterable[Header], problem: dict[str, object]) -> None:
        self.status = status
        self.title = str(problem["title"])
        self.body = json.dumps(problem).encode()
        self.headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", b"%d" % len(self.body)),
            _NO_STORE,
            *headers,
        ]

    def messages(self, prefix: str, method: str = "GET") -> tuple[Message, Message]:
        """The two messages of a response; ``prefix`` is http or websocket.http."""
        start = {
            "type": f"{prefix}.response.start",
            "status": self.status,
            "headers": self.headers,
        }
        body = b"" if method == "HEAD" else self.body
        return start, {"type": f"{prefix}.response.body", "body": body}


OUTAGE = Refusal(
    503,
    [(b"retry-after", b"1")],
    {
        "type": f"{_PROBLEM_TYPES}#temporary-reduced-capacity",
        "title": "Temporary reduced capacity",
        "status": 503,
        "detail": "It cannot be said whether this request is within its limit. Try again.",
    },
)
"""The limiter cannot be asked, and whoever configured it wants no request to pass then."""


class Announcement:
    """One rule in the RateLimit header; formatted anew for every response."""

    __slots__ = ("_full", "_next_after", "_partial")

    def __init__(self, rule: Rule) -> None:
        name = _quoted(rule.name).replace(b"%", b"%%")
        self._full = name + b";r=%d"
        self._partial = name + b";r=%d;t=%d"
        self._next_after = rule.spec.build().next_after

    def item(self, decision: Decision) -> bytes:
        next_after = self._next_after(decision)
        if next_after:
            return self._partial % (decision.remaining, -(-next_after // SECOND))
        return self._full % decision.remaining


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


def refusal(
    violated: Sequence[tuple[Rule, Decision]], cost: int, announced: Sequence[Header]
) -> Refusal:
    """A 429 that names the rules, and says when the same request can pass, if ever."""
    waits = [decision.retry_after for _, decision in violated]
    problem: dict[str, object] = {
        "type": f"{_PROBLEM_TYPES}#quota-exceeded",
        "title": "Quota exceeded",
        "status": 429,
        "detail": " ".join(_sentence(rule, decision, cost) for rule, decision in violated),
        "violated-policies": [rule.name for rule, _ in violated],
    }
    if NEVER in waits:
        return Refusal(429, announced, problem)
    wait = max(waits)
    problem["retry_after"] = wait / SECOND
    return Refusal(429, [*announced, (b"retry-after", b"%d" % _seconds(wait))], problem)


def _sentence(rule: Rule, decision: Decision, cost: int) -> str:
    if decision.retry_after == NEVER:
        return f"This costs {cost}; the rule {rule.name} never allows more than {decision.limit}."
    burst = f", {rule.burst} at once" if rule.burst is not None else ""
    return f"The rule {rule.name} allows {rule.limit} in {rule.per:g} s{burst}."
