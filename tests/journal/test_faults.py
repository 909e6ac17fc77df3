"""The points at which tests break things."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest

from realtime import faults


def reached(point: str, times: int) -> list[int | None]:
    """What each time led to: an errno, or None."""
    return [_reached(point) for _ in range(times)]


def _reached(point: str) -> int | None:
    try:
        faults.reach(point)
    except OSError as fault:
        return fault.errno
    return None


def test_unarmed_nothing_happens() -> None:
    assert reached("journal.sync", 3) == [None] * 3


@pytest.mark.parametrize(
    ("description", "outcome"),
    [
        ("a=EIO", [errno.EIO, None, None]),
        ("a@2=ENOSPC", [None, errno.ENOSPC, None]),
        ("a@2+=EROFS", [None, errno.EROFS, errno.EROFS]),
        ("b=EIO", [None, None, None]),
        ("b=EIO,a@3=EIO", [None, None, errno.EIO]),
    ],
)
def test_it_fails_when_it_should(description: str, outcome: list[int | None]) -> None:
    faults.arm(description)
    assert reached("a", 3) == outcome


@pytest.mark.parametrize("description", ["a", "a=", "a=NONSENSE", "a=errorcode", "a@x=EIO"])
def test_what_makes_no_sense_is_an_error(description: str) -> None:
    faults.arm("a=EIO")
    with pytest.raises(ValueError, match=r"errno|literal"):
        faults.arm(description)
    assert reached("a", 1) == [errno.EIO], "what was armed is not armed any more"


def test_counting_begins_anew() -> None:
    faults.arm("a@2=EIO")
    faults.reach("a")
    faults.arm("a@2=EIO")
    faults.reach("a")
    faults.disarm()
    assert reached("a", 2) == [None, None]


def test_a_file_arms_and_disarms_while_the_process_runs(tmp_path: Path) -> None:
    file = tmp_path / "faults"
    faults.arm(f"@{file}")
    assert reached("a", 1) == [None]
    file.write_text("a@2+=EIO\n")
    assert reached("a", 3) == [None, errno.EIO, errno.EIO]
    file.write_text("b=EIO")
    assert reached("a", 1) == [None]
    file.unlink()
    assert reached("b", 1) == [None]


@pytest.mark.parametrize("by_file", [False, True])
def test_what_hangs_goes_on_when_it_is_disarmed(tmp_path: Path, by_file: bool) -> None:
    file = tmp_path / "faults"
    file.write_text("a=HANG")
    faults.arm(f"@{file}" if by_file else "a=HANG")
    thread = threading.Thread(target=faults.reach, args=("a",))
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    if by_file:
        file.unlink()
    else:
        faults.disarm()
    thread.join(10)
    assert not thread.is_alive()
