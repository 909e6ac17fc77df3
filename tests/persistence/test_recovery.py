"""From a folder to a state: that of the engine that wrote it, or a refusal; never another one."""

from __future__ import annotations

import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import SECOND, ManualClock
from engine.effects import Effect
from engine.engine import Engine
from engine.errors import EngineError
from engine.keyspace import Keyspace
from engine.limits import TokenBucket
from engine.persistence.commands import encode, encode_all
from engine.persistence.errors import JournalDamaged, JournalError, JournalUnsupported
from engine.persistence.journal import seal
from engine.persistence.manifest import MANIFEST, Manifest, Part
from engine.persistence.recovery import recover
from tests.engine.test_effects import act
from tests.persistence.journals import Journal, batches, folder_of, recovered, same_state
from tests.persistence.samples import NOW, dumped, every_type, plain

STEPS = st.lists(
    st.tuples(
        st.integers(0, 15), st.integers(0, 2), st.integers(0, 6), st.integers(0, 2 * SECOND),
        st.sampled_from(["commit", "commit", "commit", "", "grow", "compact"]),
    ),
    max_size=80,
)  # fmt: skip


@given(STEPS)
@settings(deadline=None)
def test_any_history_is_recovered(steps: list[tuple[int, int, int, int, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder))
        engine = journal.engine
        for verb, n, m, pause, then in steps:
            engine.clock.advance(pause)  # type: ignore[attr-defined]
            try:
                act(engine, verb, n, m)
            except EngineError:
                continue
            if then:
                journal.commit()
            if then in ("grow", "compact"):
                getattr(journal, then)()
        engine.sweep(SECOND)
        journal.commit()
        keyspace, found = recovered(journal.folder)
        same_state(keyspace, engine.keyspace, engine.clock())
        assert found.torn is None
        assert found.last == journal.path.name
        assert found.size == journal.path.stat().st_size
        assert found.sequence in (journal.sequence, 0)


def small(folder: Path) -> tuple[Path, list[int]]:
    """A journal of a base and two increments, and where the batches of the last one end."""
    journal = Journal(folder)
    for verb in (0, 1, 3, 7, 12):
        act(journal.engine, verb, 1, 1)
        journal.commit()
    journal.compact()
    for verb in (3, 6, 12):
        act(journal.engine, verb, 2, 2)
        journal.commit()
    journal.grow()
    ends = [0]
    for verb in (0, 1, 3, 6, 14, 12, 10):
        act(journal.engine, verb, 1, 3)
        ends.append(ends[-1] + len(journal.commit()))
    return journal.path, ends


def states(path: Path, ends: list[int]) -> list[dict[bytes, object]]:
    """What the journal holds after each batch of its last increment."""
    whole, found = path.read_bytes(), []
    for end in ends:
        path.write_bytes(whole[:end])
        found.append(plain(recovered(path.parent)[0].items(0)))
    path.write_bytes(whole)
    return found


def test_cut_at_any_byte_it_is_the_state_after_the_last_whole_batch(tmp_path: Path) -> None:
    path, ends = small(tmp_path)
    whole, expected = path.read_bytes(), states(path, ends)
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        keyspace, found = recovered(tmp_path)
        count = sum(1 for end in ends if end <= size) - 1
        assert plain(keyspace.items(0)) == expected[count]
        assert found.size == ends[count]
        assert (found.torn is None) == (size in ends)
        if found.torn is not None:
            assert (found.torn.file, found.torn.offset) == (path.name, ends[count])
            assert found.torn.dropped == size - ends[count]
        assert path.read_bytes() == whole[:size], "recovery changed a file"


@pytest.mark.parametrize("bit", range(8))
def test_a_flipped_bit_anywhere_is_refused(tmp_path: Path, bit: int) -> None:
    small(tmp_path)
    for part in Manifest.parse((tmp_path / MANIFEST).read_bytes()).parts:
        path = tmp_path / part.name
        whole = path.read_bytes()
        for at in range(len(whole)):
            damaged = bytearray(whole)
            damaged[at] ^= 1 << bit
            path.write_bytes(bytes(damaged))
            with pytest.raises(JournalError) as raised:
                recovered(tmp_path)
            assert raised.value.file == path.name
            assert raised.value.offset <= len(whole)
        path.write_bytes(whole)


def test_a_flipped_bit_in_the_manifest_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    path, ends = small(tmp_path)
    refused = 0
    expected = states(path, ends)[-1]
    manifest = tmp_path / MANIFEST
    whole = manifest.read_bytes()
    for at in range(len(whole)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[at] ^= 1 << bit
            manifest.write_bytes(bytes(damaged))
            try:
                keyspace, _ = recovered(tmp_path)
            except JournalError:
                refused += 1
                continue
            assert plain(keyspace.items(0)) == expected
    assert refused > 8 * (len(whole) - 40), "only in the mark of the last line is one harmless"


@pytest.mark.parametrize("tail", [1, 100, 512, 4096])
def test_zeros_at_the_end_are_cut(tmp_path: Path, tail: int) -> None:
    path, ends = small(tmp_path)
    expected = states(path, ends)[-1]
    path.write_bytes(path.read_bytes() + bytes(tail))
    keyspace, found = recovered(tmp_path)
    assert plain(keyspace.items(0)) == expected
    assert found.torn is not None
    assert found.torn.dropped == tail
    assert found.size == ends[-1]


def test_the_torn_file_is_the_last_that_has_anything(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, *batches([(b"SET", b"a", b"1")]), b"#RT:2:", b"")
    keyspace, found = recovered(folder)
    assert plain(keyspace.items(0)) == {b"a": (b"1", None)}
    assert found.torn is not None
    assert found.torn.file == "appendonly.aof.2.incr.aof"
    assert (found.last, found.size) == ("appendonly.aof.3.incr.aof", 0)


def test_a_file_before_the_last_must_be_whole(tmp_path: Path) -> None:
    first, second = batches([(b"SET", b"a", b"1")], [(b"SET", b"b", b"2")])
    with pytest.raises(JournalDamaged, match="not the last file"):
        recovered(folder_of(tmp_path, first[:-1], second))
    with pytest.raises(JournalDamaged, match="begins neither"):
        recovered(folder_of(tmp_path, first + bytes(600), second))


def test_a_file_that_is_missing_in_between_shows_in_the_sequence(tmp_path: Path) -> None:
    one, two, three = batches(*[[(b"SET", b"k", b"%d" % n)] for n in range(3)])
    folder_of(tmp_path, one, two, three)
    manifest = Manifest.parse((tmp_path / MANIFEST).read_bytes())
    first, _, third = manifest.increments
    (tmp_path / MANIFEST).write_bytes(Manifest(increments=(first, third)).text())
    with pytest.raises(JournalDamaged, match="batch 3 follows batch 1"):
        recovered(tmp_path)


def test_without_a_base_the_first_batch_must_be_the_first(tmp_path: Path) -> None:
    batch = seal(7, 6, encode((b"SET", b"k", b"v")))
    with pytest.raises(JournalDamaged, match="batch 7 follows batch 0"):
        recovered(folder_of(tmp_path, batch))
    _, found = recovered(folder_of(tmp_path, batch, base=dumped([])))
    assert found.sequence == 7


def test_a_file_that_is_named_and_not_there_is_damage(tmp_path: Path) -> None:
    folder_of(tmp_path, b"", dumped([]))
    (tmp_path / "appendonly.aof.2.incr.aof").unlink()
    with pytest.raises(JournalDamaged, match=r"appendonly\.aof\.2\.incr\.aof.*no such file"):
        recovered(tmp_path)


def test_a_folder_without_a_manifest_is_not_a_journal(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        recovered(tmp_path)


def test_a_manifest_has_a_bound(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_bytes(b"# long\n" * 200_000)
    with pytest.raises(JournalDamaged, match="too long"):
        recovered(tmp_path)


# The base


@pytest.mark.parametrize("tail", [b"", encode((b"DEL", b"text")), encode((b"SELECT", b"0"))])
def test_a_snapshot_may_be_followed_by_commands(tmp_path: Path, tail: bytes) -> None:
    folder = folder_of(tmp_path, base=dumped(every_type()) + tail)
    keyspace, found = recovered(folder)
    expected = plain(every_type())
    if b"DEL" in tail:
        del expected[b"text"]
    assert plain(keyspace.items(0)) == expected
    assert (found.last, found.size) == (None, 0)
    assert found.files[0].keys == len(every_type())
    assert found.commands == found.unsealed == bool(tail)


def test_a_base_may_be_all_commands_but_is_never_torn(tmp_path: Path) -> None:
    base = encode((b"SELECT", b"0")) + encode((b"SET", b"k", b"v"))
    folder, name = folder_of(tmp_path, b""), "appendonly.aof.1.base.aof"
    increments = Manifest.parse((folder / MANIFEST).read_bytes()).increments
    (folder / MANIFEST).write_bytes(Manifest(Part(name, 1), increments).text())
    (folder / name).write_bytes(base)
    keyspace, _ = recovered(folder)
    assert plain(keyspace.items(0)) == {b"k": (b"v", None)}
    (folder / name).write_bytes(base[:-1])
    with pytest.raises(JournalDamaged, match="not the last file"):
        recovered(folder)


@pytest.mark.parametrize("base", [b"", b"REDIS", dumped(every_type())[:-1]])
def test_a_base_that_is_cut_short_is_damage_with_its_name(tmp_path: Path, base: bytes) -> None:
    with pytest.raises(JournalDamaged, match=r"^appendonly\.aof\.1\.base\.rdb: "):
        recovered(folder_of(tmp_path, b"", base=base))


def test_a_key_that_stands_in_the_base_twice_is_damage(tmp_path: Path) -> None:
    base = dumped([(b"k", b"1", None), (b"k", b"2", None)])
    with pytest.raises(JournalDamaged, match="twice"):
        recovered(folder_of(tmp_path, base=base))


def test_keys_that_have_expired_are_put_and_then_expire_aloud(tmp_path: Path) -> None:
    base = dumped([(b"old", b"1", NOW - 1000), (b"user", {b"a": b"1"}, NOW - SECOND)])
    folder = folder_of(tmp_path, *batches([(b"SET", b"s", b"1", b"PXAT", b"5")]), base=base)
    clock = ManualClock(NOW)
    engine = Engine(clock)
    recover(folder, engine.keyspace, now=NOW)
    heard: list[Effect] = []
    engine.effects.listen(heard.append)
    assert engine.strings.get(b"old") is None
    engine.hashes.update(b"user", {b"b": b"2"}, NOW)
    assert engine.strings.get(b"s") is None
    assert heard == [
        (b"DEL", b"old"), (b"DEL", b"user"), (b"HSET", b"user", b"b", b"2"), (b"DEL", b"s"),
    ]  # fmt: skip
    again = folder / "appendonly.aof.1.incr.aof"
    again.write_bytes(again.read_bytes() + seal(2, 1, encode_all(heard)))
    keyspace, _ = recovered(folder)
    assert plain(keyspace.items(0)) == {b"user": ({b"b": b"2"}, None)}


# What cannot be replayed


@pytest.mark.parametrize(
    ("effects", "what"),
    [
        ([(b"SET", b"k", b"v"), (b"ZREM", b"k", b"m")], "ZREM: .* holds a string"),
        ([(b"ZADD", b"z", b"x", b"m")], "ZADD: .* is no number"),
        ([(b"ZADD", b"z")], "ZADD: the arguments make no sense"),
        ([(b"PEXPIREAT", b"k", b"1")] * 2 + [(b"PEXPIREAT", b"k")], "PEXPIREAT: the arguments"),
        ([(b"PING",)], "PING is no command that a journal has"),
        ([(b"MULTI",)], "MULTI is no command"),
    ],
)
def test_effects_that_make_no_sense_are_damage_where_their_batch_is(
    tmp_path: Path, effects: list[Effect], what: str
) -> None:
    good, bad = batches([(b"SET", b"a", b"1")], effects)
    with pytest.raises(JournalDamaged, match=what) as raised:
        recovered(folder_of(tmp_path, good + bad))
    assert raised.value.offset == len(good)


@pytest.mark.parametrize(
    ("effect", "what"),
    [
        ((b"RPUSH", b"l", b"1"), "RPUSH needs a list"),
        ((b"sadd", b"s", b"1"), "SADD needs a set"),
        ((b"XGROUP", b"CREATE", b"c", b"g", b"$"), "XGROUP needs a consumer group"),
        ((b"JSON.SET", b"k", b"$", b"1"), "JSON.SET is a command of a module"),
        ((b"COPY", b"a", b"b", b"DB", b"1"), "COPY: .* another database"),
    ],
)
def test_what_the_engine_has_not_is_unsupported(tmp_path: Path, effect: Effect, what: str) -> None:
    lead = encode((b"SELECT", b"0"))
    with pytest.raises(JournalUnsupported, match=what) as raised:
        recovered(folder_of(tmp_path, lead + encode(effect)))
    assert raised.value.offset == len(lead)


def test_another_database_may_be_selected_but_must_stay_empty(tmp_path: Path) -> None:
    commands = [(b"SET", b"k", b"v"), (b"SELECT", b"3"), (b"FLUSHDB",), (b"SELECT", b"0")]
    keyspace, _ = recovered(folder_of(tmp_path, b"".join(map(encode, commands))))
    assert plain(keyspace.items(0)) == {b"k": (b"v", None)}
    commands[2] = (b"SET", b"k", b"w")
    with pytest.raises(JournalUnsupported, match="another database than 0"):
        recovered(folder_of(tmp_path, b"".join(map(encode, commands))))


def test_each_file_begins_in_database_0(tmp_path: Path) -> None:
    first, second = encode((b"SELECT", b"3")), encode((b"SET", b"k", b"v"))
    keyspace, _ = recovered(folder_of(tmp_path, first, second))
    assert plain(keyspace.items(0)) == {b"k": (b"v", None)}


# What is told


def test_progress_is_told_in_bytes_of_all_files(tmp_path: Path) -> None:
    body = encode_all([(b"SET", b"k%d" % n, b"x" * 1000) for n in range(600)])
    items = [(b"i%d" % n, b"y" * 100, None) for n in range(30_000)]
    folder = folder_of(tmp_path, *[seal(n, 0, body) for n in range(1, 8)], base=dumped(items))
    told: list[tuple[int, int]] = []
    keyspace = Keyspace()
    found = recover(folder, keyspace, now=NOW, progress=lambda *pair: told.append(pair))
    size = sum(path.stat().st_size for path in folder.iterdir() if path.name != MANIFEST)
    assert found.bytes == size
    assert told == sorted(told)
    assert told[-1] == (size, size)
    assert len(told) > 5


def test_what_was_read_is_counted(tmp_path: Path) -> None:
    effects: list[list[Effect]] = [[(b"SET", b"a", b"1"), (b"DEL", b"a")], [(b"SET", b"b", b"1")]]
    raw = encode_all([(b"SET", b"c", b"1"), (b"DEL", b"c")])
    found = recovered(folder_of(tmp_path, b"".join(batches(*effects)) + raw))[1]
    assert (found.batches, found.commands, found.unsealed, found.sequence) == (2, 5, 2, 2)


def test_a_body_may_be_split_by_somebody_faster(tmp_path: Path) -> None:
    seen: list[bytes] = []

    def split(body: bytes) -> list[list[bytes]]:
        seen.append(body)
        return [[b"SET", b"from", b"elsewhere"]]

    keyspace = Keyspace()
    recover(folder_of(tmp_path, *batches([(b"SET", b"k", b"v")])), keyspace, now=NOW, split=split)
    assert seen == [encode((b"SET", b"k", b"v"))]
    assert plain(keyspace.items(0)) == {b"from": (b"elsewhere", None)}


def test_memory_is_bounded_by_the_largest_batch(tmp_path: Path) -> None:
    body = encode((b"SET", b"k", b"x" * 100_000))
    folder = folder_of(tmp_path, b"".join(seal(n, 0, body) for n in range(1, 200)))
    tracemalloc.start()
    try:
        recovered(folder)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6 * 2**20


def test_states_are_held_as_the_engine_holds_them(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.engine.counters.add(b"c", -7)
    journal.engine.buckets.take(b"b", TokenBucket(2, SECOND, 5))
    journal.commit()
    values = recovered(tmp_path)[0].values
    assert values == {key: journal.engine.keyspace.values[key] for key in (b"c", b"b")}
    assert all(type(value) is int for value in values.values())
