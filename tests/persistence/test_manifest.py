"""Which files a journal has: Redis' grammar, and what it must refuse."""

from __future__ import annotations

import subprocess
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.persistence.errors import JournalDamaged
from engine.persistence.manifest import MANIFEST, Manifest, Part
from tests.persistence.redis_process import redis_server
from tests.support import free_port, require

WHOLE = (
    b"file appendonly.aof.2.base.rdb seq 2 type b\n"
    b"file appendonly.aof.1.base.rdb seq 1 type h\n"
    b"file appendonly.aof.5.incr.aof seq 5 type i\n"
    b"file appendonly.aof.6.incr.aof seq 6 type i\n"
)

SEALED = WHOLE + b"#RT:%08x\n" % zlib.crc32(WHOLE)

REFUSED = {
    "empty": b"",
    "no file": b"seq 1 type i x y\n",
    "no seq": b"file a type i x y\n",
    "no type": b"file a seq 1 x y\n",
    "too short": b"file a seq 1\n",
    "odd words": b"file a seq 1 type i x\n",
    "blank line": WHOLE + b"\n",
    "blank line of spaces": b"  \t\n" + WHOLE,
    "unknown type": b"file a seq 1 type x\n",
    "long type": b"file a seq 1 type incr\n",
    "second base": WHOLE + b"file z seq 3 type b\n",
    "unordered": b"file a seq 2 type i\nfile b seq 1 type i\n",
    "repeated seq": b"file a seq 2 type i\nfile b seq 2 type i\n",
    "seq of zero": b"file a seq 0 type i\n",
    "seq of letters": b"file a seq 1x type i\n",
    "seq beyond 64 bits": b"file a seq 99999999999999999999 type i\n",
    "same name": b"file a seq 1 type i\nfile a seq 2 type i\n",
    "same name in the history": b"file a seq 1 type i\nfile a seq 1 type h\n",
    "path": b"file ../a seq 1 type i\n",
    "absolute": b"file /etc/passwd seq 1 type i\n",
    "parent": b"file .. seq 1 type i\n",
    "no name": b'file "" seq 1 type i\n',
    "nul": b'file "a\\x00b" seq 1 type i\n',
    "open quote": b'file "a seq 1 type i\n',
    "glued quote": b'file "a"b seq 1 type i\n',
    "line too long": b"file a seq 1 type i x " + b"y" * 1024 + b"\n",
    "no end": WHOLE + b"file z seq 7 type i",
    "two files in one line": WHOLE.replace(b"\n", b"\t", 1),
    "wrong checksum": WHOLE + b"#RT:00000000\n",
    "lines behind the checksum": SEALED + b"# more\n",
    "file behind the checksum": SEALED + b"file z seq 7 type i\n",
    "binary": bytes(range(256)),
}

REDIS_IS_MILDER = {"two files in one line", "wrong checksum", "lines behind the checksum",
                   "long type", "seq of letters", "parent", "no name", "nul", "same name",
                   "same name in the history", "seq beyond 64 bits"}  # fmt: skip


def test_the_files_come_in_order() -> None:
    manifest = Manifest.parse(WHOLE)
    assert manifest == Manifest(
        Part("appendonly.aof.2.base.rdb", 2),
        (Part("appendonly.aof.5.incr.aof", 5), Part("appendonly.aof.6.incr.aof", 6)),
        (Part("appendonly.aof.1.base.rdb", 1),),
    )
    assert manifest.text() == SEALED
    assert Manifest.parse(SEALED) == manifest
    assert [part.seq for part in manifest.parts] == [2, 5, 6]


@pytest.mark.parametrize(
    "text",
    [
        b"# written by hand\nfile a seq 1 type i\n",
        b"file a seq 1 type i startoffset 12 later yes\n",
        b"\t FILE a  Seq 1\tTYPE i \r\n",
        b"type i seq 1 file a\n",
        b'file "\\x61" seq \'1\' type "i"\n',
    ],
)
def test_what_redis_accepts_besides(text: bytes) -> None:
    assert Manifest.parse(text) == Manifest(increments=(Part("a", 1),))


@pytest.mark.parametrize("case", REFUSED)
def test_every_other_manifest_is_refused(case: str) -> None:
    with pytest.raises(JournalDamaged) as raised:
        Manifest.parse(REFUSED[case])
    assert raised.value.file == MANIFEST
    assert raised.value.offset <= len(REFUSED[case])


@pytest.mark.parametrize("case", sorted(REFUSED.keys() - REDIS_IS_MILDER))
def test_redis_refuses_it_as_well(case: str, tmp_path: Path) -> None:
    folder = tmp_path / "appendonlydir"
    folder.mkdir()
    (folder / MANIFEST).write_bytes(REFUSED[case])
    program, port = require("redis-server"), str(free_port())
    command = [program, "--port", port, "--appendonly", "yes", "--dir", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, timeout=20, check=False)
    assert ended.returncode, ended.stdout


def test_redis_accepts_what_we_write(tmp_path: Path) -> None:
    folder = tmp_path / "appendonlydir"
    folder.mkdir()
    manifest = Manifest(increments=(Part('odd "name" of\ta file', 3),))
    manifest = manifest.with_increment(manifest.next_increment)
    for part in manifest.increments:
        (folder / part.name).touch()
    (folder / MANIFEST).write_bytes(manifest.text())
    with redis_server(tmp_path, "--appendonly", "yes") as client:
        client.set("k", "v")
    assert (folder / "appendonly.aof.4.incr.aof").stat().st_size


NAMES = st.text(
    st.characters(min_codepoint=1, max_codepoint=0x2FF, exclude_characters="/\\"), min_size=1
).filter(lambda name: name not in (".", ".."))


@given(st.lists(NAMES, unique=True, min_size=2, max_size=6))
def test_any_name_survives_being_written(names: list[str]) -> None:
    parts = [Part(name, number) for number, name in enumerate(names, 1)]
    manifest = Manifest(parts[0], tuple(parts[1:-1]), tuple(parts[-1:]))
    assert Manifest.parse(manifest.text()) == manifest


def test_a_life_of_growing_and_compacting_never_uses_a_name_twice() -> None:
    manifest, used = Manifest(), set[str]()
    for turn in range(1, 20):
        increment = manifest.next_increment
        manifest = manifest.with_increment(increment)
        assert increment.name not in used
        used.add(increment.name)
        if turn % 3 == 0:
            base = manifest.next_base
            assert base.name not in used
            used.add(base.name)
            before = manifest
            manifest = manifest.with_base(base, kept=1)
            assert manifest.increments == before.increments[-1:]
            assert set(before.parts) <= {base, *manifest.increments, *manifest.history}
        if turn % 6 == 0:
            manifest = manifest.without_history()
        assert Manifest.parse(manifest.text()) == manifest
    assert not manifest.without_history().history


def test_what_follows_a_damaged_increment_can_be_left_out() -> None:
    manifest = Manifest.parse(WHOLE)
    name = "appendonly.aof.5.incr.aof"
    assert manifest.cut_after(name).increments == manifest.increments[:1]
    assert manifest.cut_after(name, keep=False).increments == ()
