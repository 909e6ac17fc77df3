"""What a client sees while nothing can be written: every read goes on, every write is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.crash.rig import Rig, fault_file
from tests.redis.waiting import until
from tests.service import Service
from tests.ws.peer import Peer

READS = [
    "/v1/leaderboards/arcade",
    "/v1/leaderboards/arcade/entries",
    "/v1/leaderboards/arcade/members/ada",
    "/v1/leaderboards/arcade/members/ada/around",
    "/v1/counters/visits",
    "/v1/counters?names=visits",
    "/v1/limits/login",
    "/v1/limits/login/keys/ada",
    "/v1/sessions/current",
    "/v1/users/ada/sessions",
    "/v1/channels/news/messages",
    "/v1/channels",
    "/v1/channels/news/presence",
    "/v1/admin/stats",
    "/v1/admin/backups",
    "/metrics",
    "/healthz",
    "/docs",
]

SETTING_UP: list[tuple[str, str, Any]] = [
    ("PUT", "/v1/leaderboards/arcade", {"keep": "best"}),
    ("POST", "/v1/leaderboards/arcade/scores", {"member": "ada", "score": 1}),
    ("POST", "/v1/scores", {"member": "ada", "score": 1, "boards": ["arcade"]}),
    ("POST", "/v1/counters/visits/add", {}),
    ("PUT", "/v1/counters/visits", {"value": 7}),
    ("PUT", "/v1/limits/login", {"limit": 6, "per": 3600}),
    ("POST", "/v1/limits/login/take", {"key": "ada"}),
    ("POST", "/v1/limits/take", {"takes": [{"rule": "login", "key": "ada"}]}),
    ("POST", "/v1/sessions", {"user": "ada"}),
    ("POST", "/v1/channels/news/messages", {"data": 1}),
    ("POST", "/v1/messages", {"channels": ["news"], "data": 1}),
]
"""All of them are writes."""

REMOVALS = [
    "/v1/leaderboards/arcade/members/ada",
    "/v1/leaderboards/arcade",
    "/v1/counters/visits",
    "/v1/limits/login/keys/ada",
    "/v1/sessions/current",
    "/v1/users/ada/sessions",
]

REASON = "the journal cannot be written: No space left on device"


class Client:
    """One that has a session."""

    def __init__(self, http: httpx.AsyncClient, session: str) -> None:
        self.http = http
        self._headers = {"session-id": session}

    async def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        of_session = path == "/v1/sessions/current"
        headers = self._headers if of_session else {}
        return await self.http.request(method, path, json=body, headers=headers)


@asynccontextmanager
async def broken(tmp_path: Path, level: str) -> AsyncIterator[tuple[Client, Service, Path]]:
    """A service that has something of everything, and whose disk takes nothing more."""
    rig = Rig(tmp_path / "data", level, seed=15)
    faults, env = fault_file(rig.data)
    with rig.service(env=env) as service:
        async with httpx.AsyncClient(base_url=service.url, timeout=20) as http:
            session = ""
            for method, path, body in SETTING_UP:
                answer = await http.request(method, path, json=body)
                assert answer.is_success, answer.text
                session = answer.json().get("id", session)
            faults.write_text("journal.write@1+=ENOSPC")
            uncertain = await http.post("/v1/counters/lost/add", json={})
            assert uncertain.status_code == 503, "it may be there later, so it must not be 200"
            yield Client(http, session), service, faults


@pytest.mark.parametrize("level", ["always", "bounded:10000"])
async def test_reads_go_on_and_writes_are_refused(tmp_path: Path, level: str) -> None:
    async with broken(tmp_path, level) as (client, _, faults):
        for path in READS:
            answer = await client.ask("GET", path)
            assert answer.is_success, (path, answer.text)
        for method, path, body in SETTING_UP:
            if "limit" in body:
                body = {**body, "limit": 7}  # a rule that stays as it is needs no write
            _is_refusal(await client.ask(method, path, body))
        for path in REMOVALS:
            _is_refusal(await client.ask("DELETE", path))
        _is_refusal(await client.ask("PATCH", "/v1/sessions/current", {"set": {"a": 1}}))
        operations = [{"method": "POST", "path": "/v1/counters/visits/add", "body": {}}]
        batch = await client.ask("POST", "/v1/batch", {"operations": operations})
        assert [one["status"] for one in batch.json()["results"]] == [503]
        faults.unlink()
        await until(lambda: _succeeds(client, "/readyz"))
        assert (await client.ask("GET", "/v1/counters/visits")).json()["value"] == 7
        assert (await client.ask("POST", "/v1/counters/visits/add", {})).is_success


async def test_a_request_refused_for_the_disk_is_not_remembered_as_done(tmp_path: Path) -> None:
    async with broken(tmp_path, "always") as (client, _, faults):
        once = {"idempotency-key": "payment-17"}
        refused = await client.http.post("/v1/counters/paid/add", json={}, headers=once)
        _is_refusal(refused)
        faults.unlink()
        await until(lambda: _succeeds(client, "/readyz"))
        for _ in range(2):
            paid = await client.http.post("/v1/counters/paid/add", json={}, headers=once)
            assert paid.json()["value"] == 1


async def test_websockets_stay_and_say_why(tmp_path: Path) -> None:
    async with broken(tmp_path, "bounded:10000") as (client, service, faults):
        peer = await Peer.dial(service.port)
        await peer.connect()
        recovered = await peer.subscribe("news")
        assert recovered["epoch"]
        board = await peer.ask(subscribe={"channel": "leaderboard:arcade"})
        assert board["error"]["temporary"], "its version is written down, so clients come again"
        reply = await peer.ask(publish={"channel": "news", "data": 2})
        assert "error" in reply
        history = await peer.ask(history={"channel": "news", "limit": 10})
        assert [one["data"] for one in history["history"]["publications"]] == [1, 1]
        faults.unlink()
        await until(lambda: _succeeds(client, "/readyz"))
        await peer.subscribe("leaderboard:arcade")
        body = {"member": "bob", "score": 9}
        assert (await client.ask("POST", "/v1/leaderboards/arcade/scores", body)).is_success
        async with asyncio.timeout(10):
            while (await peer.pushed())["channel"] != "leaderboard:arcade":
                continue
        await peer.end()


def _is_refusal(answer: httpx.Response) -> None:
    request = answer.request
    assert answer.status_code == 503, (request.method, request.url.path, answer.text)
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    assert REASON in answer.json()["detail"]


async def _succeeds(client: Client, path: str) -> bool:
    return (await client.ask("GET", path)).is_success
