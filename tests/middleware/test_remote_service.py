"""Several processes that ask one real service: they count together."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from realtime import keyfile
from realtime.middleware import RateLimitMiddleware, Rule
from tests.middleware.conftest import Ask, shop
from tests.middleware.fields import parse
from tests.middleware.remote import guarded, limiter
from tests.service import Service, running_service

CREATED = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("data")) as service:
        yield service


async def test_two_processes_count_together(service: Service) -> None:
    async with limiter(url=service.url) as one, limiter(url=service.url) as other:
        asks = [guarded(one), guarded(other)]
        statuses = [(await asks[n % 2]()).status_code for n in range(5)]
    assert statuses == [200, 200, 200, 429, 429]


async def test_the_answer_is_the_same_as_from_an_embedded_limiter(service: Service) -> None:
    async with limiter(url=service.url) as remote:
        ask = guarded(remote, key=lambda scope: "somebody else")
        first = await ask()
        assert parse(first.headers["ratelimit-policy"])[0].parameters == {"q": 3, "w": 300}
        assert parse(first.headers["ratelimit"])[0].parameters == {"r": 2, "t": 100}
        await ask.statuses(2)
        refused = await ask()
    assert refused.status_code == 429
    assert 98 <= int(refused.headers["retry-after"]) <= 100  # one in a hundred seconds
    assert refused.json()["violated-policies"] == ["items"]


async def test_several_rules_are_charged_together_or_not_at_all(service: Service) -> None:
    async with limiter(url=service.url) as remote:
        ask = guarded(remote, key=lambda scope: "pair")
        assert await ask.statuses(4, path="/login") == [200, 200, 429, 429]
        refused = await ask("/login")
    assert refused.json()["violated-policies"] == ["burst"]
    async with httpx.AsyncClient(base_url=service.url) as client:
        left = (await client.get("/v1/limits/daily/keys/pair")).json()["remaining"]
    assert left == 7


async def test_what_can_never_pass_is_told_so(service: Service) -> None:
    async with limiter(url=service.url) as remote:
        answer = await guarded(remote, cost=99)()
    assert (answer.status_code, "retry-after" in answer.headers) == (429, False)


async def test_whoever_comes_with_another_definition_replaces_it(service: Service) -> None:
    for limit, statuses in ((1, [200, 429]), (5, [200, 200])):
        async with limiter(url=service.url) as remote:
            rules = {"*": Rule("a/b?", limit=limit, per=300)}
            ask = Ask(RateLimitMiddleware(shop(), rules=rules, limiter=remote))
            assert await ask.statuses(2, address=f"198.51.100.{limit}") == statuses


async def test_a_key_that_may_not_define_rules_may_still_use_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app, admin = (
        keyfile.issue(name, scopes, CREATED)
        for name, scopes in (("app", ("limits:write",)), ("admin", ("limits:admin",)))
    )
    for issued in (app, admin):
        keyfile.add(tmp_path / "keys.json", issued.record)
    with running_service(tmp_path) as service:
        async with limiter(url=service.url, api_key=admin.text) as remote:
            await remote.prepare([Rule("items", limit=1, per=300)])
        async with limiter(url=service.url, api_key=app.text) as remote:
            # The headers still tell the rule that the app was written with.
            assert await guarded(remote).statuses(2) == [200, 429]
    assert "the key lacks limits:admin" in caplog.text
    assert app.text not in caplog.text
