"""Thousands of random requests made from the OpenAPI document: no 500, every answer conforms.

Valid and invalid ones, examples, edge values, and chains of operations in which one answer
feeds the next request. They go to a service in a process of its own, as its clients would.
REALTIME_SCHEMATHESIS_EXAMPLES=400 makes it 10,000 of them.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from realtime import keyfile
from realtime.errors import InvalidInput
from realtime.services.names import name_bytes
from tests.redis.stores import STORES, store_options
from tests.service import Service, running_service

EXAMPLES = int(os.environ.get("REALTIME_SCHEMATHESIS_EXAMPLES", "5"))
"""Random requests per operation, besides the examples, the edge values and the chains."""
LEAST_REQUESTS = 500 if EXAMPLES < 400 else 10_000

BEYOND_SCHEMAS = (
    "1 to 255 bytes of UTF-8",  # a schema counts characters
    "got `float`",  # to a schema, 1.0 is an integer
    "the session is at version",
    "this Idempotency-Key was used with another request",
    "members cannot be combined with",
    "cursor cannot be combined with",
    "bounds cannot be combined with",
    "the bounds of a histogram ascend",
    "this is no cursor",
    "must not be above",
    "has no burst",
    "has no penalty",
    "limit must be within",
    "the rule has no tier",
    "is no concurrency rule",
    "is asked for leases",
    "a lease of this rule lasts at most",
    "there is no time zone",
    "over 100 years",
    "is above max_score",
    "is below min_score",
)
"""What is wrong with requests that the document allows, since JSON Schema cannot say it."""

REFUSED = [400, 401, 403, 404, 405, 409, 412, 413, 415, 422, 431]

STREAM = "/v1/channels/{channel}/events"
"""Does not end, and takes tokens of users in its URL: see tests/stream."""

OTHER_PATHS = ("/v1/limits/take",)
"""Its Allow names the methods of /v1/limits/{rule} too: a rule may be called "take"."""


@pytest.fixture(params=STORES)
def service(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Service, str]]:
    """A service with a key that may do everything, and that key."""
    key = keyfile.issue("tester", ("*", "admin:*"), datetime(2026, 1, 1, tzinfo=UTC))
    keyfile.add(tmp_path / "keys.json", key.record)
    with (
        store_options(request.param, tmp_path) as options,
        running_service(tmp_path, *options) as service,
    ):
        yield service, key.text


VISIBLE = re.compile("[!-~]{1,255}")

COMMON = itertools.cycle(["ada", "arcade", "", "login", "take", "", "a/b", "ü %2F"])
"""Names that are used again and again; an empty one leaves what was drawn."""


def is_name(text: object) -> bool:
    """Whether the services would take it; what they would not must stay as it is."""
    try:
        return isinstance(text, str) and bool(name_bytes("name", text))
    except InvalidInput:
        return False


def prepare(schema: Any) -> None:
    """Add what chance hardly ever brings: names that meet again, and keys that do not."""
    fresh = iter(range(2**31))

    @schema.hook  # type: ignore[untyped-decorator]
    def map_path_parameters(context: Any, path_parameters: dict[str, Any]) -> dict[str, Any]:
        return {
            name: (is_name(text) and next(COMMON)) or text
            for name, text in (path_parameters or {}).items()
        }

    @schema.hook  # type: ignore[untyped-decorator]
    def map_headers(context: Any, headers: dict[str, Any]) -> dict[str, Any]:
        key = (headers or {}).get("Idempotency-Key")
        if isinstance(key, str) and VISIBLE.fullmatch(key) and next(fresh) % 4:
            headers["Idempotency-Key"] = str(UUID(int=next(fresh)))
        return headers

    @schema.hook  # type: ignore[untyped-decorator]
    def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
        if type(failure).__name__ == "AllowHeaderMismatch":
            return case.operation.path not in OTHER_PATHS
        if type(failure).__name__ != "RejectedPositiveData":
            return True
        return not any(reason in response.text for reason in BEYOND_SCHEMAS)


@schemathesis.serializer("application/x-ndjson")  # type: ignore[untyped-decorator]
def lines(context: Any, value: Any) -> bytes:
    """Of a body whose lines are said not to matter: whatever was drawn."""
    return value if isinstance(value, bytes) else str(value).encode(errors="surrogatepass")


def load(service: Service, key: str) -> Any:
    """The served document, and how to make requests from it."""
    config = SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "headers": {"Authorization": f"Bearer {key}"},
            "generation": {"max-examples": EXAMPLES, "mode": "all", "database": "none"},
            "phases": {"stateful": {"generation": {"max-examples": max(10, EXAMPLES // 10)}}},
            "checks": {"negative_data_rejection": {"expected-statuses": REFUSED}},
            "suppress-health-check": ["all"],
        }
    )
    schema = schemathesis.openapi.from_url(f"{service.url}/openapi.json", config=config)
    prepare(schema)
    return schema.exclude(path=STREAM)


@pytest.mark.timeout(60 + 10 * EXAMPLES)
@pytest.mark.filterwarnings("default")
def test_random_requests_are_answered_as_documented(service: tuple[Service, str]) -> None:
    requests = 0
    failures: list[str] = []
    statuses: dict[int, int] = {}
    for event in from_schema(load(*service)).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            failures.append(str(event))
        if isinstance(event, events.ScenarioFinished):
            recorder = event.recorder
            requests += len(recorder.interactions)
            for interaction in recorder.interactions.values():
                assert interaction.response is not None, "the connection was lost"
                status = interaction.response.status_code
                statuses[status] = statuses.get(status, 0) + 1
            failures += [
                f"{check.failure_info.failure}\n{check.failure_info.code_sample}"
                for checks in recorder.checks.values()
                for check in checks
                if check.failure_info is not None
            ]
    assert failures == [], "\n\n".join(failures)
    assert requests >= LEAST_REQUESTS
    assert {200, 201, 204, 400, 401, 404, 405, 409, 415, 422} <= statuses.keys()
    assert 500 not in statuses
