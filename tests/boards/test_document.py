"""The examples of docs/leaderboards.md give the answers printed there."""

from __future__ import annotations

from pathlib import Path

from realtime.http.boards import Rules
from tests.service import running_service
from tests.test_readme import matches, paste, tour

PAGE = Path(__file__).parents[2] / "docs" / "leaderboards.md"


def test_the_examples_give_the_answers_printed_there(tmp_path: Path) -> None:
    steps = tour(PAGE)
    assert len(steps) > 8
    with running_service(tmp_path) as service:
        answers = paste([command for command, _ in steps], service)
    for (command, expected), printed in zip(steps, answers, strict=True):
        assert matches(expected, printed), f"$ {command}\n{printed}\nthe page says\n{expected}"


def test_every_rule_is_explained_and_what_its_change_does() -> None:
    rules, changes = PAGE.read_text().split("## Changing rules")
    changes = changes.split("## Submitting")[0]
    for name in Rules.__struct_fields__:
        assert f"`{name}`" in rules
        assert f"`{name}`" in changes, name
