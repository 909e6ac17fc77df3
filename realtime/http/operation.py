"""Declarations: one record says all there is to say about an operation.

A handler is a coroutine function, and its signature is the declaration:

    @operation("GET", "/v1/counters/{name}", scope=READ, summary="Read a counter", ...)
    async def read_counter(counters: Counters, path: CounterPath) -> Counter:
        \"\"\"The description.\"\"\"

Parameters called ``path``, ``query``, ``headers`` and ``body`` are what the request brings,
validated against the Struct of their annotation; a union of Structs means "one of these".
``call`` is the request as it came. The parameters before these name what the handler works
on (``counters``). The answer's annotation is
the body of the answer; None answers 204. The router, the decoders, the scope check, the
OpenAPI document and the reference page are all made from this record.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Generic, Literal, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from realtime.errors import (
    Conflict,
    Forbidden,
    InternalError,
    InvalidInput,
    InvalidRequest,
    RealtimeError,
    TooLarge,
    Unauthorized,
    Unavailable,
    UnsupportedMedia,
)

__all__ = [
    "Action",
    "Answer",
    "Body",
    "Example",
    "Feature",
    "Handler",
    "HeaderFields",
    "Headers",
    "Operation",
    "PathFields",
    "QueryFields",
    "Reply",
    "Scope",
    "operation",
]

Feature = Literal["leaderboards", "counters", "sessions", "limits", "channels", "admin"]
Action = Literal["read", "write", "publish", "admin"]
Handler = Callable[..., Awaitable[object]]
Headers = tuple[tuple[bytes, bytes], ...]

INPUTS = ("path", "query", "headers", "body", "call")

T = TypeVar("T")


class PathFields(msgspec.Struct):
    """Names in a path, in the order of the template. The services check them."""


class QueryFields(msgspec.Struct, forbid_unknown_fields=True):
    """Query parameters; a list is one parameter, its items parted by commas."""


class HeaderFields(msgspec.Struct):
    """Request headers, by the ``name`` of each field."""


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON object of a request. If every field has a default, the body may be left out."""


class Answer(msgspec.Struct):
    """The JSON object of an answer."""


class Scope(NamedTuple):
    """What a key must be allowed to do."""

    feature: Feature
    action: Action

    def __str__(self) -> str:
        return f"{self.feature}:{self.action}"


class Reply(NamedTuple, Generic[T]):
    """An answer with headers of its own."""

    body: T
    headers: Headers


class Example(NamedTuple):
    """JSON texts that the documents show and the tests check; and a query string."""

    body: str = ""
    answer: str = ""
    query: str = ""


NO_EXAMPLE = Example()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Everything about one row of the contract."""

    name: str
    method: str
    path: str
    summary: str
    description: str
    tag: str
    scope: Scope | None
    """None: any known key will do."""
    resources: tuple[str, ...]
    inputs: Mapping[str, tuple[type[msgspec.Struct], ...]]
    answers: tuple[type[msgspec.Struct], ...]
    """The alternatives of the answer's body; empty: there is none."""
    status: int
    media: str
    """What is answered instead, if it is not JSON."""
    takes: str
    """The body is of this type instead of JSON, and of any length; the handler reads it."""
    errors: tuple[type[RealtimeError], ...]
    private: bool
    """The answer belongs to one caller: no cache may keep it."""
    answer_headers: Mapping[str, str]
    links: Mapping[str, tuple[str, str]]
    """Operations that the answer leads to, each with a parameter and where its value stands."""
    example: Example
    handler: Handler

    @property
    def writes(self) -> bool:
        """Whether it may carry an Idempotency-Key: what is not held cannot be told apart."""
        return self.method != "GET" and not self.takes

    def input(self, kind: str) -> type[msgspec.Struct] | None:
        """The Struct of an input that has no alternatives."""
        return self.inputs.get(kind, (None,))[0]

    def problems(self) -> list[type[RealtimeError]]:
        """Every error that can be answered, by status."""
        found = {
            InvalidRequest, Unauthorized, Forbidden, InvalidInput, InternalError, Unavailable,
            *self.errors,
        }  # fmt: skip
        if "path" in self.inputs or self.writes:
            found.add(Conflict)  # a foreign type under the key, or an Idempotency-Key in use
        if "body" in self.inputs:
            found.update({TooLarge, UnsupportedMedia})
        return sorted(found, key=lambda error: error.status)


def operation(
    method: str,
    path: str,
    *,
    tag: str,
    scope: Scope | None,
    summary: str,
    status: int | None = None,
    media: str = "",
    takes: str = "",
    errors: tuple[type[RealtimeError], ...] = (),
    private: bool = False,
    answer_headers: Mapping[str, str] | None = None,
    links: Mapping[str, tuple[str, str]] | None = None,
    example: Example = NO_EXAMPLE,
) -> Callable[[Handler], Operation]:
    """Turn a handler into the declaration of an operation."""

    def declare(handler: Handler) -> Operation:
        hints = get_type_hints(handler, include_extras=True)
        answers = _answers(hints.pop("return"))
        resources = tuple(name for name in hints if name not in INPUTS)
        assert tuple(hints)[: len(resources)] == resources, f"{handler}: resources come first"
        return Operation(
            name=handler.__name__,
            method=method,
            path=path,
            summary=summary,
            description=inspect.getdoc(handler) or "",
            tag=tag,
            scope=scope,
            resources=resources,
            inputs={name: _alternatives(hints[name]) for name in hints if name in INPUTS},
            answers=answers,
            status=status or (200 if answers else 204),
            media=media,
            takes=takes,
            errors=errors,
            private=private,
            answer_headers=answer_headers or {},
            links=links or {},
            example=example,
            handler=handler,
        )

    return declare


def _answers(annotation: Any) -> tuple[type[msgspec.Struct], ...]:
    if get_origin(annotation) is Reply:
        (annotation,) = get_args(annotation)
    return () if annotation is type(None) else _alternatives(annotation)


def _alternatives(annotation: Any) -> tuple[type[msgspec.Struct], ...]:
    return get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
