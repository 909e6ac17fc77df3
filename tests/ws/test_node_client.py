"""The stock JavaScript client, under Node, against a running service."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.redis.stores import STORES, store_options
from tests.service import running_service
from tests.support import require

NODE_TESTS = Path(__file__).parent.parent / "node"


@pytest.fixture(scope="session")
def packages() -> None:
    """The packages of the lock, installed once; whoever lacks Node or a network skips."""
    npm = require("npm")
    lock = NODE_TESTS / "package-lock.json"
    installed = NODE_TESTS / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    done = subprocess.run([npm, "ci"], cwd=NODE_TESTS, capture_output=True, text=True, timeout=100)
    if done.returncode:
        reason = f"npm ci failed: {done.stderr.strip()}"
        if os.environ.get("REALTIME_TEST_REQUIRE") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.mark.parametrize("store", STORES)
def test_the_stock_javascript_client_works(packages: None, tmp_path: Path, store: str) -> None:
    node = require("node")
    script = NODE_TESTS / "client.test.mjs"
    with store_options(store, tmp_path) as options, running_service(None, *options) as service:
        done = subprocess.run(
            [node, "--test", str(script)],
            env=os.environ | {"REALTIME_URL": service.url},
            capture_output=True,
            text=True,
            timeout=100,
        )
    assert done.returncode == 0, done.stdout + done.stderr
