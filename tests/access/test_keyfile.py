"""The file of API keys: readable, complete at every instant, and worthless to a thief."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from realtime import keyfile
from realtime.keyfile import KeyFileError

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "folder" / "keys.json"


def add(path: Path, name: str) -> str:
    issued = keyfile.issue(name, ("*:read",), NOW)
    keyfile.add(path, issued.record)
    return issued.text


def names(path: Path) -> list[str]:
    found = keyfile.read(path)
    return [] if found is None else [key.name for key in found.keys]


def test_a_key_has_32_random_bytes_behind_a_prefix_and_an_id() -> None:
    texts = {keyfile.issue("app", ("*",), NOW).text for _ in range(100)}
    assert len(texts) == 100
    for text in texts:
        prefix, key_id, secret = text.split("_", 2)
        assert prefix == "rt"
        assert len(bytes.fromhex(key_id)) == 6
        assert len(secret) == 43  # base64 of 32 bytes


def test_the_file_holds_the_hash_and_not_the_key(path: Path) -> None:
    text = add(path, "app")
    (key,) = json.loads(path.read_text())["keys"]
    assert key["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert text[16:] not in path.read_text()
    assert key["id"] == text[3:15]
    assert (key["name"], key["scopes"], key["created"]) == (
        "app",
        ["*:read"],
        "2030-01-01T00:00:00Z",
    )


def test_only_the_owner_can_read_it_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        add(path, "first")
        add(path, "second")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {one.name for one in path.parent.iterdir()} == {"keys.json", "keys.json.lock"}


def test_a_temporary_file_that_a_crash_left_behind_is_in_nobodys_way(path: Path) -> None:
    add(path, "first")
    leftover = path.with_name("keys.json.tmp")
    leftover.write_text("half a fi")
    leftover.chmod(0o666)
    add(path, "second")
    assert names(path) == ["first", "second"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_change_is_on_disk_before_it_has_the_name(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(file: int) -> None:
        steps.append("sync folder" if stat.S_ISDIR(os.fstat(file).st_mode) else "sync file")
        fsync(file)

    def noted_replace(old: Path, new: Path) -> None:
        steps.append("rename")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    add(path, "app")
    assert steps == ["sync file", "rename", "sync folder"]


def test_a_write_that_fails_leaves_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(path, "first")

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KeyFileError, match=r"keys\.json: cannot be written: No space left"):
        add(path, "second")
    assert names(path) == ["first"]
    assert not path.with_name("keys.json.tmp").exists()


def test_writers_at_the_same_time_lose_nothing(path: Path) -> None:
    writers = [threading.Thread(target=add, args=(path, f"key {n}")) for n in range(20)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(names(path)) == sorted(f"key {n}" for n in range(20))


def test_a_name_is_taken_once(path: Path) -> None:
    add(path, "app")
    with pytest.raises(KeyFileError, match="already a key named 'app'"):
        add(path, "app")
    assert names(path) == ["app"]


@pytest.mark.parametrize("name", ["", "x" * 256, "line\nbreak", "\x1b[2J"])
def test_what_is_no_name_is_refused(path: Path, name: str) -> None:
    with pytest.raises(KeyFileError, match="name of a key"):
        add(path, name)
    assert keyfile.read(path) is None


def test_a_key_is_revoked_by_name_or_by_id(path: Path) -> None:
    first, second = add(path, "first"), add(path, "second")
    add(path, "third")
    for meant, name in (("first", "first"), (second[3:15], "second")):
        revoked = keyfile.revoke(path, meant)
        assert revoked is not None
        assert revoked.name == name
    assert names(path) == ["third"]
    assert keyfile.revoke(path, first[3:15]) is None


def test_revoking_without_a_file_makes_none(path: Path) -> None:
    assert keyfile.revoke(path, "app") is None
    assert not path.parent.exists()


def test_an_instant_of_another_zone_is_the_same_instant(path: Path) -> None:
    expires = datetime(2030, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    keyfile.add(path, keyfile.issue("app", ("*",), NOW, expires).record)
    found = keyfile.read(path)
    assert found is not None
    assert found.keys[0].expires == NOW


KEY = {"id": "0" * 12, "name": "a", "scopes": ["*"], "sha256": "0" * 64}
GOOD = KEY | {"created": "2030-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "truncated"),
        ("{", "truncated"),
        ("[]", "Expected `object`"),
        ("\xff", "malformed"),
        (json.dumps({"version": 2, "keys": []}), r"\$\.version"),
        (json.dumps({"version": 1}), "keys"),
        (json.dumps({"version": 1, "keys": [KEY]}), "created"),
        (json.dumps({"version": 1, "keys": [GOOD | {"id": "xyz"}]}), r"\$\.keys\[0\]\.id"),
        (json.dumps({"version": 1, "keys": [GOOD | {"sha256": "00"}]}), r"\.sha256"),
        (json.dumps({"version": 1, "keys": [GOOD | {"scopes": "*"}]}), r"\.scopes"),
        (json.dumps({"version": 1, "keys": [GOOD | {"created": "2030-01-01"}]}), "created"),
        (json.dumps({"version": 1, "keys": [GOOD | {"admin": True}]}), "unknown field `admin`"),
        (json.dumps({"version": 1, "keys": [GOOD | {"name": "\n"}]}), "control character"),
        (json.dumps({"version": 1, "keys": [GOOD, GOOD]}), "there twice"),
        (json.dumps({"version": 1, "keys": [GOOD, GOOD | {"id": "1" * 12}]}), "'a' is there twice"),
    ],
)
def test_a_malformed_file_is_an_error_that_says_where(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(KeyFileError, match=reason) as error:
        keyfile.read(path)
    assert str(error.value).startswith(f"{path}: is no file of API keys: ")


def test_a_folder_in_place_of_the_file_is_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be read: Is a directory"):
        keyfile.read(tmp_path)
