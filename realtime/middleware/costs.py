"""What a request has cost in the end, as the app says: in a header, or by a function.

If it does not say, or says nonsense, what was estimated stays spent.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from starlette.types import Scope

from realtime.middleware.ask import MAX_COST, CostAfter
from realtime.middleware.fields import Header
from realtime.middleware.occasional import Occasional

__all__ = ["cost_in", "cost_of"]

log = logging.getLogger(__name__)
lines = Occasional(log)


def cost_of(after: CostAfter | None, scope: Scope, headers: Iterable[Header]) -> int | None:
    """None if it was as estimated. Never raises: the response has been sent."""
    if after is None:
        return None
    if isinstance(after, str):
        return cost_in(after, headers)
    try:
        return _checked(after(scope))
    except Exception:
        log.exception("cost_after failed; what was estimated stays spent")
        return None


def cost_in(name: str, headers: Iterable[Header]) -> int | None:
    """What the header says; ``name`` is in lower case."""
    wanted = name.encode()
    for found, value in headers:
        if found.lower() == wanted:
            return _checked(int(value) if value.isdigit() and len(value) <= 10 else -1)
    return None


def _checked(cost: int | None) -> int | None:
    if cost is None or (isinstance(cost, int) and 0 <= cost <= MAX_COST):
        return cost
    lines.warn(f"a request cannot have cost {cost!r}; what was estimated stays spent")
    return None
