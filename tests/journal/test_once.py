"""An Idempotency-Key and what it guards are one step, also across a crash."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from realtime.faults import VARIABLE
from tests.service import Service, running_service

KEY = {"Idempotency-Key": "payment-17"}


def submit(service: Service) -> httpx.Response:
    entry = {"member": "ada", "score": 5}
    url = f"{service.url}/v1/leaderboards/credits/scores"
    return httpx.post(url, json=entry, headers=KEY)


@pytest.mark.parametrize(
    ("fault", "replayed"),
    [("journal.synced@2=KILL", True), ("journal.write@2=KILL", False)],
    ids=["on disk, not answered", "not on disk"],
)
def test_whoever_got_no_answer_may_repeat_the_request(
    tmp_path: Path, fault: str, replayed: bool
) -> None:
    always = ("--durability", "always")
    with running_service(tmp_path, *always, env={VARIABLE: fault}) as service:
        rules = httpx.put(f"{service.url}/v1/leaderboards/credits", json={"keep": "sum"})
        assert rules.status_code == 200
        with pytest.raises(httpx.TransportError):
            submit(service)
    with running_service(tmp_path, *always) as service:
        again = submit(service)
        assert again.json()["score"] == 5, "it was counted twice, or not at all"
        assert again.headers.get("idempotency-replayed") == ("true" if replayed else None)
