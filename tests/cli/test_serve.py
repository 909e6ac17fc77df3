"""``realtime serve`` up to the moment when the doors open, and the log it writes."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from realtime import logs
from tests.cli.conftest import Run


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.7.7", "example.com"])
def test_a_public_address_needs_a_key_and_the_sentence_makes_one(run: Run, host: str) -> None:
    code, out, err = run("serve", "--host", host)
    assert (code, out) == (2, "")
    assert err == (
        f"realtime: {host} can be reached from elsewhere and there is no API key: make one with "
        "`realtime keys create --name NAME --scope SCOPE`, or listen on 127.0.0.1\n"
    )


@pytest.mark.parametrize(
    ("given", "command"),
    [
        (["--data", "d"], "keys create --data d --name"),
        (["--data", ""], "keys create --keys-file PATH --name"),
    ],
)
def test_the_sentence_makes_the_key_where_the_service_looks(
    run: Run, given: list[str], command: str
) -> None:
    assert command in run("serve", "--host", "0.0.0.0", *given).err


def test_a_file_without_keys_does_not_open_a_public_address(run: Run) -> None:
    run("keys", "create", "--name", "app", "--scope", "*")
    run("keys", "revoke", "app")
    assert run("serve", "--host", "0.0.0.0").code == 2


def test_a_keys_file_that_was_named_must_be_there(run: Run) -> None:
    code, _, err = run("serve", "--keys-file", "k.json")
    assert code == 2
    assert err.startswith("realtime: there is no keys file k.json; make a key with `realtime keys")


def test_a_damaged_keys_file_stops_the_start(run: Run) -> None:
    Path("realtime-data").mkdir()
    Path("realtime-data/keys.json").write_text("{")
    code, _, err = run("serve")
    assert code == 2
    assert err.startswith("realtime: realtime-data/keys.json: is no file of API keys: ")


def test_a_port_in_use_is_one_sentence(run: Run, restored_log: None) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, out, err = run("serve", "--port", str(port))
    assert (code, out) == (2, "")
    assert err == f"realtime: cannot listen on 127.0.0.1:{port}: Address already in use\n"


@pytest.fixture
def restored_log() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("form", ["text", "json"])
def test_nobody_forges_a_line_of_the_log(
    form: str, restored_log: None, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("info", form)
    logging.getLogger("realtime.x").info("name %s", "a\nERROR b\x1b[2J\x85")
    logging.getLogger("realtime.x").debug("not worth a line")
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    message = r"name a\x0aERROR b\x1b[2J\x85"
    if form == "json":
        line = json.loads(err)
        assert (line["level"], line["logger"], line["message"]) == ("info", "realtime.x", message)
        assert line["time"].endswith("Z")
    else:
        assert err.endswith(f"Z info    realtime.x: {message}\n")


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_is_part_of_its_line(
    form: str, restored_log: None, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("info", form)
    try:
        raise ZeroDivisionError("by zero")
    except ZeroDivisionError:
        logging.getLogger("realtime.x").exception("failed")
    err = capsys.readouterr().err
    text = json.loads(err)["traceback"] if form == "json" else err
    assert "ZeroDivisionError: by zero" in text
    assert "test_serve.py" in text
