"""The same limits in three places: in this process, in a Redis, behind a service."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp

from realtime.middleware import Limiter, RateLimitMiddleware, Rule
from realtime.services.limits import Wish
from tests.middleware.conftest import Ask, shop

__all__ = ["Place"]

numbers = itertools.count()


@dataclass(frozen=True)
class Place:
    """A limiter, and rules in it that no other test knows."""

    limiter: Limiter
    override: Callable[[str, str, dict[str, Any]], Any]
    """``await override(rule, key, {"limit": …})``, from outside the app."""

    def rule(self, name: str, limit: int, **fields: Any) -> Rule:
        """An hour, if nothing else is said: longer than a test takes."""
        if fields.get("algorithm") != "calendar":
            fields.setdefault("per", 3600)
        return Rule(f"{name}-{next(numbers)}", limit, **fields)

    def client(self, app: ASGIApp | None = None, **options: Any) -> Ask:
        return Ask(RateLimitMiddleware(app or shop(), limiter=self.limiter, **options))

    async def left(self, rule: Rule, key: str = "ip:203.0.113.7") -> int:
        """What a caller has left."""
        (verdict,) = await self.limiter.take([Wish(rule.name, key, 0)])
        return verdict.decision.remaining
