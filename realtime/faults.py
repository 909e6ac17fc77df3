"""Points at which a test may make this process fail: die at once, or hear that a disk is broken.

    REALTIME_TEST_FAULTS="base.renamed=KILL" realtime serve
    REALTIME_TEST_FAULTS="journal.sync@3=EIO,journal.write@5+=ENOSPC" realtime serve

``@3`` is the third time that the point is reached, ``@3+`` that and every later time; without
it, it is the first. KILL is ``SIGKILL``; anything else is the name of an errno, which is raised
as OSError just where the system call would have raised it. Unarmed, a point costs one look at
an empty dictionary.
"""

from __future__ import annotations

import errno
import os
import signal
from typing import NamedTuple

__all__ = ["VARIABLE", "arm", "disarm", "reach"]

VARIABLE = "REALTIME_TEST_FAULTS"
KILL = "KILL"


class _Fault(NamedTuple):
    first: int
    """Counted from 1."""
    goes_on: bool
    what: str


_armed: dict[str, _Fault] = {}
_reached: dict[str, int] = {}


def reach(point: str) -> None:
    """We are there. Raises OSError, or does not come back, if a test wants it so."""
    if _armed and point in _armed:
        _fail(point, _armed[point])


def arm(description: str) -> None:
    """Replace what is armed. Raises ValueError."""
    faults = dict(_parse(part) for part in description.split(",") if part)
    disarm()
    _armed.update(faults)


def disarm() -> None:
    """Nothing fails any more, and all counting begins anew."""
    _armed.clear()
    _reached.clear()


def _fail(point: str, fault: _Fault) -> None:
    times = _reached[point] = _reached.get(point, 0) + 1
    if times == fault.first or (fault.goes_on and times > fault.first):
        if fault.what == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        number: int = getattr(errno, fault.what)
        raise OSError(number, os.strerror(number))


def _parse(part: str) -> tuple[str, _Fault]:
    place, _, what = part.partition("=")
    point, _, times = place.partition("@")
    if what != KILL and not isinstance(getattr(errno, what, None), int):
        raise ValueError(f"{what!r} is neither KILL nor the name of an errno")
    return point, _Fault(int(times.removesuffix("+") or 1), times.endswith("+"), what)


arm(os.environ.get(VARIABLE, ""))
