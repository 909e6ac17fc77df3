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
    signed: bool
    """Its last argument is the run id of the server it is sent to."""


def load(name: str, *parts: str, writes: bool, signed: bool = False) -> Script:
    """The script in ``lua/<name>.lua``, after ``lua/<part>.lua`` for what it shares with others.

    ``writes``: its answer promises that something is kept."""
    folder = files(__package__) / "lua"
    names = [SHARED, *(f"{part}.lua" for part in (*parts, name))]
    text = b"".join((folder / name).read_bytes() for name in names)
    return Script(name, text, hashlib.sha1(text).hexdigest().encode(), writes, signed)
