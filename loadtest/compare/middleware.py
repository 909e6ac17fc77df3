"""What `RateLimitMiddleware` adds to a request: the figures of `loadtest.middleware_cost`.

The timed region holds whole requests through ASGI in this process, in CPU time, by turns
with the middleware and without; the figure is the difference within each round.
"""

from __future__ import annotations

from statistics import median

from loadtest.compare.report import Line, Row
from loadtest.compare.rounds import Effort
from loadtest.middleware_cost import AT_MOST, measure

__all__ = ["rows"]

ROUNDS = 400
"""Short rounds, 100 requests each, for one round of the others."""


def rows(effort: Effort) -> list[Row]:
    figures = measure(effort.rounds * ROUNDS)
    added = tuple(
        limited - bare for bare, limited in zip(figures.bare, figures.limited, strict=True)
    )
    bare = f"a bare request takes {median(figures.bare):.1f} µs"
    lines = (Line("added by RateLimitMiddleware", added, note=bare),)
    return [Row("Middleware, per request", "µs of CPU", "lower", lines, at_most=AT_MOST)]
