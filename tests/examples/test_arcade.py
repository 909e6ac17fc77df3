"""The arcade: players score, and whoever looks at the page sees it happen."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.examples.browser import Page, open_page
from tests.examples.conftest import Run
from tests.support import eventually, require

ROWS = """
    [...document.querySelectorAll("li")].filter((line) => line.style.opacity == 1)
        .map(({ dataset, lastChild }) =>
            [+dataset.rank, dataset.member, +lastChild.textContent.replaceAll(",", "")])
        .sort((one, other) => one[0] - other[0])
"""

Row = tuple[int, str, int]


def rows(page: Page) -> list[Row]:
    """What the board in the browser shows, best first."""
    return [(rank, member, score) for rank, member, score in page.evaluate(ROWS)]


def test_the_browser_shows_the_board_as_it_changes(example: Run, tmp_path: Path) -> None:
    url = example("arcade")
    with open_page(require("chromium"), url, tmp_path / "profile") as page:
        eventually(lambda: len(rows(page)) == 10, timeout=30)
        before = rows(page)
        eventually(lambda: rows(page) != before, timeout=30)
        after = rows(page)
        shown = page.evaluate("document.getElementById('state').textContent")
    assert [rank for rank, _, _ in after] == list(range(1, 11))
    scores = [score for _, _, score in after]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) > sum(score for _, _, score in before)
    assert "live" in shown


def test_players_score_on_the_service(example: Run) -> None:
    page = httpx.get(example("arcade")).text
    service = page.partition('WebSocket("')[2].partition("/connection")[0]
    board = f"{service}/v1/leaderboards/arcade"
    eventually(lambda: bool(httpx.get(f"{board}/entries").json()["entries"]))
    assert httpx.get(board).json()["keep"] == "sum"
