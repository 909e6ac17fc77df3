"""``realtime keys``: what is printed, what is stored, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from realtime.access import Access
from realtime.keyfile import read
from tests.cli.conftest import Run

KEYS = Path("realtime-data/keys.json")


def test_a_new_key_is_printed_alone_and_works(run: Run) -> None:
    code, out, err = run("keys", "create", "--name", "app", "--scope", "*:read", "limits:write")
    assert code == 0
    assert "only time the key is shown" in err
    principal = Access(KEYS).principal(out.removesuffix("\n"))
    assert principal is not None
    assert principal.name == "app"
    assert principal.scopes == {"*:read", "limits:write"}
    assert out.strip()[16:] not in err + KEYS.read_text()


def test_scopes_may_be_given_together_or_one_by_one(run: Run) -> None:
    run("keys", "create", "--name", "a", "--scope", "*:read", "--scope", "limits:write", "*:read")
    (key,) = json.loads(KEYS.read_text())["keys"]
    assert key["scopes"] == ["*:read", "limits:write"]


@pytest.mark.parametrize("where", [["--keys-file", "a/k.json"], ["--data", "a"]])
def test_the_file_lies_where_the_settings_say(run: Run, where: list[str]) -> None:
    expected = Path("a/k.json" if "--keys-file" in where else "a/keys.json")
    assert run("keys", "create", "--name", "app", "--scope", "*", *where).code == 0
    assert expected.exists()
    assert not KEYS.exists()
    assert run("keys", "revoke", "app", *where).code == 0
    assert read(expected) is not None


@pytest.mark.parametrize(
    ("expires", "after"),
    [("90d", timedelta(days=90)), ("12h", timedelta(hours=12)), ("45m", timedelta(minutes=45))],
)
def test_a_key_may_expire_after_a_while(run: Run, expires: str, after: timedelta) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    run("keys", "create", "--name", "app", "--scope", "*", "--expires", expires)
    found = read(KEYS)
    assert found is not None
    assert found.keys[0].expires is not None
    assert before <= found.keys[0].expires - after <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("expires", "expected"),
    [("2100-01-31", "2100-01-31T00:00:00Z"), ("2100-01-31T12:00:00+02:00", "2100-01-31T10:00:00Z")],
)
def test_a_key_may_expire_on_a_date(run: Run, expires: str, expected: str) -> None:
    run("keys", "create", "--name", "app", "--scope", "*", "--expires", expires)
    assert expected in run("keys", "list").out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--name", "a", "--scope", "fly"], "'fly' is no scope: write <feature>:<action> or *"),
        (["--name", "a", "--scope", "*", "--expires", "soon"], "--expires takes 30d, 12h, 45m"),
        (["--name", "a", "--scope", "*", "--expires", "99999999d"], "--expires takes 30d"),
        (["--name", "a", "--scope", "*", "--expires", "0d"], "--expires 0d is in the past"),
        (["--name", "a", "--scope", "*", "--expires", "2020-01-01"], "--expires 2020-01-01 is in"),
        (["--name", "a\nb", "--scope", "*"], "realtime-data/keys.json: the name of a key holds"),
        (["--name", "a"], "the following arguments are required: --scope"),
        (["--scope", "*"], "the following arguments are required: --name"),
        (
            ["--name", "a", "--scope", "*", "--data", ""],
            "without a data directory, keys need a file",
        ),
    ],
)
def test_what_makes_no_sense_stores_nothing(run: Run, words: list[str], sentence: str) -> None:
    code, out, err = run("keys", "create", *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"realtime: {sentence}")
    assert err.count("\n") == 1
    assert not KEYS.exists()


def test_the_list_shows_all_but_the_secret(run: Run) -> None:
    texts = [
        run("keys", "create", "--name", name, "--scope", "*:read", "admin:read").out.strip()
        for name in ("dashboard", "wall")
    ]
    code, out, err = run("keys", "list")
    assert (code, err) == (0, "")
    head, *rows = [line.split() for line in out.splitlines()]
    assert head == ["ID", "NAME", "SCOPES", "CREATED", "EXPIRES"]
    assert [row[0] for row in rows] == [text[3:15] for text in texts]
    assert [row[1:4] for row in rows] == [
        [n, "*:read", "admin:read"] for n in ("dashboard", "wall")
    ]
    assert [row[-1] for row in rows] == ["never", "never"]
    for text in texts:
        assert text[16:] not in out


def test_the_list_marks_what_has_expired(run: Run) -> None:
    run("keys", "create", "--name", "app", "--scope", "*")
    document = json.loads(KEYS.read_text())
    document["keys"][0]["expires"] = "2020-01-01T00:00:00Z"
    KEYS.write_text(json.dumps(document))
    assert run("keys", "list").out.endswith("2020-01-01T00:00:00Z (expired)\n")


def test_an_empty_list_says_where_it_looked(run: Run) -> None:
    assert run("keys", "list") == (0, "", "no keys in realtime-data/keys.json\n")


@pytest.mark.parametrize("by", ["name", "id"])
def test_a_revoked_key_is_gone(run: Run, by: str) -> None:
    text = run("keys", "create", "--name", "app", "--scope", "*").out.strip()
    meant = "app" if by == "name" else text[3:15]
    assert run("keys", "revoke", meant) == (0, "", f"revoked app ({text[3:15]})\n")
    assert Access(KEYS).principal(text) is None
    assert run("keys", "revoke", meant) == (
        2,
        "",
        f"realtime: realtime-data/keys.json has no key of the name or id '{meant}'\n",
    )


@pytest.mark.parametrize(
    "words", [["list"], ["revoke", "app"], ["create", "--name", "app", "--scope", "*"]]
)
def test_a_damaged_file_is_left_alone_and_named(run: Run, words: list[str]) -> None:
    KEYS.parent.mkdir()
    KEYS.write_text("{}")
    code, out, err = run("keys", *words)
    assert (code, out) == (2, "")
    assert err.startswith("realtime: realtime-data/keys.json: is no file of API keys: ")
    assert KEYS.read_text() == "{}"
