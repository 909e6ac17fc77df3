"""The stock JavaScript client, under Node, against running services.

What it does is in `tests/node/scenarios`: over WebSocket, HTTP streams and Server-Sent Events.
``REALTIME_SCENARIOS="sees who is present,tokens"`` plays one scenario and one group of them.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.redis.servers import running_redis
from tests.stage import EMBEDDED, NODE, STORED, Stage, judge, staged
from tests.support import require

TIMEOUT = 240
"""Seconds; most are over in twenty."""


@pytest.fixture(scope="session")
def packages() -> None:
    """The packages of the lock, installed once; whoever lacks Node or a network skips."""
    npm = require("npm")
    lock = NODE / "package-lock.json"
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # one at a time, if tests run in several processes
        installed = NODE / "node_modules" / ".package-lock.json"
        if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
            _install(npm)


def _install(npm: str) -> None:
    done = subprocess.run([npm, "ci"], cwd=NODE, capture_output=True, text=True, timeout=100)
    if done.returncode:
        reason = f"npm ci failed: {done.stderr.strip()}"
        if os.environ.get("REALTIME_TEST_REQUIRE") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.mark.timeout(TIMEOUT)
async def test_it_works_on_a_service(
    packages: None, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    async with staged(tmp_path) as stage:
        await _play(stage, EMBEDDED, subtests)


@pytest.mark.timeout(TIMEOUT)
async def test_it_works_on_a_service_with_a_store(
    packages: None, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    with running_redis(tmp_path / "redis") as redis:
        async with staged(tmp_path, redis) as stage:
            await _play(stage, STORED, subtests)


async def _play(stage: Stage, groups: tuple[str, ...], subtests: pytest.Subtests) -> None:
    only = os.environ.get("REALTIME_SCENARIOS")
    names = groups if only is None else only.split(",")
    node = await asyncio.create_subprocess_exec(
        require("node"),
        "--experimental-eventsource",
        "run.mjs",
        *names,
        cwd=NODE,
        env=os.environ | {"STAGE": stage.url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, errors = await node.communicate()
    finally:
        if node.returncode is None:
            node.kill()
            await node.wait()
    assert node.returncode == 0, errors.decode()
    judge([json.loads(line) for line in out.splitlines()], subtests)
