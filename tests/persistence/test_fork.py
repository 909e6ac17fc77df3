"""A forked copy sees the past, answers once, and holds on to nothing of its parent's."""

from __future__ import annotations

import errno
import gc
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from realtime.fork import Child, ChildFailed, fork


class Gate:
    """Holds a copy back until the parent opens it."""

    def __init__(self) -> None:
        self.reading, self._writing = os.pipe()

    def pass_through(self) -> None:
        os.read(self.reading, 1)

    def open(self) -> None:
        os.write(self._writing, b".")

    def close(self) -> None:
        os.close(self.reading)
        os.close(self._writing)


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.close()


def test_the_copy_sees_memory_as_it_was_at_the_fork(gate: Gate) -> None:
    seen = ["before"]

    def work() -> bytes:
        gate.pass_through()
        return seen[0].encode()

    child = fork(work, keep=[gate.reading])
    seen[0] = "after"
    gate.open()
    assert child.wait() == b"before"


def test_what_the_copy_raises_is_the_reason() -> None:
    def work() -> bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(ChildFailed, match="No space left on device"):
        fork(work).wait()


def test_an_exception_without_words_has_a_name() -> None:
    def work() -> bytes:
        raise MemoryError

    with pytest.raises(ChildFailed, match="MemoryError"):
        fork(work).wait()


def test_a_copy_that_is_killed_is_reported(gate: Gate) -> None:
    child = fork(_waiting(gate), keep=[gate.reading])
    child.kill()
    with pytest.raises(ChildFailed, match="was killed by SIGKILL"):
        child.wait()
    child.kill()  # it has ended: nobody else's process is hit


def test_a_copy_that_ends_without_a_word_is_reported() -> None:
    with pytest.raises(ChildFailed, match="ended with status 3 and no word"):
        fork(lambda: os._exit(3)).wait()


def test_nothing_of_the_parent_runs_twice(tmp_path: Path) -> None:
    notes = tmp_path / "notes"

    def work() -> bytes:
        raise SystemExit("leaving")

    try:
        child = fork(work)
    finally:
        with notes.open("a") as file:
            file.write("finally\n")
    with pytest.raises(ChildFailed, match="leaving"):
        child.wait()
    assert notes.read_text() == "finally\n"


def test_only_the_descriptors_that_were_given_stay_open(gate: Gate, tmp_path: Path) -> None:
    with (tmp_path / "kept").open("wb") as kept, socket.create_server(("127.0.0.1", 0)):
        answer = fork(lambda: b"%d" % len(os.listdir("/dev/fd")), keep=[kept.fileno()]).wait()
    assert answer == b"3"  # the one kept, the one for the answer, and that of the listing


def test_a_connection_ends_with_its_server_though_the_copy_lives(gate: Gate) -> None:
    ours, theirs = socket.socketpair()
    child = fork(_waiting(gate), keep=[gate.reading])
    ours.close()
    theirs.settimeout(10)
    assert theirs.recv(1) == b""
    theirs.close()
    gate.open()
    child.wait()


def test_the_copy_lets_go_of_the_signals(gate: Gate) -> None:
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    reading.setblocking(False)
    handler = signal.signal(signal.SIGTERM, lambda *_: pytest.fail("the parent was told"))
    wakeup = signal.set_wakeup_fd(writing.fileno())
    try:
        child = fork(_waiting(gate), keep=[gate.reading])
        os.kill(child.pid, signal.SIGINT)  # ignored: that is the parent's to decide
        os.kill(child.pid, signal.SIGTERM)
        with pytest.raises(ChildFailed, match="was killed by SIGTERM"):
            child.wait()
        with pytest.raises(BlockingIOError):
            reading.recv(1)
    finally:
        signal.set_wakeup_fd(wakeup)
        signal.signal(signal.SIGTERM, handler)
        reading.close()
        writing.close()


def test_no_signal_stays_blocked() -> None:
    def blocked() -> bytes:
        return b"%d" % len(signal.pthread_sigmask(signal.SIG_BLOCK, []))

    before = blocked()
    assert fork(blocked).wait() == before
    assert blocked() == before


def test_the_copy_collects_no_garbage_and_lets_others_go_first() -> None:
    before = os.nice(0)
    answer = fork(lambda: b"%d %d" % (gc.isenabled(), os.nice(0))).wait()
    assert answer == b"0 %d" % min(19, before + 10)
    assert gc.isenabled()


def test_any_thread_may_fork() -> None:
    answers: list[bytes] = []
    thread = threading.Thread(target=lambda: answers.append(fork(lambda: b"done").wait()))
    thread.start()
    thread.join()
    assert answers == [b"done"]


def test_no_room_for_a_copy_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr(os, "fork", refuse)
    before = os.listdir("/dev/fd")
    with pytest.raises(OSError, match="Cannot allocate memory"):
        fork(lambda: b"")
    assert os.listdir("/dev/fd") == before


def _waiting(gate: Gate) -> Callable[[], bytes]:
    def work() -> bytes:
        gate.pass_through()
        return b""

    return work


def test_an_answer_may_be_empty() -> None:
    child: Child = fork(lambda: b"")
    assert child.wait() == b""
