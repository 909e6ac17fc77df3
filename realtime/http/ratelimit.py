"""The RateLimit and RateLimit-Policy headers (draft 10), and Retry-After.

A policy says what a rule gives: ``q`` units per ``w`` whole seconds. RateLimit says what is
left of it, ``r``, and after how many seconds there will be more, ``t``; a full rule has no
``t``. Rounding is always up: a client that waits what it was told is never too early.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from realtime.backends.base import NEVER
from realtime.http.operation import Headers
from realtime.services.leases import Lease
from realtime.services.limits import Verdict

__all__ = ["DESCRIBED", "headers_of", "headers_of_lease"]

DESCRIBED = {
    "RateLimit-Policy": "What each rule gives: quota `q` per window of `w` seconds.",
    "RateLimit": "What is left under each rule, `r`, and when there is more: in `t` seconds.",
    "Retry-After": "If refused: the seconds after which the same cost can pass.",
}

_PLAIN = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


def headers_of(verdicts: Sequence[Verdict]) -> Headers:
    """The headers of one take, or of several made at once. Each rule stands there once."""
    by_rule = {verdict.rule: verdict for verdict in _tightest_last(verdicts)}
    names = {rule: _quoted(rule) for rule in by_rule}
    policies = ",".join(
        f"{names[rule]};q={verdict.decision.limit};w={_window(verdict)}"
        for rule, verdict in by_rule.items()
    )
    rests = ",".join(
        f"{names[rule]};r={verdict.decision.remaining}{_until_more(verdict)}"
        for rule, verdict in by_rule.items()
    )
    headers = ((b"ratelimit-policy", policies.encode()), (b"ratelimit", rests.encode()))
    waits = [verdict.decision.retry_after for verdict in verdicts if not verdict.allowed]
    if not waits or NEVER in waits:
        return headers
    return (*headers, (b"retry-after", b"%d" % max(1, _whole_seconds(max(waits)))))


def headers_of_lease(rule: str, lease: Lease) -> Headers:
    """The same of a limit on how much runs at once, whose unit is said."""
    left = max(0, lease.limit - lease.active) if lease.id is not None else 0
    name = _quoted(rule)
    wait = max(1, _whole_seconds(lease.retry_after)) if lease.retry_after > 0 else 0
    headers = (
        (b"ratelimit-policy", f'{name};q={lease.limit};qu="concurrent-requests"'.encode()),
        (b"ratelimit", (f"{name};r={left}" + (f";t={wait}" if wait else "")).encode()),
    )
    return headers if lease.allowed or not wait else (*headers, (b"retry-after", b"%d" % wait))


def _tightest_last(verdicts: Sequence[Verdict]) -> Sequence[Verdict]:
    if len(verdicts) == 1:
        return verdicts
    return sorted(verdicts, key=lambda verdict: -verdict.decision.remaining)


def _whole_seconds(microseconds: int) -> int:
    return -(-microseconds // 1_000_000)


def _window(verdict: Verdict) -> int:
    """A bucket's window is the time from empty to full."""
    build = verdict.build
    return max(1, _whole_seconds(-(-build.period * build.limit // build.quota)))


def _until_more(verdict: Verdict) -> str:
    return f";t={_whole_seconds(verdict.next_after)}" if verdict.next_after else ""


def _quoted(rule: str) -> str:
    """An sf-String: visible ASCII only, so the rest of a name is percent-encoded."""
    text = rule if rule.isascii() else quote(rule, safe=_PLAIN)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
