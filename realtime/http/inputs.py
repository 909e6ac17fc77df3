"""Reading what a request brings, against the Structs of its operation.

Each reader is built once per operation and called once per request. It answers a Struct or
raises: InvalidRequest for what is no JSON, no UTF-8, or a broken header; InvalidInput for
what was understood and is wrong, with the JSON path of the fault if it lies in the body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec.inspect import Field, ListType, Metadata, type_info

from realtime.access import Principal
from realtime.errors import InvalidInput, InvalidRequest
from realtime.http.stream import Stream
from realtime.http.uri import parse_query

__all__ = [
    "MAX_DEPTH",
    "Call",
    "Reader",
    "body_reader",
    "header_reader",
    "is_too_deep",
    "lists_of",
    "path_reader",
    "query_reader",
]

MAX_DEPTH = 64
"""Levels of JSON. Real documents have a handful; every level costs parsers of C a stack frame,
ours and those of all who are sent the data."""

_BRACKETS = bytes.maketrans(b"[]", b"{}")
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'"[]{}'))


class Call(msgspec.Struct, frozen=True):
    """One request to one operation, over HTTP or within a batch."""

    names: Sequence[str]
    """The segments of the path that are names."""
    query: bytes
    headers: Mapping[bytes, bytes]
    body: bytes
    caller: Principal
    stream: Stream | None = None
    """Where the body may still be arriving, and the answer may be sent piece by piece."""


Reader = Callable[[Call], object]


def path_reader(shape: type[msgspec.Struct]) -> Reader:
    """Names only; the services check them, here as everywhere else."""
    return lambda call: shape(*call.names)


def query_reader(shape: type[msgspec.Struct]) -> Reader:
    """Query parameters; unknown, repeated and malformed ones raise InvalidInput."""
    lists = lists_of(shape)
    unasked = None if _required(shape) else shape()

    def read(call: Call) -> msgspec.Struct:
        if not call.query and unasked is not None:
            return unasked
        values = parse_query(call.query, lists) if call.query else {}
        try:
            return msgspec.convert(values, shape, strict=False)
        except msgspec.ValidationError as error:
            text, at = _fault(error)
            name = at.removeprefix("$.")
            where = "the query" if name == "$" else f"query parameter {name!r}"
            raise InvalidInput(f"{where}: {text}") from None

    return read


def lists_of(shape: type[msgspec.Struct]) -> frozenset[str]:
    """The query parameters that hold several values."""
    fields: tuple[Field, ...] = type_info(shape).fields  # type: ignore[attr-defined]
    return frozenset(field.encode_name for field in fields if _is_list(field))


def _is_list(field: Field) -> bool:
    bare = field.type.type if isinstance(field.type, Metadata) else field.type
    return isinstance(bare, ListType)


def header_reader(shape: type[msgspec.Struct]) -> Reader:
    """Request headers; a missing or malformed one raises InvalidRequest."""
    keys = [(name, name.lower().encode()) for name in shape.__struct_encode_fields__]

    def read(call: Call) -> msgspec.Struct:
        headers = call.headers
        given = {name: headers[key].decode("latin-1") for name, key in keys if key in headers}
        try:
            return msgspec.convert(given, shape)
        except msgspec.ValidationError as error:
            text, at = _fault(error)
            name = at.removeprefix("$.")
            where = "the headers" if name == "$" else f"header {name}"
            raise InvalidRequest(f"{where}: {text}") from None

    return read


def body_reader(shapes: tuple[type[msgspec.Struct], ...]) -> Reader:
    """A JSON object of one of the shapes; the first is the one that is tried first."""
    first, *others = shapes
    decode = msgspec.json.Decoder(first).decode
    decoders = [(shape, msgspec.json.Decoder(shape).decode) for shape in shapes]
    unsaid = None if _required(first) else first()

    def read(call: Call) -> msgspec.Struct:
        body = call.body
        if not body and unsaid is not None:
            return unsaid
        if len(body) > 2 * MAX_DEPTH and is_too_deep(body):
            raise InvalidRequest(f"the body is nested deeper than {MAX_DEPTH} levels")
        try:
            if not body.isascii():
                body.decode()  # what is only passed on is not looked at by the decoder
            try:
                return decode(body)
            except msgspec.ValidationError:
                if not others:
                    raise
                return _likeliest(body, decoders)(body)
        except msgspec.ValidationError as error:
            text, at = _fault(error)
            raise InvalidInput(text, path=at) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidRequest(f"the body is not JSON: {error}") from None

    return read


_Decode = Callable[[bytes], msgspec.Struct]


def _likeliest(body: bytes, decoders: Sequence[tuple[type[msgspec.Struct], _Decode]]) -> _Decode:
    """The decoder of the shape most of whose required fields the body has; else the first one.

    So the error that a client reads is about the shape it meant.
    """
    given = msgspec.json.decode(body, type=dict[str, msgspec.Raw]).keys()
    return max(decoders, key=lambda one: len(given & _required(one[0])))[1]


def _required(shape: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(shape) if field.required}


def _fault(error: msgspec.ValidationError) -> tuple[str, str]:
    """What is wrong, and where."""
    text, _, path = str(error).partition(" - at `")
    return text, path.removesuffix("`") or "$"


def is_too_deep(text: bytes) -> bool:
    """Whether JSON has more than `MAX_DEPTH` levels. O(n) in C, and quick if it cannot be.

    What is left of the text are its brackets outside of strings, all of one kind. Each pass
    takes the innermost pairs away, so the passes are the depth. Brackets that do not match
    are left to the parser, unless there are enough of them to be deep.
    """
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return False
    bare = text.replace(b"\\\\", b"").replace(b'\\"', b"").translate(_BRACKETS, _NOT_STRUCTURE)
    brackets = b"".join(bare.split(b'"')[::2])
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"{}", b"")
        if not brackets:
            return False
    return brackets.count(b"{") > MAX_DEPTH or b"{}" in brackets
