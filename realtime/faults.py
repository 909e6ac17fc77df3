"""Points at which a test may make this process fail: die at once, or hear that a disk is broken.

    REALTIME_TEST_FAULTS="base.renamed=KILL" realtime serve
    REALTIME_TEST_FAULTS="journal.sync@3=EIO,journal.write@5+=ENOSPC" realtime serve
    REALTIME_TEST_FAULTS="@faults.txt" realtime serve

``@3`` is the third time that the point is reached, ``@3+`` that and every later time; without
it, it is the first. KILL is ``SIGKILL``, HANG does not go on until the fault is disarmed, and
anything else is the name of an errno, which is raised as OSError just where the system call
would have raised it. With a file, what it says counts from the moment at which it says so, and
a file that is not there says nothing: disks break, and are mended, while the process runs.

Unarmed, a point costs two look-ups of an empty global.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path
from typing import NamedTuple

__all__ = ["VARIABLE", "arm", "disarm", "reach", "times"]

VARIABLE = "REALTIME_TEST_FAULTS"
KILL, HANG = "KILL", "HANG"

PAUSE = 0.005
"""Seconds between two looks at whether what hangs may go on."""


class _Fault(NamedTuple):
    first: int
    """Counted from 1."""
    goes_on: bool
    what: str


_armed: dict[str, _Fault] = {}
_reached: dict[str, int] = {}
_file: Path | None = None
_text = ""
"""What the file said when it was last looked at."""


def reach(point: str) -> None:
    """We are there. Raises OSError, or does not come back, if a test wants it so."""
    if _file is not None:
        _look()
    if _armed and point in _armed:
        _fail(point, _armed[point])


def arm(description: str) -> None:
    """Replace what is armed. Raises ValueError."""
    global _armed, _file, _text
    _file, _text = None, ""
    if description.startswith("@"):
        _file = Path(description[1:])
        description = ""
    _armed = _faults(description)
    _reached.clear()


def disarm() -> None:
    """Nothing fails any more, what hangs goes on, and all counting begins anew."""
    arm("")


def times(point: str) -> int:
    """How often a point was reached since something was armed there."""
    return _reached.get(point, 0)


def _look() -> None:
    """Arm what the file says, if that is something else than before."""
    global _armed, _text
    assert _file is not None
    try:
        text = _file.read_text().strip()
    except FileNotFoundError:
        text = ""
    if text != _text:
        _armed, _text = _faults(text), text
        _reached.clear()


def _fail(point: str, fault: _Fault) -> None:
    times = _reached[point] = _reached.get(point, 0) + 1
    if times != fault.first and not (fault.goes_on and times > fault.first):
        return
    if fault.what == KILL:
        os.kill(os.getpid(), signal.SIGKILL)
    if fault.what == HANG:
        _hang(point, fault)
        return
    number: int = getattr(errno, fault.what)
    raise OSError(number, os.strerror(number))


def _hang(point: str, fault: _Fault) -> None:
    while _armed.get(point) is fault:
        time.sleep(PAUSE)
        if _file is not None:
            _look()


def _faults(description: str) -> dict[str, _Fault]:
    return dict(_parse(part) for part in description.split(",") if part)


def _parse(part: str) -> tuple[str, _Fault]:
    place, _, what = part.partition("=")
    point, _, times = place.partition("@")
    if what not in (KILL, HANG) and not isinstance(getattr(errno, what, None), int):
        raise ValueError(f"{what!r} is neither KILL nor HANG nor the name of an errno")
    return point, _Fault(int(times.removesuffix("+") or 1), times.endswith("+"), what)


arm(os.environ.get(VARIABLE, ""))
