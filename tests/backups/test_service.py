"""Backups of a real service, through its doors; and what its clients are told of going back."""

from __future__ import annotations

import asyncio
import random
import re
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from realtime.http import api
from realtime.http.openapi import document
from tests.http.contract import Contract
from tests.redis.stores import store_options
from tests.service import Service, running_service
from tests.ws.peer import Object, Peer

CONTRACT = Contract(document(api.OPERATIONS))
BACKUPS = "/v1/admin/backups"

KILLS = 5

LEVELS = ["always", "bounded:50", "snapshot"]


@asynccontextmanager
async def opened(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """A client whose every answer is held against the OpenAPI document."""

    async def check(response: httpx.Response) -> None:
        await response.aread()
        CONTRACT.check(response.request, response)

    async with httpx.AsyncClient(
        base_url=service.url, event_hooks={"response": [check]}, timeout=30
    ) as http:
        yield http


async def visit(http: httpx.AsyncClient, times: int) -> None:
    answer = await http.post("/v1/counters/visits/add", json={"by": times})
    answer.raise_for_status()


async def visits(http: httpx.AsyncClient) -> int | None:
    answer = await http.get("/v1/counters/visits")
    return int(answer.json()["value"]) if answer.status_code == 200 else None


async def publish(http: httpx.AsyncClient, *numbers: int) -> Object:
    """The newest position."""
    position: Object = {}
    for number in numbers:
        answer = await http.post("/v1/channels/news/messages", json={"data": number})
        position = answer.raise_for_status().json()
    return position


async def subscribed(service: Service, **since: object) -> tuple[Peer, Object]:
    """A client that subscribes anew, or comes back; and what it is told."""
    peer = await Peer.dial(service.port)
    await peer.connect()
    recovering = {"recover": True} if since else {}
    return peer, await peer.subscribe("news", **recovering, **since)


async def comes_back(service: Service, position: Object) -> Object:
    peer, told = await subscribed(service, offset=position["offset"], epoch=position["epoch"])
    await peer.end()
    return told


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
async def test_everything_goes_back_and_stays_there(
    tmp_path: Path, level: str, end: signal.Signals
) -> None:
    with running_service(tmp_path, "--durability", level) as service:
        async with opened(service) as http:
            await visit(http, 3)
            made = await http.post(BACKUPS)
            assert made.status_code == 201
            backup = made.json()
            assert (backup["keys"], backup["verified"]) == (1, True)
            assert (tmp_path / "backups" / backup["name"]).stat().st_size == backup["bytes"]
            await visit(http, 4)
            restored = await http.post(f"{BACKUPS}/{backup['name']}/restore")
            assert restored.status_code == 200
            assert (restored.json()["name"], restored.json()["keys"]) == (backup["name"], 1)
            assert await visits(http) == 3
            listed = (await http.get(BACKUPS)).json()["backups"]
            assert listed == [restored.json()["kept"], backup]
        service.stop(end)
    with running_service(tmp_path, "--durability", level) as service:
        async with opened(service) as http:
            assert await visits(http) == 3
            await visit(http, 1)
            kept = restored.json()["kept"]["name"]
            await http.post(f"{BACKUPS}/{kept}/restore")
            assert await visits(http) == 7


async def test_a_restore_that_is_sent_twice_happens_once(tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        async with opened(service) as http:
            await visit(http, 3)
            name = (await http.post(BACKUPS)).json()["name"]
            await visit(http, 4)
            answers = []
            for _ in range(2):
                again = await http.post(
                    f"{BACKUPS}/{name}/restore", headers={"Idempotency-Key": "once"}
                )
                answers.append(again.json())
                await visit(http, 10)
            assert answers[0] == answers[1]
            assert again.headers["idempotency-replayed"] == "true"
            assert await visits(http) == 23


@pytest.mark.parametrize("level", ["always", "snapshot"])
async def test_a_kill_during_a_restore_leaves_the_one_or_the_other(
    tmp_path: Path, level: str
) -> None:
    draw = random.Random(1)
    with running_service(tmp_path, "--durability", level) as service:
        async with opened(service) as http:
            await visit(http, 3)
            await http.post("/v1/leaderboards/arcade/scores", json=scores(3))
            name = (await http.post(BACKUPS)).json()["name"]
            started = time.monotonic()
            await http.post(f"{BACKUPS}/{name}/restore")
            whole = time.monotonic() - started
            await visit(http, 4)
            await http.post("/v1/leaderboards/arcade/scores", json=scores(7))
            await http.post("/v1/admin/snapshot")
    found: set[int | None] = set()
    answered: object = None
    for number in range(KILLS + 1):
        with running_service(tmp_path, "--durability", level) as service:
            async with opened(service) as http:
                count = await visits(http)
                board = await http.get("/v1/leaderboards/arcade/entries")
                assert board.json()["total"] == (count or 0) * 100
                assert count == 3 or not isinstance(answered, httpx.Response)
                found.add(count)
                kept = (await http.get(BACKUPS)).json()["backups"]
                assert name in [backup["name"] for backup in kept]
                if number == KILLS:
                    break
                await visit(http, 7 - (count or 0))
                await http.post("/v1/leaderboards/arcade/scores", json=scores(7))
                await http.post("/v1/admin/snapshot")
                restoring = asyncio.create_task(http.post(f"{BACKUPS}/{name}/restore"))
                await asyncio.sleep(draw.uniform(0, whole))  # the kill comes at any time
                service.stop(signal.SIGKILL)
                answered = (await asyncio.gather(restoring, return_exceptions=True))[0]
    assert found <= {3, 7}


def scores(hundreds: int) -> Object:
    return {"entries": [{"member": f"m{n}", "score": n} for n in range(hundreds * 100)]}


async def test_a_backup_can_be_removed_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        async with opened(service) as http:
            await visit(http, 3)
            name = (await http.post(BACKUPS)).json()["name"]
            path = tmp_path / "backups" / name
            path.write_bytes(path.read_bytes()[:-1] + b"\xff")
            await visit(http, 4)
            refused = await http.post(f"{BACKUPS}/{name}/restore")
            assert refused.status_code == 409
            assert "nothing was changed" in refused.json()["detail"]
            assert await visits(http) == 7
            assert (await http.delete(f"{BACKUPS}/{name}")).status_code == 204
            assert (await http.delete(f"{BACKUPS}/{name}")).status_code == 404
            assert not path.exists()
            for other in ("..%2Fdump.rdb", "%2e%2e", "x.rdb", "a%00.rdb", "%2Fetc%2Fpasswd.rdb"):
                assert (await http.post(f"{BACKUPS}/{other}/restore")).status_code in (400, 404)
                assert (await http.delete(f"{BACKUPS}/{other}")).status_code in (400, 404)


@pytest.fixture(params=["memory", "redis"])
def without_backups(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Service]:
    if request.param == "memory":
        with running_service(None) as service:
            yield service
        return
    with (
        store_options("redis", tmp_path) as options,
        running_service(tmp_path, *options) as service,
    ):
        yield service


async def test_a_service_that_keeps_none_says_so(without_backups: Service) -> None:
    async with opened(without_backups) as http:
        for method, path in (
            ("GET", BACKUPS),
            ("POST", BACKUPS),
            ("DELETE", f"{BACKUPS}/x.rdb"),
            ("POST", f"{BACKUPS}/x.rdb/restore"),
        ):
            assert (await http.request(method, path)).status_code == 409


async def test_the_schedule_begins_with_the_service(tmp_path: Path) -> None:
    with running_service(tmp_path, "--backup-interval", "3600") as service:
        async with opened(service) as http:
            while not (listed := (await http.get(BACKUPS)).json()["backups"]):
                pass
            figures = (await http.get("/v1/admin/stats")).json()["figures"]
            assert figures["backups"] == len(listed) == 1
            assert figures["backup_bytes"] == listed[0]["bytes"]
            assert figures["backup_failures"] == 0
            metrics = (await http.get("/metrics")).text
            assert re.search(r"^realtime_backup_success_time 1\.\d+e\+09$", metrics, re.MULTILINE)


# Clients that had seen what is no more


@pytest.mark.parametrize("level", LEVELS)
async def test_subscribers_come_back_and_are_told_the_truth(tmp_path: Path, level: str) -> None:
    with running_service(tmp_path, "--durability", level) as service:
        async with opened(service) as http:
            held = await publish(http, 1, 2, 3)
            name = (await http.post(BACKUPS)).json()["name"]
            beyond = await publish(http, 4, 5)
            peer, _ = await subscribed(service)
            await http.post(f"{BACKUPS}/{name}/restore")
            assert (await peer.pushed())["unsubscribe"]["code"] == 2500, "come back, and recover"
            await peer.end()
            again = await publish(http, 104, 105, 106)
            assert again["epoch"] != beyond["epoch"]
            assert not (await comes_back(service, beyond)).get("recovered", False)
            told = await comes_back(service, held)
            assert told["recovered"]
            assert [item["data"] for item in told["publications"]] == [104, 105, 106]


async def killed_after_more_was_published(data: Path, level: str) -> tuple[Object, Object]:
    """The position that a snapshot has, and the last that a client has seen."""
    with running_service(data, "--durability", level, "--snapshot-interval", "0") as service:
        async with opened(service) as http:
            held = await publish(http, 1, 2, 3)
            await http.post("/v1/admin/snapshot")
            beyond = await publish(http, 4, 5)
        service.stop(signal.SIGKILL)
    return held, beyond


async def test_a_kill_takes_publications_back_and_their_offsets_are_not_taken_for_others(
    tmp_path: Path,
) -> None:
    held, beyond = await killed_after_more_was_published(tmp_path, "snapshot")
    with running_service(tmp_path, "--durability", "snapshot") as service:
        async with opened(service) as http:
            again = await publish(http, 104, 105, 106)
            assert again["offset"] == 6
            assert not (await comes_back(service, beyond)).get("recovered", False)
            told = await comes_back(service, held)
            assert told["recovered"]
            assert [item["data"] for item in told["publications"]] == [104, 105, 106]


@pytest.mark.parametrize("level", ["always", "bounded:1000"])
async def test_a_kill_takes_nothing_back_that_the_journal_has(tmp_path: Path, level: str) -> None:
    _, beyond = await killed_after_more_was_published(tmp_path, level)
    with running_service(tmp_path, "--durability", level) as service:
        async with opened(service) as http:
            again = await publish(http, 6)
            assert (again["offset"], again["epoch"]) == (6, beyond["epoch"])
            told = await comes_back(service, beyond)
            assert told["recovered"]
            assert [item["data"] for item in told["publications"]] == [6]


@pytest.mark.parametrize("level", LEVELS)
async def test_an_end_in_good_order_begins_no_new_epoch(tmp_path: Path, level: str) -> None:
    with running_service(tmp_path, "--durability", level) as service:
        async with opened(service) as http:
            before = await publish(http, 1, 2, 3)
        assert service.stop() == 0
    with running_service(tmp_path, "--durability", level) as service:
        async with opened(service) as http:
            after = await publish(http, 4)
            assert (after["offset"], after["epoch"]) == (4, before["epoch"])


@pytest.mark.parametrize("level", LEVELS)
async def test_a_power_cut_begins_new_epochs(tmp_path: Path, level: str) -> None:
    """As far as the lock can tell: it is of another life of the machine."""
    with running_service(tmp_path, "--durability", level) as service:
        async with opened(service) as http:
            before = await publish(http, 1, 2, 3)
            await http.post("/v1/admin/snapshot")
        service.stop(signal.SIGKILL)
    (tmp_path / "lock").write_text("4711\n00000000-0000-0000-0000-000000000000\n")
    with running_service(tmp_path, "--durability", level) as service:
        async with opened(service) as http:
            after = await publish(http, 4)
            assert after["epoch"] != before["epoch"]
            assert (await comes_back(service, before))["recovered"]
        service.stop(signal.SIGKILL)
    with running_service(tmp_path, "--durability", level) as service:
        async with opened(service) as http:
            told = await publish(http, 5)
            assert (told["epoch"] == after["epoch"]) == (level != "snapshot")
