"""kill -9 while seasons end: each score that was answered is in one season, and counts once."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.crash.connection import Closed, Connection
from tests.service import Service, running_service

ROUNDS = 4
WRITERS = 4
SEASON = timedelta(milliseconds=40)
LONGEST = 0.6
"""Seconds of work before a kill."""

BOARD = "/v1/leaderboards/arcade"


class Writer:
    """Submits each score until it is answered, also after a crash, and then the next one."""

    def __init__(self, name: int) -> None:
        self.name = name
        self.answered = 0

    @property
    def members(self) -> list[str]:
        return [f"{self.name}:{number}" for number in range(self.answered)]

    def write(self, port: int) -> None:
        """Until the service is gone."""
        try:
            with Connection(port) as connection:
                while True:
                    self._submit(connection)
        except Closed:
            return

    def _submit(self, connection: Connection) -> None:
        member = f"{self.name}:{self.answered}"
        status, answer = connection.ask(
            "POST", f"{BOARD}/scores", {"member": member, "score": 1, "id": member}
        )
        assert status == 200, answer
        self.answered += 1


def configure(service: Service) -> None:
    now = datetime.now(UTC)
    resets = [(now + number * SEASON).isoformat() for number in range(1, 1_000)]
    rules = {"keep": "sum", "resets": resets, "archives": 1_000}
    with Connection(service.port) as connection:
        status, answer = connection.ask("PUT", BOARD, rules)
        assert status == 200, answer


def work(service: Service, writers: list[Writer], seconds: float) -> None:
    """Let them write, and kill the service."""
    threads = [threading.Thread(target=one.write, args=(service.port,)) for one in writers]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    service.process.kill()
    service.process.wait()
    for thread in threads:
        thread.join()


def entries(connection: Connection, season: str) -> Iterator[dict[str, Any]]:
    """All of one season."""
    path = f"{BOARD}/entries?limit=1000{season}"
    while path:
        status, answer = connection.ask("GET", path)
        assert status == 200, answer
        yield from answer["entries"]
        cursor = answer.get("cursor")
        path = f"{BOARD}/entries?limit=1000{season}&cursor={cursor}" if cursor else ""


def played(service: Service) -> tuple[list[dict[str, Any]], list[list[dict[str, Any]]]]:
    """The seasons that are over, oldest first, and the entries of each, those of now at the end."""
    with Connection(service.port) as connection:
        status, _ = connection.ask("POST", f"{BOARD}/reset")  # so that the last one is over, too
        assert status == 200
        status, answer = connection.ask("GET", f"{BOARD}/seasons")
        assert status == 200, answer
        over = answer["closed"][::-1]
        seasons = [list(entries(connection, f"&season={one['season']}")) for one in over]
        return over, [*seasons, list(entries(connection, ""))]


@pytest.mark.timeout(120)
def test_seasons_survive_kills(tmp_path: Path) -> None:
    draw = random.Random(1)
    writers = [Writer(number) for number in range(WRITERS)]
    for number in range(ROUNDS):
        with running_service(tmp_path / "data", "--durability", "always") as service:
            if number == 0:
                configure(service)
            work(service, writers, draw.uniform(0.2, LONGEST))
    with running_service(tmp_path / "data") as service:
        over, seasons = played(service)
    assert [one["season"] for one in over] == list(range(1, len(over) + 1))
    times = [datetime.fromisoformat(one[end]) for one in over for end in ("began", "ended")]
    assert times == sorted(times)
    assert [one["size"] for one in over] == [len(season) for season in seasons[:-1]]
    assert len([season for season in seasons if season]) > 2 * ROUNDS, "hardly a season ended"
    for season in seasons:
        order = [entry["member"] for entry in season]
        assert order == sorted(order, reverse=True), "all have the same score"
        assert [entry["rank"] for entry in season] == list(range(1, len(order) + 1))
        assert {entry["score"] for entry in season} <= {1}
    found = Counter(entry["member"] for season in seasons for entry in season)
    answered = [member for writer in writers for member in writer.members]
    perhaps = {f"{writer.name}:{writer.answered}" for writer in writers}
    assert set(found.values()) == {1}, "none counts twice"
    assert set(answered) <= found.keys() <= set(answered) | perhaps
    assert len(answered) > 100 * ROUNDS, "hardly anything was written"
