"""The routes of backups: list them, make one, remove one, go back to one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from realtime.errors import Conflict, NotFound, Unavailable
from realtime.http.operation import Answer, Example, Feature, PathFields, Scope, operation
from realtime.http.values import instant
from realtime.keeping import Backup, BackupError, KeepsBackups

__all__ = ["OPERATIONS"]

TAG: Feature = "admin"
READ, WRITE = Scope(TAG, "read"), Scope(TAG, "write")

NAME = "2026-11-25T21-40-09.123Z.rdb"
RETRY_AFTER = 30
"""Seconds after which a disk may have room again."""

BackupName = Annotated[str, Meta(description="The name of the file.", examples=[NAME])]


class BackupPath(PathFields):
    name: BackupName


class BackupInfo(Answer):
    """A copy of everything, as it was at one instant: a file in the data directory."""

    name: BackupName
    bytes: Annotated[int, Meta(ge=0)]
    created_at: Annotated[datetime, Meta(description="The instant that it shows.")]
    keys: Annotated[
        int | None, Meta(description="Keys in it; null where this process has not read it.")
    ]
    verified: Annotated[
        bool, Meta(description="Whether this process has read it whole and found it sound.")
    ]


class BackupList(Answer):
    """Newest first."""

    backups: list[BackupInfo]


class Restoration(Answer):
    """What is live now, and where that is which was."""

    name: BackupName
    keys: Annotated[int, Meta(ge=0, description="Live keys: what has expired since is not there.")]
    kept: Annotated[BackupInfo, Meta(description="What was live before, as a backup.")]


_SHOWN = (
    f'{{"name":"{NAME}","bytes":104857,"created_at":"2026-11-25T21:40:09.123000Z","keys":1200,'
    '"verified":true}'
)


@operation(
    "GET",
    "/v1/admin/backups",
    tag=TAG,
    scope=READ,
    summary="List the backups",
    errors=(Conflict,),
    example=Example(answer=f'{{"backups":[{_SHOWN}]}}'),
)
async def list_backups(backups: KeepsBackups | None) -> BackupList:
    """409 if the service keeps none: it was started without a data directory, or on a store that
    looks after its own disk."""
    try:
        return BackupList(backups=[_info(backup) for backup in await _of(backups).list()])
    except BackupError as error:
        raise _failed(error) from None


@operation(
    "POST",
    "/v1/admin/backups",
    tag=TAG,
    scope=WRITE,
    summary="Make a backup now",
    status=201,
    errors=(Conflict,),
    links={
        "restore_backup": ("name", "$response.body#/name"),
        "delete_backup": ("name", "$response.body#/name"),
    },
    example=Example(answer=_SHOWN),
)
async def create_backup(backups: KeepsBackups | None) -> BackupInfo:
    """Answers when it is on disk and was read back whole. Older ones make room then, as the
    settings say."""
    try:
        return _info(await _of(backups).create())
    except BackupError as error:
        raise _failed(error) from None


@operation(
    "DELETE",
    "/v1/admin/backups/{name}",
    tag=TAG,
    scope=WRITE,
    summary="Remove a backup",
    errors=(NotFound,),
)
async def delete_backup(backups: KeepsBackups | None, path: BackupPath) -> None:
    """For good."""
    try:
        await _of(backups).delete(path.name)
    except BackupError as error:
        raise _failed(error) from None


@operation(
    "POST",
    "/v1/admin/backups/{name}/restore",
    tag=TAG,
    scope=WRITE,
    summary="Go back to a backup",
    errors=(NotFound,),
    example=Example(answer=f'{{"name":"{NAME}","keys":1200,"kept":{_SHOWN}}}'),
)
async def restore_backup(backups: KeepsBackups | None, path: BackupPath) -> Restoration:
    """Replaces everything that is live, at once, by what the backup holds. What was live is kept as
    a backup first; what is written meanwhile is lost. A backup that is damaged is 409, and changes
    nothing. Subscribers of channels are told to come back; they recover if they had seen no more
    than the backup has. Sessions that were ended since live again."""
    try:
        restored = await _of(backups).restore(path.name)
    except BackupError as error:
        raise _failed(error) from None
    return Restoration(name=restored.name, keys=restored.keys, kept=_info(restored.kept))


def _of(backups: KeepsBackups | None) -> KeepsBackups:
    if backups is None:
        raise Conflict(
            "this service keeps no backups: it has no data directory, or a store that looks "
            "after its own disk"
        )
    return backups


def _failed(error: BackupError) -> Unavailable:
    return Unavailable(f"{error}; the log says more", retry_after=RETRY_AFTER)


def _info(backup: Backup) -> BackupInfo:
    return BackupInfo(
        name=backup.name,
        bytes=backup.bytes,
        created_at=instant(backup.created_at),
        keys=backup.keys,
        verified=backup.verified,
    )


OPERATIONS = (list_backups, create_backup, delete_backup, restore_backup)
