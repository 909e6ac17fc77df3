"""What is said of settings of webhooks that make no sense, without repeating a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime.settings import SettingsError, load

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "https://game.example/hooks"


@pytest.mark.parametrize(
    "url",
    [
        "sesame",
        "ftp://game.example/sesame",
        "https://",
        "http:///sesame",
        "https://game.example:99999/sesame",
        "https://[sesame",
        "//game.example/sesame",
    ],
)
def test_what_is_no_url_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="write it as https://host/path") as refused:
        load({"webhook_url": url}, {}, tmp_path)
    assert "sesame" not in str(refused.value)


@pytest.mark.parametrize("secret", ["sesame", "whsec_sesame", SECRET + " sesame", 7])
def test_what_is_no_secret_is_refused(secret: object, tmp_path: Path) -> None:
    (tmp_path / "realtime.toml").write_text(f"webhook_secret = {secret!r}\n")
    with pytest.raises(SettingsError, match=r"24 to 64 random bytes|no secret") as refused:
        load({}, {}, tmp_path)
    assert "sesame" not in str(refused.value)


def test_a_secret_is_given_in_one_place(tmp_path: Path) -> None:
    settings = load({"webhook_secret": SECRET}, {}, tmp_path)
    assert [len(secret) for secret in settings.webhook_secrets] == [24]
    assert SECRET not in repr(settings)
    file = tmp_path / "secrets"
    file.write_text(f"{SECRET}\n{SECRET}\n")
    settings = load({"webhook_secret_file": str(file)}, {}, tmp_path)
    assert [len(secret) for secret in settings.webhook_secrets] == [24, 24]
    assert load({}, {}, tmp_path).webhook_secrets == ()
    with pytest.raises(SettingsError, match="give one of them"):
        load({"webhook_secret": SECRET, "webhook_secret_file": str(file)}, {}, tmp_path)


@pytest.mark.parametrize("content", [None, "", "sesame", "\udce4"])
def test_a_file_without_a_secret_is_refused(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content.encode(errors="surrogateescape"))
    settings = load({"webhook_secret_file": str(file)}, {}, tmp_path)
    with pytest.raises(SettingsError, match="webhook_secret_file: ") as refused:
        settings.webhook_secrets  # noqa: B018  # it is read now
    assert "sesame" not in str(refused.value)
