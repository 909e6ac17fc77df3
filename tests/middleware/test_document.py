"""docs/middleware.md: what it shows is what happens."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

from realtime.middleware import RateLimitMiddleware, Rule
from realtime.middleware.events import Outcome
from tests.middleware.conftest import Ask, House, shop

DOCUMENT = Path(__file__).parents[2] / "docs" / "middleware.md"


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    return [text for name, text in found if name == language]


async def test_the_first_example_runs_and_limits() -> None:
    names: dict[str, Any] = {}
    exec(blocks("python")[0], names)
    ask = Ask(names["app"])
    assert await ask.statuses(6, path="/login", method="POST") == [404] * 5 + [429]
    assert await ask.statuses(21, path="/items/1") == [404] * 20 + [429]
    assert "ratelimit" not in (await ask("/health")).headers
    assert '"burst";q=50;w=1, "daily";q=100000;w=86400' in (await ask("/")).headers.values()


async def test_the_refusal_that_is_shown_is_the_one_that_is_sent(house: House) -> None:
    shown = next(block for block in blocks("") if block.startswith("HTTP/1.1 429"))
    head, _, body = shown.partition("\n\n")
    client = house.client(rules={"*": Rule("items", limit=100, per=60, burst=20)})
    await client.statuses(20)
    answer = await client()
    assert answer.text == " ".join(body.split())
    for line in head.splitlines()[1:]:
        name, _, value = line.partition(": ")
        assert answer.headers[name] == value


async def test_the_headers_that_are_shown_are_those_that_are_sent(house: House) -> None:
    shown = next(block for block in blocks("") if block.startswith("RateLimit-Policy"))
    client = house.client(rules={"*": Rule("items", limit=100, per=60, burst=20)})
    await client.statuses(2)
    answer = await client()
    for line in shown.splitlines():
        name, _, value = line.partition(": ")
        assert answer.headers[name] == value


def test_what_the_document_imports_is_there() -> None:
    for block in blocks("python"):
        exec("\n".join(line for line in block.splitlines() if line.startswith("from realtime")), {})
    assert RateLimitMiddleware(shop(), rules={}) is not None


def test_every_outcome_is_explained() -> None:
    section = DOCUMENT.read_text().partition("## Metrics")[2].partition("\n## ")[0]
    rows = "".join(re.findall(r"^\| (.*?) \|", section, re.MULTILINE))
    assert set(re.findall(r"`([a-z-]+)`", rows)) == set(get_args(Outcome))


async def test_the_endpoint_and_the_flask_app_that_are_shown_are_limited() -> None:
    endpoint = next(block for block in blocks("python") if "EndpointLimits()" in block)
    names: dict[str, Any] = {}
    exec(endpoint, names)
    found = await Ask(names["app"]).statuses(50, "/search?q=x")
    assert (found[:30], 429 in found[30:]) == ([200] * 30, True)
    flask_app = next(block for block in blocks("python") if "flask.Flask" in block)
    exec(flask_app, names)
    client = names["app"].test_client()
    found = [client.get("/items/1").status_code for _ in range(150)]
    assert (found[:100], 429 in found[100:]) == ([404] * 100, True)
