"""The stock client's build for browsers, in a page in Chromium, against running services.

It plays the scenarios that Node plays (`tests/node/scenarios`), and some that only a page can.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.stage import EMBEDDED, Stage, judge, staged
from tests.support import require
from tests.ws.test_node_client import packages as packages

GROUPS = (*EMBEDDED, "browser")

QUIET = 100.0
"""Seconds without a result before the browser is given up."""

OPTIONS = (
    "--headless",
    "--no-sandbox",  # whoever runs tests as root could not start it otherwise
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--password-store=basic",
    "--remote-debugging-port=0",  # or it would leave once the page is loaded
)


@contextlib.asynccontextmanager
async def showing(url: str, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A browser of its own, with everything that it keeps in ``folder``, that shows a page."""
    with (folder / "chromium.log").open("wb") as log:
        browser = await asyncio.create_subprocess_exec(
            *(require("setpriv"), "--pdeathsig", "KILL"),  # not to outlive us, whatever ends us
            require("chromium"),
            *OPTIONS,
            f"--user-data-dir={folder / 'profile'}",
            url,
            env=os.environ | {"HOME": str(folder)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield browser
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has left already
            os.killpg(browser.pid, signal.SIGKILL)
        await browser.wait()


async def results(stage: Stage, browser: asyncio.subprocess.Process) -> list[dict[str, Any]]:
    """What the page reports, until it says that it is done or nothing comes any more."""
    left = asyncio.create_task(browser.wait())
    found: list[dict[str, Any]] = []
    try:
        while True:
            result = asyncio.create_task(stage.results.get())
            await asyncio.wait([left, result], timeout=QUIET, return_when=asyncio.FIRST_COMPLETED)
            if not result.done():
                result.cancel()
                return [*found, {"scenario": "the browser", "transport": "", "error": "is gone"}]
            if "done" in result.result():
                return found
            found.append(result.result())
    finally:
        left.cancel()


@pytest.mark.timeout(300)
async def test_it_works_in_a_page(
    packages: None, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    only = os.environ.get("REALTIME_SCENARIOS", ",".join(GROUPS))
    async with staged(tmp_path) as stage:
        page = f"{stage.url}/?only={quote(only)}"
        async with showing(page, tmp_path) as browser:
            judge(await results(stage, browser), subtests)
