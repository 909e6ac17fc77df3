"""A real service, and an example beside it, each a process of its own as a reader would run it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.service import running_service
from tests.support import eventually, free_port

EXAMPLES = Path(__file__).parents[2] / "examples"

Run = Callable[[str], str]
"""Runs an example by its name; answers the URL of its page."""


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Run]:
    """Runs examples beside a service of their own, started as their docstrings say."""
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        service = stack.enter_context(running_service(tmp_path / "data"))

        def run(name: str) -> str:
            environ = {"SERVICE": service.url, "PORT": str(port)}
            stack.enter_context(_running(name, environ, tmp_path / f"{name}.log"))
            eventually(lambda: _answers(origin), timeout=30)
            return origin

        yield run


@contextmanager
def _running(name: str, environ: dict[str, str], log: Path) -> Iterator[None]:
    """The program, until the block is left; SIGTERM must end it well."""
    command = [sys.executable, str(EXAMPLES / f"{name}.py")]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=os.environ | environ, cwd=EXAMPLES.parent
        )
    try:
        yield
        assert process.poll() is None, log.read_text()
        process.terminate()
        process.wait(10)
        assert "Traceback" not in log.read_text(), log.read_text()
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        httpx.get(url)
    except httpx.TransportError:
        return False
    return True
