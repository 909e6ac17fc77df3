"""The routes of sessions. An id stands in the header Session-Id, never in a URL or a log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType, field

from realtime.backends.base import Session
from realtime.errors import NotFound, VersionConflict
from realtime.http.operation import (
    Answer,
    Body,
    Example,
    Feature,
    HeaderFields,
    PathFields,
    QueryFields,
    Reply,
    Scope,
    operation,
)
from realtime.http.values import JSON, Seconds, UserName, compact, instant
from realtime.services.sessions import Sessions

__all__ = ["OPERATIONS", "Lifetimes"]

TAG: Feature = "sessions"
READ, WRITE = Scope(TAG, "read"), Scope(TAG, "write")

MAX_ID = 255

Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID, description="The id of a session.")]
FieldName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=255,
        extra_json_schema={
            "pattern": "^[^_\\u0000-\\u001f\\u007f-\\u009f][^\\u0000-\\u001f\\u007f-\\u009f]*$",
        },
    ),
]
Data = Annotated[
    dict[FieldName, JSON],
    Meta(description="Fields with any JSON value; names do not start with an underscore."),
]
IfMatch = Annotated[
    str,
    Meta(
        pattern=r'^(\*|[0-9]{1,18}|"[0-9]{1,18}")$',
        description="The version that must be current; a star is any.",
        examples=['"1"'],
    ),
]
THE_ID = ("header.Session-Id", "$response.body#/id")
ETAG = {"ETag": "The version, for If-Match."}


class Lifetimes(NamedTuple):
    """Seconds that a session lives without a touch, and in all, if its creator says nothing."""

    idle: float
    absolute: float


class SessionHeaders(HeaderFields):
    session_id: Annotated[
        Id, Meta(examples=["V2hhdCBhIGN1cmlvdXMgcmVhZGVyIHlvdSBhcmUhISEfdee"])
    ] = field(name="Session-Id")


class PatchHeaders(SessionHeaders):
    if_match: IfMatch | UnsetType = field(name="If-Match", default=UNSET)


class TouchQuery(QueryFields):
    touch: Annotated[bool, Meta(description="Whether to start its idle time anew.")] = True


class UserPath(PathFields):
    user: UserName


class NewSession(Body):
    """Whose session, what it holds, and how long it may last."""

    user: UserName | None = None
    data: Data = field(default_factory=dict)
    idle_timeout: Seconds | UnsetType = UNSET
    absolute_timeout: Seconds | UnsetType = UNSET


class SessionPatch(Body):
    """Fields to set and fields to remove, in one step."""

    set: Data = field(default_factory=dict)
    unset: list[FieldName] = field(default_factory=list)


class SessionAnswer(Answer):
    """A session as of now. It ends at `expires_at` unless it is touched before."""

    user: UserName | None
    data: Data
    version: Annotated[int, Meta(ge=1, description="One more with every change of the data.")]
    created_at: datetime
    expires_at: datetime


class CreatedSession(Answer):
    """A new session with its id, which is shown this once."""

    id: Id
    user: UserName | None
    data: Data
    version: Annotated[int, Meta(ge=1)]
    created_at: datetime
    expires_at: datetime


class UserSessions(Answer):
    """Without their ids, oldest first."""

    sessions: list[SessionAnswer]


class Ended(Answer):
    """How many sessions there were."""

    ended: Annotated[int, Meta(ge=0)]


_EXAMPLE_FIELDS = (
    '"user":"ada","data":{"theme":"dark"},"version":1,'
    '"created_at":"2030-01-01T09:00:00Z","expires_at":"2030-01-01T09:30:00Z"}'
)


@operation(
    "POST",
    "/v1/sessions",
    tag=TAG,
    scope=WRITE,
    summary="Begin a session",
    status=201,
    private=True,
    links=dict.fromkeys(("read_session", "patch_session", "end_session"), THE_ID),
    example=Example(
        body='{"user":"ada","data":{"theme":"dark"}}',
        answer='{"id":"V2hhdCBhIGN1cmlvdXMgcmVhZGVyIHlvdSBhcmUhISEfdee",' + _EXAMPLE_FIELDS,
    ),
)
async def create_session(
    sessions: Sessions, lifetimes: Lifetimes, body: NewSession
) -> CreatedSession:
    """The answer is the only place where the id is ever shown; the store only knows its hash.
    A session ends `idle_timeout` seconds after it was last touched, and `absolute_timeout`
    after it began, whatever happens; by default after half an hour and eight hours, unless
    the service is set up otherwise."""
    session_id, session = await sessions.create(
        body.user,
        _compacted(body.data),
        idle_timeout=lifetimes.idle if body.idle_timeout is UNSET else body.idle_timeout,
        absolute_timeout=(
            lifetimes.absolute if body.absolute_timeout is UNSET else body.absolute_timeout
        ),
    )
    return CreatedSession(id=session_id, **msgspec.structs.asdict(_session(session)))


@operation(
    "GET",
    "/v1/sessions/current",
    tag=TAG,
    scope=READ,
    summary="Read a session",
    errors=(NotFound,),
    private=True,
    answer_headers=ETAG,
    example=Example(answer="{" + _EXAMPLE_FIELDS),
)
async def read_session(
    sessions: Sessions, headers: SessionHeaders, query: TouchQuery
) -> Reply[SessionAnswer]:
    """Touches it, unless `touch=false`. 404 if it never was, has ended or has expired."""
    return _reply(await sessions.read(headers.session_id, touch=query.touch))


@operation(
    "PATCH",
    "/v1/sessions/current",
    tag=TAG,
    scope=WRITE,
    summary="Change a session",
    errors=(NotFound, VersionConflict),
    private=True,
    answer_headers=ETAG,
    example=Example(body='{"set":{"theme":"dark"},"unset":["cart"]}', answer="{" + _EXAMPLE_FIELDS),
)
async def patch_session(
    sessions: Sessions, headers: PatchHeaders, body: SessionPatch
) -> Reply[SessionAnswer]:
    """Touches it, too. With If-Match, 412 if the version is another one, and nothing changes."""
    patched = await sessions.patch(
        headers.session_id,
        _compacted(body.set),
        body.unset,
        expected_version=_version(headers.if_match),
    )
    return _reply(patched)


@operation(
    "DELETE",
    "/v1/sessions/current",
    tag=TAG,
    scope=WRITE,
    summary="End a session",
    private=True,
)
async def end_session(sessions: Sessions, headers: SessionHeaders) -> None:
    """204 also if it had ended already."""
    await sessions.delete(headers.session_id)


@operation(
    "GET",
    "/v1/users/{user}/sessions",
    tag=TAG,
    scope=READ,
    summary="List the sessions of a user",
    private=True,
    example=Example(answer='{"sessions":[{' + _EXAMPLE_FIELDS + "]}"),
)
async def read_user_sessions(sessions: Sessions, path: UserPath) -> UserSessions:
    """Oldest first, without their ids. Looking does not touch them."""
    found = await sessions.of_user(path.user)
    return UserSessions(sessions=[_session(one) for one in found])


@operation(
    "DELETE",
    "/v1/users/{user}/sessions",
    tag=TAG,
    scope=WRITE,
    summary="End all sessions of a user",
    private=True,
    example=Example(answer='{"ended":3}'),
)
async def end_user_sessions(sessions: Sessions, path: UserPath) -> Ended:
    """Logs the user out everywhere."""
    return Ended(ended=await sessions.end_all(path.user))


OPERATIONS = (
    create_session,
    read_session,
    patch_session,
    end_session,
    read_user_sessions,
    end_user_sessions,
)


def _session(session: Session) -> SessionAnswer:
    return SessionAnswer(
        user=None if session.user is None else session.user.decode(),
        data={name.decode(): Raw(value) for name, value in session.fields.items()},
        version=session.version,
        created_at=instant(session.created_at),
        expires_at=instant(session.expires_at),
    )


def _reply(session: Session | None) -> Reply[SessionAnswer]:
    if session is None:
        raise NotFound("there is no such session, or it has ended")
    return Reply(_session(session), ((b"etag", b'"%d"' % session.version),))


def _compacted(data: Mapping[str, Raw]) -> dict[str, bytes]:
    return {name: compact(value) for name, value in data.items()}


def _version(if_match: str | UnsetType) -> int | None:
    """The expected version: ``"3"`` as in the ETag, or plainly 3. A star is any version."""
    return None if if_match in (UNSET, "*") else int(if_match.strip('"'))
