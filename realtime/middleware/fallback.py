"""What happens to a request about which nobody decides in time.

Each rule says: requests pass without headers (``allow``), are answered 503 (``deny``), or are
limited by this process alone to a share of the limit (``local``). Where several rules stand
together, one that denies decides; the local ones are one atomic step.

What this process counts alone is bounded in memory, and is not handed over when the limiter is
back: a caller may spend his share here, and what the limiter remembers of him.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from realtime.backends.base import BackendUnavailable
from realtime.errors import Unavailable
from realtime.middleware.limiter import EmbeddedLimiter, Limiter
from realtime.middleware.rules import OnOutage, Rule
from realtime.services.limits import Wish

__all__ = ["OUTAGES", "Fallback"]

OUTAGES = (Unavailable, BackendUnavailable)
"""There is no decision."""

LOCAL_KEYS = 100_000
"""Callers that this process remembers during an outage: about 30 MB."""


class Fallback:
    """For one limiter and the rules it is asked about."""

    def __init__(self, default: OnOutage) -> None:
        self._default = default
        self._local: Limiter | None = None
        self._defined: set[str] = set()

    def policy(self, rule: Rule) -> OnOutage:
        return rule.on_outage or self._default

    def decided_here(self, rules: Mapping[str, Rule], wishes: Sequence[Wish]) -> Sequence[Wish]:
        """Those of the wishes that this process decides. Raises Unavailable if one is denied."""
        policies = {wish.rule: self.policy(rules[wish.rule]) for wish in wishes}
        if "deny" in policies.values():
            raise Unavailable("the limiter cannot be asked")
        return [wish for wish in wishes if policies[wish.rule] == "local"]

    async def limiter(self, rules: Sequence[Rule]) -> Limiter:
        """Decides alone, to the share that the rules say."""
        if self._local is None:
            self._local = _bounded()
        new = [rule.alone() for rule in rules if rule.name not in self._defined]
        await self._local.prepare(new)
        self._defined |= {rule.name for rule in new}
        return self._local


def _bounded() -> Limiter:
    from realtime.embedded import Embedded  # a composition root: only if there is an outage

    return EmbeddedLimiter(Embedded(limit_max_keys=LOCAL_KEYS))
