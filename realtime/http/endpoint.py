"""An operation made ready to run: readers built, resources bound, headers prepared.

All that can be decided once is decided here, so that a request costs the decoding of its
body, the handler, and the encoding of the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import msgspec

from realtime.http.auth import admit
from realtime.http.inputs import (
    Call,
    Reader,
    body_reader,
    header_reader,
    path_reader,
    query_reader,
)
from realtime.http.operation import Headers, Operation, QueryFields, Reply
from realtime.http.problem import Response, problem
from realtime.metrics import Meter

__all__ = ["Endpoint"]

JSON = (b"content-type", b"application/json")
NO_STORE = (b"cache-control", b"no-store")

_encode = msgspec.json.Encoder().encode
_refuse_query = query_reader(QueryFields)


class Endpoint:
    """Answers calls of one operation."""

    admit = staticmethod(admit)
    """Who may call; see `realtime.http.auth`."""
    any_media = False
    """A body is JSON whatever the request calls it."""

    __slots__ = (
        "_bare",
        "_empty",
        "_handler",
        "_json",
        "_readers",
        "_status",
        "_takes_query",
        "meter",
        "operation",
        "scope",
        "takes_body",
        "takes_parts",
        "writes",
    )

    def __init__(self, operation: Operation, resources: Mapping[str, object], meter: Meter) -> None:
        self.operation = operation
        self.meter = meter
        self.scope = operation.scope
        self.takes_body = "body" in operation.inputs or bool(operation.takes)
        self.takes_parts = bool(operation.takes)
        """The handler reads the body, where it can be read piece by piece."""
        self.writes = operation.writes
        bound = [resources[name] for name in operation.resources]
        self._handler = partial(operation.handler, *bound)
        self._readers = [_reader(kind, shapes) for kind, shapes in operation.inputs.items()]
        self._takes_query = "query" in operation.inputs
        self._status = operation.status
        self._bare: Headers = (NO_STORE,) if operation.private else ()
        self._json: Headers = (JSON, *self._bare)
        media = ((b"content-type", operation.media.encode()),) if operation.media else ()
        self._empty = Response(self._status, (*media, *self._bare), b"")
        """Of what answers nothing, or answers by its stream."""

    async def respond(self, call: Call) -> Response:
        """Read, handle, encode. It never raises: what goes wrong becomes a problem."""
        try:
            answer = await self.answer(call)
            if answer is None:
                return self._empty
            if type(answer) is Reply:
                return Response(self._status, self._json + answer.headers, _encode(answer.body))
            return Response(self._status, self._json, _encode(answer))
        except Exception as error:
            return self.refusal(error)

    async def answer(self, call: Call) -> object:
        """Read and handle. Raises whatever goes wrong."""
        if call.query and not self._takes_query:
            _refuse_query(call)
        answer: object = await self._handler(*[read(call) for read in self._readers])
        return answer

    def refusal(self, error: Exception) -> Response:
        """What a caller is told of an error."""
        response = problem(error, self.operation.name)
        return response._replace(headers=response.headers + self._bare)


def _reader(kind: str, shapes: tuple[type[msgspec.Struct], ...]) -> Reader:
    (shape, *_) = shapes
    match kind:
        case "path":
            return path_reader(shape)
        case "query":
            return query_reader(shape)
        case "headers":
            return header_reader(shape)
        case "body":
            return body_reader(shapes)
        case _:
            return lambda call: call
