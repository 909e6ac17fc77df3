"""JWK Sets: where the public keys of whoever signs the tokens are read, and read again.

Finding a key never waits: see `FileSet`, and `realtime.tokens.url_set` for one behind a URL.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from realtime.tokens.files import KeysInFile
from realtime.tokens.keys import Key, KeySet

__all__ = ["FileSet", "WebKeys", "web_keys"]


class WebKeys(Protocol):
    """A JWK Set that somebody else keeps."""

    def find(self, kid: str, algorithm: str) -> Key | None:
        """None: there is no such key. Raises TokenKeysUnavailable. O(1)."""

    def refresh(self) -> None:
        """Look whether it changed, as far as that takes no time."""

    async def load(self) -> None:
        """Have it now, if it can be had; for programs that do not wait for ``run``."""

    async def run(self) -> None:
        """Keep it up to date, until cancelled."""


class FileSet:
    """A set in a file. A change is seen within a second, and whenever a key is not in it."""

    def __init__(self, path: Path) -> None:
        """Raises KeyFault."""
        self._file = KeysInFile(path, KeySet.parse)

    def find(self, kid: str, algorithm: str) -> Key | None:
        found = self._file.value.find(kid, algorithm)
        if found is None:
            self._file.refresh()
            found = self._file.value.find(kid, algorithm)
        return found

    def refresh(self) -> None:
        self._file.refresh()

    async def load(self) -> None:
        """It is here already."""

    async def run(self) -> None:
        """There is nothing to wait for."""


def web_keys(source: str, interval: float) -> WebKeys:
    """The set at a path or a URL. Raises KeyFault for a file that is none."""
    if "://" not in source:
        return FileSet(Path(source).expanduser())
    from realtime.tokens.url_set import UrlSet  # its client takes 0.1 s to import

    return UrlSet(source, interval)
