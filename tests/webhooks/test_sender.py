"""Departures on their way to a real server that fails, hangs, refuses, dies and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator

import pytest

from engine.clock import SECOND
from engine.engine import Engine
from realtime.backends import embedded
from realtime.backends.base import Backend, BackendUnavailable
from realtime.services.departures import Departures
from realtime.webhooks import sender as sending
from realtime.webhooks.delivery import Delivery, probes
from realtime.webhooks.endpoint import Endpoint
from realtime.webhooks.sender import AT_ONCE, Sender
from tests.redis.waiting import until
from tests.webhooks.receiver import HANG, Receiver

MAX_AGE = 3600.0
TIMEOUT = 20.0


class Office:
    """A store in this process, in which users leave and are gone at once, and its senders."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.offset = 0
        self.backend: Backend = embedded.backend(Engine(self.now))
        self.senders: list[tuple[Sender, asyncio.Task[None]]] = []

    def now(self) -> int:
        return time.monotonic_ns() // 1000 + self.offset

    async def leave(self, *users: str) -> None:
        for user in users:
            await self.backend.departures.arrive(user.encode())
            await self.backend.departures.leave(user.encode())

    def sender(self, *, timeout: float = TIMEOUT, lease: float = 60.0) -> Sender:
        """One that runs."""
        departures = Departures(self.backend, debounce=0, lease=lease)
        endpoint = Endpoint(self.receiver.url, (), timeout=timeout, connections=AT_ONCE)
        delivery = Delivery(endpoint, most=AT_ONCE, clock=time.monotonic)
        sender = Sender(departures, delivery, max_age=MAX_AGE)
        self.senders.append((sender, asyncio.create_task(sender.run())))
        return sender

    async def end(self, sender: Sender) -> None:
        """As the service does it."""
        ((_, task),) = [one for one in self.senders if one[0] is sender]
        self.senders = [one for one in self.senders if one[0] is not sender]
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await sender.close()
        await sender._delivery.close()


@pytest.fixture
async def office(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    monkeypatch.setattr(sending, "LAST_WORDS", 0.05)
    office = Office(receiver)
    yield office
    for sender, _ in list(office.senders):
        await office.end(sender)


async def test_what_happened_is_said(office: Office, receiver: Receiver) -> None:
    sender = office.sender()
    office.offset = 1_700_000_000_123_456 - time.monotonic_ns() // 1000
    await office.leave("søren")
    await until(lambda: sender.figures.sent == 1)
    (request,) = receiver.requests
    assert request.line == "POST /hooks?token=sesame HTTP/1.1"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("realtime/")
    event = request.event
    assert list(event) == ["type", "id", "user", "at"]
    assert (event["type"], event["user"]) == ("user.left", "søren")
    assert event["at"].startswith("2023-11-14T22:13:20.")
    assert event["at"].endswith("Z")
    assert event["id"] == request.headers["webhook-id"]
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 60
    await until(lambda: sender.figures.pending == 0)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("statuses", [[500], [429, 503], [302], [404, 410], [400]])
async def test_anything_but_2xx_is_tried_again_in_the_same_words(
    office: Office, receiver: Receiver, statuses: list[int]
) -> None:
    receiver.extra = f"location: {receiver.url}\r\n"
    receiver.answers.extend(statuses)
    await office.leave("ada")
    sender = office.sender()
    await until(lambda: sender.figures.sent == 1)
    assert sender.figures.failures == len(statuses)
    assert len(receiver.requests) == len(statuses) + 1
    assert len({(one.headers["webhook-id"], one.body) for one in receiver.requests}) == 1


async def test_an_answer_that_does_not_come_is_not_waited_for(
    office: Office, receiver: Receiver
) -> None:
    receiver.answers.append(HANG)
    await office.leave("ada")
    sender = office.sender(timeout=0.1)
    await until(lambda: sender.figures.sent >= 1)
    assert receiver.users == ["ada"] * (sender.figures.failures + 1)
    assert sender.figures.failures >= 1


async def test_an_answer_of_any_length_is_not_read_to_its_end(
    office: Office, receiver: Receiver
) -> None:
    receiver.otherwise = 200
    receiver.answers.append(500)
    receiver.body = b"x" * 300_000
    await office.leave("ada", "bob")
    sender = office.sender()
    await until(lambda: sender.figures.sent == 2)
    assert sender.figures.failures == 1


async def test_connections_are_used_again(office: Office, receiver: Receiver) -> None:
    receiver.otherwise = 200
    receiver.answers.extend([400, 400])
    receiver.body = b"x" * 1000
    sender = office.sender()
    for number in range(1, 5):
        await office.leave("ada")
        await until(lambda number=number: sender.figures.sent >= number)  # type: ignore[misc]
    assert receiver.accepted <= 2


async def test_a_receiver_that_asks_for_silence_gets_it(office: Office, receiver: Receiver) -> None:
    receiver.answers.append(503)
    receiver.extra = "retry-after: 3600\r\n"
    await office.leave("ada")
    sender = office.sender()
    await until(lambda: sender.figures.failures == 1)
    assert 20 < sender._delivery.silence <= 30
    receiver.extra = "retry-after: soon\r\n"


async def test_a_receiver_that_speaks_no_http_is_away(office: Office, receiver: Receiver) -> None:
    receiver.greeting = b"220 mail.example ESMTP\r\n"
    await office.leave("ada")
    sender = office.sender()
    await until(lambda: sender.figures.failures >= 1)
    receiver.greeting = b""
    await until(lambda: sender.figures.sent == 1)


async def test_a_receiver_that_dies_is_told_when_it_is_back(
    office: Office, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sender = office.sender()
    await office.leave("ada")
    await until(lambda: sender.figures.sent == 1)
    await receiver.stop()
    users = [f"user {number}" for number in range(100)]
    await office.leave(*users)
    await until(lambda: sender.figures.failures >= 3)
    await until(lambda: sender.figures.pending == 100)
    assert sender.figures.failures < 50, "not each of them finds out for itself"
    await receiver.start()
    await until(lambda: sender.figures.sent == 101)
    assert sorted(receiver.users[1:]) == sorted(users)
    lines = [record.getMessage() for record in caplog.records]
    assert len([line for line in lines if "was not told" in line]) == 1
    assert len([line for line in lines if "can be told again" in line]) == 1


async def test_no_more_than_a_bound_are_under_way(office: Office, receiver: Receiver) -> None:
    receiver.answers.extend([HANG] * AT_ONCE)
    await office.leave(*[f"user {number}" for number in range(60)])
    sender = office.sender()
    await until(lambda: receiver.under_way == AT_ONCE)
    await until(lambda: sender.figures.pending == 60)
    assert (receiver.most_under_way, len(receiver.requests)) == (AT_ONCE, AT_ONCE)
    receiver.release()
    await until(lambda: sender.figures.sent == 60)
    assert receiver.most_under_way == AT_ONCE
    assert len(set(receiver.users)) == 60


async def test_one_that_is_refused_holds_up_nobody_else(office: Office, receiver: Receiver) -> None:
    receiver.answers.extend([422] * 5)
    users = [f"user {number}" for number in range(40)]
    await office.leave(*users)
    sender = office.sender()
    await until(lambda: sender.figures.sent >= 35)
    assert sender.figures.failures == 5
    await until(lambda: sender.figures.sent == 40)
    assert set(receiver.users) == set(users)


async def test_what_is_too_old_is_given_up_loudly(
    office: Office, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers.append(HANG)
    await office.leave("old 1", "old 2")
    await office.backend.departures.claim(0, debounce=0, gap=SECOND, lease=1, limit=0)
    office.offset += round(MAX_AGE * SECOND) + SECOND
    await office.leave("young")
    receiver.answers.clear()
    sender = office.sender()
    await until(lambda: sender.figures.sent == 1)
    await until(lambda: sender.figures.pending == 0)
    assert receiver.users == ["young"]
    assert sender.figures.dropped == 2
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 2
    assert all("given up" in line and "user old" in line for line in errors)


async def test_two_senders_share_the_work(office: Office, receiver: Receiver) -> None:
    senders = [office.sender(), office.sender()]
    users = [f"user {number}" for number in range(80)]
    await office.leave(*users)
    await until(lambda: sum(one.figures.sent for one in senders) == 80)
    assert sorted(receiver.users) == sorted(users)


async def test_whoever_ends_gives_back_what_was_not_heard(
    office: Office, receiver: Receiver
) -> None:
    receiver.answers.extend([HANG] * 3)
    await office.leave("ada", "bob", "eve")
    first = office.sender(lease=3600)
    await until(lambda: receiver.under_way == 3)
    await office.end(first)
    other = office.sender(lease=3600)
    await until(lambda: other.figures.sent == 3)
    assert sorted(receiver.users[3:]) == ["ada", "bob", "eve"]


async def test_what_a_dead_sender_had_is_taken_over_when_its_lease_ends(
    office: Office, receiver: Receiver
) -> None:
    receiver.answers.append(HANG)
    await office.leave("ada")
    office.sender(lease=600)
    await until(lambda: receiver.under_way == 1)
    office.senders[0][1].cancel()  # it claims nothing any more, and never hears an answer
    other = office.sender()
    await until(lambda: other.figures.pending == 1)
    assert receiver.users == ["ada"]
    office.offset += 600 * SECOND
    await until(lambda: other.figures.sent == 1)
    assert receiver.users == ["ada", "ada"]
    ids = [request.event["id"] for request in receiver.requests]
    assert ids[0] == ids[1]


async def test_a_store_that_is_away_is_asked_again(office: Office, receiver: Receiver) -> None:
    departures = office.backend.departures
    sender = office.sender()
    real, asked = departures.claim, 0

    async def away(*words: object, **options: object) -> None:
        nonlocal asked
        asked += 1
        raise BackendUnavailable("gone fishing")

    departures.claim = away  # type: ignore[method-assign, assignment]
    await office.leave("ada")
    await until(lambda: asked >= 2)
    departures.claim = real  # type: ignore[method-assign]
    await until(lambda: sender.figures.sent == 1)


async def test_no_line_of_the_log_holds_what_the_url_hides(
    office: Office, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    receiver.answers.extend([500, 400])
    await office.leave("ada")
    sender = office.sender()
    await until(lambda: sender.figures.sent == 1)
    await receiver.stop()
    await office.leave("ada")
    await until(lambda: sender.figures.failures >= 3)
    await receiver.start()
    assert "/hooks was not told" in caplog.text
    assert "sesame" not in caplog.text


async def test_figures_tell_how_it_goes(office: Office, receiver: Receiver) -> None:
    receiver.answers.append(HANG)
    await office.leave("ada")
    office.offset += 100 * SECOND
    sender = office.sender()
    await until(lambda: receiver.under_way == 1)
    read = {probe.name: probe for probe in probes(sender._delivery)}
    await until(lambda: read["webhook_pending"].read() == 1)
    assert 100 <= read["webhook_oldest_seconds"].read() < 200
    receiver.release()
    await until(lambda: read["webhook_sent"].read() == 1)
    await until(lambda: read["webhook_pending"].read() == 0)
    assert read["webhook_oldest_seconds"].read() == 0
    assert (read["webhook_failures"].read(), read["webhook_dropped"].read()) == (0, 0)
