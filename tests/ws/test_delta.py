"""Differences, as the stock clients make them into publications again."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import centrifuge
import pytest

from realtime.services.namespaces import Namespace, Namespaces
from tests.redis.stores import STORES, store_options
from tests.service import running_service
from tests.stage import NODE
from tests.support import require
from tests.ws.conftest import Serve
from tests.ws.house import House
from tests.ws.test_node_client import packages

__all__ = ["packages"]  # the fixture

PATIENCE = 20.0
NAMESPACES = Namespaces(Namespace(), [Namespace(name="match", prefix="match:", delta=True)])
CHANNEL = "match:1"


def document(number: int) -> dict[str, Any]:
    return {"teams": ["Malmö", "東京 🎈"], "rows": list(range(60)), "minute": number}


class Reader(centrifuge.SubscriptionEventHandler):  # type: ignore[misc]  # untyped
    def __init__(self) -> None:
        self.heard: asyncio.Queue[Any] = asyncio.Queue()

    async def on_publication(self, event: Any) -> None:
        self.heard.put_nowait((event.pub.offset, event.pub.data))

    async def next(self) -> Any:
        return await asyncio.wait_for(self.heard.get(), PATIENCE)


async def publish(house: House, *numbers: int) -> None:
    for number in numbers:
        text = json.dumps(document(number), ensure_ascii=False)
        await house.services.channels.publish(CHANNEL, text.encode())


async def test_the_stock_python_client_sees_whole_publications(serve: Serve) -> None:
    """Live, several at once, recovered, and live again."""
    house = await serve(namespaces=NAMESPACES)
    client = centrifuge.Client(
        f"ws://127.0.0.1:{house.port}/connection/websocket",
        max_reconnect_delay=0.05,
        proxy=None,
    )
    reader = Reader()
    sub = client.new_subscription(CHANNEL, events=reader, delta=centrifuge.DeltaType.FOSSIL)
    await client.connect()
    await sub.subscribe()
    await sub.ready(PATIENCE)
    await publish(house, 1)
    assert await reader.next() == (1, document(1))
    await publish(house, 2, 3)
    assert [await reader.next() for _ in range(2)] == [(n, document(n)) for n in (2, 3)]
    house.shut_down()
    await house.until(lambda: len(house.door.clients) == 0)
    await publish(house, 4, 5)
    assert [await reader.next() for _ in range(2)] == [(n, document(n)) for n in (4, 5)]
    await house.until(lambda: house.hub.subscriptions == 1)
    await publish(house, 6, 7)
    assert [await reader.next() for _ in range(2)] == [(n, document(n)) for n in (6, 7)]
    await client.disconnect()


async def test_what_travels_is_short(serve: Serve) -> None:
    house = await serve(namespaces=NAMESPACES)
    peer, plain = await house.peer(), await house.peer()
    reply = await peer.subscribe(CHANNEL, delta="fossil")
    assert reply["delta"] is True
    assert "delta" not in await plain.subscribe(CHANNEL)
    await publish(house, 1)
    first = (await peer.pushed())["pub"]
    assert "delta" not in first
    assert isinstance(first["data"], str)
    assert (await plain.published()) == document(1)
    await publish(house, 2)
    second = (await peer.pushed())["pub"]
    assert second["delta"] is True
    assert len(second["data"]) < 40
    assert (await plain.published()) == document(2)


async def test_recovered_publications_are_whole(serve: Serve) -> None:
    house = await serve(namespaces=NAMESPACES)
    peer = await house.peer()
    await publish(house, 1, 2)
    epoch = (await peer.ask(history={"channel": CHANNEL}))["history"]["epoch"]
    reply = await peer.subscribe(CHANNEL, delta="fossil", recover=True, offset=1, epoch=epoch)
    (missed,) = reply["publications"]
    assert isinstance(missed["data"], str)
    assert "delta" not in missed
    await publish(house, 3)
    assert "delta" not in (await peer.pushed())["pub"], "the first push is whole, too"


async def test_where_the_namespace_has_none_nobody_gets_any(serve: Serve) -> None:
    house = await serve(namespaces=NAMESPACES)
    peer = await house.peer()
    assert "delta" not in await peer.subscribe("other", delta="fossil")
    await house.services.channels.publish("other", b'{"a":1}')
    assert await peer.published() == {"a": 1}


@pytest.mark.parametrize("store", STORES)
def test_the_stock_javascript_client_sees_whole_publications(
    packages: None, tmp_path: Path, store: str
) -> None:
    config = tmp_path / "realtime.toml"
    config.write_text("[namespaces.match]\ndelta = true\n")
    with (
        store_options(store, tmp_path) as options,
        running_service(None, *options, "--config", str(config)) as service,
    ):
        done = subprocess.run(
            [require("node"), "--test", str(NODE / "delta.test.mjs")],
            env=os.environ | {"REALTIME_URL": service.url},
            capture_output=True,
            text=True,
            timeout=100,
        )
    assert done.returncode == 0, done.stdout + done.stderr
