"""Chromium without a window, as far as a test needs it: open a page, and ask it something.

Speaks the browser's own DevTools protocol over its WebSocket.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from tests.support import eventually

__all__ = ["Page", "open_page"]

SWITCHES = (
    "--headless",
    "--no-sandbox",  # continuous integration runs as root
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "--window-size=800,900",
)


class Page:
    """One open page."""

    def __init__(self, devtools: ClientConnection) -> None:
        self._devtools = devtools
        self._commands = 0

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; a promise's once it has one."""
        answer = self.command(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def command(self, method: str, **parameters: object) -> dict[str, Any]:
        """A command of the DevTools protocol and its result; events are passed over."""
        self._commands += 1
        command = {"id": self._commands, "method": method, "params": parameters}
        self._devtools.send(json.dumps(command))
        while True:
            answer: dict[str, Any] = json.loads(self._devtools.recv(timeout=20))
            if answer.get("id") == self._commands:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result


@contextmanager
def open_page(chromium: str, url: str, profile: Path) -> Iterator[Page]:
    """A browser of its own that shows ``url``; ``profile`` is a folder for it to write in."""
    process = subprocess.Popen(
        (chromium, *SWITCHES, f"--user-data-dir={profile}", url),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        with connect(_devtools_url(profile, url), max_size=None) as devtools:
            yield Page(devtools)
    finally:
        process.terminate()
        process.wait(20)


def _devtools_url(profile: Path, url: str) -> str:
    """Where the page listens; the browser writes its port into a file once it is there."""
    port_file = profile / "DevToolsActivePort"
    eventually(lambda: port_file.exists() and "\n" in port_file.read_text(), timeout=60)
    port = port_file.read_text().splitlines()[0]
    found: list[str] = []

    def listed() -> bool:
        targets = httpx.get(f"http://127.0.0.1:{port}/json/list", timeout=20).json()
        found.extend(
            target["webSocketDebuggerUrl"] for target in targets if target["url"].startswith(url)
        )
        return bool(found)

    eventually(listed, timeout=30)
    return found[0]
