"""Examples are short enough to be read whole."""

from __future__ import annotations

import pytest

from tests.examples.conftest import EXAMPLES


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.iterdir() if path.is_file()))
def test_an_example_has_fewer_than_60_lines(name: str) -> None:
    assert len((EXAMPLES / name).read_text().splitlines()) < 60
