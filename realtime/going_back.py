"""What must not go back when everything else does.

A backup is put in place of what there is now. Two things in it would deceive whoever has seen
more than it holds:

* the positions of channels. Their offsets are given out again, so they get new epochs, which
  know up to where the old ones hold (`Channels.renew_epochs`).
* the versions of live boards, which only grow: who watches keeps the highest.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from engine.clock import Clock
from engine.engine import Engine
from engine.errors import EngineError
from realtime.backends.keys import VERSION, board_key
from realtime.snapshot_file import load

__all__ = ["loaded", "raise_versions", "version_keys"]

_BOARDS = board_key(b"").partition(b"{")[0]


def loaded(path: Path, clock: Clock) -> Engine:
    """The content of a backup, ready to be put in place. Raises SnapshotError. O(everything)."""
    engine = Engine(clock)
    load(engine, path)
    engine.channels.renew_epochs()
    return engine


def version_keys(keys: Iterable[bytes]) -> list[bytes]:
    """Those under which versions of live boards lie. O(keys)."""
    return [key for key in keys if key.endswith(VERSION) and key.startswith(_BOARDS)]


def raise_versions(engine: Engine, seen: Engine, keys: Iterable[bytes]) -> None:
    """Let no version in ``engine`` be below that in ``seen``. O(keys)."""
    for key in keys:
        had, has = _version(seen, key), _version(engine, key)
        if had is not None and (has is None or has < had):
            engine.counters.set(key, had)


def _version(engine: Engine, key: bytes) -> int | None:
    try:
        return engine.counters.get(key)
    except EngineError:
        return None  # not ours, whatever it is
