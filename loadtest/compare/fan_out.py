"""Fan-out: publish to 500 WebSocket subscribers of one channel, against nchan.

The timed region runs from the first POST of a publication to the arrival of the last of all
deliveries; connecting and subscribing are not in it. One process makes the load for either.
Frames are of one size: ours wraps the data in a push of the Centrifuge protocol, nchan sends
the body as it is, so its bodies are longer by the wrapping. Both keep the last 100
publications. Ours is one Python process, nchan one nginx worker.

Published by one connection, each publication waits for the answer to the one before. By
sixteen, several arrive together, and a server may write them to a subscriber in one go.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from functools import partial
from typing import NamedTuple

import msgspec

from loadtest.compare.load.subscribers import MARK, Plan, Result
from loadtest.compare.peers import servers
from loadtest.compare.processes import Missing, Server, wait_until_idle
from loadtest.compare.report import Line, Row
from loadtest.compare.rounds import Contender, Effort, interleaved

__all__ = ["CHANNEL", "MANY", "NCHAN", "Site", "load", "nchan_site", "own_site", "rows"]

SUBSCRIBERS = 500
MANY = 16
"""Publishers at once."""
CHANNEL = "bench"
DATA = json.dumps({"text": f"{MARK.decode()} " + "x" * 80})
PUSH = f'{{"push":{{"channel":"{CHANNEL}","pub":{{"data":{DATA},"offset":1000}}}}}}'
"""A frame of ours, as long as most of them are."""
LEVEL = 1.0
NCHAN = "nchan (nginx, 1 worker)"


class Site(NamedTuple):
    name: str
    server: Server
    subscribe_path: str
    hello: str
    welcome: str
    publish_path: str
    body: str

    def plan(
        self, publications: int, publishers: int, subscribers: int = SUBSCRIBERS, batch: int = 1
    ) -> Plan:
        port, pid = self.server.port, self.server.pid
        return Plan(port, pid, *self[2:], subscribers, publications, publishers, batch)


def rows(effort: Effort) -> list[Row]:
    with ExitStack() as stack:
        sites = [own_site(stack, DATA)]
        missing: tuple[str, ...] = ()
        try:
            sites.append(nchan_site(stack, PUSH))
        except Missing as reason:
            missing = (f"{NCHAN}: {reason}",)
        together = _rows(sites, missing, MANY, effort.publications, effort.rounds)
        alone = _rows(sites, missing, 1, effort.publications // 4, effort.rounds)
        return together + alone


def own_site(stack: ExitStack, data: str, *options: str) -> Site:
    """Ours, where ``data`` is published; ``options`` are those of the service."""
    return Site(
        "realtime",
        stack.enter_context(servers.realtime(*options)),
        "/connection/websocket",
        f'{{"id":1,"connect":{{}}}}\n{{"id":2,"subscribe":{{"channel":"{CHANNEL}"}}}}',
        '"id":2',
        f"/v1/channels/{CHANNEL}/messages",
        f'{{"data":{data}}}',
    )


def nchan_site(stack: ExitStack, body: str) -> Site:
    """nchan, where ``body`` is published. Raises Missing."""
    server = stack.enter_context(servers.nchan())
    return Site(NCHAN, server, "/subscribe", "", "", "/publish", body)


def _rows(
    sites: list[Site], missing: tuple[str, ...], publishers: int, publications: int, rounds: int
) -> list[Row]:
    """Deliveries per second of wall time, and CPU time per delivery, of the same rounds."""
    names = [site.name for site in sites]
    plans = [site.plan(publications, publishers) for site in sites]
    contenders = [
        Contender(name, partial(load, plan)) for name, plan in zip(names, plans, strict=True)
    ]
    taken = interleaved(contenders, rounds)
    title = f"Fan-out to {SUBSCRIBERS} subscribers, {publishers} publishing"
    rates = [tuple(result.deliveries / result.seconds for result in each) for each in taken]
    costs = [
        tuple(result.cpu_seconds / result.deliveries * 1e6 for result in each) for each in taken
    ]
    return [
        Row(title, "deliveries/s", "higher", _lines(names, rates), missing),
        Row(title, "server CPU s per million deliveries", "lower", _lines(names, costs), missing),
    ]


def _lines(names: list[str], figures: list[tuple[float, ...]]) -> tuple[Line, ...]:
    return tuple(
        Line(name, figure, target=LEVEL if name == NCHAN else None)
        for name, figure in zip(names, figures, strict=True)
    )


def load(plan: Plan, number: int) -> Result:
    """One round, in a process of its own; every round is alike."""
    command = (sys.executable, "-m", "loadtest.compare.load.subscribers")
    told = msgspec.json.encode(plan).decode()
    output = subprocess.run((*command, told), stdout=subprocess.PIPE, check=True).stdout
    wait_until_idle(plan.pid)
    return msgspec.json.decode(output, type=Result)
