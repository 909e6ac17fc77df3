"""The chat: what one says the others read, also those who come later."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.examples.browser import Page, open_page
from tests.examples.conftest import Run
from tests.support import eventually, require

SAID = """
    [...document.querySelectorAll("#said p")].map(
        (line) => [line.firstChild.textContent, line.lastChild.textContent])
"""


def said(page: Page) -> list[list[str]]:
    """(name, text) of every message in the window."""
    lines: list[list[str]] = page.evaluate(SAID)
    return lines


def test_who_is_there_reads_along_and_who_comes_reads_what_was_said(
    example: Run, tmp_path: Path
) -> None:
    chromium, url = require("chromium"), example("chat")
    httpx.post(f"{url}/say", json={"name": "ada", "text": "anybody here?"}).raise_for_status()
    with open_page(chromium, url, tmp_path / "profile") as page:
        eventually(lambda: said(page) == [["ada", "anybody here?"]], timeout=30)
        page.evaluate(
            "form.name.value = 'bea', form.text.value = '<b>me</b>', form.requestSubmit()"
        )
        eventually(lambda: said(page)[1:] == [["bea", "<b>me</b>"]], timeout=30)
        mine = page.evaluate("document.querySelector('#said p.mine b').textContent")
    assert mine == "bea"


def test_what_cannot_be_said_is_refused(example: Run) -> None:
    url = example("chat")
    nonsense: object
    for nonsense in ({}, [], {"name": "ada", "text": 5}, {"name": "", "text": "hi"}):
        assert httpx.post(f"{url}/say", json=nonsense).status_code == 400
    assert httpx.post(f"{url}/say", content=b"\xff").status_code == 400
    assert httpx.post(f"{url}/say", json={"name": "ada", "text": "x" * 501}).status_code == 400
