"""Ends of seasons on their way to a real server, and from real services that are killed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from realtime.backends.base import Entry
from realtime.services.resets import Answer, Reset
from realtime.webhooks.delivery import Delivery
from realtime.webhooks.endpoint import Endpoint
from realtime.webhooks.pace import FIRST_PAUSE, LONGEST_PAUSE, LONGEST_SILENCE, pause_at_age
from realtime.webhooks.resets import RESETS_AT_ONCE, ToldResets
from realtime.webhooks.sender import AT_ONCE
from tests.redis.servers import running_redis
from tests.redis.waiting import until
from tests.service import Service, running_service
from tests.webhooks.receiver import HANG, Receiver

MAX_AGE = 3600.0
BEGAN, ENDED = 1_700_000_000_000_000, 1_700_003_600_123_456


def reset(board: str = "arcade", season: int = 1) -> Reset:
    return Reset(board, season, BEGAN, ENDED, 2, [Entry(1, "ädä".encode(), 3.0)])


class Office:
    """What tells the receiver."""

    def __init__(self, receiver: Receiver) -> None:
        endpoint = Endpoint(receiver.url, (), timeout=20.0, connections=AT_ONCE + RESETS_AT_ONCE)
        self.delivery = Delivery(endpoint, most=AT_ONCE + RESETS_AT_ONCE, clock=time.monotonic)
        self.figures = self.delivery.figures
        self.resets = ToldResets(self.delivery, max_age=MAX_AGE)

    async def tell(self, one: Reset, age: float = 0.0) -> Answer:
        return await self.resets.tell(one, age)


@pytest.fixture
async def office(receiver: Receiver) -> AsyncIterator[Office]:
    office = Office(receiver)
    yield office
    await office.delivery.close()


async def test_the_end_of_a_season_is_said(office: Office, receiver: Receiver) -> None:
    assert (await office.tell(reset())).done
    (request,) = receiver.requests
    event = request.event
    assert event == {
        "type": "board.reset",
        "id": request.headers["webhook-id"],
        "board": "arcade",
        "season": 1,
        "began": "2023-11-14T22:13:20.000000Z",
        "ended": "2023-11-14T23:13:20.123456Z",
        "size": 2,
        "top": [{"rank": 1, "member": "ädä", "score": 3}],
    }
    assert office.figures.sent == 1


async def test_each_end_has_its_own_id_which_stays(office: Office, receiver: Receiver) -> None:
    again = reset()._replace(ended=ENDED + 1)  # the board was deleted, and made anew
    for one in (reset(), reset(), reset(season=2), reset("other"), again):
        await office.tell(one)
    ids = [request.event["id"] for request in receiver.requests]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4


async def test_one_that_is_refused_waits_and_the_others_do_not(
    office: Office, receiver: Receiver
) -> None:
    receiver.answers.append(422)
    answer = await office.tell(reset())
    assert (answer.done, answer.tried) == (False, True)
    assert (await office.tell(reset("other"))).done
    assert (office.figures.failures, office.figures.sent) == (1, 1)


async def test_a_receiver_that_is_away_is_left_alone(office: Office, receiver: Receiver) -> None:
    receiver.answers.append(503)
    receiver.extra = "retry-after: 3600\r\n"
    answer = await office.tell(reset())
    assert (answer.done, answer.tried) == (False, True)
    assert LONGEST_SILENCE - 10 < answer.pause <= LONGEST_PAUSE + LONGEST_SILENCE
    answer = await office.tell(reset("other"))
    assert (answer.done, answer.tried) == (False, False)
    assert LONGEST_SILENCE - 10 < answer.pause <= LONGEST_SILENCE + FIRST_PAUSE
    assert len(receiver.requests) == 1


async def test_what_was_tried_for_too_long_is_given_up_loudly(
    office: Office, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers.extend([400, 400])
    assert not (await office.tell(reset(), MAX_AGE)).done
    assert not caplog.messages or "given up" not in caplog.text
    assert (await office.tell(reset(), MAX_AGE + 1)).done
    (line,) = [line for line in caplog.messages if "given up" in line]
    assert "season 1 of board arcade" in line
    assert office.figures.dropped == 1


async def test_one_that_is_too_old_is_tried_all_the_same(
    office: Office, receiver: Receiver
) -> None:
    """It may be that nothing ran until now."""
    assert (await office.tell(reset(), 10 * MAX_AGE)).done
    assert (len(receiver.requests), office.figures.dropped) == (1, 0)


async def test_no_more_than_a_bound_are_under_way_whatever_departures_do(
    office: Office, receiver: Receiver
) -> None:
    office.delivery.under_way += AT_ONCE  # a crowd leaves
    receiver.answers.extend([HANG] * RESETS_AT_ONCE)
    first = [
        asyncio.create_task(office.tell(reset(f"board {number}")))
        for number in range(RESETS_AT_ONCE)
    ]
    await until(lambda: receiver.under_way == RESETS_AT_ONCE)
    answer = await office.tell(reset("one more"), MAX_AGE)
    assert (answer.done, answer.tried) == (False, False)
    assert 0 <= answer.pause <= FIRST_PAUSE
    receiver.release()
    assert all(answer.done for answer in await asyncio.gather(*first))
    assert office.delivery.under_way == AT_ONCE
    assert (await office.tell(reset("one more"))).done


def test_the_longer_it_was_tried_the_longer_are_the_pauses() -> None:
    def longest(age: float) -> float:
        return max(pause_at_age(age) for _ in range(400))

    for age in (0.0, 10.0, 300.0, 1e6):
        bound = min(max(age, FIRST_PAUSE), LONGEST_PAUSE)
        assert bound / 2 < longest(age) <= bound
    assert pause_at_age(0.0, 60.0) == 60.0
    assert pause_at_age(0.0, 1e9) == LONGEST_PAUSE


# From real services


ENVIRONMENT = {"REALTIME_WEBHOOK_TIMEOUT": "1", "REALTIME_SHUTDOWN_SPREAD": "0"}


class Stores:
    """Where services keep their data, one after the other, and whom they tell."""

    def __init__(self, receiver: Receiver, data: Path | None, *options: str) -> None:
        self._data, self._options = data, options
        self._environment = ENVIRONMENT | {"REALTIME_WEBHOOK_URL": receiver.url}

    @asynccontextmanager
    async def service(self) -> AsyncIterator[Service]:
        """In another thread: the receiver is of this loop."""
        running = running_service(self._data, *self._options, env=self._environment)
        service = await asyncio.to_thread(running.__enter__)
        try:
            yield service
        finally:
            await asyncio.to_thread(running.__exit__, None, None, None)


@pytest.fixture(params=["embedded", "redis"])
def stores(receiver: Receiver, tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    with ExitStack() as servers:
        if request.param == "embedded":
            yield Stores(receiver, tmp_path / "data")
            return
        server = servers.enter_context(running_redis(tmp_path / "redis"))
        yield Stores(receiver, None, "--store", server.url)


async def play(service: Service) -> datetime:
    """A season with two scores, and when it ends."""
    async with httpx.AsyncClient(base_url=service.url, timeout=30) as http:
        ends = datetime.now(UTC) + timedelta(seconds=2)
        rules = {"resets": [ends.isoformat()], "archives": 2, "views": ["daily"]}
        answer = await http.put("/v1/leaderboards/arcade", json=rules)
        assert answer.status_code == 200, answer.text
        body = {"entries": [{"member": "ada", "score": 3}, {"member": "bob", "score": 2}]}
        answer = await http.post("/v1/leaderboards/arcade/scores", json=body)
        assert answer.status_code == 200, answer.text
    return ends


async def top(service: Service, query: str) -> list[str]:
    async with httpx.AsyncClient(base_url=service.url, timeout=30) as http:
        answer = await http.get(f"/v1/leaderboards/arcade/entries?{query}")
        assert answer.status_code == 200, answer.text
        return [entry["member"] for entry in answer.json()["entries"]]


async def test_a_season_that_ends_while_nothing_runs_is_told(
    stores: Stores, receiver: Receiver
) -> None:
    """Also if it cannot be told at first, and the service that has tried is killed."""
    async with stores.service() as service:
        ends = await play(service)
        service.process.kill()
        service.process.wait()
    await until(lambda: datetime.now(UTC) > ends)
    receiver.otherwise = 500
    async with stores.service() as service:
        await until(lambda: len(receiver.requests) >= 2)
        assert await top(service, "season=1") == ["ada", "bob"]
        assert await top(service, "") == []
        service.process.kill()
        service.process.wait()
    receiver.otherwise = 204
    before = len(receiver.requests)
    async with stores.service() as service:
        await until(lambda: len(receiver.requests) > before)
        (event,) = {repr(request.event) for request in receiver.requests}
        assert "'board': 'arcade', 'season': 1" in event
        assert await top(service, "season=previous") == ["ada", "bob"]
