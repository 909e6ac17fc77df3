"""No fault outlives its test, and none is waited for longer than need be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from realtime import faults
from realtime.journal import journal


@pytest.fixture(autouse=True)
def no_faults() -> Iterator[None]:
    yield
    faults.disarm()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has failed is tried again at once."""
    monkeypatch.setattr(journal, "RETRY", 0.02)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a journal may be."""
    return tmp_path / "appendonlydir"
