"""``realtime token``: what it makes is taken, and what it is shown it explains."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from realtime.tokens.signed import take_apart
from tests.cli.conftest import Ran, Run, run
from tests.tokens.signers import SECRET, by_hand, signer, token

__all__ = ["run"]

NEVER = "2001-01-01"


@pytest.fixture
def secret(tmp_path: Path) -> str:
    path = tmp_path / "secret.txt"
    path.write_bytes(SECRET + b"\n")
    return str(path)


@pytest.fixture
def shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``inspect`` with a text on stdin."""

    def inspect(text: str, *words: str) -> Ran:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        return run("token", "inspect", *words)

    return inspect


def claims(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(take_apart(text.strip()).payload)
    return found


def test_what_it_makes_is_taken(run: Run, shown: Run, secret: str) -> None:
    words = ("--token-hmac-secret-file", secret)
    made = run(
        "token", "--user", "42", "--info", '{"name": "Ada"}', "--meta", "{}", "--expires", "10m",
        "--channels", "news, sport", "--scopes", "counters:read", "limits:*", *words,
    )  # fmt: skip
    assert (made.code, made.err) == (0, "")
    said = claims(made.out)
    assert said["exp"] - said["iat"] in (600, 601)
    assert (said["sub"], said["info"], said["meta"]) == ("42", {"name": "Ada"}, {})
    assert (said["channels"], said["scopes"]) == (["news", "sport"], ["counters:read", "limits:*"])
    assert len(said["jti"]) == 36
    found = shown(made.out, *words)
    assert found.code == 0
    assert "algorithm  'HS256'\n" in found.out
    assert '"name": "Ada"' in found.out
    assert "taken      for user '42', until 20" in found.out


def test_a_token_for_a_channel_that_never_expires(run: Run, shown: Run, secret: str) -> None:
    words = ("--token-hmac-secret-file", secret)
    made = run("token", "--user", "", "--channel", "news", "--expires", "never", *words)
    assert claims(made.out).keys() == {"sub", "iat", "jti", "channel"}
    found = shown(made.out, *words)
    assert "taken      for somebody without a name to channel 'news', for ever" in found.out


def test_it_says_what_the_service_expects(run: Run, tmp_path: Path, secret: str) -> None:
    (tmp_path / "realtime.toml").write_text(
        f'token_hmac_secret_file = "{secret}"\ntoken_audience = "game"\ntoken_issuer = "login"\n'
    )
    said = claims(run("token", "--user", "42").out)
    assert (said["aud"], said["iss"]) == ("game", "login")


def test_a_short_secret_is_for_development(run: Run) -> None:
    made = run("token", "--user", "42", "--token-hmac-secret", "secret")
    assert made.code == 0
    assert "short" in made.err
    assert "secret" not in made.out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "name the user"),
        (["--user", "42", "--info", "{"], "--info takes JSON"),
        (["--user", "42", "--scopes", "fly"], "'fly' is no scope"),
        (["--user", "42", "--expires", NEVER], "is in the past"),
        (["--user", "42", "--meta", "[]"], "meta must be an object"),
        (["--user", "a\nb"], "control character"),
        (["--user", "42", "--channel", "c" * 256], "channel that cannot be"),
        (["--user", "42", "--info", json.dumps("x" * 9000)], "at most 8192 characters"),
    ],
)
def test_it_makes_nothing_that_would_be_refused(
    run: Run, secret: str, words: list[str], sentence: str
) -> None:
    refused = run("token", *words, "--token-hmac-secret-file", secret)
    assert (refused.code, refused.out) == (2, "")
    assert sentence in refused.err
    assert refused.err.count("\n") == 1


def test_without_a_secret_it_cannot_sign(run: Run, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(signer("RS256").pem)
    for words in ([], ["--token-public-key-file", "key.pem"]):
        refused = run("token", "--user", "42", *words)
        assert refused.code == 2
        assert "this signs with a secret" in refused.err


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (token(sub="42", exp=1), "has expired"),
        (token(sub="42", scopes=["fly"]), "is no scope"),
        (token(sub="42") + "A", "not signed by a key"),
        (signer("EdDSA").sign({"sub": "42"}), "not signed by a key"),
        (by_hand({"alg": "none"}, {"sub": "42"}), "not signed by a key"),
        ("hello", "this is no token"),
        ("", "this is no token"),
        ("x" * 20_000, "at most 8192 characters"),
    ],
)
def test_it_says_why_a_token_is_not_taken(shown: Run, secret: str, text: str, reason: str) -> None:
    found = shown(text, "--token-hmac-secret-file", secret)
    assert found.code == 1
    assert f"not taken: {reason}" in found.out or reason in found.out.splitlines()[-1]


def test_without_keys_it_shows_and_takes_nothing(shown: Run) -> None:
    found = shown(token(sub="42"))
    assert found.code == 1
    assert '"sub": "42"' in found.out
    assert found.out.endswith("not taken: no key of tokens is configured\n")


def test_nothing_in_a_token_commands_the_terminal(shown: Run) -> None:
    nasty = "\x1b[2J\x9b"
    found = shown(by_hand({"alg": nasty, "kid": nasty}, {"sub": nasty}))
    assert not any(character < " " and character != "\n" for character in found.out)
    assert "\x9b" not in found.out


def test_the_secret_stands_in_no_help_and_in_no_error(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REALTIME_TOKEN_HMAC_SECRET", "hunter2")
    with pytest.raises(SystemExit):
        run("serve", "--help")
    assert "hunter2" not in capsys.readouterr().out
    refused = run("serve", "--token-hmac-secret-file", "x")
    assert refused.code == 2
    assert "hunter2" not in refused.err
