"""Whose pages may use a service without keys."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from realtime.origins import is_local_host, is_local_origin
from tests.service import Service, running_service


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "127.0.0.1", "127.1.2.3:1", "[::1]:8080", "a.localhost"]
)
def test_names_of_this_machine(host: str) -> None:
    assert is_local_host(host)
    assert is_local_origin(f"http://{host}")
    assert not is_local_origin(f"ftp://{host}")


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::2]",
     "evil.example@localhost.evil", "[", "0.0.0.0:8080", "null"],
)  # fmt: skip
def test_names_that_may_be_anybodys(host: str) -> None:
    assert not is_local_host(host)
    assert not is_local_origin(f"http://{host}")
    assert not is_local_origin(host)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with running_service(None) as service:
        yield service


def add(service: Service, **headers: str) -> int:
    """The status of a write that a page may send without asking first."""
    request = urllib.request.Request(f"{service.url}/v1/counters/c/add", b"{}", method="POST")
    request.add_header("Content-type", "application/json")
    for name, value in headers.items():
        request.add_header(name, value)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        assert json.load(error)["status"] == error.code
        return error.code


def test_a_page_of_the_web_cannot_use_a_service_without_keys(service: Service) -> None:
    assert add(service) == 200
    assert add(service, Origin="http://localhost:3000") == 200
    assert add(service, Origin="https://evil.example") == 403
    assert add(service, Origin="null") == 403
    assert add(service, Host="evil.example:8080") == 403
    assert add(service, Origin="http://evil.example", Host="evil.example") == 403
