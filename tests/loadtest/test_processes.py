"""Servers that are measured end with the measurement, however it ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from loadtest.compare.processes import (
    Missing,
    Server,
    answers,
    cpu_seconds,
    find,
    listens,
    running,
)

SERVER = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1")


def file_server(port: int, folder: Path) -> tuple[str, ...]:
    return (*SERVER, "--directory", str(folder), str(port))


def gone(server: Server) -> bool:
    return not Path(f"/proc/{server.pid}").exists()


def test_a_server_is_ready_when_it_answers_and_gone_afterwards() -> None:
    with running(file_server, answers("/")) as server:
        assert listens(server.port)
        assert cpu_seconds(server.pid) > 0
        os.kill(server.pid, 0)
    assert gone(server)
    assert not server.folder.exists()


def test_a_failure_ends_the_server_too() -> None:
    with pytest.raises(ZeroDivisionError), running(file_server, listens) as server:
        raise ZeroDivisionError
    assert gone(server)


def test_a_server_that_does_not_start_is_reported_with_its_own_words() -> None:
    with (
        pytest.raises(RuntimeError, match="No module named nothing_like_it"),
        running(lambda port, folder: (sys.executable, "-m", "nothing_like_it"), listens),
    ):
        pass


def test_a_missing_program_is_named_with_its_package() -> None:
    with pytest.raises(Missing, match=r"no-such-program is not installed .*package some-package"):
        find("no-such-program", "some-package")
