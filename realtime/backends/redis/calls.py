"""What the parts of this backend ask of the wire: a command, or a script, sent to whoever
holds the keys. How that is done is `link`'s and `route`'s business."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from realtime.backends.base import EngineError, WrongType
from realtime.backends.redis.scripts import Script

__all__ = ["Calls", "CommandFailed", "misuse"]


class CommandFailed(Exception):
    """The server's answer was an error. ``str`` of it is the server's own text."""


class Calls(Protocol):
    """Sends what one loop tick brings as one pipeline; answers are what the server said.

    Strings are bytes, integers int, nil None, arrays lists, maps dicts. Both methods raise
    CommandFailed if the server answers an error, and BackendUnavailable if it does not
    answer in time: then nothing is known of what was to be written. They are never sent twice
    unless it is certain that the first was not carried out.
    """

    async def command(self, key: bytes, *words: bytes, writes: bool = False) -> Any:
        """One command, to the server that holds ``key``. ``writes``: it may change data."""

    async def run(self, script: Script, keys: Sequence[bytes], *args: bytes) -> Any:
        """One script. All keys lie in one slot; the first one says where.

        Raises ValueError if they do not, in a cluster."""


def misuse(error: CommandFailed, key: bytes, wanted: str) -> EngineError | None:
    """What the seam raises for an answer that says misuse; None if it is something else."""
    if str(error).startswith("WRONGTYPE"):
        return WrongType(key, "value of another type", wanted)
    return None
