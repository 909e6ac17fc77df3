"""An engine whose every change is in a journal, on disk, before anybody is told of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import mkdtemp

from engine.clock import MILLISECOND
from engine.engine import Engine
from engine.keyspace import Keyspace
from engine.persistence.recovery import recover
from realtime.backends import embedded
from realtime.backends.base import Backend
from realtime.gate import Gate
from realtime.journal import files
from realtime.journal.durability import ALWAYS
from realtime.journal.journal import Journal
from tests.engine.test_effects import contents

__all__ = ["journaled"]


@asynccontextmanager
async def journaled(engine: Engine, folder: Path) -> AsyncIterator[tuple[Backend, Gate]]:
    """The backend, and the gate for what it answers. The journal lies within ``folder``; at the
    end it is read back, and must give the state that the engine has."""
    journal = Journal(engine.effects, ALWAYS)
    own = Path(mkdtemp(dir=folder))
    _, increment = files.begin(own, None)
    journal.start(increment, 0)
    yield embedded.backend(engine, journal), journal.gate
    await journal.close()
    keyspace = Keyspace()
    now = engine.clock()
    recover(own, keyspace, now=now)
    # Deadlines are written as milliseconds, rounded up: what has just expired may still be there.
    later = -(-now // MILLISECOND) * MILLISECOND
    written, held = contents(keyspace, now), contents(engine.keyspace, now)
    assert {key: written.get(key) for key in held} == held
    assert contents(keyspace, later).keys() <= held.keys()
