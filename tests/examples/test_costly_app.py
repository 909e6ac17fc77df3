"""The app with costly endpoints: what runs is counted, and what it cost is settled afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.examples.conftest import Run


def test_two_reports_are_made_at_a_time(example: Run) -> None:
    with httpx.Client(base_url=example("costly_app")) as client, ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: client.get("/report"), range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 429]


def test_words_are_counted_when_they_are_known(example: Run) -> None:
    with httpx.Client(base_url=example("costly_app")) as client:
        for left in (9_000, 8_500):
            answer = client.post("/generate", params={"words": 500})
            assert answer.json() == {"words": 500}
            assert answer.headers["ratelimit"].startswith(f'"words";r={left}')
