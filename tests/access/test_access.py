"""Who gets in, what they may do there, and how soon a change of the keys file is felt."""

from __future__ import annotations

import hmac
import logging
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest

from realtime import keyfile
from realtime.access import ACTIONS, ANONYMOUS, FEATURES, Access, Principal, parse_scope
from realtime.keyfile import IssuedKey, KeyFileError

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def make_key(path: Path, name: str, *scopes: str, expires: datetime | None = None) -> IssuedKey:
    issued = keyfile.issue(name, scopes or ("*",), NOW, expires)
    keyfile.add(path, issued.record)
    return issued


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_without_a_keys_file_everybody_may_do_everything(path: Path) -> None:
    for access in (Access(None), Access(path)):
        assert access.open
        assert all(access.anonymous.may(*pair) for pair in product(FEATURES, ACTIONS))


def test_a_key_lets_its_holder_in_and_a_wrong_one_nobody(path: Path) -> None:
    text = make_key(path, "app").text
    access = Access(path)
    assert not access.open
    for token in (text, text.encode()):
        found = access.principal(token)
        assert found is not None
        assert found.name == "app"
    changed = text[:-1] + ("A" if text[-1] != "A" else "B")
    other_id = text[:3] + "0" * 12 + text[15:]
    for wrong in ("", "rt_", changed, other_id, text + "=", text[:-1], text.upper(), "é" * 59):
        assert access.principal(wrong) is None, wrong
        assert access.principal(wrong.encode()) is None, wrong


def test_once_there_are_keys_whoever_has_none_may_do_nothing(path: Path) -> None:
    make_key(path, "app")
    nobody = Access(path).anonymous
    assert not any(nobody.may(*pair) for pair in product(FEATURES, ACTIONS))


def test_a_secret_is_compared_in_constant_time_and_also_for_an_unknown_id(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = make_key(path, "app").text
    access = Access(path)
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert access.principal(text) is not None
    assert access.principal(text[:3] + "0" * 12 + text[15:]) is None
    assert [len(one) == len(other) == 32 for one, other in compared] == [True, True]


@pytest.mark.parametrize(
    ("scope", "granted", "refused"),
    [
        ("leaderboards:read", ["leaderboards:read"], ["leaderboards:write", "counters:read"]),
        ("channels:*", ["channels:publish", "channels:admin"], ["limits:read", "admin:read"]),
        ("*:read", ["sessions:read", "limits:read"], ["sessions:write", "admin:read"]),
        ("*:admin", ["limits:admin"], ["limits:write", "admin:admin", "admin:read"]),
        ("admin:read", ["admin:read"], ["admin:write", "leaderboards:read"]),
        ("*", ["admin:admin", "channels:publish"], []),
        ("*:*", ["admin:admin", "channels:publish"], []),
    ],
)
def test_a_scope_grants_what_it_says_and_no_more(
    scope: str, granted: list[str], refused: list[str]
) -> None:
    somebody = Principal("somebody", frozenset({scope}))
    assert all(somebody.may(*one.split(":")) for one in granted)
    assert not any(somebody.may(*one.split(":")) for one in refused)


def test_scopes_add_up(path: Path) -> None:
    text = make_key(path, "game", "leaderboards:write", "channels:publish").text
    game = Access(path).principal(text)
    assert game is not None
    assert [pair for pair in product(FEATURES, ACTIONS) if game.may(*pair)] == [
        ("leaderboards", "write"),
        ("channels", "publish"),
    ]


@pytest.mark.parametrize(
    "scope", ["", "read", "leaderboards", "boards:read", "*:fly", "a:b:c", ":"]
)
def test_what_is_no_scope_is_refused_with_the_words_that_are(scope: str) -> None:
    with pytest.raises(ValueError, match="leaderboards, counters, sessions"):
        parse_scope(scope)


def test_a_key_ends_when_it_expires(path: Path) -> None:
    text = make_key(path, "guest", expires=NOW + timedelta(hours=1)).text
    clock = [NOW.timestamp()]
    access = Access(path, lambda: clock[0])
    guest = access.principal(text)
    assert guest is not None
    assert access.stands(guest)
    clock[0] += 3600
    assert access.principal(text) is None
    assert not access.stands(guest)


def test_a_refresh_lets_new_keys_in_and_revoked_ones_out(path: Path) -> None:
    first = make_key(path, "first")
    access = Access(path)
    assert not access.refresh()
    second = make_key(path, "second")
    assert access.principal(second.text) is None
    assert access.refresh()
    holder = access.principal(first.text)
    assert holder is not None
    assert access.principal(second.text) is not None

    keyfile.revoke(path, "first")
    assert access.refresh()
    assert access.principal(first.text) is None
    assert not access.stands(holder)
    assert access.principal(second.text) is not None
    assert not access.refresh()


def test_a_service_that_was_open_closes_with_the_first_key(path: Path) -> None:
    access = Access(path)
    assert access.stands(ANONYMOUS)
    make_key(path, "app")
    assert access.refresh()
    assert not access.open
    assert not access.stands(ANONYMOUS)


@pytest.mark.parametrize("how", ["revoked", "deleted"])
def test_a_service_without_its_last_key_lets_nobody_in(path: Path, how: str) -> None:
    text = make_key(path, "app").text
    access = Access(path)
    if how == "revoked":
        keyfile.revoke(path, "app")
    else:
        path.unlink()
    assert access.refresh()
    assert not access.open
    assert access.principal(text) is None
    assert not access.anonymous.may("counters", "read")
    assert access.empty
    assert not access.refresh()


def test_a_file_that_breaks_while_we_run_is_told_once_and_locks_nobody_out(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = make_key(path, "app").text
    access = Access(path)
    path.write_text("{")
    with caplog.at_level(logging.INFO):
        assert [access.refresh() for _ in range(3)] == [False, False, False]
    assert len(caplog.records) == 1
    assert str(path) in caplog.text
    assert access.principal(text) is not None


def test_no_secret_reaches_a_log_or_a_repr(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        issued = make_key(path, "app")
        access = Access(path)
        make_key(path, "other")
        access.refresh()
        principal = access.principal(issued.text)
        access.principal(issued.text[:-1] + "!")
        path.write_text(path.read_text().replace("app", "\\u0000"))
        access.refresh()
    shown = [repr(one) for one in (issued, issued.record, access, principal, vars(access))]
    with pytest.raises(KeyFileError) as broken:
        Access(path)
    for text in (*shown, caplog.text, str(broken.value)):
        assert issued.text[16:] not in text
        assert issued.record.sha256 not in text


def test_a_key_with_a_scope_that_we_lack_is_an_error_that_names_the_file(path: Path) -> None:
    issued = keyfile.issue("app", ("everything",), NOW)
    keyfile.add(path, issued.record)
    with pytest.raises(KeyFileError, match=r"keys\.json: key 'app': 'everything' is no scope"):
        Access(path)
