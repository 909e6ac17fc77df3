"""Coming back: from the start of the process until it serves what a journal of writes holds.

Ours and a redis-server start on copies of one directory. It was written by our store, so Redis
skips the seals of the batches, as it does with every annotation; what it replays is the same.
Ours checks each seal. The files are in the page cache for both. Ready is who answers: ours
``/readyz`` with 200, Redis ``PING`` with ``PONG``. Starting Python is in it.

Then the same after a compaction: the state in one base, and next to nothing to replay.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from engine.persistence.manifest import MANIFEST, Manifest
from loadtest.compare.peers import servers
from loadtest.compare.processes import Missing, Server, find, request
from loadtest.compare.report import Line, Row
from loadtest.compare.rounds import Contender, Effort, interleaved

__all__ = ["check_alike", "rows"]

OURS, REDIS = "realtime", "redis-server"
COMPACT_AT_ONCE = ("--compaction-floor", "0", "--compaction-ratio", "0.01")
PATIENCE_SECONDS = 120.0

Start = Callable[[Path], AbstractContextManager[Server]]
"""A server on a copy of the directory."""


class Started(NamedTuple):
    seconds: float
    keys: int


def rows(effort: Effort) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="compare-") as name:
        written, compacted = Path(name, "written"), Path(name, "compacted")
        _write(written, effort.journaled_writes)
        _compact(written, compacted)
        writes = f"{effort.journaled_writes:,} writes"
        return [
            _row(f"a journal of {writes}", written, effort),
            _row(f"the same {writes}, compacted", compacted, effort),
        ]


def check_alike(keys: list[int]) -> None:
    """Whoever loads less is faster: raises RuntimeError."""
    if len(set(keys)) != 1:
        raise RuntimeError(f"not everybody has loaded the same: {sorted(set(keys))} keys")


def _write(folder: Path, writes: int) -> None:
    command = (sys.executable, "-m", "loadtest.compare.load.journaled", str(folder), str(writes))
    subprocess.run(command, check=True)


def _compact(written: Path, compacted: Path) -> None:
    """Let our service do it, and take a copy while nobody writes there. Raises RuntimeError."""
    with servers.realtime(*COMPACT_AT_ONCE, found=written) as server:
        data = server.folder / "data"
        manifest = data / "appendonlydir" / MANIFEST
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not _is_compacted(manifest):
            if time.monotonic() > deadline:
                raise RuntimeError(f"no compaction within {PATIENCE_SECONDS:.0f} s")
            time.sleep(0.05)
        shutil.copytree(data, compacted)


def _is_compacted(manifest: Path) -> bool:
    listed = Manifest.parse(manifest.read_bytes())
    return listed.base is not None and len(listed.increments) == 1 and not listed.history


def _row(what: str, folder: Path, effort: Effort) -> Row:
    contenders = [Contender(OURS, partial(_ours, folder))]
    missing: tuple[str, ...] = ()
    try:
        find("redis-server", "redis-server")
        contenders.append(Contender(REDIS, partial(_redis, folder)))
    except Missing as reason:
        missing = (f"{REDIS}: {reason}",)
    taken = interleaved(contenders, effort.recovery_rounds)
    check_alike([started.keys for each in taken for started in each])
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    title = f"From start to ready: {what}, {size / 1e6:.0f} MB"
    return Row(
        title,
        "s",
        "lower",
        tuple(
            Line(
                contender.name,
                tuple(each.seconds for each in started),
                note=f"{size / 1e6 / median([each.seconds for each in started]):.0f} MB/s",
            )
            for contender, started in zip(contenders, taken, strict=True)
        ),
        missing,
    )


def _ours(folder: Path, number: int) -> Started:
    with servers.realtime(found=folder) as server:
        _, figures = request(server.port, "GET", "/metrics")
        return Started(server.start_seconds, _keys(figures.decode()))


def _redis(folder: Path, number: int) -> Started:
    with servers.redis_server("everysec", found=folder) as server:
        size = servers.redis_answer(server.port, b"DBSIZE")  # :123
        return Started(server.start_seconds, int(size[1:]))


def _keys(figures: str) -> int:
    """The number of keys in the text that Prometheus would scrape."""
    (line,) = [line for line in figures.splitlines() if line.startswith("realtime_keys ")]
    return int(float(line.split()[1]))
