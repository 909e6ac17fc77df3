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
) -> list[Row]:
    """All in the same rounds; one row for each of ours, all against the same figures.

    ``peer`` is the reason, in words, if there is none. ``times`` is the target.
    """
    others = [] if isinstance(peer, str) else [peer]
    figures = interleaved([*ours, *others], rounds)
    theirs = [
        Line(other.name, figure, target=times)
        for other, figure in zip(others, figures[len(ours) :], strict=True)
    ]
    missing = (peer,) if isinstance(peer, str) else ()
    return [
        Row(title, "µs", "lower", (Line(mine.name, figure), *theirs), missing)
        for mine, figure in zip(ours, figures, strict=False)
    ]


def microseconds_each(work: Callable[[], object], operations: int) -> float:
    """How long ``work`` takes, per operation, with no collection of garbage in between.

    What earlier rounds left behind is collected before; the collector then stays out of
    everybody's time, as it would mostly show how much else this process holds.
    """
    gc.collect()
    gc.disable()
    try:
        started = time.perf_counter()
        work()
        return (time.perf_counter() - started) / operations * 1e6
    finally:
        gc.enable()
