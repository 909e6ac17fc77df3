"""docs/websocket.md: the programs that it shows do what they are shown for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.service import running_service
from tests.stage import NODE
from tests.support import require
from tests.ws.test_node_client import packages as packages

DOCUMENT = Path(__file__).parents[2] / "docs" / "websocket.md"
ADDRESS = "ws://127.0.0.1:8080"

UNBUFFERED = os.environ | {"PYTHONUNBUFFERED": "1"}


def shown(language: str, port: int) -> str:
    """The first program in a language, for a service on this port."""
    found = re.search(rf"^```{language}\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    program = found[1]
    assert ADDRESS in program
    return program.replace(ADDRESS, f"ws://127.0.0.1:{port}")


def first_line(command: list[str], folder: Path | None = None) -> str:
    """What a program says that would run on."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=UNBUFFERED,
    )
    try:
        assert process.stdout is not None
        return process.stdout.readline().strip()
    finally:
        process.kill()
        _, errors = process.communicate()
        sys.stderr.write(errors)


def test_the_javascript_works(packages: None) -> None:
    with running_service(None) as service:
        # Before version 22, Node has no WebSocket of its own, as browsers do.
        program = f"import ws from 'ws'; globalThis.WebSocket ??= ws; {shown('js', service.port)}"
        command = [require("node"), "--input-type=module", "--eval", program]
        assert first_line(command, NODE) == "1 { text: 'hello' }"


def test_the_python_works(tmp_path: Path) -> None:
    with running_service(None) as service:
        program = shown("python", service.port)
        lines = ["import asyncio", "async def main():"]
        lines += [f"    {line}" if line else "" for line in program.splitlines()]
        lines += ["    await asyncio.sleep(60)", "asyncio.run(main())"]
        (tmp_path / "program.py").write_text("\n".join(lines))
        said = first_line([sys.executable, str(tmp_path / "program.py")])
        assert said == "1 {'text': 'hello'}"
