"""Keys as a running service sees them: from the command line to the door, within a second."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

from tests.service import Service, running_service
from tests.support import eventually


def keys(data: Path, *words: str) -> str:
    """``realtime keys …``; what it prints."""
    command = [sys.executable, "-m", "realtime", "keys", *words, "--data", str(data)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def kept(service: Service) -> HTTPConnection:
    """A connection that is used again for every request."""
    return HTTPConnection("127.0.0.1", service.port, timeout=10)


def status(service: Service, method: str, path: str, key: str | None = None) -> int:
    request = urllib.request.Request(f"{service.url}{path}", method=method)
    if key is not None:
        request.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            code: int = answer.status
            return code
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_a_key_reaches_as_far_as_its_scopes(tmp_path: Path) -> None:
    reader = keys(tmp_path, "create", "--name", "reader", "--scope", "counters:read")
    boss = keys(tmp_path, "create", "--name", "boss", "--scope", "*")
    with running_service(tmp_path) as service:
        path = "/v1/counters?names=visits"
        assert status(service, "GET", path) == 401
        assert status(service, "GET", path, reader[:-2] + "xx") == 401
        assert status(service, "GET", path, reader) == 200
        assert status(service, "DELETE", "/v1/counters/visits", reader) == 403
        assert status(service, "GET", "/v1/admin/stats", reader) == 403
        assert status(service, "GET", "/v1/admin/stats", boss) == 200
        assert status(service, "GET", "/readyz") == 200


def test_a_change_of_the_keys_is_felt_at_once(tmp_path: Path) -> None:
    path = "/v1/counters?names=visits"
    with running_service(tmp_path) as service:
        assert status(service, "GET", path) == 200, "open, as there is no key"
        key = keys(tmp_path, "create", "--name", "app", "--scope", "*")
        eventually(lambda: status(service, "GET", path) == 401, timeout=5)
        assert status(service, "GET", path, key) == 200
        keys(tmp_path, "revoke", "app")
        eventually(lambda: status(service, "GET", path, key) == 401, timeout=5)
        assert status(service, "GET", path) == 401, "the last key gone, nobody comes in"


def test_a_request_that_is_known_still_needs_its_key(tmp_path: Path) -> None:
    """A connection remembers what its requests look like, and not that they were let in."""
    key = keys(tmp_path, "create", "--name", "app", "--scope", "*")
    headers = {"Authorization": f"Bearer {key}"}
    with running_service(tmp_path) as service, closing(kept(service)) as connection:

        def answered() -> int:
            connection.request("GET", "/v1/counters?names=visits", headers=headers)
            with connection.getresponse() as answer:
                answer.read()
                return answer.status

        assert [answered() for _ in range(5)] == [200] * 5
        keys(tmp_path, "revoke", "app")
        eventually(lambda: answered() == 401, timeout=5)


def test_with_a_key_the_service_may_listen_everywhere(tmp_path: Path) -> None:
    key = keys(tmp_path, "create", "--name", "app", "--scope", "*:read")
    with running_service(tmp_path, "--host", "0.0.0.0") as service:
        assert status(service, "GET", "/v1/counters?names=visits", key) == 200
        assert status(service, "GET", "/v1/counters?names=visits") == 401
