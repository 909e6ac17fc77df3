"""The OpenAPI document: valid, complete, and its examples true."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import jsonschema_rs
import msgspec
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31

from realtime.http import api, docs
from realtime.http.openapi import document
from realtime.http.operation import Operation
from tests.http.contract import Contract

DOCUMENT = document(api.OPERATIONS)
ROWS = [
    (path, method, operation)
    for path, entry in DOCUMENT["paths"].items()
    for method, operation in entry.items()
]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from ([value["$ref"]] if "$ref" in value else [])
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_the_document_is_openapi_3_1() -> None:
    assert list(jsonschema_rs.Draft202012Validator(OPENAPI_31).iter_errors(DOCUMENT)) == []
    for schema in DOCUMENT["components"]["schemas"].values():
        assert jsonschema_rs.meta.is_valid(schema)


async def test_the_document_is_what_is_served(http: httpx.AsyncClient) -> None:
    served = await http.get("/openapi.json")
    assert served.headers["content-type"] == "application/json"
    assert served.json() == json.loads(json.dumps(DOCUMENT))


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    found = set(references(DOCUMENT))
    there = {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "responses")
        for name in DOCUMENT["components"][kind]
    }
    assert found == there


def test_every_operation_has_a_name_of_its_own_and_its_path_parameters() -> None:
    names = [operation["operationId"] for _, _, operation in ROWS]
    assert len(names) == len(set(names))
    for path, _, operation in ROWS:
        parameters = operation.get("parameters", ())
        in_path = [one["name"] for one in parameters if one["in"] == "path"]
        assert in_path == re.findall(r"\{(\w+)\}", path)


def test_every_operation_says_what_may_go_wrong() -> None:
    for path, method, operation in ROWS:
        if not path.startswith("/v1/"):
            continue
        statuses = operation["responses"].keys()
        assert {"400", "401", "403", "422", "500", "503"} <= statuses
        assert ("413" in statuses) == ("415" in statuses) == ("requestBody" in operation)
        parameters = {one["name"] for one in operation["parameters"]}
        is_once = method != "get" and not path.endswith("/bulk")  # which is never held as a whole
        assert ("Idempotency-Key" in parameters) == is_once
        assert "409" in statuses or method == "get"


@pytest.mark.parametrize("operation", api.OPERATIONS, ids=lambda one: one.name)
def test_examples_are_of_the_shape_that_is_declared(operation: Operation) -> None:
    bodies = operation.inputs.get("body", ())
    assert bool(operation.example.body) == bool(bodies)
    assert bool(operation.example.answer) == bool(operation.answers)
    if bodies:
        msgspec.json.decode(operation.example.body, type=bodies[0])
    if operation.answers:
        answer = msgspec.json.decode(operation.example.answer, type=operation.answers[0])
        assert json.loads(msgspec.json.encode(answer)) == json.loads(operation.example.answer)


@pytest.mark.parametrize(
    ("path", "method", "operation"), ROWS, ids=[one["operationId"] for _, _, one in ROWS]
)
async def test_the_command_of_the_reference_works_as_it_stands(
    http: httpx.AsyncClient, contract: Contract, path: str, method: str, operation: Any
) -> None:
    """Against an empty service: what it asks for may be absent, but is understood."""
    words = shlex.split(docs.curl(DOCUMENT, path, method, operation).replace("\\\n", " "))
    request: dict[str, Any] = {"method": "GET", "headers": {}}
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "-X":
            request["method"] = following
        elif word == "-H":
            name, _, value = following.partition(": ")
            request["headers"][name] = value
        elif word == "--json":
            request |= {"content": following}
            request["headers"]["Content-Type"] = "application/json"
        elif word.startswith("http://"):
            request["url"] = word.removeprefix(docs.BASE)
    answer = await http.request(**request)
    assert answer.is_success or answer.status_code in {404, 409}
    found = contract.operation(request["method"], urlsplit(request["url"]).path)
    assert found is not None
    assert found["operationId"] == operation["operationId"]
