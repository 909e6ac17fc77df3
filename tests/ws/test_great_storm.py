"""A service in a storm: everybody who is still there has heard everything, and nothing is left.

REALTIME_STORM_SECONDS   how long it lasts (2; `make storm`: 60)
REALTIME_STORM_CLIENTS   that are out in it (60; `make storm`: 200)
REALTIME_STORM_SEED      to see again what was seen (random)
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.redis.stores import STORES, store_options
from tests.service import Service, running_service
from tests.ws.storm import Weather, storm

SECONDS = float(os.environ.get("REALTIME_STORM_SECONDS", "2"))
CLIENTS = int(os.environ.get("REALTIME_STORM_CLIENTS", "60"))
SLUGGARDS = CLIENTS // 20
OPTIONS = ("--ws-ping-interval", "10", "--log-level", "error")
WARM_SECONDS = min(SECONDS, 30.0)
"""Of a storm before it, for the service to get as large as a storm makes it."""
GROWTH = 1.1
"""How much more memory may be in use after the storm than after the one before it."""
PAGE = os.sysconf("SC_PAGE_SIZE")


log = logging.getLogger(__name__)


@pytest.mark.timeout(90 + 4 * SECONDS)
@pytest.mark.parametrize("store", [*STORES, "journal"])
async def test_a_storm_leaves_nothing_behind(store: str, tmp_path: Path) -> None:
    seed = int(os.environ.get("REALTIME_STORM_SEED", random.randrange(10**6)))
    data = tmp_path / "data" if store == "journal" else None
    kept_in = "embedded" if store == "journal" else store
    with ExitStack() as stack:
        options = stack.enter_context(store_options(kept_in, tmp_path))
        service = stack.enter_context(running_service(data, *OPTIONS, *options))
        try:
            await _two_storms(service, random.Random(seed))
        except BaseException as fault:
            fault.add_note(f"REALTIME_STORM_SEED={seed}")
            raise
        assert not service.log


async def _two_storms(service: Service, dice: random.Random) -> None:
    memory: list[int] = []
    for seconds in (WARM_SECONDS, SECONDS):
        seen = await storm(service.port, Weather(CLIENTS, SLUGGARDS, seconds), dice)
        await _until_empty(service)
        memory.append(_resident(service))
        log.info("%d acknowledged, %s", len(seen.published), dict(seen.events))
        assert len(seen.published) > CLIENTS * seconds / 10
        for event in ("vanished", "stalled", "recovered"):
            assert seen.events[event], event
    log.info("%.1f MiB, then %.1f MiB", memory[0] / 2**20, memory[1] / 2**20)
    assert memory[1] <= GROWTH * memory[0]


async def _until_empty(service: Service) -> None:
    """The tables of the service, and the presence of its clients."""
    async with httpx.AsyncClient(base_url=service.url) as http, asyncio.timeout(30):
        while await _left(http):  # noqa: ASYNC110  # another process tells nobody
            await asyncio.sleep(0.05)


async def _left(http: httpx.AsyncClient) -> bool:
    metrics = (await http.get("/metrics")).text.splitlines()
    levels = ("realtime_connections ", "realtime_subscriptions ")
    figures = [float(line.split()[1]) for line in metrics if line.startswith(levels)]
    assert len(figures) == 2
    active = (await http.get("/v1/channels")).json()["channels"]
    return any(figures) or bool(active)


def _resident(service: Service) -> int:
    """Bytes of it that are in memory."""
    return int(Path(f"/proc/{service.process.pid}/statm").read_text().split()[1]) * PAGE
