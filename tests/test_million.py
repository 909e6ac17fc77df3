"""A board of a million members, loaded through the API: exact, and small enough.

The one slow test (about half a minute): everything smaller is tested elsewhere.
"""

from __future__ import annotations

import http.client
import json
import random
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.service import Service, running_service

MEMBERS = 1_000_000
BATCH = 10_000
MOST_BYTES = 300
"""Of memory, per member with a name of 15 characters."""


class Caller:
    """One kept-alive connection."""

    def __init__(self, service: Service) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", service.port)
        self.close = self._connection.close

    def __call__(self, method: str, path: str, body: object = None) -> Any:
        headers = {"content-type": "application/json"}
        payload = None if body is None else json.dumps(body)
        self._connection.request(method, path, payload, headers)
        response = self._connection.getresponse()
        answer = json.loads(response.read())
        assert response.status == 200, answer
        return answer


def resident(service: Service) -> int:
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


@pytest.mark.timeout(300)
def test_a_million_members_are_exact_and_fit(tmp_path: Path) -> None:
    rng = random.Random(7)
    scores = {f"player:{number:08}": rng.randrange(500_000) for number in range(MEMBERS)}
    with running_service(tmp_path) as service, closing(Caller(service)) as call:
        before = resident(service)
        members = list(scores)
        for first in range(0, MEMBERS, BATCH):
            batch = [{"member": m, "score": scores[m]} for m in members[first : first + BATCH]]
            call("POST", "/v1/leaderboards/big/scores", {"entries": batch})
        each = (resident(service) - before) / MEMBERS
        order = sorted(scores, key=lambda member: (scores[member], member), reverse=True)
        _check_reads(call, order, scores)
        service.stop()
    assert each <= MOST_BYTES, f"{each:.0f} bytes a member"
    with running_service(tmp_path) as service, closing(Caller(service)) as call:
        _check_reads(call, order, scores)


def _check_reads(call: Caller, order: list[str], scores: dict[str, int]) -> None:
    """Top ten, ranks and neighbours at both ends, in the middle and at random."""
    top = call("GET", "/v1/leaderboards/big/entries?limit=10")
    assert top["total"] == MEMBERS
    assert [entry["member"] for entry in top["entries"]] == order[:10]
    rng = random.Random(8)
    for index in (0, 1, MEMBERS // 2, MEMBERS - 1, *(rng.randrange(MEMBERS) for _ in range(50))):
        member = order[index]
        standing = call("GET", f"/v1/leaderboards/big/members/{member}")
        assert (standing["rank"], standing["score"]) == (index + 1, scores[member])
        around = call("GET", f"/v1/leaderboards/big/members/{member}/around?radius=3")
        first = max(0, min(index - 3, MEMBERS - 7))
        assert [entry["member"] for entry in around["entries"]] == order[first : first + 7]
        assert [entry["rank"] for entry in around["entries"]] == list(range(first + 1, first + 8))
