"""The word that goes the whole way: what it notices, and what it is not to be blamed for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from realtime.access import Access
from realtime.backends.base import Backend, BackendUnavailable
from realtime.embedded import Embedded
from realtime.http import api
from realtime.probe import SelfProbe
from realtime.services import Services
from realtime.state import ServiceState
from realtime.ws.hub import Hub
from tests.redis.servers import running_redis
from tests.redis.stores import opened
from tests.redis.waiting import until
from tests.service import running_service

AMISS = "publications are not delivered"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["embedded", "redis"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    if request.param == "embedded":
        yield Embedded().services.backend
        return
    with running_redis(tmp_path) as server:
        async with opened(server) as store:
            yield store.backend


async def heard(probe: SelfProbe, count: int) -> None:
    await until(lambda: probe.heard == count)


async def test_what_is_published_arrives_and_how_long_it_took_is_known(backend: Backend) -> None:
    clock = Clock()
    hub = Hub()
    backend.channels.listen(hub.deliver, hub.lost)
    probe = SelfProbe(backend, hub, clock)
    for number in range(1, 4):
        await probe.round()
        await heard(probe, number)
    assert probe.amiss == ""
    assert probe.seconds == 0.0
    assert (probe.subscriptions, hub.subscriptions) == (1, 1)
    hub.lost(probe._channel.encode())
    await probe.round()
    await heard(probe, 4)


async def test_silence_is_noticed_after_two_words_and_so_is_its_end(backend: Backend) -> None:
    hub = Hub()
    probe = SelfProbe(backend, hub, Clock())
    await probe.round()
    await probe.round()
    assert probe.amiss == ""
    for _ in range(3):
        await probe.round()
        assert probe.amiss == AMISS
    backend.channels.listen(hub.deliver, hub.lost)
    await probe.round()
    await until(lambda: probe.amiss == "")


async def test_a_word_that_is_late_is_heard_all_the_same() -> None:
    backend, hub, clock = Embedded().services.backend, Hub(), Clock()
    probe = SelfProbe(backend, hub, clock)
    late: list[Callable[[], None]] = []
    backend.channels.listen(lambda *said: late.append(lambda: hub.deliver(*said)))
    await probe.round()
    clock.now += 3.5
    await probe.round()
    late[0]()
    hub.flush()
    assert (probe.heard, probe.seconds) == (1, 3.5)
    await probe.round()
    assert probe.amiss == ""


async def test_a_store_that_cannot_be_asked_is_not_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, hub = Embedded().services.backend, Hub()
    probe = SelfProbe(backend, hub, Clock())

    async def away(*words: Any, **options: Any) -> None:
        raise BackendUnavailable("gone fishing")

    monkeypatch.setattr(backend.channels, "publish", away)
    for _ in range(5):
        with pytest.raises(BackendUnavailable):
            await probe.round()
    assert probe.amiss == ""


async def test_a_subscription_that_fails_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, hub = Embedded().services.backend, Hub()
    backend.channels.listen(hub.deliver, hub.lost)
    probe = SelfProbe(backend, hub, Clock())

    async def away(*words: Any, **options: Any) -> None:
        raise BackendUnavailable("gone fishing")

    with monkeypatch.context() as patch:
        patch.setattr(backend.channels, "subscribe", away)
        with pytest.raises(BackendUnavailable):
            await probe.round()
    assert hub._topics == {}
    await probe.round()
    await asyncio.sleep(0)
    assert probe.heard == 1


async def test_a_balancer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    services = Services.on(Embedded().services.backend)
    state = ServiceState(ready=True, amiss=AMISS)
    door = api.build(services, Access(None), state=state, options=api.Options())
    transport = httpx.ASGITransport(door)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        refused = await http.get("/readyz")
        assert (refused.status_code, refused.json()["detail"]) == (503, AMISS)
        assert (await http.get("/healthz")).status_code == 200
        state.amiss = ""
        assert (await http.get("/readyz")).status_code == 200


def test_a_service_listens_to_itself_and_does_not_count_that() -> None:
    with running_service(None) as service, httpx.Client(base_url=service.url) as http:

        def figure(name: str) -> float:
            lines = http.get("/metrics").text.splitlines()
            (value,) = [line.split()[1] for line in lines if line.startswith(f"{name} ")]
            return float(value)

        assert http.get("/readyz").status_code == 200
        assert figure("realtime_deaf") == 0
        assert figure("realtime_delivery_seconds") < 2
        for name in ("subscriptions", "publications_total", "deliveries_total"):
            assert figure(f"realtime_{name}") == 0
