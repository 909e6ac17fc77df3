"""Keys at the HTTP door: who may do what."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from realtime import keyfile
from realtime.access import Access
from realtime.embedded import Embedded
from realtime.http import api
from realtime.http.operation import Operation
from realtime.state import ServiceState
from tests.http.conftest import House
from tests.http.contract import Contract

SCOPED = [operation for operation in api.OPERATIONS if operation.scope is not None]
"""All but batches: any key may send one, and what it holds is checked item by item."""

CREATED = datetime(2026, 1, 1, tzinfo=UTC)


def make_key(file: Path, name: str, *scopes: str) -> dict[str, str]:
    """A new key of the file; the header that carries it."""
    issued = keyfile.issue(name, scopes, CREATED)
    keyfile.add(file, issued.record)
    return {"Authorization": f"Bearer {issued.text}"}


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "keys.json"
    make_key(file, "first", "*")
    return file


@pytest.fixture
def access(keys: Path) -> Access:
    return Access(keys)


@pytest.fixture
async def http(access: Access, contract: Contract) -> AsyncIterator[httpx.AsyncClient]:
    door = api.build(
        Embedded().services, access, state=ServiceState(ready=True), options=api.Options()
    )

    async def check(response: httpx.Response) -> None:
        await response.aread()
        contract.check(response.request, response)

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(door),
        base_url="http://localhost",
        event_hooks={"response": [check]},
    ) as client:
        yield client


def sample(operation: Operation) -> str:
    """A path that the operation answers."""
    path = operation.path
    for name in ("board", "member", "name", "user", "rule", "key", "channel"):
        path = path.replace(f"{{{name}}}", "x")
    return path


@pytest.mark.parametrize("operation", api.OPERATIONS, ids=lambda one: one.name)
async def test_nothing_is_done_without_a_key(http: httpx.AsyncClient, operation: Operation) -> None:
    refused = await http.request(operation.method, sample(operation))
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("operation", SCOPED, ids=lambda one: one.name)
async def test_each_operation_needs_its_own_scope(
    http: httpx.AsyncClient, access: Access, keys: Path, operation: Operation
) -> None:
    others = [
        f"{feature}:{action}"
        for feature in ("leaderboards", "counters", "sessions", "limits", "channels", "admin")
        for action in ("read", "write", "publish", "admin")
        if (feature, action) != operation.scope
    ]
    lacking = make_key(keys, "lacking", *others)
    having = make_key(keys, "having", str(operation.scope))
    access.refresh()
    refused = await http.request(operation.method, sample(operation), headers=lacking)
    assert refused.status_code == 403
    assert str(operation.scope) in refused.json()["detail"]
    passed = await http.request(operation.method, sample(operation), headers=having)
    assert passed.status_code not in {401, 403}


@pytest.mark.parametrize(
    "credentials",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic dTpw",
        "Bearer rt_000000000000_x",
        "Bearer \xff",
        "bearer a b",
    ],
)
async def test_what_is_no_key_is_unauthorized(http: httpx.AsyncClient, credentials: str) -> None:
    headers = [(b"Authorization", credentials.encode("latin-1"))]
    assert (await http.get("/v1/counters/x", headers=headers)).status_code == 401


async def test_the_scheme_may_be_written_in_any_case(
    http: httpx.AsyncClient, keys: Path, access: Access
) -> None:
    key = make_key(keys, "reader", "*:read")["Authorization"].removeprefix("Bearer ")
    access.refresh()
    for scheme in ("Bearer", "bearer", "BEARER "):
        answer = await http.get("/v1/counters/x", headers={"Authorization": f"{scheme} {key}"})
        assert answer.status_code == 404


async def test_a_revoked_key_is_refused_at_once(
    http: httpx.AsyncClient, keys: Path, access: Access
) -> None:
    headers = make_key(keys, "reader", "*:read")
    access.refresh()
    assert (await http.get("/v1/channels", headers=headers)).status_code == 200
    keyfile.revoke(keys, "reader")
    access.refresh()
    assert (await http.get("/v1/channels", headers=headers)).status_code == 401


async def test_two_keys_are_two_doubts(http: httpx.AsyncClient, keys: Path, access: Access) -> None:
    good = make_key(keys, "reader", "*:read")["Authorization"]
    access.refresh()
    headers = [("Authorization", "Bearer other"), ("Authorization", good)]
    assert (await http.get("/v1/channels", headers=headers)).status_code == 400


async def test_a_batch_gives_no_more_than_its_key(
    http: httpx.AsyncClient, keys: Path, access: Access
) -> None:
    headers = make_key(keys, "writer", "counters:write")
    access.refresh()
    operations = [
        {"method": "POST", "path": "/v1/counters/x/add"},
        {"method": "GET", "path": "/v1/counters/x"},
        {"method": "DELETE", "path": "/v1/leaderboards/x"},
    ]
    answer = await http.post("/v1/batch", json={"operations": operations}, headers=headers)
    assert [one["status"] for one in answer.json()["results"]] == [200, 403, 403]


async def test_two_callers_do_not_share_idempotency_keys(
    http: httpx.AsyncClient, keys: Path, access: Access
) -> None:
    callers = [make_key(keys, name, "counters:write") for name in ("one", "two")]
    access.refresh()
    for value, caller in enumerate(callers, 1):
        headers = {**caller, "Idempotency-Key": "same"}
        answer = await http.post("/v1/counters/x/add", headers=headers)
        assert answer.json()["value"] == value


async def test_without_keys_only_this_machine_may_ask(house: House) -> None:
    add = "/v1/counters/x/add"
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Host": "evil.example"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
    ):
        assert (await house.http.post(add, headers=headers)).status_code == 403
    local = {"Origin": "http://localhost:3000"}
    assert (await house.http.post(add, headers=local)).json()["value"] == 1


async def test_health_needs_no_key_and_metrics_do(
    http: httpx.AsyncClient, keys: Path, access: Access
) -> None:
    scraper = make_key(keys, "scraper", "admin:read")
    reader = make_key(keys, "reader", "*:read")
    access.refresh()
    for path in ("/healthz", "/readyz", "/docs", "/docs/errors", "/openapi.json"):
        assert (await http.get(path)).status_code == 200
    assert (await http.get("/metrics")).status_code == 401
    assert (await http.get("/metrics", headers=reader)).status_code == 403
    assert (await http.get("/metrics", headers=scraper)).status_code == 200
