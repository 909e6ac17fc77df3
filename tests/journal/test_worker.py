"""The thread that waits for the disk."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

from realtime.journal.worker import Worker
from tests.redis.waiting import until


async def test_jobs_run_in_order_in_one_thread_and_are_told_on_the_loop() -> None:
    worker = Worker()
    ran: list[tuple[int, str]] = []
    told: list[tuple[int, Exception | None, threading.Thread]] = []

    def job(number: int) -> None:
        ran.append((number, threading.current_thread().name))

    def done(number: int, fault: Exception | None) -> None:
        told.append((number, fault, threading.current_thread()))

    for number in range(50):
        worker.submit(partial(job, number), partial(done, number))
    await until(lambda: len(told) == 50)
    assert ran == [(number, "journal") for number in range(50)]
    assert told == [(number, None, threading.main_thread()) for number in range(50)]
    worker.close()


async def test_what_a_job_raises_is_told_and_the_next_one_runs() -> None:
    def fail() -> None:
        raise IndexError("of the job")

    worker = Worker()
    told: list[Exception | None] = []
    worker.submit(fail, told.append)
    worker.submit(lambda: None, told.append)
    await until(lambda: len(told) == 2)
    assert isinstance(told[0], IndexError)
    assert told[1] is None
    worker.close()


async def test_close_waits_for_what_was_submitted() -> None:
    worker, release = Worker(), threading.Event()
    ran: list[bool] = []
    worker.submit(lambda: ran.append(release.wait(10)), lambda fault: None)
    asyncio.get_running_loop().call_soon(release.set)
    await asyncio.to_thread(worker.close)
    assert ran == [True]


async def test_a_worker_that_never_worked_is_closed_at_once() -> None:
    before = threading.active_count()
    Worker().close()
    assert threading.active_count() == before
