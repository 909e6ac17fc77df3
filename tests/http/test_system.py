"""What stands beside the API: health, metrics, the documents, the admin's routes."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.clock import ManualClock
from realtime.access import Access
from realtime.backends.base import BackendUnavailable
from realtime.embedded import Embedded
from realtime.errors import RealtimeError
from realtime.http import api, docs
from realtime.http.explanations import AT_THE_SERVER, EXPLANATIONS, markdown
from realtime.metrics import Probe
from realtime.services import Services
from realtime.snapshots import Snapshots
from realtime.state import ServiceState
from tests.http.conftest import CONTRACT, House

ROOT = Path(__file__).parent.parent.parent


def client(services: Services, **options: Any) -> httpx.AsyncClient:
    door = api.build(
        services,
        Access(None),
        state=ServiceState(ready=True),
        options=api.Options(),
        **options,
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://localhost")


async def test_alive_before_ready(house: House) -> None:
    house.state.ready = False
    assert (await house.http.get("/healthz")).status_code == 200
    waiting = await house.http.get("/readyz")
    assert (waiting.status_code, waiting.headers["retry-after"]) == (503, "1")
    assert waiting.json()["detail"] == "the service is loading"
    house.state.ready = True
    assert (await house.http.get("/readyz")).status_code == 200


async def test_nothing_is_served_while_loading(house: House) -> None:
    house.state.ready = False
    for path in ("/v1/counters/x", "/v1/nothing", "/v1/counters/%zz"):
        refused = await house.http.get(path)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert (await house.http.get("/docs")).status_code == 200


async def test_not_ready_while_the_store_is_away() -> None:
    async def ping() -> None:
        raise BackendUnavailable("no route to it")

    services = Embedded().services
    away = replace(services, backend=replace(services.backend, ping=ping))
    async with client(away) as http:
        refused = await http.get("/readyz")
    assert refused.status_code == 503
    assert "route" not in refused.text


async def test_an_outage_is_told_as_such(house: House) -> None:
    async def away(*_: object, **__: object) -> int:
        raise BackendUnavailable("no route to it")

    house.services.backend.counters.add = away  # type: ignore[method-assign]
    refused = await house.http.post("/v1/counters/x/add")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")


async def test_our_fault_is_told_by_reference_and_logged(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object, **__: object) -> int:
        raise KeyError("a secret of ours")

    house.services.backend.counters.add = broken  # type: ignore[method-assign]
    house.http.event_hooks["response"] = []  # the contract allows no 500
    with caplog.at_level(logging.ERROR, "realtime"):
        failed = await house.http.post("/v1/counters/x/add", json={"by": 77123})
    assert failed.status_code == 500
    assert "secret" not in failed.text
    (record,) = caplog.records
    assert failed.json()["reference"] in record.message
    assert record.exc_info is not None
    assert "77123" not in caplog.text
    assert (await house.http.get("/v1/channels")).status_code == 200


async def test_metrics_count_every_answer_by_operation_and_status(house: House) -> None:
    await house.http.post("/v1/counters/x/add")
    await house.http.post("/v1/counters/x/add", json={"max": 0})
    await house.http.post("/v1/counters/x/add", content=b"{")
    await house.http.get("/v1/<script>")
    text = (await house.http.get("/metrics")).text
    for status in (200, 400, 409):
        labels = f'operation="add_to_counter",status="{status}"'
        assert f"realtime_http_requests_total{{{labels}}} 1.0" in text
    assert 'realtime_http_requests_total{operation="unmatched",status="404"} 1.0' in text
    assert 'realtime_http_request_seconds_count{operation="add_to_counter"} 3.0' in text
    assert "<script>" not in text
    assert "process_resident_memory_bytes" in text


async def test_metrics_read_what_others_know_when_asked() -> None:
    figures = iter([1.0, 2.0, 3.0])
    probes = [
        Probe("keys", "Keys held.", lambda: next(figures)),
        Probe("changes", "Changes made.", lambda: 7, counts=True),
    ]
    async with client(Embedded().services, probes=probes) as http:
        assert "realtime_keys 1.0" in (await http.get("/metrics")).text
        text = (await http.get("/metrics")).text
        assert "realtime_keys 2.0" in text
        assert "# TYPE realtime_changes_total counter" in text
        stats = (await http.get("/v1/admin/stats")).json()
        assert stats["figures"] == {"keys": 3.0, "changes": 7.0}


async def test_a_page_that_fails_is_a_problem_too(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> float:
        raise KeyError("a secret of ours")

    async with client(Embedded().services, probes=[Probe("keys", "Keys.", broken)]) as http:
        with pytest.raises(KeyError):  # Starlette tells the server, too
            await http.get("/metrics")
    assert "page '/metrics' failed, reference" in caplog.text


async def test_stats_hold_what_was_answered(house: House) -> None:
    await house.http.post("/v1/counters/x/add")
    stats = (await house.http.get("/v1/admin/stats")).json()
    assert stats["operations"]["add_to_counter"]["statuses"] == {"200": 1}
    assert stats["uptime"] >= 0


async def test_a_snapshot_is_on_disk_when_it_is_answered(tmp_path: Path) -> None:
    embedded = Embedded(ManualClock())
    snapshots = Snapshots(embedded.engine, tmp_path)
    snapshots.load()
    async with client(embedded.services, snapshots=snapshots) as http:
        await http.post("/v1/counters/x/add")
        saved = await http.post("/v1/admin/snapshot")
        assert saved.status_code == 200
        CONTRACT.check(saved.request, saved)
        assert (saved.json()["keys"], saved.json()["path"]) == (1, str(tmp_path / "dump.rdb"))
        assert (tmp_path / "dump.rdb").stat().st_size == saved.json()["bytes"]
        await snapshots.close()
        assert (await http.post("/v1/admin/snapshot")).status_code == 503


async def test_there_is_no_snapshot_without_a_directory(house: House) -> None:
    assert (await house.http.post("/v1/admin/snapshot")).status_code == 409


async def test_home_leads_to_the_reference(house: House) -> None:
    home = await house.http.get("/")
    assert (home.status_code, home.headers["location"]) == (307, "/docs")


class Page(HTMLParser):
    """The ids, links and loaded things of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name == "href" and tag == "a":
                self.links.append(value or "")
            elif name in {"src", "href"} or tag == "script":
                self.loads.append(value or "")


async def test_the_reference_shows_every_operation_and_loads_nothing(house: House) -> None:
    answer = await house.http.get("/docs")
    page = Page(answer.text)
    assert page.loads == []
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for operation in api.OPERATIONS:
        assert operation.name in page.ids
    assert answer.text.count("curl -sS") == len(api.OPERATIONS) + 3
    assert len(page.ids) == len(set(page.ids))


async def test_every_link_of_the_pages_leads_somewhere(house: House) -> None:
    texts = {path: (await house.http.get(path)).text for path in ("/docs", "/docs/errors")}
    pages = {path: Page(text) for path, text in texts.items()}
    for path, page in pages.items():
        for link in page.links:
            target, _, fragment = link.partition("#")
            assert (await house.http.get(target or path)).status_code == 200
            assert not fragment or fragment in pages[target or path].ids, link


def kinds(error: type[RealtimeError]) -> list[type[RealtimeError]]:
    return [error, *(kind for child in error.__subclasses__() for kind in kinds(child))]


def test_every_error_is_explained_under_its_status() -> None:
    explained = {(one.code, one.status, one.title) for one in EXPLANATIONS}
    ours = [kind for kind in kinds(RealtimeError) if kind.__module__ == RealtimeError.__module__]
    assert explained == {(kind.code, kind.status, kind.title) for kind in ours}


def test_the_file_of_errors_is_the_page_of_errors() -> None:
    assert (ROOT / "docs" / "errors.md").read_text() == markdown()
    page = docs.errors()
    for one in (*EXPLANATIONS, *AT_THE_SERVER):
        assert re.search(rf'id="{one.code}".*{one.status} {one.title}', page)


async def test_a_problem_leads_to_its_explanation(house: House) -> None:
    refused = await house.http.get("/v1/nothing")
    page, _, fragment = refused.json()["type"].partition("#")
    assert fragment in Page((await house.http.get(page)).text).ids


@pytest.mark.parametrize("path", ["/nothing", "/docs/", "/v1", "/v2/x", "/healthz/x"])
async def test_an_unknown_page_is_a_problem(house: House, path: str) -> None:
    assert (await house.http.get(path)).status_code == 404


async def test_a_page_is_only_to_be_read(house: House) -> None:
    refused = await house.http.post("/docs")
    assert refused.status_code == 405
    assert set(refused.headers["allow"].split(", ")) == {"GET", "HEAD"}
    assert (await house.http.head("/docs")).status_code == 200
