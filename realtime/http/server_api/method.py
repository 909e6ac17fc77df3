"""One method of the server API, ready to run.

It is declared, read and bound like any operation, and answers otherwise: HTTP 200 with
``{"result": {...}}``, or with ``{"error": {"code": ..., "message": ...}}`` where the numbers are
those of the client protocol. Another status is only for those who are not let in, and for
what is not a request at all: no JSON, too much of it, no such method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from realtime.errors import InvalidRequest
from realtime.http.auth import admit_server
from realtime.http.endpoint import Endpoint
from realtime.http.inputs import Call
from realtime.http.operation import Handler, Operation, Scope, operation
from realtime.http.problem import Response, told_of, written_down
from realtime.metrics import Meter

__all__ = [
    "LIMIT_EXCEEDED",
    "METHOD_NOT_FOUND",
    "NOT_AVAILABLE",
    "PREFIX",
    "UNRECOVERABLE",
    "Fault",
    "Method",
    "Refused",
    "ServerEndpoint",
    "fault_of",
    "method",
    "text_of",
]

PREFIX = "/api/"

MESSAGES = {
    100: "internal server error",
    101: "unauthorized",
    102: "unknown channel",
    103: "permission denied",
    104: "method not found",
    106: "limit exceeded",
    107: "bad request",
    108: "not available",
    111: "too many requests",
    112: "unrecoverable position",
}
METHOD_NOT_FOUND, LIMIT_EXCEEDED, NOT_AVAILABLE, UNRECOVERABLE = 104, 106, 108, 112

_encode = msgspec.json.Encoder().encode


class Fault(msgspec.Struct):
    """Why there is no result."""

    code: int
    message: str


class Refused(Exception):
    """Raised by a method whose fault no error of ours stands for."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(detail)
        self.fault = Fault(code, f"{MESSAGES[code]}: {detail}")


class ServerEndpoint(Endpoint):
    """An operation that is let in as this API has it, and answers as all others do."""

    __slots__ = ()

    admit = staticmethod(admit_server)
    any_media = True  # what has no media type, or curl's, is JSON to this API

    def __init__(self, operation: Operation, resources: Mapping[str, object], meter: Meter) -> None:
        super().__init__(operation, resources, meter)
        self.writes = False  # its publications have idempotency keys of their own


class Method(ServerEndpoint):
    """Answers calls of one method."""

    __slots__ = ("name",)

    def __init__(self, operation: Operation, resources: Mapping[str, object], meter: Meter) -> None:
        super().__init__(operation, resources, meter)
        self.name = operation.path.removeprefix(PREFIX)

    async def respond(self, call: Call) -> Response:
        try:
            outcome = await self.outcome(call)
        except InvalidRequest as error:
            return self.refusal(error)
        kind = b"error" if isinstance(outcome, Fault) else b"result"
        return Response(200, self._json, b'{"%b":%b}' % (kind, text_of(outcome)))

    async def outcome(self, call: Call) -> Fault | bytes:
        """The result as JSON, or why there is none. Raises InvalidRequest for what is no JSON."""
        try:
            return _encode(await self.answer(call))
        except InvalidRequest:
            raise
        except Exception as error:
            return fault_of(error, self.operation.name)


def text_of(outcome: Fault | bytes) -> bytes:
    """An outcome as JSON."""
    return _encode(outcome) if isinstance(outcome, Fault) else outcome


def fault_of(error: Exception, doing: str) -> Fault:
    """How this API says what went wrong."""
    if isinstance(error, Refused):
        return error.fault
    told = told_of(error)
    detail = told.detail if told.path in (None, "$") else f"{told.detail}, at {told.path}"
    if told.status == 500:
        detail = f"the log has it, reference {written_down(error, doing)}"
    return Fault(told.ws_error, f"{MESSAGES[told.ws_error]}: {detail}")


def method(scope: Scope | None) -> Callable[[Handler], Operation]:
    """Turn a handler called ``api_{method}`` into the declaration of a method."""

    def declare(handler: Handler) -> Operation:
        name = handler.__name__.removeprefix("api_")
        return operation("POST", PREFIX + name, tag="channels", scope=scope, summary=name)(handler)

    return declare
