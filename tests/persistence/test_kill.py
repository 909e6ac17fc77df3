"""kill -9 at any moment of a snapshot: what was acknowledged is there, whole, every time."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

from engine.clock import ManualClock
from engine.engine import Engine
from realtime.datadir import DataDirectory
from realtime.snapshot_file import load
from tests.persistence.saver import check

KILLS = 50
LONGEST_WAIT = 0.03
"""Seconds from an acknowledgement to the kill: a few of the snapshots that follow it."""


def test_the_last_good_snapshot_survives_every_kill(tmp_path: Path) -> None:
    draw = random.Random(1)
    acknowledged = 0
    left_behind = 0
    for _ in range(KILLS):
        acknowledged = _saved_until_killed(tmp_path, acknowledged, draw)
        left_behind += any(tmp_path.glob("temp-*"))
        engine = Engine(ManualClock())
        load(engine, tmp_path / "dump.rdb")
        engine.keyspace._check()
        assert check(engine) >= acknowledged
    assert left_behind > KILLS // 10, "hardly a kill fell within a snapshot"


def _saved_until_killed(folder: Path, acknowledged: int, draw: random.Random) -> int:
    """Kill one process at a random moment; the last round that it, or one before, acknowledged."""
    command = [sys.executable, "-m", "tests.persistence.saver", str(folder)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(draw.randint(1, 3)):
            line = process.stdout.readline()
            assert line, "the service ended by itself"
            acknowledged = int(line)
        time.sleep(draw.uniform(0, LONGEST_WAIT))
        process.kill()
        last = process.stdout.read().rpartition(b"\n")[0].rpartition(b"\n")[2]
    return int(last) if last else acknowledged


def test_a_copy_that_outlives_its_parent_changes_nothing(tmp_path: Path) -> None:
    """Its parent is dead before the copy is done: the name is never given, the lock is free."""
    script = (
        "import os, signal, sys; from realtime.datadir import DataDirectory;"
        "from realtime.fork import fork;"
        "folder = DataDirectory(sys.argv[1]); folder.acquire(); new = folder.create();"
        "ready, go = sys.argv[2:];"
        "fork(lambda: open(ready).read().encode()"
        " + b'%d' % os.write(new.descriptor, open(go, 'rb').read()), [new.descriptor]);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ready, go = tmp_path / "ready", tmp_path / "go"
    os.mkfifo(ready)
    os.mkfifo(go)
    data = tmp_path / "data"
    command = [sys.executable, "-c", script, str(data), str(ready), str(go)]
    killed = subprocess.run(command, cwd=Path(__file__).parents[2], check=False)
    assert killed.returncode == -9
    ready.write_text("")  # the copy has opened it, so it has let go of all descriptors
    successor = DataDirectory(data)
    successor.acquire()
    go.write_bytes(b"late")
    assert sorted(os.listdir(data)) == ["lock"]
    successor.release()
