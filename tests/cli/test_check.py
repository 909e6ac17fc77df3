"""``realtime check``: what a sound snapshot holds, and what is wrong with another."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from engine.clock import HOUR
from engine.engine import Engine
from engine.keyspace import Value
from engine.persistence.rdb import About, write
from engine.ranking import Ranking, Submit
from tests.cli.conftest import Run


def snapshot(path: Path) -> bytes:
    """A board of one, a counter, a session-like hash, and a key that has expired."""
    now = time.time_ns() // 1000
    engine = Engine(lambda: now)
    engine.boards.submit(b"lb:{arcade}", Ranking(), Submit(b"ada", 1200.0))
    engine.strings.set(b"cnt:{visits}", b"7")
    engine.hashes.put(b"sess:{x}", {b"name": b'"Ada"'})
    items: list[tuple[bytes, Value, int | None]] = list(engine.keyspace.items(now))
    items.append((b"old", b"gone", now - HOUR))
    text = b"".join(write(items, About(now)))
    path.write_bytes(text)
    return text


def test_a_sound_snapshot_is_counted_by_type(run: Run) -> None:
    size = len(snapshot(Path("dump.rdb")))
    expected = (
        f"dump.rdb: sound, {size} bytes\n"
        "  strings                 2\n"
        "  hashes                  1\n"
        "  sorted sets             1\n"
        "  streams                 0\n"
        "  keys                    4, 1 of them expired\n"
    )
    assert run("check", "dump.rdb") == (0, expected, "")


def test_a_data_directory_stands_for_its_snapshot(run: Run) -> None:
    Path("data").mkdir()
    snapshot(Path("data/dump.rdb"))
    assert run("check", "data").out.startswith("data/dump.rdb: sound")


@pytest.mark.parametrize("damage", ["flipped", "cut", "foreign"])
def test_damage_is_exit_code_1_and_says_where(run: Run, damage: str) -> None:
    path = Path("dump.rdb")
    text = snapshot(path)
    middle = len(text) // 2
    flipped = text[:middle] + bytes([text[middle] ^ 1]) + text[middle + 1 :]
    path.write_bytes(
        {"flipped": flipped, "cut": text[:-3], "foreign": b"PK\x03\x04" + text}[damage]
    )
    code, out, err = run("check", "dump.rdb")
    assert (code, out) == (1, "")
    assert err.startswith("dump.rdb: ")
    assert "at byte" in err
    assert err.count("\n") == 1


def test_a_key_that_stands_there_twice_is_damage_as_it_is_for_the_service(run: Run) -> None:
    now = time.time_ns() // 1000
    Path("dump.rdb").write_bytes(
        b"".join(write([(b"k", b"1", None), (b"k", b"2", None)], About(now)))
    )
    code, _, err = run("check", "dump.rdb")
    assert code == 1
    assert "a key stands there twice" in err
