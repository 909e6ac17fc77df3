"""``make bench``: measure side by side with what people use today, in one run.

python -m loadtest.compare [--quick] [--json FILE] [name ...]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from loadtest.compare import (
    bulk,
    channels,
    durable_writes,
    embedded_board,
    fan_out,
    growth,
    http_board,
    idle,
    limit_checks,
    middleware,
    on_redis,
    pauses,
    recovery,
)
from loadtest.compare.processes import Missing
from loadtest.compare.report import Row, document, table
from loadtest.compare.rounds import FULL, QUICK, Effort

WORKS: dict[str, Callable[[Effort], list[Row]]] = {
    "http": http_board.rows,
    "fanout": fan_out.rows,
    "channels": channels.rows,
    "stalled": channels.stalled,
    "idle": idle.rows,
    "embedded": embedded_board.rows,
    "growth": growth.rows,
    "limits": limit_checks.rows,
    "middleware": middleware.rows,
    "redis": on_redis.rows,
    "durability": durable_writes.against_redis,
    "journal": durable_writes.against_snapshots,
    "snapshot": pauses.snapshot,
    "backup": pauses.backup,
    "compaction": pauses.compaction,
    "bulk": bulk.rows,
    "recovery": recovery.rows,
}


def main() -> int:
    parsed = _arguments()
    # A run that is told to stop must end its servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    rows: list[Row] = []
    started = time.monotonic()
    print(_machine(), flush=True)
    for name in parsed.names or WORKS:
        measured = _measure(name, QUICK if parsed.quick else FULL)
        print(f"\n{table(measured)}", flush=True)
        rows += measured
    print(f"\n{_summary(rows)}; {time.monotonic() - started:.0f} s in all")
    if parsed.json:
        answer = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": _machine(),
            "quick": parsed.quick,
            "rows": document(rows),
        }
        parsed.json.write_text(json.dumps(answer, indent=1) + "\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtest.compare", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(WORKS)}")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parsed = parser.parse_args()
    unknown = [name for name in parsed.names if name not in WORKS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(WORKS)}")
    return parsed


def _measure(name: str, effort: Effort) -> list[Row]:
    try:
        return WORKS[name](effort)
    except Missing as reason:
        return [Row(name, "-", "higher", missing=(str(reason),))]


def _machine() -> str:
    cores, load = os.cpu_count(), os.getloadavg()[0]
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{python}, {platform.system()} {platform.machine()}, {cores} cores, load {load:.2f}"


def _summary(rows: list[Row]) -> str:
    verdicts = [(row, row.verdict(line)) for row in rows for line in row.lines]
    missed = [
        f"{row.name} ({row.lines[0].name})" for row, verdict in verdicts if verdict == "MISSED"
    ]
    met = sum(verdict == "met" for _, verdict in verdicts)
    absent = sum(len(row.missing) for row in rows)
    text = f"{met} targets met, {len(missed)} missed, {absent} rows lack a peer"
    return text + "".join(f"\n  missed: {name}" for name in missed)


if __name__ == "__main__":
    sys.exit(main())
