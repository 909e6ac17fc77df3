"""How a caller stands under a rule, in a sentence for people."""

from __future__ import annotations

from realtime.backends.base import NEVER
from realtime.services.limits import Explanation

__all__ = ["state_text"]

SECOND = 1_000_000


def state_text(explanation: Explanation) -> str:
    verdict = explanation.verdict
    decision = verdict.decision
    match explanation.term.source:
        case "deny":
            return "on the deny list: always refused"
        case "allow":
            return "on the allow list: never refused"
    if explanation.released_after:
        return f"in the penalty box for another {_duration(explanation.released_after)}"
    if verdict.spec.algorithm == "concurrency":
        return f"{explanation.leases} of {decision.limit} running"
    if not decision.reset_after:
        return f"all {decision.limit} left"
    again = _duration(decision.reset_after)
    if decision.remaining or decision.retry_after == NEVER:
        return f"{decision.remaining} of {decision.limit} left, all of it in {again}"
    more = _duration(max(1, verdict.next_after))
    return f"none of {decision.limit} left, more in {more}, all of it in {again}"


def _duration(microseconds: int) -> str:
    """Rounded up to what people count in."""
    seconds = -(-microseconds // SECOND)
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7_200:
        return f"{-(-seconds // 60)} min"
    return f"{-(-seconds // 3_600)} h"
