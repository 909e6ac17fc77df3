"""How soon a message is tried again, and how much is tried while the receiver is away."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from realtime.webhooks import pace
from realtime.webhooks.pace import LONGEST_PAUSE, Pace, message_pause, pause_at_age

Pause = Callable[[int, float], float]


def longest(tries: int) -> float:
    return max(message_pause(tries) for _ in range(400))


def test_pauses_double_are_drawn_at_random_and_end_somewhere() -> None:
    for tries in range(1, 9):
        bound = pace.FIRST_PAUSE * 2 ** (tries - 1)
        assert bound / 2 < longest(tries) <= bound
    assert min(message_pause(8) for _ in range(4_000)) < 1, "full jitter: from 0 on"
    assert LONGEST_PAUSE / 2 < longest(1000) <= LONGEST_PAUSE


@pytest.mark.parametrize(
    ("age", "bound"),
    [(0.0, pace.FIRST_PAUSE), (60.0, 60.0), (LONGEST_PAUSE + 1, LONGEST_PAUSE)],
)
def test_who_only_knows_the_age_of_a_message_draws_up_to_that(age: float, bound: float) -> None:
    pauses = [pause_at_age(age) for _ in range(400)]
    assert bound / 2 < max(pauses) <= bound
    assert min(pauses) < bound / 10


@pytest.mark.parametrize("pause", [message_pause, pause_at_age])
def test_who_asks_for_a_longer_pause_gets_it_within_reason(pause: Pause) -> None:
    assert pause(1, 60.0) == 60.0
    assert pause(1, 1e9) == LONGEST_PAUSE


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_while_the_receiver_is_away_one_at_a_time_is_tried() -> None:
    clock = Clock()
    one = Pace(16, clock)
    assert (one.allows(0), one.allows(10), one.allows(16), one.allows(17)) == (16, 6, 0, 0)
    assert one.away()
    assert one.allows(0) == 0
    assert not one.away(), "what was under way when it failed says the same"
    for _ in range(20):
        silence = one.silence
        assert 0 < silence <= pace.LONGEST_SILENCE
        clock.now += silence + 0.001
        assert (one.allows(0), one.allows(1)) == (1, 0)
        assert not one.away()
    assert one.heard()
    assert one.allows(0) == 16
    assert not one.heard()


def test_what_fails_before_it_is_known_that_the_receiver_is_away_counts_once() -> None:
    one = Pace(16, Clock())
    for _ in range(16):
        one.away()
    assert one.silence <= pace.FIRST_SILENCE


def test_silence_that_is_asked_for_is_kept_within_reason() -> None:
    clock = Clock()
    one = Pace(16, clock)
    one.away(5.0)
    assert one.silence == 5.0
    assert one.heard(), "also after a single failure that is news"
    one.away(5.0)
    clock.now += 5.001
    one.away(1e9)
    assert one.silence == pace.LONGEST_SILENCE
