"""``realtime boards`` against a running service: what it says, and where it takes up again."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from realtime import keyfile
from realtime.commands import boards
from realtime.recovery import Percent
from tests.cli.conftest import Run
from tests.service import Service, running_service

BOARD = "a board/ü"
PATH = "/v1/leaderboards/a%20board%2F%C3%BC"


@pytest.fixture
def service() -> Iterator[Service]:
    with running_service(None) as service:
        yield service


def written(count: int, name: str = "scores.ndjson") -> str:
    """In the folder that the test is in."""
    lines = [json.dumps({"member": f"m{number:05}", "score": number}) for number in range(count)]
    Path(name).write_text("\n".join(lines))
    return name


def test_what_was_loaded_can_be_dumped(
    service: Service, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boards, "PART", 10_000)  # many requests
    file = written(3_000)
    done = run("boards", "load", service.url, BOARD, file)
    assert done == (0, "3,000 scores loaded, 3,000 changed the board, 0 lines refused\n", "")
    done = run("boards", "dump", service.url, BOARD, "dumped.ndjson")
    assert done == (0, "3,000 entries in dumped.ndjson\n", "")
    assert (
        Path("dumped.ndjson").read_text().splitlines()
        == [
            line.replace(" ", "") for line in Path(file).read_text().splitlines()
        ][::-1]
    )  # fmt: skip
    assert not list(Path().glob("*.part"))


def test_a_season_and_a_view_can_be_dumped(service: Service, run: Run) -> None:
    httpx.put(service.url + PATH, json={"resets": [], "views": ["daily"]}).raise_for_status()
    run("boards", "load", service.url, BOARD, written(300))
    httpx.post(f"{service.url}{PATH}/reset").raise_for_status()
    run("boards", "load", service.url, BOARD, written(3))
    for option, count in (
        (["--season", "previous"], 300),
        (["--season", "1"], 300),
        (["--view", "daily"], 300),
        ([], 3),
    ):
        done = run("boards", "dump", service.url, BOARD, "dumped.ndjson", *option)
        assert done == (0, f"{count} entries in dumped.ndjson\n", "")
    code, _, err = run("boards", "dump", service.url, BOARD, "none.ndjson", "--season", "7")
    assert code == 2
    assert "the service answers 404" in err
    assert not Path("none.ndjson").exists()


def test_lines_that_are_refused_are_named_by_their_numbers_in_the_file(
    service: Service, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boards, "PART", 1_000)
    lines = Path(written(100)).read_text().splitlines()
    lines[49] = "no score"
    Path("scores.ndjson").write_text("\n".join(lines))
    code, out, err = run("boards", "load", service.url, BOARD, "scores.ndjson")
    assert (code, out) == (
        1,
        "99 scores loaded, 99 changed the board, 1 lines refused\n",
    )
    assert err.startswith("scores.ndjson:50: the line is not JSON")


def test_it_is_taken_up_again_where_it_broke_off(service: Service, run: Run) -> None:
    file = written(100)
    service.stop()
    code, _, err = run("boards", "load", service.url, BOARD, file)
    assert code == 2
    assert err.endswith("go on with --from-line 1\n")
    with running_service(None) as another:
        done = run("boards", "load", another.url, BOARD, file, "--from-line", "61")
        assert done.out == "40 scores loaded, 40 changed the board, 0 lines refused\n"
        size = httpx.get(another.url + PATH).json()["size"]
    assert size == 40


def test_lines_may_come_through_a_pipe(
    service: Service, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows how long it is."""
    monkeypatch.setattr(boards, "PART", 1_000)
    monkeypatch.setattr(boards, "Percent", partial(Percent, every=0))
    os.mkfifo("pipe")
    lines = Path(written(100)).read_bytes()
    writing = Thread(target=Path("pipe").write_bytes, args=(lines,))
    writing.start()
    done = run("boards", "load", service.url, BOARD, "pipe", "--from-line", "11")
    writing.join()
    assert (done.code, done.out.partition(" scores")[0]) == (0, "90")
    assert done.err.splitlines()[-1] == f"loading: {len(lines):,} bytes"


def test_of_a_line_that_is_too_long_the_beginning_is_sent(
    service: Service, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one line, also where it is passed over, and takes no memory."""
    monkeypatch.setattr(boards, "PART", 1_000)
    long = b'{"member":"x","score":1}' + b" " * 3 * boards.MAX_LINE + b"\n"
    short = b'{"member":"ada","score":1}\n'
    Path("scores.ndjson").write_bytes(long + short + long + short + long[:-1])
    code, out, err = run("boards", "load", service.url, BOARD, "scores.ndjson")
    assert (code, out.partition(" scores")[0]) == (1, "2")
    told = "a line has at most 16384 bytes"
    assert err.splitlines() == [f"scores.ndjson:{number}: {told}" for number in (1, 3, 5)]
    code, _, err = run("boards", "load", service.url, BOARD, "scores.ndjson", "--from-line", "4")
    assert err == f"scores.ndjson:5: {told}\n"
    assert max(map(len, boards._lines(io.BytesIO(long)))) == boards.MAX_LINE + 1


def test_whoever_interrupts_it_is_told_where_to_go_on(
    service: Service, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boards, "PART", 1_000)
    post, sent = httpx.Client.post, []

    def interrupted(client: httpx.Client, *words: Any, **options: Any) -> httpx.Response:
        sent.append(options["params"]["first_line"])
        if len(sent) == 3:
            raise KeyboardInterrupt
        return post(client, *words, **options)

    monkeypatch.setattr(httpx.Client, "post", interrupted)
    code, _, err = run("boards", "load", service.url, BOARD, written(100))
    assert code == 130
    assert err.endswith(f"go on with --from-line {sent[2]}\n")
    assert httpx.get(service.url + PATH).json()["size"] == sent[2] - 1


def test_a_key_is_read_from_a_file_and_shown_nowhere(run: Run, tmp_path: Path) -> None:
    key = keyfile.issue("loader", ("leaderboards:write",), datetime(2026, 1, 1, tzinfo=UTC))
    keyfile.add(tmp_path / "keys.json", key.record)
    (tmp_path / "key.txt").write_text(key.text + "\n")
    with running_service(tmp_path) as service:
        words = ("boards", "load", service.url, BOARD, written(3))
        refused = run(*words)
        assert refused.code == 2
        assert "the service answers 401" in refused.err
        assert run(*words, "--key-file", "key.txt").code == 0
        reading = run("boards", "dump", service.url, BOARD, "out.ndjson", "--key-file", "key.txt")
    assert reading.code == 2
    assert "403" in reading.err
    assert key.text not in reading.err + refused.err
    assert not Path("out.ndjson").exists()
    assert not list(Path().glob("*.part"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("load", "ftp://x", "b", "f"), "ftp://x is no address like http://127.0.0.1:8080"),
        (("load", "http://x", "b", "no"), "no cannot be read: No such file or directory"),
        (
            ("dump", "http://x", "b", "no/such/file"),
            "no/such/file.part cannot be written: No such file or directory",
        ),
        (
            ("load", "http://x", "b", "f", "--from-line", "0"),
            "argument --from-line: '0' is no number of a line; see `realtime boards load --help`",
        ),
    ],
)
def test_a_mistake_is_one_sentence(run: Run, words: tuple[str, ...], sentence: str) -> None:
    assert run("boards", *words) == (2, "", f"realtime: {sentence}\n")
