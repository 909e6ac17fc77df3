"""The routes of the admin: write a snapshot now, read the figures of the service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from msgspec import Meta

from realtime.errors import Conflict, Unavailable
from realtime.http.operation import Answer, Example, Feature, Scope, operation
from realtime.keeping import SavesSnapshots, SnapshotError

__all__ = ["OPERATIONS", "OperationStats", "Stats"]

TAG: Feature = "admin"
READ, WRITE = Scope(TAG, "read"), Scope(TAG, "write")


class Snapshot(Answer):
    """A snapshot that is on disk, complete and synced."""

    path: Annotated[str, Meta(examples=["dump.rdb"])]
    bytes: Annotated[int, Meta(ge=0)]
    seconds: Annotated[float, Meta(ge=0)]
    keys: Annotated[int, Meta(ge=0)]


class OperationStats(Answer):
    """Answers of one operation since the start, by status, and the time they took."""

    statuses: dict[str, int]
    seconds: float


class Stats(Answer):
    """The service in figures. The same stand in /metrics, for machines."""

    version: str
    uptime: Annotated[float, Meta(ge=0, description="Seconds.")]
    figures: dict[str, float]
    operations: dict[str, OperationStats]


@operation(
    "POST",
    "/v1/admin/snapshot",
    tag=TAG,
    scope=WRITE,
    summary="Write a snapshot now",
    errors=(Conflict,),
    example=Example(answer='{"path":"dump.rdb","bytes":104857,"seconds":0.08,"keys":1200}'),
)
async def save_snapshot(snapshots: SavesSnapshots | None) -> Snapshot:
    """Answers when it is on disk. 409 if the service was started without a data directory, or on
    a store that looks after its own disk."""
    if snapshots is None:
        raise Conflict(
            "this service writes no snapshots: it has no data directory, or a store that keeps "
            "its own"
        )
    try:
        info = await snapshots.save()
    except SnapshotError:
        raise Unavailable("no snapshot was written; the log says why", retry_after=30) from None
    return Snapshot(path=info.path, bytes=info.bytes, seconds=info.seconds, keys=info.keys)


@operation(
    "GET",
    "/v1/admin/stats",
    tag=TAG,
    scope=READ,
    summary="Read the figures of the service",
    example=Example(
        answer='{"version":"0.1.0","uptime":86400.5,"figures":{"keys":1200},'
        '"operations":{"submit_scores":{"statuses":{"200":9000},"seconds":0.4}}}'
    ),
)
async def read_stats(stats: Callable[[], Stats]) -> Stats:
    """Since the start of the process."""
    return stats()


OPERATIONS = (save_snapshot, read_stats)
