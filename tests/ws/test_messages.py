"""The bytes of the protocol, without a socket."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.errors import InvalidRequest
from realtime.ws import messages, pushes
from realtime.ws.codes import CLOSE_BAD_REQUEST, MAX_REASON
from realtime.ws.messages import Command, parse


def test_a_frame_may_end_in_a_newline() -> None:
    assert messages.commands(b"{}\n{}\n") == ["{}", "{}"]
    assert messages.commands(b"") == [""]


def test_unknown_fields_are_ignored_so_that_newer_clients_work() -> None:
    assert parse('{"id":1,"connect":{"headers":{},"subs":{},"flag":3},"x":[1]}') == Command(
        1, messages.Connect()
    )


def test_an_id_alone_is_a_method_we_lack() -> None:
    assert parse('{"id":7,"telepathy":{}}') == Command(7, None)
    assert parse("{}") == messages.PONG


def test_published_data_keeps_its_text() -> None:
    command = parse('{"id":1,"publish":{"channel":"c","data": {"a" : 1.50, "b":"\\u00e9"} }}')
    assert isinstance(command.request, messages.Publish)
    assert bytes(command.request.data).strip() == b'{"a" : 1.50, "b":"\\u00e9"}'


def test_errors_say_where() -> None:
    with pytest.raises(InvalidRequest, match=r"\$\.history\.since\.offset"):
        parse('{"id":1,"history":{"channel":"c","since":{"offset":"3"}}}')


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (messages.reply(3, b"publish"), '{"id":3,"publish":{}}'),
        (
            messages.reply(1, b"connect", messages.ConnectResult("c", "1", 25, pong=True)),
            '{"id":1,"connect":{"client":"c","version":"1","ping":25,"pong":true}}',
        ),
        (messages.reply(2, b"subscribe", messages.SubscribeResult()), '{"id":2,"subscribe":{}}'),
        (
            messages.reply(2, b"history", messages.HistoryResult([], "", 0)),
            '{"id":2,"history":{"publications":[],"epoch":"","offset":0}}',
        ),
        (
            messages.reply(2, b"presence", messages.PresenceResult({})),
            '{"id":2,"presence":{"presence":{}}}',
        ),
        (
            messages.reply(2, b"presence_stats", messages.PresenceStatsResult(0, 0)),
            '{"id":2,"presence_stats":{"num_clients":0,"num_users":0}}',
        ),
        (
            messages.error_reply(2, 108, 'not "available"'),
            '{"id":2,"error":{"code":108,"message":"not \\"available\\""}}',
        ),
        (
            messages.error_reply(2, 100, "x", temporary=True),
            '{"id":2,"error":{"code":100,"message":"x","temporary":true}}',
        ),
        (pushes.client_info("c", ""), '{"user":"","client":"c"}'),
        (
            pushes.client_info("c", "u", b'{"a":1}'),
            '{"user":"u","client":"c","conn_info":{"a":1}}',
        ),
        (pushes.publication(0, b"null"), '{"data":null}'),
        (
            pushes.publication(1, b"1", b'{"user":""}', epoch="e"),
            '{"data":1,"offset":1,"info":{"user":""},"epoch":"e"}',
        ),
        (
            pushes.publication(1, b"1", tags=b'{"k":"v"}', channel=b'a"b'),
            '{"data":1,"offset":1,"tags":{"channel":"a\\"b","k":"v"},"channel":"a\\"b"}',
        ),
        (
            pushes.publication(1, b"1", tags=b'{"channel":"c"}', channel=b"b"),
            '{"data":1,"offset":1,"tags":{"channel":"c"},"channel":"b"}',
        ),
        (
            pushes.publication(1, b"1", tags=b"[]", channel=b"b"),
            '{"data":1,"offset":1,"tags":{"channel":"b"},"channel":"b"}',
        ),
        (
            pushes.push(pushes.push_head('a"b'), b"pub", b"{}"),
            '{"push":{"channel":"a\\"b","pub":{}}}',
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_zero_values_are_left_out_unless_clients_need_them(made: bytes, text: str) -> None:
    assert made.decode() == text


@given(st.recursive(st.none() | st.text() | st.integers(), st.lists))
def test_no_object_holds_a_newline(data: object) -> None:
    pretty = json.dumps(data, indent=1).encode()
    made = pushes.publication(1, pretty)
    assert b"\n" not in made
    assert json.loads(made)["data"] == data


def test_a_close_reason_fits_into_its_frame() -> None:
    close = CLOSE_BAD_REQUEST.because("é" * 200)
    assert len(close.reason.encode()) <= MAX_REASON
    assert close.reason.startswith("bad request: é")
