"""The file of API keys: JSON that a person can read, and nothing in it that opens a door.

    {"version": 1, "keys": [{"id": "3f9a…", "name": "dashboard", "scopes": ["*:read"],
                             "sha256": "…", "created": "2026-01-31T12:00:00Z"}]}

Only the SHA-256 of a key is kept; its text is shown once, to whoever creates it. A writer
holds a lock beside the file while it reads, changes and replaces it, so two commands never
lose each other's change; a reader sees the old file or the new one, never a part.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from realtime.errors import InvalidInput
from realtime.services.names import name_bytes

__all__ = [
    "ID_SLICE",
    "KEY_LENGTH",
    "ApiKey",
    "IssuedKey",
    "KeyFileError",
    "KeysFile",
    "Stamp",
    "add",
    "issue",
    "read",
    "revoke",
    "stamp",
]

PREFIX = "rt_"
"""Lets secret scanners find a leaked key."""
ID_BYTES = 6
"""Ids only have to differ: twelve digits do, for more keys than anybody will ever make."""
SECRET_BYTES = 32

ID_SLICE = slice(len(PREFIX), len(PREFIX) + 2 * ID_BYTES)
KEY_LENGTH = ID_SLICE.stop + 1 + 43
"""43 letters of base64 hold the 32 bytes."""

Stamp = tuple[int, int, int]
"""(mtime in ns, inode, size): differs whenever the file was replaced or rewritten."""


class KeyFileError(ValueError):
    """The file cannot be used, or a change to it cannot be made; says which file and why."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}")
        self.path = path


class ApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is kept of a key."""

    id: Annotated[str, Meta(pattern="^[0-9a-f]{12}$")]
    name: str
    scopes: tuple[str, ...]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    created: Annotated[datetime, Meta(tz=True)]
    expires: Annotated[datetime, Meta(tz=True)] | None = None

    def __repr__(self) -> str:
        return f"ApiKey({self.id}, {self.name!r})"


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key. ``text`` is the only copy of the secret there will ever be."""

    record: ApiKey
    text: str = field(repr=False)


Keys = tuple[ApiKey, ...]


class KeysFile(NamedTuple):
    """What a file held when it had this stamp."""

    keys: Keys
    stamp: Stamp


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Literal[1]
    keys: Keys


def issue(
    name: str, scopes: Sequence[str], created: datetime, expires: datetime | None = None
) -> IssuedKey:
    """Make a key. Nothing is stored yet."""
    key_id = secrets.token_hex(ID_BYTES)
    text = f"{PREFIX}{key_id}_{secrets.token_urlsafe(SECRET_BYTES)}"
    assert len(text) == KEY_LENGTH
    digest = hashlib.sha256(text.encode()).hexdigest()
    return IssuedKey(ApiKey(key_id, name, tuple(scopes), digest, created, expires), text)


def stamp(path: Path) -> Stamp | None:
    """The stamp of the file as it is now; None if it cannot be looked at. One system call."""
    try:
        return _stamp(os.stat(path))
    except OSError:
        return None


def read(path: Path) -> KeysFile | None:
    """The keys of the file; None if there is no such file. Raises KeyFileError."""
    try:
        with open(path, "rb") as file:
            found = _stamp(os.fstat(file.fileno()))
            text = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeyFileError(path, f"cannot be read: {error.strerror}") from None
    try:
        keys = msgspec.json.decode(text, type=_Document).keys
        _check(keys)
    except (ValueError, InvalidInput) as error:
        raise KeyFileError(path, f"is no file of API keys: {error}") from None
    return KeysFile(keys, found)


def add(path: Path, key: ApiKey) -> None:
    """Store a key. Raises KeyFileError, also if the name is taken."""

    def with_key(keys: Keys) -> Keys:
        if any(key.name == other.name for other in keys):
            raise KeyFileError(path, f"there is already a key named {key.name!r}")
        return (*keys, key)

    _change(path, with_key)


def revoke(path: Path, name_or_id: str) -> ApiKey | None:
    """Remove a key; None if there was none. The file stays, even if it now lists no keys."""
    if not path.exists():
        return None

    def is_meant(key: ApiKey) -> bool:
        return name_or_id in (key.id, key.name)

    before = _change(path, lambda keys: tuple(key for key in keys if not is_meant(key)))
    return next(filter(is_meant, before), None)


def _check(keys: Sequence[ApiKey]) -> None:
    """Raises unless the names are names and each name and id is there once."""
    seen: set[str] = set()
    for key in keys:
        name_bytes("name of a key", key.name)
        for word in (key.id, key.name):
            if word in seen:
                raise ValueError(f"{word!r} is there twice")
        seen.update((key.id, key.name))


def _change(path: Path, change: Callable[[Keys], Keys]) -> Keys:
    """Replace the keys of the file by what ``change`` makes of them; what they were before."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_name(path.name + ".lock")):
            found = read(path)
            before = () if found is None else found.keys
            after = change(before)
            _check(after)
            if after != before:
                _replace(path, _encode(after))
            return before
    except KeyFileError:
        raise
    except OSError as error:
        raise KeyFileError(path, f"cannot be written: {error.strerror}") from None
    except (ValueError, InvalidInput) as error:
        raise KeyFileError(path, str(error)) from None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Only one writer at a time. The lock ends with the process, however that ends."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _encode(keys: Keys) -> bytes:
    return msgspec.json.format(msgspec.json.encode(_Document(1, keys))) + b"\n"


def _replace(path: Path, text: bytes) -> None:
    """Write beside, then rename over: after a crash there is the old file or the new one."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.unlink(missing_ok=True)  # a crash may have left one, with other rights
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(file)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_mtime_ns, status.st_ino, status.st_size
