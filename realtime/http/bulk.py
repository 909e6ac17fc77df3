"""The routes that load and read whole boards, as lines of JSON (NDJSON), of any length."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw

from realtime.backends.base import BackendUnavailable, Entry, Submit
from realtime.errors import (
    Conflict,
    InvalidInput,
    InvalidRequest,
    NotFound,
    RealtimeError,
    TooLarge,
    UnsupportedMedia,
)
from realtime.http.inputs import MAX_DEPTH, Call, is_too_deep
from realtime.http.leaderboard_shapes import (
    READ,
    TAG,
    WRITE,
    BoardPath,
    OneOfMany,
    WhichQuery,
    asked,
    check_author,
    incoming,
)
from realtime.http.ndjson import Lines
from realtime.http.operation import Answer, Example, QueryFields, operation
from realtime.http.problem import told_of
from realtime.services.bulk import Bulk, Numbered, Refused
from realtime.services.leaderboards import MAX_METADATA, Leaderboards
from realtime.services.standings import json_score

__all__ = ["OPERATIONS"]

NDJSON = "application/x-ndjson"
MEDIA = frozenset((NDJSON.encode(), b"application/ndjson", b"application/jsonl"))
IDENTITY = b"identity"

MAX_LINE = 16 * 1024
"""Bytes: metadata of 4 KiB with white space, and a name all of whose characters are escaped."""
MAX_ERRORS = 100
"""How many of the lines that were refused are named; all are counted."""

Count = Annotated[int, Meta(ge=0)]
Line = Annotated[int, Meta(ge=1, le=2**53)]


class BulkQuery(QueryFields):
    first_line: Annotated[
        int,
        Meta(
            ge=1,
            le=2**52,
            description="The number of the body's first line, in what it is a part of.",
        ),
    ] = 1


class LineError(Answer):
    """A line that did not count."""

    line: Line
    detail: str


class Loaded(Answer):
    """What became of the lines. Empty ones are neither loaded nor refused."""

    loaded: Annotated[Count, Meta(description="Scores that were brought in.")]
    changed: Annotated[Count, Meta(description="Those of them that changed the board.")]
    refused: Count
    next_line: Annotated[Line, Meta(description="Where to go on.")]
    errors: Annotated[list[LineError], Meta(description="The first 100 that were refused.")]


_decode = msgspec.json.Decoder(OneOfMany).decode
_encode = msgspec.json.Encoder().encode


@operation(
    "POST",
    "/v1/leaderboards/{board}/bulk",
    tag=TAG,
    scope=WRITE,
    summary="Load very many scores",
    takes=NDJSON,
    errors=(TooLarge, UnsupportedMedia),
    example=Example(
        answer='{"loaded":2,"changed":2,"refused":1,"next_line":4,'
        '"errors":[{"line":3,"detail":"the line is not JSON: Input data was truncated"}]}',
    ),
)
async def load_scores(
    leaderboards: Leaderboards, bulk: Bulk, path: BoardPath, query: BulkQuery, call: Call
) -> Loaded:
    """The body is lines of JSON, of any number: `{"member":"ada","score":1200}`, and `metadata`
    and `id` as with single scores. They are brought in some hundreds at a time, as they arrive,
    while others read and write: if the request breaks off, the lines before some line count.
    Lines that are wrong are told, and do not stop the others. There is no Idempotency-Key; on a
    board that adds scores up give lines an `id` to be able to send them again."""
    if b"idempotency-key" in call.headers:
        raise InvalidInput("bulk loads take no Idempotency-Key")
    _refuse_other_media(call.headers)
    await check_author(leaderboards, call.caller, path.board)
    shares = call.stream is not None  # otherwise it may be that nothing may wait
    loading = _Loading(bulk, path.board, Lines(MAX_LINE, query.first_line), shares=shares)
    async for part in _parts(call):
        await loading.feed(part)
    return await loading.end()


@operation(
    "GET",
    "/v1/leaderboards/{board}/bulk",
    tag=TAG,
    scope=READ,
    summary="Read a whole board",
    status=200,
    media=NDJSON,
    errors=(NotFound,),
)
async def dump_board(
    leaderboards: Leaderboards, bulk: Bulk, path: BoardPath, query: WhichQuery, call: Call
) -> None:
    """Every entry as a line of JSON, best first, in the shape that loading takes. It is not one
    instant, unless the season is over: who moves while it is read may come twice or not at all.
    If the board is deleted meanwhile, or its season ends, the answer breaks off, without its end.
    In a batch it is 409."""
    if call.stream is None:
        raise Conflict("a whole board is answered piece by piece, to a request of its own")
    await asked(leaderboards, path.board, query)  # what is not there is told before it begins
    call.stream.outgoing = _dumped(bulk, path.board, query)


OPERATIONS = (load_scores, dump_board)


class _Loading:
    """One load: lines become entries, entries become pieces."""

    def __init__(self, bulk: Bulk, board: str, lines: Lines, *, shares: bool) -> None:
        self._bulk = bulk
        self._board = board
        self._lines = lines
        self._piece: list[Numbered] = []
        self._wrong: list[Refused] = []
        """Lines among those of the piece that are no entries."""
        self._taken = 0
        """Lines of the piece, the empty ones among them: these take their time, too."""
        self._brought: int | None = None
        """The line up to which all is done."""
        self._shares = shares
        self._loaded = self._changed = self._refused = 0
        self._errors: list[LineError] = []

    async def feed(self, part: bytes) -> None:
        for number, line in self._lines.feed(part):
            self._take(number, line)
            self._taken += 1
            if self._taken == self._bulk.at_once:
                await self._bring()

    async def end(self) -> Loaded:
        for number, line in self._lines.end():
            self._take(number, line)
        await self._bring()
        return Loaded(
            loaded=self._loaded,
            changed=self._changed,
            refused=self._refused,
            next_line=self._lines.count + 1,
            errors=self._errors,
        )

    def _take(self, number: int, line: bytes | None) -> None:
        try:
            entry = _entry(line)
        except RealtimeError as error:
            where = "" if error.path in (None, "$") else f" ({error.path})"
            self._wrong.append(Refused(number, f"{error.detail}{where}"))
            return
        if entry is not None:
            self._piece.append(Numbered(number, entry))

    async def _bring(self) -> None:
        piece, wrong = self._piece, self._wrong
        self._piece, self._wrong, self._taken = [], [], 0
        try:
            done = await self._bulk.load(self._board, piece)
        except (BackendUnavailable, RealtimeError) as error:
            raise self._broken_off(told_of(error)) from error
        self._brought = self._lines.count
        refused = sorted([*wrong, *done.refused])
        self._loaded += len(piece) - len(done.refused)
        self._changed += done.changed
        self._refused += len(refused)
        for one in refused[: MAX_ERRORS - len(self._errors)]:
            self._errors.append(LineError(line=one.line, detail=one.reason))
        if self._shares:
            await asyncio.sleep(0)  # a piece is all that anybody waits for

    def _broken_off(self, error: RealtimeError) -> RealtimeError:
        if self._brought is not None:
            error.detail += f"; the lines before {self._brought + 1} were brought in"
        return error


def _refuse_other_media(headers: Mapping[bytes, bytes]) -> None:
    media = headers.get(b"content-type")
    if media is not None and media.lower().partition(b";")[0].strip() not in MEDIA:
        raise UnsupportedMedia(f"a body here is {NDJSON}: lines of JSON in UTF-8")
    if headers.get(b"content-encoding", IDENTITY).lower().strip() != IDENTITY:
        raise UnsupportedMedia("a body here is not compressed")  # else each line is a wrong one


async def _parts(call: Call) -> AsyncIterator[bytes]:
    if call.stream is None:
        yield call.body
        return
    async for part in call.stream.parts():
        yield part


def _entry(line: bytes | None) -> Submit | None:
    """What a line says; None if it is empty. Raises what is told of it."""
    if line is None:
        raise TooLarge(f"a line has at most {MAX_LINE} bytes")
    if not line or line.isspace():
        return None
    if len(line) > 2 * MAX_DEPTH and is_too_deep(line):
        raise InvalidRequest(f"the line is nested deeper than {MAX_DEPTH} levels")
    try:
        if not line.isascii():
            line.decode()  # metadata is only passed on, and not looked at by the decoder
        given = _decode(line)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `")
        raise InvalidInput(text, path=path.removesuffix("`") or None) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"the line is not JSON: {error}") from None
    return _checked(incoming(given))


def _checked(entry: Submit) -> Submit:
    if entry.metadata is not None and len(entry.metadata) > MAX_METADATA:
        raise TooLarge(f"a member's metadata holds at most {MAX_METADATA} bytes")
    return entry


async def _dumped(bulk: Bulk, board: str, query: WhichQuery) -> AsyncGenerator[bytes, None]:
    view = None if query.view is UNSET else query.view
    season = None if query.season is UNSET else query.season
    async for entries in bulk.pages(board, view=view, season=season):
        if entries:
            yield b"".join([_line(entry) for entry in entries])
        await asyncio.sleep(0)


def _line(entry: Entry) -> bytes:
    _, member, score, metadata = entry
    shown = UNSET if metadata is None else Raw(metadata)
    return _encode(OneOfMany(member.decode(), json_score(score), shown)) + b"\n"
