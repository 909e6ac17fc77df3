"""The command line in this process, in a folder of its own and without anybody's variables."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from realtime import cli

__all__ = ["Ran", "Run"]


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("REALTIME_"):
            monkeypatch.delenv(name)

    def run(*words: str) -> Ran:
        code = cli.main(words)
        return Ran(code, *capsys.readouterr())

    return run
