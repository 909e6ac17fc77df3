"""Publishing is rehearsed while it is worth while, and nobody notices."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from realtime import rehearsal
from realtime.rehearsal import Rehearsal
from realtime.ws.hub import Hub
from tests.service import running_service


async def test_a_rehearsal_goes_the_whole_way() -> None:
    """It is answered, written down nowhere, and delivered to nobody: each time."""
    rehearsed = Rehearsal(Hub())
    for count in range(1, 6):
        rehearsed.rehearse()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (rehearsed.count, rehearsed.answered, rehearsed.delivered) == (count,) * 3
    rehearsed.close()


async def test_it_rehearses_while_publications_come_and_then_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rehearsal, "INTERVAL", 0.0)
    monkeypatch.setattr(rehearsal, "LOOK", 0.0)
    hub = Hub()
    rehearsed = Rehearsal(hub)
    running = asyncio.create_task(rehearsed.run())
    try:
        await _turns(20)
        assert rehearsed.count == 0, "nothing was published"
        for _ in range(3):
            hub.publications += 1
            await _turns(10)
        assert 0 < rehearsed.count < 30
        await _turns(3 * rehearsal.MOST)
        assert rehearsed.count >= rehearsal.MOST
        ended = rehearsed.count
        await _turns(3 * rehearsal.MOST)
        assert rehearsed.count == ended, "publications are too rare now"
    finally:
        running.cancel()


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("options", [(), ("--rehearse", "false")], ids=["on", "off"])
def test_nothing_of_it_is_seen(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Neither in what is kept, nor in what is counted, nor among the channels."""
    with running_service(tmp_path, *options) as service:
        with httpx.Client(base_url=service.url) as http:
            for number in range(50):
                http.post("/v1/channels/news/messages", json={"data": number}).raise_for_status()
            metrics = http.get("/metrics").text
            keys = json.loads(http.get("/v1/admin/stats").text)["figures"]["keys"]
        assert 'realtime_http_requests_total{operation="publish",status="200"} 50.0' in metrics
        assert keys == 2, "the history of the channel, and its position"
        assert not [line for line in metrics.splitlines() if "rehearsal" in line]
