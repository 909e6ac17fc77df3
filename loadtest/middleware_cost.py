"""What the rate-limit middleware adds to a request, in CPU time.

python -m loadtest.middleware_cost [--rounds N]

A Starlette app with one route is driven through ASGI in this process, bare and with the
middleware in front of it: no server, no socket, no client. The timed region holds whole
requests, from the call of the app to the last message it sends. The clock is the CPU time of
this process, and the garbage collector is on, as it is in an app.

Rounds are short and by turns, and the figure is the median of the differences within each.
CPU time is no constant: a neighbour on the other half of the same core makes both sides up to
twice as slow, and the difference with them. So the tenth of the rounds counts in which
the bare app was fastest: in those the machine had the least else to do. (If that favours
anybody, it is the bare app.)
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Scope

from realtime.middleware import RateLimitMiddleware, Rule

__all__ = ["AT_MOST", "Figures", "measure"]

AT_MOST = 3.0
"""Microseconds that a limited request may cost more than a bare one."""

SEVERAL = 2.5
"""Times that three rules together may add what one does."""

REQUESTS = 100
"""In one round: 1 ms of work, too short for most interruptions."""

PLENTY = 6_000_000
"""Requests a minute: more than can be made, so every one is allowed and announced."""

THREE = ("second", "minute", "day")

SCOPE: Scope = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/items/42",
    "raw_path": b"/items/42",
    "query_string": b"",
    "root_path": "",
    "headers": [(b"host", b"shop"), (b"accept", b"*/*")],
    "client": ("203.0.113.7", 4711),
    "server": ("shop", 80),
}


class Figures(NamedTuple):
    """Microseconds of CPU time per request, of every round that counts."""

    bare: tuple[float, ...]
    limited: tuple[float, ...]

    @property
    def added(self) -> float:
        """The median of what a limited request cost more than a bare one."""
        return median(limited - bare for bare, limited in zip(self.bare, self.limited, strict=True))


def measure(
    rounds: int, route: str = "/items/{id}", rule: Rule | Sequence[Rule] | None = None
) -> Figures:
    """Bare and limited, by turns; the quiet tenth of so many rounds."""
    return asyncio.run(_measure(rounds, route, rule or Rule("items", limit=PLENTY, per=60)))


async def _measure(rounds: int, route: str, rule: Rule | Sequence[Rule]) -> Figures:
    rules: dict[str, Rule | Sequence[Rule]] = {
        route: rule,
        "POST /login": Rule("login", limit=5, per=60, algorithm="sliding_window"),
        "/users/{id}/orders/{order}": Rule("orders", limit=30, per=60),
    }
    bare, limited = _app(), RateLimitMiddleware(_app(), rules=rules)
    pairs = [(await _round(bare), await _round(limited)) for _ in range(rounds)]
    quiet = sorted(pairs)[: max(1, rounds // 10)]
    return Figures(tuple(pair[0] for pair in quiet), tuple(pair[1] for pair in quiet))


def _app() -> Starlette:
    async def read_item(request: Request) -> PlainTextResponse:
        return PlainTextResponse("an item")

    return Starlette(routes=[Route("/items/{id}", read_item)])


async def _round(app: ASGIApp) -> float:
    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        """As far as the app can tell, it is sent."""

    started = time.process_time_ns()
    for _ in range(REQUESTS):
        await app(dict(SCOPE), receive, send)
    return (time.process_time_ns() - started) / REQUESTS / 1000


def _report(name: str, figures: Figures) -> str:
    return f"{name:<36} {median(figures.limited):6.1f} {figures.added:+8.2f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 if the middleware costs more than it may, or three rules do."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.middleware_cost")
    parser.add_argument("--rounds", type=int, default=2_000, metavar="N")
    rounds: int = parser.parse_args(arguments).rounds
    allowed = measure(rounds)
    print(f"{'µs of CPU per request':<36} {'median':>6} {'added':>8}")
    print(f"{'bare Starlette':<36} {median(allowed.bare):6.1f}")
    print(_report("limited, allowed, announced", allowed))
    refused = Rule("items", limit=1, per=3600)
    print(_report("limited, refused (the app is not run)", measure(rounds, rule=refused)))
    three = measure(rounds, rule=[Rule(name, limit=PLENTY, per=60) for name in THREE])
    print(_report("three rules in one step, allowed", three))
    print(_report("a route without a rule", measure(rounds, route="/elsewhere/{id}")))
    added, times = allowed.added, three.added / allowed.added
    verdicts = [_verdict(added <= AT_MOST), _verdict(times <= SEVERAL)]
    print(f"the middleware adds {added:.2f} µs; at most {AT_MOST:g}: {verdicts[0]}")
    print(f"three rules add {times:.2f} times as much; at most {SEVERAL:g}: {verdicts[1]}")
    return 0 if verdicts == ["met", "met"] else 1


def _verdict(is_met: bool) -> str:
    return "met" if is_met else "MISSED"


if __name__ == "__main__":
    sys.exit(main())
