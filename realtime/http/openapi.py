"""The OpenAPI 3.1 document, made from the declarations that also route and validate.

Whatever an operation may answer is in it: every status has a schema, problems included.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import msgspec

import realtime
from realtime.errors import Forbidden, RealtimeError, Unauthorized, Unavailable
from realtime.http.idempotency import MAX_KEY
from realtime.http.inputs import lists_of
from realtime.http.operation import Operation
from realtime.http.problem import Problem

__all__ = ["document"]

Json = dict[str, Any]

LONG = "request-header-fields-too-large"
"""Answered by the server itself, and only to be expected where a query holds a list."""

REF = "#/components/schemas/{name}"

ABOUT = """\
Every request carries a key, `Authorization: Bearer <key>`; `realtime keys create` makes one.
While the service has no key it needs none, and listens on this machine only. The scope that a
key needs stands at the right of each operation.

Durations are seconds, instants RFC 3339 in UTC, ranks begin at 1. Names of boards, members,
counters, users, rules and channels are 1 to 255 bytes of UTF-8 without control characters; in
a path they are percent-encoded. Fields and query parameters that are not listed here are an
error, not silence.

Errors are `application/problem+json` (RFC 9457): `type` is stable, `path` is the JSON path of
the fault in a body. A method that a path does not have is 405 with an `Allow` header.

Every write takes an `Idempotency-Key`: sent again with the same content it answers what it
answered first, with the header `Idempotency-Replayed: true`; with other content it is 422.
"""

TAGS = {
    "leaderboards": "Who stands where, by which score.",
    "counters": "64-bit integers that many clients change at once.",
    "sessions": "Who is logged in, where, and until when.",
    "limits": "May this caller proceed now, and if not, when?",
    "channels": "Publish to whoever listens, and let those who were away catch up.",
    "batch": "Many operations in one round trip.",
    "admin": "The service itself.",
    "system": "Health and metrics, outside of /v1.",
}


def document(operations: Sequence[Operation]) -> Json:
    """The whole document, as plain JSON values."""
    schemas = _Schemas(operations)
    paths: dict[str, Json] = {}
    for operation in operations:
        entry = paths.setdefault(operation.path, {})
        entry[operation.method.lower()] = _operation(operation, schemas)
    problems = {error for operation in operations for error in operation.problems()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Realtime features",
            "version": realtime.__version__,
            "summary": "Leaderboards, counters, sessions, rate limits and live channels.",
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths | _system_paths(),
        "components": {
            "schemas": schemas.components,
            "responses": {
                **{error.code: _problem(error) for error in _by_status(problems)},
                LONG: _problem_of("The URL and the headers are too large together"),
            },
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key, or a user's token. While the service has keys of "
                    "neither, it needs none.",
                }
            },
        },
    }


class _Schemas:
    """The JSON schemas of all Structs, asked for at once so that they share components."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        bodies: dict[type[msgspec.Struct], None] = {Problem: None}
        inputs: dict[type[msgspec.Struct], None] = {}
        for operation in operations:
            bodies.update(dict.fromkeys((*operation.inputs.get("body", ()), *operation.answers)))
            for kind in ("path", "query", "headers"):
                inputs.update(dict.fromkeys(operation.inputs.get(kind, ())))
        refs, components = msgspec.json.schema_components([*bodies, *inputs], ref_template=REF)
        self._refs = dict(zip((*bodies, *inputs), refs, strict=True))
        self._inputs = {shape: components.pop(_name(self._refs[shape])) for shape in inputs}
        self.components: Json = components

    def alternatives(self, shapes: Sequence[type[msgspec.Struct]]) -> Json:
        """The schema of a body."""
        refs = [self._refs[shape] for shape in shapes]
        return refs[0] if len(refs) == 1 else {"anyOf": refs}

    def fields(self, shape: type[msgspec.Struct]) -> Json:
        """The schema of a Struct whose fields become parameters."""
        fields: Json = self._inputs[shape]
        return fields

    def is_required(self, shape: type[msgspec.Struct]) -> bool:
        """Whether a body of this shape may not be left out."""
        return bool(self.components[_name(self._refs[shape])]["required"])


def _name(ref: Mapping[str, str]) -> str:
    return ref["$ref"].rpartition("/")[2]


def _operation(operation: Operation, schemas: _Schemas) -> Json:
    entry: Json = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "parameters": _parameters(operation, schemas),
        "responses": {
            str(operation.status): _answer(operation, schemas),
            **({"431": {"$ref": f"#/components/responses/{LONG}"}} if _is_long(operation) else {}),
            **{
                str(error.status): {"$ref": f"#/components/responses/{error.code}"}
                for error in operation.problems()
            },
        },
        "security": [{"bearer": [str(operation.scope)] if operation.scope else []}],
    }
    bodies = operation.inputs.get("body")
    if operation.takes:
        content: Json = {operation.takes: {"schema": {}}}  # whatever it is, each line is answered
        entry["requestBody"] = {"required": False, "content": content}
    if bodies:
        entry["requestBody"] = {
            "required": all(schemas.is_required(shape) for shape in bodies),
            "content": {
                "application/json": _media(schemas.alternatives(bodies), operation.example.body)
            },
        }
    return entry


def _parameters(operation: Operation, schemas: _Schemas) -> list[Json]:
    shown = dict(parse_qsl(operation.example.query))
    parameters: list[Json] = []
    for kind, place in (("path", "path"), ("query", "query"), ("headers", "header")):
        for shape in operation.inputs.get(kind, ()):
            fields = schemas.fields(shape)
            for name, schema in fields["properties"].items():
                required = place == "path" or name in fields["required"]
                parameters.append(_parameter(name, place, schema, required, shown.get(name)))
    if operation.writes:
        parameters.append(_IDEMPOTENCY_KEY)
    return parameters


def _parameter(name: str, place: str, schema: Json, required: bool, shown: str | None) -> Json:
    schema = dict(schema)
    parameter: Json = {"name": name, "in": place, "required": required}
    if "description" in schema:
        parameter["description"] = schema.pop("description")
    if schema.get("type") == "array":
        parameter |= {"style": "form", "explode": False}
        parameter |= {} if shown is None else {"example": shown.split(",")}
    elif shown is not None:
        parameter["example"] = shown if schema.get("type") == "string" else int(shown)
    elif "examples" in schema:
        parameter["example"] = schema.pop("examples")[0]
    return parameter | {"schema": schema}


_IDEMPOTENCY_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Makes it safe to send this again. Random, a UUID for example.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[!-~]+$"},
}


def _answer(operation: Operation, schemas: _Schemas) -> Json:
    answer: Json = {"description": HTTPStatus(operation.status).phrase}
    headers: Json = {
        name: {"description": text, "schema": {"type": "string"}}
        for name, text in operation.answer_headers.items()
    }
    if operation.writes:
        headers["Idempotency-Replayed"] = {
            "description": "This is the first answer, again.",
            "schema": {"type": "string", "const": "true"},
        }
    if headers:
        answer["headers"] = headers
    if operation.links:
        answer["links"] = {
            name: {"operationId": name, "parameters": {parameter: source}}
            for name, (parameter, source) in operation.links.items()
        }
    if operation.answers:
        schema = schemas.alternatives(operation.answers)
        answer["content"] = {"application/json": _media(schema, operation.example.answer)}
    elif operation.media:
        answer["content"] = {operation.media: {"schema": _STREAMS.get(operation.media, _TEXT)}}
    return answer


_TEXT: Json = {"type": "string"}

_STREAMS: dict[str, Json] = {
    "text/event-stream": {
        "type": "object",
        "description": "Of each event.",
        "properties": {name: {"type": "string"} for name in ("event", "id", "data")}
        | {"retry": {"type": "integer"}},
    }
}
"""What the items of an answer that does not end look like, by media type."""


def _media(schema: Json, example: str) -> Json:
    return {"schema": schema} | ({"example": msgspec.json.decode(example)} if example else {})


def _is_long(operation: Operation) -> bool:
    """Whether its query may outgrow what the server lets a head be."""
    shapes = operation.inputs.get("query", ())
    return any(lists_of(shape) for shape in shapes)


def _problem_of(description: str) -> Json:
    content = {"application/problem+json": {"schema": {"$ref": REF.format(name="Problem")}}}
    return {"description": description, "content": content}


def _problem(error: type[RealtimeError]) -> Json:
    response = _problem_of(error.title)
    if error is Unavailable:
        response["headers"] = {
            "Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}
        }
    if error is Unauthorized:
        response["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return response


def _by_status(errors: Iterable[type[RealtimeError]]) -> list[type[RealtimeError]]:
    return sorted(errors, key=lambda error: error.status)


def _system_paths() -> Json:
    return {
        "/healthz": _page("health", "Whether the process answers", "No key is needed."),
        "/readyz": _page(
            "readiness",
            "Whether it can do its work",
            "503 while it loads or shuts down, or while its store is away.",
            Unavailable,
        ),
        "/metrics": _page("metrics", "Figures for Prometheus", "", Unauthorized, Forbidden),
    }


def _page(name: str, summary: str, text: str, *errors: type[RealtimeError]) -> Json:
    return {
        "get": {
            "operationId": name,
            "tags": ["system"],
            "summary": summary,
            "description": text,
            "security": [{"bearer": ["admin:read"]}] if Unauthorized in errors else [],
            "responses": {
                "200": {
                    "description": "OK",
                    "content": {"text/plain": {"schema": {"type": "string"}}},
                },
                **{
                    str(error.status): {"$ref": f"#/components/responses/{error.code}"}
                    for error in errors
                },
            },
        }
    }
