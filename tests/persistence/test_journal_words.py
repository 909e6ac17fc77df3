"""What docs/journal.md tells people who read a journal with other tools holds."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from engine.persistence.manifest import Manifest
from tests.persistence.journals import batches

DOCUMENT = Path(__file__).parents[2] / "docs" / "journal.md"
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)


def test_the_manifest_there_is_one() -> None:
    (text,) = [block for _, block in BLOCKS if block.startswith("file ")]
    assert Manifest.parse(text.encode()).text() == text.encode()


@pytest.mark.parametrize("damaged", [False, True])
def test_the_program_there_checks_a_file(tmp_path: Path, damaged: bool) -> None:
    (program,) = [block for language, block in BLOCKS if language == "python"]
    data = b"".join(batches([(b"SET", b"k", b"v")], [(b"DEL", b"k"), (b"SET", b"l", b"1")]))
    path = tmp_path / "appendonly.aof.1.incr.aof"
    path.write_bytes(data.replace(b"\r\nl\r\n", b"\r\nm\r\n") if damaged else data)
    command = [sys.executable, "-c", program, str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.split("\n") == ["1 whole", "2 damaged" if damaged else "2 whole", ""]
