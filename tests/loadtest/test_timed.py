"""How old deliveries are, however they are cut into reads; and who publishes at a steady rate."""

from __future__ import annotations

import asyncio
import time
from array import array
from contextlib import ExitStack

import msgspec
import pytest

from loadtest.compare.channels import MESSAGE
from loadtest.compare.fan_out import own_site
from loadtest.compare.load.subscribers import MARK, Arrivals, Plan
from loadtest.compare.load.timed import STAMP, Pace, Timing, run

PLAN = Plan(0, 0, "", "", "", "", "", 1, 1, 1)


def delivery(due: float) -> bytes:
    return b'{"data":"%b%016d"}' % (MARK, round(due * 1e6))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 18, 19, 1000])
async def test_every_delivery_counts_once_however_it_is_cut(size: int) -> None:
    arrivals, ages = Arrivals(4), array("d")
    timing = Timing(PLAN, arrivals, ages)
    timing._counting = True
    timing._arrived = now = time.monotonic()
    stream = b"".join(delivery(due) for due in (now - 3, 0, now - 2, now - 1))
    for at in range(0, len(stream), size):
        timing.data_received(stream[at : at + size])
    assert arrivals.left == 0
    assert [round(age) for age in ages] == [3, 2, 1], "what carries no instant has no age"


async def test_good_readers_hear_all_beside_others_that_stall() -> None:
    with ExitStack() as stack:
        site = await asyncio.to_thread(own_site, stack, MESSAGE)
        pace = Pace(site.plan(40, 3, 10), rate=100.0, warm=10, stalled=5)
        timed = await run(pace)
    assert 0 < timed.p50 <= timed.p99


def test_a_message_is_of_a_hundred_bytes_and_has_room_for_an_instant() -> None:
    assert len(MESSAGE) == 100
    assert STAMP in msgspec.json.decode(MESSAGE)
