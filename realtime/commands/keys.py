"""``realtime keys``: make, list and revoke API keys.

A new key goes to stdout alone, so that ``KEY=$(realtime keys create …)`` works; what is
said about it goes to stderr.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from realtime import keyfile
from realtime.access import parse_scope
from realtime.commands import CommandError, expiry, settings_of
from realtime.keyfile import ApiKey, KeyFileError

__all__ = ["create", "revoke", "show"]

_COLUMNS = ("ID", "NAME", "SCOPES", "CREATED", "EXPIRES")


def create(parsed: argparse.Namespace) -> int:
    """Make a key, store its hash, print its text."""
    path = _path(parsed)
    now = datetime.now(UTC).replace(microsecond=0)
    scopes = _checked(parsed.scopes)
    expires = None if parsed.expires is None else expiry(parsed.expires, now)
    issued = keyfile.issue(parsed.name, scopes, now, expires)
    try:
        keyfile.add(path, issued.record)
    except KeyFileError as error:
        raise CommandError(str(error)) from None
    print(issued.text)
    print(
        f"This is the only time the key is shown. {path} keeps its hash; "
        f"`realtime keys revoke {issued.record.id}` ends it.",
        file=sys.stderr,
    )
    return 0


def show(parsed: argparse.Namespace) -> int:
    """Print a table of the keys."""
    path = _path(parsed)
    try:
        found = keyfile.read(path)
    except KeyFileError as error:
        raise CommandError(str(error)) from None
    if found is None or not found.keys:
        print(f"no keys in {path}", file=sys.stderr)
        return 0
    now = datetime.now(UTC)
    _print_table([_COLUMNS, *(_row(key, now) for key in found.keys)])
    return 0


def revoke(parsed: argparse.Namespace) -> int:
    """Remove a key."""
    path = _path(parsed)
    try:
        key = keyfile.revoke(path, parsed.key)
    except KeyFileError as error:
        raise CommandError(str(error)) from None
    if key is None:
        raise CommandError(f"{path} has no key of the name or id {parsed.key!r}")
    print(f"revoked {key.name} ({key.id})", file=sys.stderr)
    return 0


def _path(parsed: argparse.Namespace) -> Path:
    path = settings_of(parsed).keys_path
    if path is None:
        raise CommandError("without a data directory, keys need a file: --keys-file PATH")
    return path


def _checked(scopes: Iterable[str]) -> tuple[str, ...]:
    """The scopes, each once, in order."""
    unique = tuple(dict.fromkeys(scopes))
    try:
        for scope in unique:
            parse_scope(scope)
    except ValueError as error:
        raise CommandError(str(error)) from None
    return unique


def _row(key: ApiKey, now: datetime) -> tuple[str, ...]:
    expires = "never"
    if key.expires is not None:
        expires = _instant(key.expires) + (" (expired)" if key.expires <= now else "")
    return key.id, key.name, " ".join(key.scopes), _instant(key.created), expires


def _instant(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
