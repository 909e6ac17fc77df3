"""Files of keys that may be replaced while the service runs.

A look costs one system call, unless the file changed. One that makes no sense any more, or is
gone, is logged once, and what was read before goes on holding: a deployment that is half done
must not lock everybody out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from realtime import keyfile
from realtime.tokens.keys import MAX_SET, KeyFault

__all__ = ["KeysInFile"]

log = logging.getLogger(__name__)

T = TypeVar("T")


class KeysInFile(Generic[T]):
    """What ``parse`` makes of a file, as of the last ``refresh``."""

    def __init__(self, path: Path, parse: Callable[[bytes], T]) -> None:
        """``parse`` raises KeyFault. So does this, and says which file."""
        self._path = path
        self._parse = parse
        self._stamp = keyfile.stamp(path)
        self.value = self._read()

    def refresh(self) -> None:
        """Read the file again if it changed."""
        stamp = keyfile.stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self.value = self._read()
        except KeyFault as fault:
            log.error("the keys of tokens stay as they were: %s", fault)
        else:
            log.info("the keys of tokens were read anew from %s", self._path)

    def _read(self) -> T:
        try:
            with open(self._path, "rb") as file:
                text = file.read(MAX_SET + 1)
            return self._parse(text)
        except OSError as error:
            raise KeyFault(f"{self._path} cannot be read: {error.strerror}") from None
        except KeyFault as fault:
            raise KeyFault(f"{self._path}: {fault}") from None
