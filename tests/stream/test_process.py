"""Streams of a service in a process of its own, read as any HTTP client reads them."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.redis.stores import STORES, store_options
from tests.service import Service, running_service

CONNECT = {"id": 1, "connect": {}}
SUBSCRIBE = {"id": 2, "subscribe": {"channel": "c"}}
COMMANDS = f"{json.dumps(CONNECT)}\n{json.dumps(SUBSCRIBE)}"


@pytest.fixture(params=STORES)
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    with store_options(request.param, tmp_path) as options, running_service(None, *options) as one:
        yield one


def test_a_service_that_ends_says_goodbye_to_its_streams(service: Service) -> None:
    with (
        httpx.stream("POST", f"{service.url}/connection/http_stream", content=COMMANDS) as lines,
        httpx.stream("GET", f"{service.url}/v1/channels/c/events") as events,
    ):
        found, listened = lines.iter_lines(), events.iter_lines()
        connect, subscribe = json.loads(next(found)), json.loads(next(found))
        assert (connect["id"], subscribe["id"]) == (1, 2)
        assert next(listened) == "retry: 1000"
        published = httpx.post(f"{service.url}/v1/channels/c/messages", json={"data": "last"})
        assert published.status_code == 200
        assert json.loads(next(found))["push"]["pub"]["data"] == "last"
        service.process.send_signal(signal.SIGTERM)
        goodbye = {"code": 3001, "reason": "shutdown"}
        assert [json.loads(line) for line in found] == [{"push": {"disconnect": goodbye}}]
        rest = list(listened)
    assert f"data: {json.dumps(goodbye, separators=(',', ':'))}" in rest
    assert service.process.wait(timeout=30) == 0


def test_many_streams_come_and_go_and_hear_the_same(service: Service) -> None:
    ready = threading.Barrier(21)
    heard: list[str] = []

    def listen() -> None:
        with httpx.stream("GET", f"{service.url}/v1/channels/c/events", timeout=30) as events:
            lines = events.iter_lines()
            next(lines)
            ready.wait(timeout=30)
            heard.extend([line for line in (next(lines) for _ in range(5)) if "data" in line])

    threads = [threading.Thread(target=listen) for _ in range(20)]
    for thread in threads:
        thread.start()
    ready.wait(timeout=30)
    httpx.post(f"{service.url}/v1/channels/c/messages", json={"data": "all"})
    for thread in threads:
        thread.join()
    assert heard == ['data: {"data":"all","offset":1}'] * 20
