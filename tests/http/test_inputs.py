"""Bodies: how deep, and which of several shapes."""

from __future__ import annotations

import pytest

from realtime.access import ANONYMOUS
from realtime.errors import InvalidInput, InvalidRequest
from realtime.http.inputs import MAX_DEPTH, Call, body_reader, is_too_deep
from realtime.http.operation import Body
from realtime.http.values import JSON


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return opening * depth + b"1" + closing * depth


@pytest.mark.parametrize(
    "text",
    [
        nested(MAX_DEPTH),
        nested(MAX_DEPTH, b'{"a":', b"}"),
        b"[" + b",".join([b"[{}]"] * 10_000) + b"]",
        b'"' + b"[" * 10_000 + b'"',
        b'["' + b'\\"[' * 1_000 + b'\\\\"]',
        b'["\\\\\\"' + b"{" * 1_000 + b'"]',
        b"]" * 1_000,
        b"[" * 10 + b'"' + b"[" * 1_000,
    ],
)
def test_shallow_text_passes_whatever_its_strings_hold(text: bytes) -> None:
    assert not is_too_deep(text)


@pytest.mark.parametrize(
    "text",
    [
        nested(MAX_DEPTH + 1),
        nested(MAX_DEPTH + 1, b'{"a":', b"}"),
        nested(MAX_DEPTH + 1, b'[{"]":', b"}]"),
        b"[" * 500_000 + b"]" * 500_000,
        b"[" * 1_000_000,
        b'["\\\\",' + nested(MAX_DEPTH) + b"]",
        b"[" + b",".join([b"[]"] * 10_000 + [nested(MAX_DEPTH)]) + b"]",
    ],
)
def test_deep_text_is_refused(text: bytes) -> None:
    assert is_too_deep(text)


class One(Body):
    value: int
    note: JSON | None = None


class Many(Body):
    values: list[int]


def call(body: bytes) -> Call:
    return Call((), b"", {}, body, ANONYMOUS)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"value":"x"}', "$.value"),
        (b'{"values":[1,"x"]}', "$.values[1]"),
        (b'{"values":[],"value":1}', "$"),
        (b'{"other":1}', "$"),
        (b"[]", "$"),
        (b"null", "$"),
    ],
)
def test_a_fault_is_told_of_the_shape_that_was_meant(body: bytes, path: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        body_reader((One, Many))(call(body))
    assert refused.value.path == path


def test_each_shape_is_read() -> None:
    read = body_reader((One, Many))
    assert read(call(b'{"value":1}')) == One(value=1)
    assert read(call(b'{"values":[1]}')) == Many(values=[1])


@pytest.mark.parametrize("body", [b"", b"{", b'{"value":1}x', b'{"value":1,"note":"\xff"}'])
def test_what_is_no_json_is_an_invalid_request(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        body_reader((One,))(call(body))
