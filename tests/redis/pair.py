"""Both backends at one clock: what one answers and keeps, the other must answer and keep."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from engine.engine import Engine
from engine.errors import EngineError, WrongType
from engine.keyspace import Value, text, type_name
from engine.sortedset import SortedSet
from realtime.backends import embedded
from realtime.backends.base import Backend
from realtime.backends.redis.address import parse
from realtime.backends.redis.calls import Calls
from realtime.backends.redis.dial import Options
from realtime.backends.redis.store import RedisStore
from tests.redis.servers import RedisServer
from tests.redis.stores import PATIENCE

__all__ = ["Contents", "Pair", "running_pair"]

LAG = 3_000
"""Microseconds by which Redis may drop a key later than the engine: its deadlines are whole
milliseconds, rounded up, and it keeps a key through the last one."""

Contents = dict[bytes, tuple[str, Any, int | None]]
"""key -> (type, content, deadline in milliseconds)"""


class _Part:
    """A part of both backends: asks both, asserts that they answer the same, and answers that."""

    def __init__(self, pair: Pair, name: str) -> None:
        self._pair = pair
        self._name = name

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        def ask(*words: Any, **options: Any) -> Any:
            def ask_one(backend: Backend) -> Awaitable[Any]:
                work: Awaitable[Any] = getattr(getattr(backend, self._name), verb)(
                    *words, **options
                )
                return work

            return self._pair._same(ask_one)

        return ask


class Pair:
    """The embedded backend and the one on a real Redis.

    ``pair.counters.add(b"c", 1)`` asks both, who must answer the same;
    ``pair.run(pair.redis.counters.get([b"c"]))`` asks one of them.
    """

    def __init__(self, server: RedisServer, client: Any) -> None:
        assert server.clock is not None
        self.clock = server.clock
        self.client = client
        self._runner = asyncio.Runner()
        # Not started: its own tasks would keep keys that the engine has no use for.
        self._store = RedisStore(parse(server.socket_url), Options(timeout=PATIENCE))
        self.redis = self._store.backend
        self.calls: Calls = self._store._wire
        self.values: Any = _Part(self, "values")
        self.counters: Any = _Part(self, "counters")
        self.hashes: Any = _Part(self, "hashes")
        self.sorted_sets: Any = _Part(self, "sorted_sets")
        self.buckets: Any = _Part(self, "buckets")
        self.leases: Any = _Part(self, "leases")
        self.sessions: Any = _Part(self, "sessions")
        self.reset()

    def reset(self) -> None:
        """Nothing is stored, and the clock is where it begins."""
        self.clock.reset()
        self.client.flushall()
        self.engine = Engine(self.clock)
        self.embedded = embedded.backend(self.engine)

    def run(self, work: Awaitable[Any]) -> Any:
        async def wait() -> Any:
            return await work

        return self._runner.run(wait())

    def _same(self, call: Callable[[Backend], Awaitable[Any]]) -> Any:
        """What both answer to the call, or the error that both raise."""
        expected = self._outcome(self.embedded, call)
        found = self._outcome(self.redis, call)
        is_same = _comparable(found) == _comparable(expected)
        assert is_same, f"\n{repr(found)[:2000]}, not\n{repr(expected)[:2000]}"
        return expected

    def advance(self, duration: int) -> None:
        """Let time pass, and what has expired be gone on both sides.

        Close to its deadline a key is there on one side only, see `LAG`: it is dropped by hand.
        """
        self.clock.advance(duration)
        now = self.clock()
        deadlines = self.engine.keyspace.deadlines
        expired = [(key, deadline) for key, deadline in deadlines.items() if deadline <= now]
        for key, deadline in expired:
            assert self.engine.keyspace.get(key, now) is None
            assert self.client.delete(key) == 0 or deadline + LAG > now, key

    def check_contents(self) -> None:
        """Assert that both keep the same keys, with the same content until the same instant."""
        self.engine.keyspace._check()
        expected, found = self.engine_contents(), self.redis_contents()
        keys = [key for key in expected.keys() | found if expected.get(key) != found.get(key)]
        assert not keys, str([(key, found.get(key), expected.get(key)) for key in keys])[:2000]

    def engine_contents(self) -> Contents:
        return {
            key: (type_name(value), _plain(value), deadline and -(-deadline // 1000))
            for key, value, deadline in self.engine.keyspace.items(self.clock())
        }

    def redis_contents(self) -> Contents:
        keys = list(self.client.scan_iter())
        with self.client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.type(key).pexpiretime(key)
            answers = pipeline.execute()
            kinds = [kind.decode() for kind in answers[::2]]
            for key, kind in zip(keys, kinds, strict=True):
                _ask_content(pipeline, kind, key)
            contents = pipeline.execute()
        deadlines = [deadline if deadline > 0 else None for deadline in answers[1::2]]
        return dict(zip(keys, zip(kinds, contents, deadlines, strict=True), strict=True))

    def close(self) -> None:
        self.run(self._store.close())
        self._runner.close()

    def _outcome(self, backend: Backend, call: Callable[[Backend], Awaitable[Any]]) -> Any:
        try:
            return self.run(call(backend))
        except EngineError as error:
            return error


def _ask_content(pipeline: Any, kind: str, key: bytes) -> None:
    match kind:
        case "string":
            pipeline.get(key)
        case "hash":
            pipeline.hgetall(key)
        case "zset":
            pipeline.zrange(key, 0, -1, withscores=True)
        case _:
            raise AssertionError(f"{key!r} is a {kind}")


def _plain(value: Value) -> object:
    if isinstance(value, SortedSet):
        return list(value)
    if isinstance(value, dict):
        return value
    assert isinstance(value, bytes | int | tuple)
    return text(value)


def _comparable(answer: Any) -> object:
    """Equal only where type and value are. Redis does not say of which type a wrong value is."""
    if isinstance(answer, WrongType):
        return WrongType
    if isinstance(answer, EngineError):
        return type(answer), str(answer), _comparable(vars(answer))
    if isinstance(answer, dict):
        return {name: _comparable(value) for name, value in answer.items()}
    if isinstance(answer, list | tuple):
        return type(answer), [_comparable(part) for part in answer]
    return repr(answer)  # tells 0.0 from -0.0, and 1 from 1.0 and True


@contextlib.contextmanager
def running_pair(server: RedisServer) -> Iterator[Pair]:
    """An engine beside the server, which goes by a clock of the test's."""
    with server.client() as client:
        pair = Pair(server, client)
        try:
            yield pair
        finally:
            pair.close()
