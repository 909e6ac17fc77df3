"""The Lua scripts beside this module: one atomic step each.

A script is sent by its SHA-1 and, to a server that does not know it yet, once in full. What
several scripts need stands in ``_shared.lua``, which is put before each of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files

__all__ = ["Script", "load"]

SHARED = "_shared.lua"


@dataclass(frozen=True, slots=True)
class Script:
    """A script: its text, by which name the server keeps it, and whether it may change data."""

    name: str
    text: bytes
    sha: bytes
    writes: bool


def load(name: str, *, writes: bool) -> Script:
    """The script in ``lua/<name>.lua``."""
    folder = files(__package__) / "lua"
    text = (folder / SHARED).read_bytes() + (folder / f"{name}.lua").read_bytes()
    return Script(name, text, hashlib.sha1(text).hexdigest().encode(), writes)  # noqa: S324
