"""``realtime boards``: whole boards into a running service and out of it, as lines of JSON.

A file is sent in parts of whole lines, each a request of its own that is answered before the
next: so it is known how far things are, and if it breaks off, where to go on. A board is read
into a file beside the one asked for, which takes its place when all of it is there.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import quote

import httpx
import msgspec

from realtime.commands import CommandError
from realtime.recovery import Percent

__all__ = ["dump", "load"]

REFUSED = 1

PART = 1024 * 1024
"""Bytes of whole lines in one request, about: some 20,000 scores, done in well under a second."""

MAX_LINE = 17 * 1024
"""Bytes of a line that are sent: more than a service takes, so that it says what is wrong."""

TIMEOUT = 60.0
"""Seconds without a sign of life."""


class _LineError(msgspec.Struct):
    line: int
    detail: str


class _Loaded(msgspec.Struct):
    """As much of an answer as is shown."""

    loaded: int
    changed: int
    refused: int
    next_line: int
    errors: list[_LineError]


class _Count(msgspec.Struct):
    count: int


class _Part(NamedTuple):
    first_line: int
    body: bytes
    end: int
    """Bytes of the file up to its end."""


def load(parsed: argparse.Namespace) -> int:
    """Bring the lines of a file to a board; exit code 1 if some were refused."""
    progress = Percent(_say)
    loaded = changed = refused = 0
    with _client(parsed) as client, _opened(parsed.file) as file:
        total = os.fstat(file.fileno()).st_size  # 0 of a pipe
        for part in _parts(file, parsed.from_line):
            answer = _send(client, parsed.board, part)
            for error in answer.errors:
                _say(f"{parsed.file}:{error.line}: {error.detail}")
            loaded, changed = loaded + answer.loaded, changed + answer.changed
            refused += answer.refused
            progress(part.end, total)
    print(f"{loaded:,} scores loaded, {changed:,} changed the board, {refused:,} lines refused")
    return REFUSED if refused else 0


def dump(parsed: argparse.Namespace) -> int:
    """Write every entry of a board, a view or a season to a file, best first."""
    path: Path = parsed.file
    which = {"view": parsed.view, "season": parsed.season}
    query = {name: value for name, value in which.items() if value is not None}
    beside = path.with_name(f"{path.name}.part")
    try:
        with _client(parsed) as client, beside.open("xb") as file:
            try:
                count = _receive(client, parsed.board, query, file)
                os.fsync(file.fileno())
                beside.rename(path)
            except BaseException:
                beside.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise CommandError(f"{beside} cannot be written: {error.strerror}") from None
    print(f"{count:,} entries in {path}")
    return 0


def _parts(file: IO[bytes], first_line: int) -> Iterator[_Part]:
    """Whole lines, from this one on."""
    lines, end, part, size = _lines(file), 0, [], 0
    for _ in range(first_line - 1):
        skipped = next(lines, None)
        if skipped is None:
            raise CommandError(f"there is no line {first_line}")
        end += len(skipped)
    for line in lines:
        part.append(line)
        size += len(line)
        if size >= PART:
            end += size
            yield _Part(first_line, b"".join(part), end)
            first_line += len(part)
            part, size = [], 0
    if part:
        yield _Part(first_line, b"".join(part), end + size)


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file, in bounded memory: of one that is too long the beginning."""
    while line := file.readline(MAX_LINE):
        if len(line) < MAX_LINE or line.endswith(b"\n"):
            yield line
            continue
        while (rest := file.readline(PART)) and not rest.endswith(b"\n"):
            pass
        yield line + b"\n"


def _send(client: httpx.Client, board: str, part: _Part) -> _Loaded:
    try:
        answer = client.post(
            _path(board),
            params={"first_line": part.first_line},
            content=part.body,
            headers={"content-type": "application/x-ndjson"},
        )
        return msgspec.json.decode(_succeeded(answer).content, type=_Loaded)
    except (httpx.HTTPError, msgspec.MsgspecError, CommandError) as error:
        raise CommandError(f"{error}; {_how_to_go_on(part)}") from None
    except KeyboardInterrupt:
        _say(_how_to_go_on(part))
        raise


def _how_to_go_on(part: _Part) -> str:
    number = part.first_line
    return f"of the lines before {number} nothing is left to do: go on with --from-line {number}"


def _receive(client: httpx.Client, board: str, query: Mapping[str, str], file: IO[bytes]) -> int:
    """How many entries there were."""
    progress = Percent(_say, doing="reading", of="entries")
    count = 0
    try:
        counting = client.get(_path(board).removesuffix("bulk") + "count", params=query)
        size = msgspec.json.decode(_succeeded(counting).content, type=_Count).count
        with client.stream("GET", _path(board), params=query) as answer:
            if answer.is_error:
                answer.read()
            for part in _succeeded(answer).iter_bytes():
                file.write(part)
                count += part.count(b"\n")
                progress(min(count, size), size)
    except (httpx.HTTPError, msgspec.MsgspecError) as error:
        raise CommandError(f"the board was not read to its end: {error}") from None
    return count


def _succeeded(answer: httpx.Response) -> httpx.Response:
    """The same answer. Raises CommandError with what it says, if it is none."""
    if answer.is_success:
        return answer
    try:
        detail = msgspec.json.decode(answer.content, type=dict[str, msgspec.Raw])["detail"]
        text = msgspec.json.decode(detail, type=str)
    except (msgspec.MsgspecError, KeyError):
        text = "this is no answer of ours"
    raise CommandError(f"the service answers {answer.status_code}: {text}")


def _client(parsed: argparse.Namespace) -> httpx.Client:
    try:
        url = httpx.URL(parsed.url)
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError
    except (ValueError, httpx.InvalidURL):
        raise CommandError(f"{parsed.url} is no address like http://127.0.0.1:8080") from None
    headers = {} if parsed.key_file is None else {"authorization": f"Bearer {_key(parsed)}"}
    return httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT)


def _key(parsed: argparse.Namespace) -> str:
    with _opened(parsed.key_file) as file:
        key = file.read(1_024).strip()
    if not key or not key.isascii() or len(key.split()) != 1:
        raise CommandError(f"{parsed.key_file} holds no API key")
    return key.decode()


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from None


def _path(board: str) -> str:
    return f"/v1/leaderboards/{quote(board, safe='')}/bulk"


def _say(line: str) -> None:
    print(line, file=sys.stderr)
