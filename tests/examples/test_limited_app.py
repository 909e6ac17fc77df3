"""The rate-limited app: the limits hold, and tell the caller about themselves."""

from __future__ import annotations

import httpx

from tests.examples.conftest import Run


def test_the_sixth_login_of_a_minute_is_refused(example: Run) -> None:
    with httpx.Client(base_url=example("limited_app")) as client:
        answers = [client.post("/login") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    refused = answers[-1]
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["violated-policies"] == ["login"]
    # What was spent at the start of one window weighs on the next: 60 s and a fifth, at most.
    assert 1 <= int(refused.headers["retry-after"]) <= 72


def test_a_long_search_costs_more_and_both_rules_show(example: Run) -> None:
    with httpx.Client(base_url=example("limited_app")) as client:
        short = client.get("/search?q=ada")
        long = client.get("/search?q=ada+and+bea")
    assert short.headers["ratelimit-policy"].startswith('"search";q=10;')
    assert '"search";r=9' in short.headers["ratelimit"]
    assert '"search";r=6' in long.headers["ratelimit"]
    assert '"searches-a-day";r=996' in long.headers["ratelimit"]


def test_other_routes_are_free(example: Run) -> None:
    with httpx.Client(base_url=example("limited_app")) as client:
        answers = [client.get("/openapi.json") for _ in range(50)]
    assert {answer.status_code for answer in answers} == {200}
    assert "ratelimit" not in answers[0].headers
