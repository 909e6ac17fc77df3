"""A reader who does not read: it is closed, nobody waits for it, and it costs bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import httpx
import pytest

from realtime.ws.door import Options
from tests.redis.stores import STORES, store_options
from tests.service import Service, running_service
from tests.ws.conftest import Serve
from tests.ws.house import House
from tests.ws.peer import Closed, Peer

KIB = 1024
PAYLOAD = b'"%b"' % (b"x" * 32 * KIB)
ENOUGH = 600
"""Payloads that no kernel buffers swallow."""


async def stalled(house: House) -> Peer:
    """A subscriber that will not read, with a small window."""
    peer = await house.peer(receive_buffer=4 * KIB)
    await peer.subscribe("c")
    return peer


async def publish_until(house: House, readers: list[Peer], code: int) -> int:
    """Publish, and let the readers read, until a connection is closed with ``code``."""
    for count in range(1, ENOUGH):
        await house.services.channels.publish("c", PAYLOAD)
        await asyncio.sleep(0)
        for reader in readers:
            assert (await reader.pushed())["pub"]["offset"] == count
        if code in house.hub.closes:
            return count
    raise AssertionError("the slow one was never closed")


async def test_a_slow_reader_is_closed_and_nobody_else_notices(any_house: House) -> None:
    slow = await stalled(any_house)
    readers = [await any_house.peer() for _ in range(5)]
    for reader in readers:
        await reader.subscribe("c")
    count = await publish_until(any_house, readers, 3008)
    assert any_house.hub.closes == {3008: 1}
    await any_house.until(lambda: any_house.hub.subscriptions == 5)
    await any_house.services.channels.publish("c", b'"after"')
    for reader in readers:
        assert (await reader.pushed())["pub"] == {"data": "after", "offset": count + 1}
    assert await slow.hang_up() == Closed(3008, "slow"), "it is told why, once it reads"


async def test_who_was_too_slow_knows_where_it_stopped(serve: Serve) -> None:
    house = await serve(options=Options(queue_bytes=256 * KIB))
    slow = await stalled(house)
    published = await publish_until(house, [], 3008)
    offsets: list[int] = []
    with contextlib.suppress(ConnectionError):
        while True:
            offsets.append((await slow.pushed())["pub"]["offset"])
    assert slow.closed == Closed(3008, "slow")
    assert offsets == list(range(1, len(offsets) + 1)), "cut off, but without a hole"
    assert len(offsets) < published


async def test_a_reader_that_never_reads_again_is_cut_off(any_house: House) -> None:
    slow = await stalled(any_house)
    await publish_until(any_house, [], 3008)
    any_house.pass_time(2.5)
    await any_house.until(lambda: not any_house.state.connections)
    await slow.eof_or_reset()


async def test_what_waits_for_a_slow_reader_is_bounded(serve: Serve) -> None:
    limit = 256 * KIB
    house = await serve(options=Options(queue_bytes=limit))
    await stalled(house)
    (connection,) = house.state.connections
    most = 0
    for _ in range(ENOUGH):
        await house.services.channels.publish("c", PAYLOAD)
        await asyncio.sleep(0)
        most = max(most, connection._outbox.waiting)  # type: ignore[union-attr]
        if house.hub.closes:
            break
    assert house.hub.closes == {3008: 1}
    assert limit / 2 < most <= limit


async def test_a_client_that_only_asks_and_never_reads_is_slow_too(any_house: House) -> None:
    for _ in range(20):
        await any_house.services.channels.publish("c", PAYLOAD)
    peer = await any_house.peer(receive_buffer=4 * KIB)
    for _ in range(64):
        peer.send(history={"channel": "c", "limit": -1})
    await any_house.until(lambda: 3008 in any_house.hub.closes)


async def test_a_pause_in_reading_costs_nothing(serve: Serve) -> None:
    house = await serve(options=Options(queue_bytes=16 * KIB * KIB))
    late = await stalled(house)
    (connection,) = house.state.connections
    count = 0
    while connection._outbox.waiting < 512 * KIB:  # type: ignore[union-attr]
        count += 1
        await house.services.channels.publish("c", PAYLOAD)
        await asyncio.sleep(0)
    reply = asyncio.create_task(late.ask(presence_stats={"channel": "c"}))
    assert (await reply)["presence_stats"]["num_clients"] == 1
    assert [(await late.pushed())["pub"]["offset"] for _ in range(count)] == [
        number + 1 for number in range(count)
    ]
    assert connection._outbox.waiting == 0  # type: ignore[union-attr]
    await house.services.channels.publish("c", b"1")
    assert await late.published() == 1


@pytest.mark.parametrize("store", STORES)
def test_a_crowd_that_never_reads_costs_a_service_next_to_nothing(
    tmp_path: Path, store: str
) -> None:
    with store_options(store, tmp_path) as options, running_service(None, *options) as service:
        asyncio.run(_crowd(service))


async def _crowd(service: Service) -> None:
    """30 who do not read and one who does; 10 MB are published to each."""
    crowd = [await Peer.dial(service.port, receive_buffer=4 * KIB) for _ in range(30)]
    reader, writer = await Peer.dial(service.port), await Peer.dial(service.port)
    for peer in (reader, writer, *crowd):
        await peer.connect()
    for peer in (reader, *crowd):
        await peer.subscribe("c")
    before = _resident(service.process.pid)
    most = 0
    for number in range(1, 321):
        await writer.ask(publish={"channel": "c", "data": "x" * 32 * KIB})
        assert (await reader.pushed())["pub"]["offset"] == number
        most = max(most, _resident(service.process.pid))
    # Unbounded it would be 300 MB. What waits for one waits for all: it is held once.
    assert most - before < 20 * KIB * KIB
    metrics = await asyncio.to_thread(httpx.get, f"{service.url}/metrics")
    assert "realtime_slow_closes_total 30.0" in metrics.text
    for peer in (reader, writer, *crowd):
        await peer.end()


def _resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
