"""Forks that a test can count, hold back and make fail."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

import realtime.copies
import realtime.snapshots
from realtime.fork import Child, fork
from realtime.snapshot_file import Content, Written, dump
from realtime.snapshots import SnapshotInfo, Snapshots


class Forks:
    """Every copy that is made, and how to wait for the next."""

    def __init__(self) -> None:
        self.made: list[Child] = []
        self.next = asyncio.Event()

    def __call__(self, work: Callable[[], bytes], keep: list[int]) -> Child:
        self.made.append(fork(work, keep))
        self.next.set()
        return self.made[-1]


@pytest.fixture
def forks(monkeypatch: pytest.MonkeyPatch) -> Forks:
    made = Forks()
    monkeypatch.setattr(realtime.copies, "fork", made)
    return made


Held = Callable[[Snapshots], AbstractAsyncContextManager[asyncio.Task[SnapshotInfo]]]
"""Asks for a snapshot; within the context its copy exists and has not begun to write."""


@pytest.fixture
def held(tmp_path: Path, forks: Forks, monkeypatch: pytest.MonkeyPatch) -> Held:
    gate = tmp_path / "gate"
    os.mkfifo(gate)

    @asynccontextmanager
    async def hold(snapshots: Snapshots) -> AsyncIterator[asyncio.Task[SnapshotInfo]]:
        with monkeypatch.context() as patch:
            patch.setattr(realtime.snapshots, "dump", after(gate.read_bytes))
            saving = asyncio.create_task(snapshots.save())
            await forks.next.wait()
        yield saving
        await asyncio.to_thread(gate.write_bytes, b".")

    return hold


def fail(number: int) -> None:
    raise OSError(number, os.strerror(number))


def after(happens: Callable[[], object]) -> Callable[[Content, int], Written]:
    """A dump in which something else happens first."""

    def dump_after(content: Content, output: int) -> Written:
        happens()
        return dump(content, output)

    return dump_after
