"""What docs/webhooks.md tells those who receive webhooks holds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from realtime.backends.base import Departure, Entry
from realtime.services.resets import Reset
from realtime.webhooks.event import board_reset, user_left
from realtime.webhooks.signature import parse_secrets, signed

DOCUMENT = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
BLOCKS = dict(re.findall(r"^```(\w+)\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL))
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = 1_700_000_010

Check = Callable[[str, dict[str, str], bytes], bool]


@pytest.fixture
def is_ours(monkeypatch: pytest.MonkeyPatch) -> Check:
    """The program there, at a certain time."""
    monkeypatch.setattr("time.time", lambda: NOW)
    space: dict[str, Check] = {}
    exec(BLOCKS["python"], space)
    return space["is_ours"]


def request() -> tuple[dict[str, str], bytes]:
    head, body = BLOCKS["http"].split("\n\n")
    fields = dict(line.split(": ", 1) for line in head.split("\n")[1:])
    return fields, body.strip().encode()


def test_the_request_there_is_one() -> None:
    fields, body = request()
    event = user_left(Departure(b"42", 1_700_000_000_123_456))
    assert json.loads(body) == json.loads(event.encoded())
    assert body == event.encoded()
    assert signed(parse_secrets(SECRET), event.id, NOW, body).items() <= fields.items()


def test_the_end_of_a_season_there_is_one() -> None:
    began, week = 1_699_833_600_000_000, 7 * 24 * 3_600_000_000
    top = [Entry(1, b"ada", 9100.0), Entry(2, b"bob", 8750.5)]
    event = board_reset(Reset("arcade", 7, began, began + week, 1204, top))
    assert BLOCKS["json"].replace("\n ", "").strip().encode() == event.encoded()


def test_the_program_there_knows_ours_from_others(is_ours: Check) -> None:
    fields, body = request()
    assert is_ours(SECRET, fields, body)
    assert not is_ours("whsec_" + "A" * 32, fields, body)
    assert not is_ours(SECRET, fields, body.replace(b"42", b"43"))
    assert not is_ours(SECRET, fields | {"webhook-id": "left_0"}, body)
    old = signed(parse_secrets(SECRET), fields["webhook-id"], NOW - 301, body)
    assert not is_ours(SECRET, old, body)


def test_it_knows_both_secrets_while_one_replaces_the_other(is_ours: Check) -> None:
    _, body = request()
    other = "whsec_" + "A" * 32
    fields = signed(parse_secrets(f"{other},{SECRET}"), "left_1", NOW, body)
    assert is_ours(SECRET, fields, body)
    assert is_ours(other, fields, body)
