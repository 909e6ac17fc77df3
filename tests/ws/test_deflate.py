"""Compression, with a client that is not ours: negotiated, shared, bounded, and off by default."""

from __future__ import annotations

import json
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from realtime.ws.door import Options
from tests.ws.conftest import Serve
from tests.ws.house import House
from tests.ws.peer import TEXT, frame

KIB = 1024
ON = Options(deflate=True, deflate_bytes=200)
OFFER = ("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",)


@asynccontextmanager
async def client(house: House, **offer: Any) -> AsyncIterator[ClientConnection]:
    """A stock WebSocket client that has connected."""
    extensions = [ClientPerMessageDeflateFactory(**offer)]
    uri = f"ws://127.0.0.1:{house.port}/connection/websocket"
    async with connect(uri, compression=None, extensions=extensions) as socket:
        await ask(socket, connect={})
        yield socket


async def ask(socket: ClientConnection, **method: object) -> Any:
    await socket.send(json.dumps({"id": 1, **method}))
    return json.loads(await socket.recv())


@pytest.mark.parametrize(
    "offer", [{}, {"client_max_window_bits": True}, {"server_max_window_bits": 9}]
)
async def test_a_client_that_offers_it_reads_what_is_compressed(
    serve: Serve, offer: dict[str, Any]
) -> None:
    house = await serve(options=ON)
    async with client(house, **offer) as socket:
        (extension,) = socket.protocol.extensions
        assert "server_no_context_takeover" in str(socket.response.headers)  # type: ignore[union-attr]
        await ask(socket, subscribe={"channel": "c"})
        for number in range(3):
            await house.services.channels.publish("c", b'["%b",%d]' % (b"x" * KIB, number))
            push = json.loads(await socket.recv())
            assert push["push"]["pub"]["data"] == ["x" * KIB, number]
        long = await ask(socket, presence_stats={"channel": "c" * 250})
        assert long == {"id": 1, "presence_stats": {"num_clients": 0, "num_users": 0}}
        assert extension.name == "permessage-deflate"


async def test_all_of_a_kind_are_sent_the_same_bytes(serve: Serve) -> None:
    """Those who do not want it, or not so, get theirs beside them."""
    house = await serve(options=ON)
    peers = [await house.dial(headers=OFFER) for _ in range(3)]
    for peer in peers:
        await peer.connect()
        await peer.subscribe("c")
    plain = await house.peer()
    await plain.subscribe("c")
    fans = house.hub._topics[b"c"].fans
    assert sorted(len(fan.sinks) for fan in fans) == [1, 3]
    data = b'"%b"' % (b"x" * KIB)
    await house.services.channels.publish("c", data)
    assert (await plain.published()) == "x" * KIB
    read = [await peer.reader.readexactly(2) for peer in peers]
    sizes = {second for _, second in read}
    assert {first for first, _ in read} == {0xC1}
    assert len(sizes) == 1
    bodies = {await peer.reader.readexactly(max(sizes)) for peer in peers}
    (body,) = bodies
    inflated = zlib.decompressobj(-15).decompress(body + b"\0\0\xff\xff")
    assert json.loads(inflated)["push"]["pub"]["data"] == "x" * KIB


async def test_it_is_off_unless_it_is_asked_for(serve: Serve) -> None:
    house = await serve()
    peer = await house.dial(headers=OFFER)
    assert peer.status == 101
    assert "Extensions" not in peer.head
    await peer.connect()
    await peer.subscribe("c")
    await house.services.channels.publish("c", b'"%b"' % (b"x" * KIB))
    assert await peer.published() == "x" * KIB


async def test_a_message_is_bounded_after_it_is_inflated(serving: Serve) -> None:
    """100 MB of spaces are 100 KB on the wire. Nothing like 100 MB is ever held."""
    house = await serving(options=Options(deflate=True, message_bytes=64 * KIB))
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(compressor.compress(b" " * KIB * KIB) for _ in range(100))
    bomb += compressor.flush(zlib.Z_SYNC_FLUSH)
    pieces = [bomb[at : at + 60 * KIB] for at in range(0, len(bomb), 60 * KIB)]
    whole, parts = [await house.dial(headers=OFFER) for _ in range(2)]
    for peer in (whole, parts):
        await peer.connect()
    tracemalloc.start()
    try:
        whole.send_bytes(compressed(pieces[0], fin=True))
        parts.send_bytes(compressed(pieces[0][:KIB], fin=False) + frame(0, pieces[0][KIB:]))
        assert (await whole.hang_up()).code == 1009
        assert (await parts.hang_up()).code == 1009
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4 * KIB * KIB


async def test_a_message_within_the_bound_is_taken_compressed_in_parts(serving: Serve) -> None:
    house = await serving(options=ON)
    async with client(house, client_max_window_bits=True) as socket:
        text = json.dumps({"id": 7, "presence_stats": {"channel": "c"}}) + " " * 10_000
        await socket.send([text[:20], text[20:5_000], text[5_000:]])
        assert json.loads(await socket.recv())["id"] == 7


async def test_what_is_no_deflate_ends_the_connection(serving: Serve) -> None:
    house = await serving(options=ON)
    peer = await house.dial(headers=OFFER)
    await peer.connect()
    peer.send_bytes(compressed(b"\xff" * 20, fin=True))
    assert (await peer.hang_up()).code == 1002
    async with client(house) as socket:
        await socket.send("{}\n" * 3)
        with pytest.raises(ConnectionClosed):
            await socket.recv()


def compressed(payload: bytes, *, fin: bool) -> bytes:
    data = bytearray(frame(TEXT, payload, fin=fin))
    data[0] |= 0x40
    return bytes(data)
