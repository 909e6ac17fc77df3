"""What the parts of this backend ask of the wire: a command, or a script, sent to whoever
holds the keys. How that is done is the business of `link` and `route`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from realtime.backends.base import BackendUnavailable, EngineError, WrongType
from realtime.backends.redis.scripts import Script

__all__ = ["Calls", "CommandFailed", "CrossSlot", "misuse"]


class CommandFailed(BackendUnavailable):
    """The server's answer was an error; ``code`` is its first word, like ``WRONGTYPE``.

    Whoever knows what it means says so in the words of the seam. What nobody knows, an
    unknown command perhaps, is an outage to callers, and stands in the log.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code


class CrossSlot(EngineError):
    """In a cluster, one step was to touch keys that may lie on different servers."""

    def __init__(self) -> None:
        super().__init__(
            "in a cluster, what one step touches must share a hash tag: {tag}name, {tag}other"
        )


class Calls(Protocol):
    """Sends what one loop tick brings as one pipeline; answers are what the server said.

    Strings are bytes, integers int, nil None, arrays lists, maps dicts. Both methods raise
    CommandFailed if the server answers an error, and BackendUnavailable if it does not
    answer in time: then nothing is known of what was to be written. Nothing is sent twice
    unless it is certain that the first was not carried out.
    """

    @property
    def sharded(self) -> bool:
        """Keys are spread over several servers by slot; otherwise one server has them all."""

    async def command(self, key: bytes, *words: bytes, writes: bool = False) -> Any:
        """One command, to the server that holds ``key``. ``writes``: it may change data."""

    async def run(self, script: Script, keys: Sequence[bytes], *args: bytes) -> Any:
        """One script. All keys lie in one slot; the first one says where. Raises CrossSlot."""


def misuse(error: CommandFailed, key: bytes, wanted: str) -> EngineError | None:
    """What the seam raises for an answer that says misuse; None if it is something else."""
    if error.code == "WRONGTYPE":
        return WrongType(key, "value of another type", wanted)
    return None
