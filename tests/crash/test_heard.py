"""With ``always`` nobody hears of anything that a power cut could take back: no subscriber, no
reader, no writer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.crash.power import lose_power, tail_of
from tests.crash.replayer import listing
from tests.crash.rig import JOURNAL, Rig, fault_file
from tests.redis.waiting import until
from tests.service import Service
from tests.ws.peer import Peer

CUTS = 4
WRITERS = 5


@contextlib.asynccontextmanager
async def subscribed(service: Service, channel: str) -> AsyncIterator[Peer]:
    peer = await Peer.dial(service.port)
    try:
        await peer.connect()
        await peer.subscribe(channel)
        yield peer
    finally:
        await peer.end()


async def test_a_publication_reaches_subscribers_when_it_is_on_disk(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "data", "always", seed=13)
    faults, env = fault_file(rig.data)
    with rig.service(env=env) as service:
        async with (
            subscribed(service, "news") as peer,
            subscribed(service, "news") as publisher,
            httpx.AsyncClient(base_url=service.url) as http,
        ):
            before = written(rig)
            faults.write_text("journal.sync=HANG")
            by_http = asyncio.create_task(http.post("/v1/channels/news/messages", json={"data": 1}))
            publisher.send(publish={"channel": "news", "data": 2})
            await until(lambda: written(rig) > before)
            # Reads are answered when it is plain that the disk hangs, all but one, which might
            # tell of the changes. Had they been told to subscribers, that would long be here.
            reads = [asyncio.create_task(http.get("/v1/counters/c")) for _ in range(2)]
            await asyncio.wait(reads, return_when=asyncio.FIRST_COMPLETED)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await peer.published()
            assert not by_http.done()
            faults.unlink()
            assert {await peer.published(), await peer.published()} == {1, 2}
            await asyncio.gather(*reads)
            assert (await by_http).status_code == 200


def written(rig: Rig) -> int:
    """Bytes that the journal has handed to the system."""
    return listing(rig.data / JOURNAL).increments[-1].stat().st_size


async def test_what_was_heard_is_there_after_a_power_cut(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "data", "always", seed=14)
    heard, read = 0, 0
    for _ in range(CUTS):
        fault = f"journal.sync@{rig.draw.randint(20, 60)}=KILL"
        with rig.service(env={"REALTIME_TEST_FAULTS": fault}) as service:
            async with (
                subscribed(service, "news") as peer,
                httpx.AsyncClient(base_url=service.url) as http,
            ):
                offsets, counts = await _until_killed(peer, http)
        heard, read = max([heard, *offsets]), max([read, *counts])
        tail = tail_of(rig.data)
        with tail.path.open("r+b") as file:
            file.truncate(tail.synced)
        lose_power(rig.data)
        with rig.service() as service:
            async with httpx.AsyncClient(base_url=service.url) as http:
                channel = (await http.get("/v1/channels/news/messages")).json()
                counter = (await http.get("/v1/counters/n")).json()
        assert channel["offset"] >= heard
        assert counter["value"] >= read
    assert heard > CUTS * 5
    assert read > CUTS * 5


async def _until_killed(peer: Peer, http: httpx.AsyncClient) -> tuple[list[int], list[int]]:
    """Write, listen and read; the offsets that were heard, and the values that were read."""
    writers = [asyncio.create_task(_write(http)) for _ in range(WRITERS)]
    offsets, counts = await asyncio.gather(_listen(peer), _read(http))
    await asyncio.gather(*writers)
    return offsets, counts


async def _write(http: httpx.AsyncClient) -> None:
    with contextlib.suppress(httpx.TransportError):
        while True:
            await http.post("/v1/channels/news/messages", json={"data": 1})
            await http.post("/v1/counters/n/add", json={})


async def _listen(peer: Peer) -> list[int]:
    offsets: list[int] = []
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            offsets.append((await peer.pushed())["pub"]["offset"])
    return offsets


async def _read(http: httpx.AsyncClient) -> list[int]:
    values: list[int] = []
    with contextlib.suppress(httpx.TransportError):
        while True:
            answer = (await http.get("/v1/counters/n")).json()
            values.append(answer.get("value", 0))
    return values
