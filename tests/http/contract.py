"""Holds every answer against the OpenAPI document, with another validator than ours.

It reads nothing but the document: a status, a media type or a field that is answered and not
described fails the test, whatever the test is about.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx
import jsonschema_rs

__all__ = ["Contract"]

PROBLEM = {"$ref": "#/components/schemas/Problem"}


class Contract:
    """The document, ready to check answers."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self._routes = [
            (re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), entry)
            for path, entry in document["paths"].items()
        ]
        self._valid = cache(self._validator)

    def operation(self, method: str, path: str) -> Mapping[str, Any] | None:
        """What the document says of a request; paths without names win."""
        found = [entry for pattern, entry in self._routes if pattern.fullmatch(path)]
        named = {"HEAD": "get"}.get(method, method.lower())
        operations: list[Mapping[str, Any]] = [entry[named] for entry in found if named in entry]
        return min(operations, key=lambda one: len(one.get("parameters", ())), default=None)

    def check(self, request: httpx.Request, response: httpx.Response) -> None:
        """Assert that the document allows this answer to this request."""
        path = request.url.raw_path.decode().partition("?")[0]
        said = f"{request.method} {path} -> {response.status_code} {response.text[:300]}"
        assert response.status_code != 500, said
        operation = self.operation(request.method, path)
        if operation is None:
            assert response.status_code in {204, 307, 400, 404, 405, 503, 200}, said
            if response.status_code >= 400:
                self._check_body(PROBLEM, response, said)
            return
        answer = operation["responses"].get(str(response.status_code))
        assert answer is not None, f"not documented: {said}"
        if "$ref" in answer:
            answer = self.document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
        content = answer.get("content")
        if content is None or request.method == "HEAD":
            assert not response.content, said
            return
        ((media, described),) = content.items()
        assert response.headers["content-type"].partition(";")[0] == media, said
        if media.endswith("json") and not media.endswith("ndjson"):
            self._check_body(described["schema"], response, said)

    def _check_body(self, schema: Mapping[str, Any], response: httpx.Response, said: str) -> None:
        if response.status_code >= 400:
            assert response.headers["content-type"] == "application/problem+json", said
            assert response.json()["status"] == response.status_code, said
        if response.request.method != "HEAD":
            self._valid(json.dumps(schema)).validate(response.json())

    def _validator(self, schema: str) -> jsonschema_rs.Draft202012Validator:
        whole = json.loads(schema) | {"components": self.document["components"]}
        return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
