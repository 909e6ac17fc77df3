"""Work inside this process: microseconds of one operation, ours against one peer's."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence

from loadtest.compare.report import Line, Row
from loadtest.compare.rounds import Contender, interleaved

__all__ = ["microseconds_each", "rows"]


def rows(
    title: str,
    ours: Sequence[Contender[float]],
    peer: Contender[float] | str,
    times: float,
    rounds: int,
    held: int | None = None,
) -> list[Row]:
    """All in the same rounds; one row for each of ours, all against the same figures.

    ``peer`` is the reason, in words, if there is none. ``times`` is the target, which the
    first ``held`` of ours are held to; all of them if nothing is said.
    """
    others = [] if isinstance(peer, str) else [peer]
    figures = interleaved([*ours, *others], rounds)
    missing = (peer,) if isinstance(peer, str) else ()
    table: list[Row] = []
    for place, (mine, figure) in enumerate(zip(ours, figures, strict=False)):
        target = times if held is None or place < held else None
        theirs = [
            Line(other.name, rates, target=target)
            for other, rates in zip(others, figures[len(ours) :], strict=True)
        ]
        table.append(Row(title, "µs", "lower", (Line(mine.name, figure), *theirs), missing))
    return table


def microseconds_each(
    work: Callable[[], object], operations: int, clock: Callable[[], float] = time.perf_counter
) -> float:
    """How long ``work`` takes, per operation, with no collection of garbage in between.

    Where nobody waits for another process, ``clock`` may be CPU time: it leaves out what
    other processes took from us.

    What earlier rounds left behind is collected before; the collector then stays out of
    everybody's time, as it would mostly show how much else this process holds.
    """
    gc.collect()
    gc.disable()
    try:
        started = clock()
        work()
        return (clock() - started) / operations * 1e6
    finally:
        gc.enable()
