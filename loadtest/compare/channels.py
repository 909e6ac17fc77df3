"""Channels: what a delivery of 100 bytes costs and how long it takes, against nchan; and what
those cost who do not read.

The data is 100 bytes for either, and what each server wraps around it is its own business. Each
keeps the last 100 publications. Ours is one Python process, nchan one nginx worker.

**Cost.** Sixteen connections publish as fast as they are answered. Deliveries per second of the
server's CPU time, so that it does not matter what else the machine does. A second line of ours
publishes sixteen in one request (`POST /v1/batch`).

**Time.** A steady rate, evenly spaced, over as many connections, that both can do: see
`loadtest.compare.load.timed`.

**Stalled readers.** Ours alone, in pairs of rounds, without and with as many readers that never
read as there are good ones. They may cost the good ones time, and memory as far as their queues
are configured: nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

import msgspec

from loadtest.compare.fan_out import MANY, NCHAN, Site, load, nchan_site, own_site
from loadtest.compare.load.timed import STAMP, Pace, Timed
from loadtest.compare.processes import Missing, wait_until_idle
from loadtest.compare.report import Line, Row
from loadtest.compare.rounds import Contender, Effort, interleaved

__all__ = ["rows", "stalled"]

AUDIENCES = (500, 2_000)
"""Subscribers."""
MESSAGE = f'"{STAMP:x<98}"'
"""100 bytes: a JSON string."""
RATE = 50_000.0
"""Deliveries per second."""
WARM_SECONDS = 1.0
BATCH = 16
CHEAPER = 1.5
"""How many times as many deliveries ours is to make of a second of CPU time."""
NO_SLOWER = 1.0

READERS = 200
"""Good ones, and as many that stall."""
STALLED_RATE = 20_000.0
"""Deliveries per second to the good ones."""
LONG_MESSAGE = f'"{STAMP:x<3998}"'
"""4,000 bytes, so that the sockets of the stalled ones are full before anything counts: the kernel
takes some 2.5 MB for each."""
FILLING_SECONDS = 8.0
QUEUE_BYTES = 8 * 1024 * 1024
"""What may wait for one connection; it is not reached, or the stalled ones would be gone."""
SLOWDOWN = 1.5
"""How many times as long the p99 of the good ones may be."""


def rows(effort: Effort) -> list[Row]:
    with ExitStack() as stack:
        sites = [own_site(stack, MESSAGE)]
        missing: tuple[str, ...] = ()
        try:
            sites.append(nchan_site(stack, MESSAGE))
        except Missing as reason:
            missing = (f"{NCHAN}: {reason}",)
        costs = [_cost(sites, missing, audience, effort) for audience in AUDIENCES]
        times = [_times(sites, missing, audience, effort) for audience in AUDIENCES]
    return [*costs, *(row for each in times for row in each)]


def stalled(effort: Effort) -> list[Row]:
    with ExitStack() as stack:
        site = own_site(stack, LONG_MESSAGE, "--ws-queue-bytes", str(QUEUE_BYTES))
        paces = [
            _pace(site, READERS, STALLED_RATE, effort, FILLING_SECONDS, count)
            for count in (READERS, 0)
        ]
        names = (f"{READERS} stalled beside them", "nobody stalled")
        contenders = [
            Contender(name, partial(_timed, pace)) for name, pace in zip(names, paces, strict=True)
        ]
        beside, without = interleaved(contenders, effort.rounds)
    title = f"4,000 bytes to {READERS} readers at {STALLED_RATE:,.0f} deliveries/s"
    p99s = [tuple(each.p99 for each in taken) for taken in (beside, without)]
    lines = (Line(names[0], p99s[0]), Line(names[1], p99s[1], target=round(1 / SLOWDOWN, 2)))
    grown = tuple(each.grown / 2**20 for each in beside)
    bound = READERS * QUEUE_BYTES / 2**20
    return [
        Row(f"{title}, p99", "ms", "lower", lines),
        Row(f"{title}, memory", "MiB grown", "lower", (Line(names[0], grown),), at_most=bound),
    ]


def _cost(sites: Sequence[Site], missing: tuple[str, ...], audience: int, effort: Effort) -> Row:
    """Rounds of as many deliveries, whatever the audience."""
    publications = max(BATCH * 4, effort.publications * 500 // audience // BATCH * BATCH)
    plans = {site.name: site.plan(publications, MANY, audience) for site in sites}
    batched = sites[0]._replace(publish_path="/v1/batch", body=_batch(sites[0]))
    plans[f"{sites[0].name}, {BATCH} in a batch"] = batched.plan(publications, 1, audience, BATCH)
    contenders = [Contender(name, partial(load, plan)) for name, plan in plans.items()]
    taken = interleaved(contenders, effort.rounds)
    figures = [tuple(it.deliveries / it.cpu_seconds for it in each) for each in taken]
    walls = [sorted(it.deliveries / it.seconds for it in each)[len(each) // 2] for each in taken]
    lines = tuple(
        Line(name, figure, f"{wall:,.0f} a second", _target(name, CHEAPER))
        for name, figure, wall in zip(plans, figures, walls, strict=True)
    )
    title = f"100 bytes to {audience:,} subscribers, {MANY} publishing"
    return Row(title, "deliveries per second of server CPU", "higher", lines, missing)


def _batch(site: Site) -> str:
    """Sixteen of the site's publications in one request."""
    operation = {"method": "POST", "path": site.publish_path, "body": json.loads(site.body)}
    return json.dumps({"operations": [operation] * BATCH})


def _times(
    sites: Sequence[Site], missing: tuple[str, ...], audience: int, effort: Effort
) -> list[Row]:
    paces = {site.name: _pace(site, audience, RATE, effort) for site in sites}
    contenders = [Contender(name, partial(_timed, pace)) for name, pace in paces.items()]
    taken = interleaved(contenders, effort.rounds)
    title = f"100 bytes to {audience:,} subscribers at {RATE:,.0f} deliveries/s"
    return [
        Row(f"{title}, {figure}", "ms", "lower", _latencies(list(paces), taken, figure), missing)
        for figure in ("p50", "p99")
    ]


def _latencies(
    names: Sequence[str], taken: Sequence[Sequence[Timed]], figure: str
) -> tuple[Line, ...]:
    lines = []
    for name, each in zip(names, taken, strict=True):
        figures = tuple(getattr(it, figure) for it in each)
        lines.append(Line(name, figures, target=_target(name, NO_SLOWER)))
    return tuple(lines)


def _target(name: str, target: float) -> float | None:
    return target if name == NCHAN else None


def _pace(
    site: Site,
    audience: int,
    deliveries: float,
    effort: Effort,
    warm: float = WARM_SECONDS,
    stalled: int = 0,
) -> Pace:
    rate = deliveries / audience
    plan = site.plan(round(rate * (warm + effort.paced_seconds)), MANY, audience)
    return Pace(plan, rate, round(rate * warm), stalled)


def _timed(pace: Pace, number: int) -> Timed:
    """One round, in processes of its own."""
    command = (sys.executable, "-m", "loadtest.compare.load.timed", "subscribe")
    told = msgspec.json.encode(pace).decode()
    output = subprocess.run((*command, told), stdout=subprocess.PIPE, check=True).stdout
    wait_until_idle(pace.plan.pid)
    return msgspec.json.decode(output, type=Timed)
