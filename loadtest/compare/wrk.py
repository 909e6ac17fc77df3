"""Load over HTTP by wrk: as many requests as a server answers, over keep-alive connections.

Figures are wrk's own, of whole requests. What is asked is a template: ``$m`` becomes a random
member of the board, ``$s`` a score, which rises from round to round (see ``load/board.lua``).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from loadtest.compare.processes import Server, find
from loadtest.compare.report import Line
from loadtest.compare.rounds import Contender

__all__ = ["Load", "Sample", "Work", "contender", "line"]

SCRIPT = Path(__file__).parent / "load" / "board.lua"


class Work(NamedTuple):
    """A request as the load script takes it."""

    method: str
    path: str
    body: str = "-"


class Sample(NamedTuple):
    """One round."""

    rate: float
    """Requests per second."""
    p50_ms: float
    p99_ms: float


class Load(NamedTuple):
    """What is the same for everybody who is measured."""

    program: str
    connections: int
    seconds: int
    """Of a round."""
    members: int
    """Of the board."""
    rounds_before: int = 0
    """That the same servers have had: scores go on rising, or submitting them changes nothing."""

    @classmethod
    def of(cls, connections: int, seconds: int, members: int, rounds_before: int = 0) -> Load:
        """Raises Missing if there is no wrk."""
        return cls(find("wrk", "wrk"), connections, seconds, members, rounds_before)

    def run(self, server: Server, work: Work, number: int) -> Sample:
        """One round. Raises RuntimeError if a single request failed."""
        shape = ("-t1", f"-c{self.connections}", f"-d{self.seconds}s", "-s", str(SCRIPT))
        first_score = str((self.rounds_before + number + 1) * 1_000_000)
        told = (*work, str(self.members), first_score)
        url = f"http://127.0.0.1:{server.port}"
        output = subprocess.run(
            (self.program, *shape, url, "--", *told), stdout=subprocess.PIPE, text=True, check=True
        ).stdout
        result = json.loads(output.strip().rpartition("\n")[2])
        if result["failed"]:
            raise RuntimeError(f"{result['failed']} requests to {work.path} failed:\n{output}")
        return Sample(result["rate"], result["p50_ms"], result["p99_ms"])


def contender(name: str, load: Load, server: Server, work: Work) -> Contender[Sample]:
    """Somebody whose rounds are loads of one kind."""
    return Contender(name, lambda number: load.run(server, work, number))


def line(name: str, taken: Sequence[Sample], target: float | None = None) -> Line:
    """The rate is what counts; the latencies are a note."""
    p50 = median([sample.p50_ms for sample in taken])
    p99 = median([sample.p99_ms for sample in taken])
    rates = tuple(sample.rate for sample in taken)
    return Line(name, rates, note=f"p50 {p50:.2f} ms, p99 {p99:.2f} ms", target=target)
