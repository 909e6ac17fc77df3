"""Whatever a peer sends, it gets a clear code, and the next client is served as if nothing was."""

from __future__ import annotations

import json
import struct

import pytest

from tests.ws.conftest import Serve
from tests.ws.house import House
from tests.ws.peer import BINARY, CLOSE, CONT, PING, TEXT, Closed, frame

KIB = 1024

BAD_FRAMES = {
    "binary": (frame(BINARY, b"\x01\x02"), 3506),
    "not masked": (frame(TEXT, b"{}", masked=False), 1002),
    "reserved bits": (b"\xf1\x80" + bytes(4), 1002),
    "unknown opcode": (b"\x83\x80" + bytes(4), 1002),
    "continuation of nothing": (frame(CONT, b"{}"), 1002),
    "new message within another": (frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), 1002),
    "fragmented ping": (frame(PING, b"", fin=False), 1002),
    "long ping": (frame(PING, b"x" * 126), 1002),
    "one byte too large": (frame(TEXT, b"x" * (64 * KIB + 1)), 1009),
    "announced as endless": (b"\x81\xff" + struct.pack("!Q", 2**63 - 1), 1009),
    "too large in fragments": (
        frame(TEXT, b"x" * 40 * KIB, fin=False) + frame(CONT, b"x" * 40 * KIB),
        1009,
    ),
    "not UTF-8": (frame(TEXT, b'{"id":1,"rpc":{"x":"\xff"}}'), 1007),
    "not UTF-8 over two fragments": (
        frame(TEXT, "é".encode()[:1], fin=False) + frame(CONT, b"x"),
        1007,
    ),
    "close without a reason's code": (frame(CLOSE, b"x"), 1002),
    "close with a code nobody may send": (frame(CLOSE, struct.pack("!H", 1005)), 1002),
}

BAD_COMMANDS = {
    "empty frame": "",
    "empty line": '{"id":9,"rpc":{}}\n\n{"id":10,"rpc":{}}',
    "not JSON": "hello",
    "half a command": '{"id":9,"rpc":{}',
    "two commands without a newline": '{"id":9,"rpc":{}}{"id":10,"rpc":{}}',
    "an array": "[1]",
    "null": "null",
    "NaN": '{"id":9,"publish":{"channel":"c","data":NaN}}',
    "id of text": '{"id":"9","rpc":{}}',
    "id below 0": '{"id":-1,"rpc":{}}',
    "id over 32 bits": '{"id":4294967296,"rpc":{}}',
    "no id": '{"rpc":{}}',
    "id 0": '{"id":0,"subscribe":{"channel":"c"}}',
    "two methods": '{"id":9,"rpc":{},"history":{"channel":"c"}}',
    "method of the wrong type": '{"id":9,"subscribe":"c"}',
    "channel of the wrong type": '{"id":9,"subscribe":{"channel":5}}',
    "no channel": '{"id":9,"subscribe":{}}',
    "empty channel": '{"id":9,"publish":{"channel":"","data":1}}',
    "offset below 0": '{"id":9,"subscribe":{"channel":"c","recover":true,"offset":-1}}',
    "offset beyond doubles": '{"id":9,"subscribe":{"channel":"c","offset":9007199254740994}}',
    "flag of the wrong type": '{"id":9,"subscribe":{"channel":"c","recover":"yes"}}',
    "half a surrogate pair": '{"id":9,"subscribe":{"channel":"\\ud800"}}',
    "nested too deep": '{"id":9,"publish":{"channel":"c","data":' + "[" * 20000 + "}}",
    "connect again": '{"id":9,"connect":{}}',
    "pong without a ping": "{}",
}


@pytest.mark.parametrize("what", BAD_FRAMES)
async def test_a_bad_frame_ends_the_connection_with_its_code(any_house: House, what: str) -> None:
    data, code = BAD_FRAMES[what]
    peer, bystander = await any_house.peer(), await any_house.peer()
    await bystander.subscribe("news")
    peer.send_bytes(data)
    assert (await peer.hang_up()).code == code
    await any_house.until(lambda: len(any_house.door.clients) == 1)
    await any_house.services.channels.publish("news", b"1")
    assert await bystander.published() == 1
    await (await any_house.peer()).subscribe("news")


@pytest.mark.parametrize("what", BAD_COMMANDS)
async def test_a_bad_command_ends_the_connection_for_good(any_house: House, what: str) -> None:
    peer = await any_house.peer()
    peer.send_text(BAD_COMMANDS[what])
    closed = await peer.hang_up()
    assert closed.code == 3501
    # Stock clients reconnect for ever unless the reason is text that is no JSON.
    assert closed.reason.startswith("bad request: ")
    assert len(closed.reason.encode()) <= 123
    await (await any_house.peer()).subscribe("news")


@pytest.mark.parametrize("first", ['{"id":1,"subscribe":{"channel":"c"}}', '{"send":{}}', "{}"])
async def test_nothing_goes_before_connect(any_house: House, first: str) -> None:
    peer = await any_house.dial()
    peer.send_text(first)
    assert (await peer.hang_up()).code == 3501


async def test_commands_before_a_bad_one_are_carried_out(any_house: House) -> None:
    peer = await any_house.peer()
    peer.send_bytes(
        frame(TEXT, b'{"id":9,"publish":{"channel":"c","data":1}}') + frame(TEXT, b"\xff")
    )
    assert (await peer.receive())["id"] == 9
    assert (await peer.hang_up()).code == 1007


async def test_commands_after_a_bad_one_are_not(any_house: House) -> None:
    peer = await any_house.peer()
    peer.send_text('oops\n{"id":9,"publish":{"channel":"c","data":1}}')
    assert (await peer.hang_up()).code == 3501
    assert (await any_house.services.channels.history("c")).position.offset == 0


async def test_a_message_may_come_in_fragments_around_pings(any_house: House) -> None:
    peer = await any_house.peer()
    command = json.dumps({"id": 9, "publish": {"channel": "c", "data": "ü"}}, ensure_ascii=False)
    data = command.encode()
    peer.send_bytes(frame(TEXT, data[:1], fin=False))
    for index in range(1, len(data)):
        peer.send_bytes(frame(CONT, data[index : index + 1], fin=False))
        peer.send_bytes(frame(CONT, b"", fin=False))
    peer.send_bytes(frame(PING, b"are you there") + frame(CONT, b""))
    assert (await peer.receive())["id"] == 9
    await peer.ask(presence_stats={"channel": "c"})
    assert peer.pongs == [b"are you there"]
    found = await any_house.services.channels.history("c", limit=1)
    assert found.publications[0].data == '"ü"'.encode()


async def test_a_message_of_just_the_allowed_size_is_taken(any_house: House) -> None:
    peer = await any_house.peer()
    head, tail = b'{"id":9,"publish":{"channel":"c","data":"', b'"}}'
    filling = b"x" * (64 * KIB - len(head) - len(tail))
    peer.send_bytes(frame(TEXT, head + filling + tail))
    assert await peer.receive() == {"id": 9, "publish": {}}


async def test_frames_may_arrive_byte_by_byte_or_all_at_once(any_house: House) -> None:
    peer = await any_house.peer()
    commands = [
        frame(TEXT, b'{"id":%d,"presence_stats":{"channel":"c"}}' % number)
        for number in range(10, 30)
    ]
    for byte in commands[0]:
        peer.send_bytes(bytes([byte]))
        await peer.writer.drain()
    assert (await peer.receive())["id"] == 10
    peer.send_bytes(b"".join(commands[1:]))
    assert [(await peer.receive())["id"] for _ in commands[1:]] == list(range(11, 30))


async def test_a_proper_close_is_answered_in_kind(any_house: House) -> None:
    peer = await any_house.peer()
    peer.send_bytes(frame(CLOSE, struct.pack("!H", 4000) + b"bye"))
    assert await peer.hang_up() == Closed(4000, "bye")
    await peer.eof()


async def test_after_our_close_the_socket_ends_when_the_peer_agrees(any_house: House) -> None:
    peer = await any_house.peer()
    peer.send_text("oops")
    closed = await peer.hang_up()
    assert any_house.state.connections
    peer.send_bytes(frame(CLOSE, struct.pack("!H", closed.code)))
    await peer.eof()
    await any_house.until(lambda: not any_house.state.connections)


async def test_a_peer_that_does_not_agree_is_cut_off(any_house: House) -> None:
    peer = await any_house.peer()
    peer.send_text("oops")
    await peer.hang_up()
    peer.send_bytes(frame(TEXT, b"{}") * 1000)
    any_house.pass_time(2.5)
    await any_house.until(lambda: not any_house.state.connections)


async def test_an_error_of_ours_is_an_answer_and_not_an_end(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    house = await serve()
    peer = await house.peer()

    async def broken(channel: str) -> list[object]:
        raise ZeroDivisionError

    channels = house.services.channels
    channels.presence = broken  # type: ignore[method-assign, assignment]
    reply = await peer.ask(presence={"channel": "c"})
    assert reply["error"] == {"code": 100, "message": "internal server error", "temporary": True}
    assert "ZeroDivisionError" in caplog.text
    await peer.subscribe("works still")
