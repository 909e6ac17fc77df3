"""What is framed is read by others' parsers as it was; on each transport."""

from __future__ import annotations

import json
from collections.abc import Callable

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Close as CloseFrame
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from realtime.ws.codes import CLOSE_BAD_REQUEST, CLOSE_SHUTDOWN
from realtime.ws.framing import (
    FRAME_OBJECTS,
    HTTP_STREAM,
    SSE,
    WEBSOCKET,
    Framing,
    deflated,
    text_frame,
)

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def parsed(data: bytes, *extensions: PerMessageDeflate) -> list[Frame]:
    """The frames, read by somebody else's parser."""
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    frames = []
    while reader.buffer:
        parsing = Frame.parse(reader.read_exact, mask=False, extensions=extensions)
        try:
            next(parsing)
        except StopIteration as done:
            frames.append(done.value)
    return frames


def unframed(data: bytes) -> list[bytes]:
    """The payloads of text frames."""
    frames = parsed(data)
    assert all(frame.opcode is Opcode.TEXT for frame in frames)
    return [bytes(frame.data) for frame in frames]


def body(data: bytes) -> tuple[bytes, bool]:
    """The body of a response in chunks, and whether it has ended, by somebody else's parser."""
    reader = h11.Connection(h11.CLIENT)
    reader.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    reader.send(h11.EndOfMessage())
    reader.receive_data(HEAD + data)
    got = b""
    while True:
        event = reader.next_event()
        if event is h11.NEED_DATA or isinstance(event, h11.EndOfMessage):
            return got, event is not h11.NEED_DATA
        if isinstance(event, h11.Data):
            got += event.data


def lines(data: bytes) -> list[bytes]:
    *whole, rest = data.split(b"\n")
    assert not rest
    return whole


def events(data: bytes) -> list[bytes]:
    """As a browser reads them: a line ends in any of three ways, an event in an empty line."""
    *whole, rest = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n\n")
    assert not rest
    assert all(event.startswith(b"data: ") and b"\n" not in event for event in whole)
    return [event.removeprefix(b"data: ") for event in whole]


STREAMS = [pytest.param(SSE, events, id="sse"), pytest.param(HTTP_STREAM, lines, id="http_stream")]
Split = Callable[[bytes], list[bytes]]
objects_of_json = st.lists(
    st.dictionaries(st.text(max_size=5), st.text(max_size=80), max_size=4).map(
        lambda value: json.dumps(value).encode()
    ),
    min_size=1,
    max_size=40,
)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 200_000])
def test_a_text_frame_is_what_a_websocket_parser_reads(size: int) -> None:
    assert unframed(text_frame(b"x" * size)) == [b"x" * size]


@given(st.lists(st.binary(max_size=300).map(lambda data: data.replace(b"\n", b"")), min_size=1))
def test_frames_keep_all_objects_in_order(objects: list[bytes]) -> None:
    payloads = unframed(WEBSOCKET.frames(objects))
    assert b"\n".join(payloads).split(b"\n") == objects
    assert len(payloads) == -(-len(objects) // FRAME_OBJECTS)


def test_frames_are_bounded_in_bytes() -> None:
    small, large = b"s" * 1000, b"l" * 60_000
    huge = b"h" * 100_000
    payloads = unframed(WEBSOCKET.frames([small, large, large, huge, small, small]))
    assert payloads == [small + b"\n" + large, large, huge, small + b"\n" + small]


@pytest.mark.parametrize("bits", [9, 12, 15])
@given(objects=objects_of_json)
def test_what_is_deflated_is_inflated_by_others(bits: int, objects: list[bytes]) -> None:
    peer = PerMessageDeflate(True, True, bits, bits)
    framing = deflated(100, bits)
    first, second = framing.frames(objects), framing.frames(objects[::-1])
    for data, sent in ((second, objects[::-1]), (first, objects)):  # in any order: they are equal
        payloads = [bytes(frame.data) for frame in parsed(data, peer)]
        assert b"\n".join(payloads).split(b"\n") == sent


def test_what_deflate_would_not_shorten_is_sent_as_it_is() -> None:
    small, noise, text = b"s" * 99, bytes(range(256)), b'{"a":1}' * 100
    framing = deflated(100)
    assert framing.frames([small]) == WEBSOCKET.frames([small])
    assert framing.frames([noise]) == WEBSOCKET.frames([noise])
    assert len(framing.frames([text])) < 50


def test_a_deflated_framing_is_one_for_all() -> None:
    """Else every connection would have a fan of its own."""
    assert deflated(100) is deflated(100)
    assert deflated(100) is not deflated(100, 12)


@pytest.mark.parametrize("framing", [WEBSOCKET, SSE, HTTP_STREAM, deflated(0)])
def test_no_objects_make_no_bytes(framing: Framing) -> None:
    """An empty chunk would be the last one."""
    assert framing.frames([]) == b""


@pytest.mark.parametrize(("framing", "split"), STREAMS)
@given(objects=objects_of_json)
def test_streams_keep_all_objects_in_order(
    framing: Framing, split: Split, objects: list[bytes]
) -> None:
    half = len(objects) // 2
    data = framing.frames(objects[:half]) + framing.ping + framing.frames(objects[half:])
    assert body(data) == (b"".join([body(data)[0]]), False), "it goes on"
    assert split(body(data)[0]) == [*objects[:half], b"{}", *objects[half:]]


def test_a_carriage_return_between_tokens_ends_no_event() -> None:
    (event,) = events(body(SSE.frames([b'{"a":\r\r1}']))[0])
    assert json.loads(event) == {"a": 1}


def test_a_ping_is_an_empty_object() -> None:
    assert unframed(WEBSOCKET.ping) == [b"{}"]


def test_a_websocket_is_closed_by_a_close_frame() -> None:
    (frame,) = parsed(WEBSOCKET.close(CLOSE_BAD_REQUEST.because("x" * 200)))
    assert frame.opcode is Opcode.CLOSE
    close = CloseFrame.parse(bytes(frame.data))
    assert (close.code, close.reason[:15]) == (3501, "bad request: xx")


@pytest.mark.parametrize(("framing", "split"), STREAMS)
def test_a_stream_is_closed_by_an_object_and_the_last_chunk(framing: Framing, split: Split) -> None:
    data, ended = body(framing.close(CLOSE_SHUTDOWN))
    assert ended
    assert [json.loads(item) for item in split(data)] == [
        {"push": {"disconnect": {"code": 3001, "reason": "shutdown"}}}
    ]
