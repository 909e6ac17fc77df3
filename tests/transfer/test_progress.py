"""What is said while things move: a line that is rewritten for people, some lines for logs."""

from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from engine.persistence.rdb import Item
from realtime.transfer.progress import PRINTED_EVERY, Progress, interruptible

ITEM: Item = (b"lb:{b}:meta", {b"a": b"1", b"b": b"2"}, None)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Timer:
    """Goes on by a fixed step each time it is looked at."""

    def __init__(self, step: float) -> None:
        self._now = 0.0
        self._step = step

    def __call__(self) -> float:
        self._now += self._step
        return self._now


def watched(progress: Progress, count: int, of: int = 0) -> None:
    with progress.phase("copying", of):
        for _ in progress.watch(iter([ITEM] * count)):
            pass


def test_a_log_gets_a_line_now_and_then() -> None:
    output = io.StringIO()
    watched(Progress(output, Timer(PRINTED_EVERY / 2)), 5)
    assert output.getvalue() == (
        "copying: 2 keys, 4 rows, 1 rows/s\ncopying: 4 keys, 8 rows, 1 rows/s\n"
    )


def test_a_terminal_gets_one_line_that_is_gone_at_the_end() -> None:
    output = Terminal()
    watched(Progress(output, Timer(1.0)), 2_000, of=8_000)
    text = output.getvalue()
    assert "\n" not in text
    assert text.count("\r\x1b[K") == 2_001
    assert "\r\x1b[Kcopying: 2,000 keys, 4,000 rows (50 %), 2 rows/s" in text
    assert text.endswith("\r\x1b[K")


def test_each_phase_counts_anew_and_knows_how_long_it_took() -> None:
    progress = Progress(io.StringIO(), Timer(0.5))
    watched(progress, 3)
    watched(progress, 2)
    assert (progress.keys, progress.rows) == (2, 4)
    assert progress.seconds == 0.5 * 3


def test_the_rows_of_a_large_value_show_before_it_is_done_and_count_once() -> None:
    output = io.StringIO()
    progress = Progress(output, Timer(PRINTED_EVERY))
    with progress.phase("copying"):
        for _ in progress.watch([ITEM]):
            progress.beat(1)
    assert [line.split(", ")[:2] for line in output.getvalue().splitlines()] == [
        ["copying: 0 keys", "1 rows"],
        ["copying: 1 keys", "2 rows"],
    ]


def test_what_is_fast_says_nothing() -> None:
    output = io.StringIO()
    watched(Progress(output), 100)
    assert output.getvalue() == ""


def test_ctrl_c_takes_effect_between_two_pieces() -> None:
    progress = Progress(io.StringIO())
    seen = 0

    def items() -> Iterator[Item]:
        nonlocal seen
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)
            seen += 1  # it did not interrupt what was being done
            yield ITEM

    with pytest.raises(KeyboardInterrupt), interruptible(progress):
        for _ in progress.watch(items()):
            pass
    assert seen == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_twice_does_not_wait() -> None:
    progress = Progress(io.StringIO())
    with pytest.raises(KeyboardInterrupt), interruptible(progress):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("it waited")


def test_beside_the_main_thread_signals_are_nobodys_business() -> None:
    done: list[bool] = []

    def work() -> None:
        with interruptible(Progress(io.StringIO())):
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]
