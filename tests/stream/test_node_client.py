"""The stock JavaScript client over HTTP, under Node, against a running service."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.redis.servers import running_redis
from tests.service import running_service
from tests.stage import NODE
from tests.support import require
from tests.ws.test_node_client import packages as packages

KINDS = ("embedded", "redis", "two nodes")


@contextlib.contextmanager
def served(kind: str, folder: Path) -> Iterator[dict[str, str]]:
    """What tells the script where to go: one process, or two that share a store."""
    with contextlib.ExitStack() as stack:
        options: list[str] = []
        if kind != "embedded":
            redis = stack.enter_context(running_redis(folder / "redis"))
            options = ["--store", redis.url]
        service = stack.enter_context(running_service(None, *options))
        found = {"REALTIME_URL": service.url}
        if kind == "two nodes":
            other = stack.enter_context(running_service(None, *options))
            found["REALTIME_OTHER_URL"] = other.url
        yield found


@pytest.mark.parametrize("kind", KINDS)
def test_the_stock_javascript_client_works(packages: None, tmp_path: Path, kind: str) -> None:
    node = require("node")
    script = NODE / "streams.test.mjs"
    with served(kind, tmp_path) as addresses:
        done = subprocess.run(
            [node, "--experimental-eventsource", "--test", str(script)],
            env=os.environ | addresses,
            capture_output=True,
            text=True,
            timeout=100,
        )
    assert done.returncode == 0, done.stdout + done.stderr
