"""A place: the masters of a Redis or Valkey, one or many."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from itertools import islice

from realtime.transfer.ends import Item
from realtime.transfer.layout import TEMPORARY, is_ours, stays
from realtime.transfer.progress import Beat
from realtime.transfer.reading import BATCH, UnknownType, read, scan
from realtime.transfer.store import Store
from realtime.transfer.writing import put, unlink

__all__ = ["Redis"]


class Redis:
    """Both `Source` and `Target`."""

    steady = False

    def __init__(self, store: Store, beat: Beat) -> None:
        """``beat`` is called often while a large value is on the way."""
        self._store = store
        self._beat = beat
        self.left_out = 0

    def __str__(self) -> str:
        return str(self._store)

    def clock(self) -> int:
        return self._store.clock()

    def items(self) -> Iterator[Item]:
        self.left_out = 0
        return self._read(self._names())

    def write(self, items: Iterable[Item], keys: int) -> None:
        for item in items:
            put(self._store.home(item[0]), item, self._beat)
        self._settle()

    def read_back(self, keys: Iterable[bytes]) -> Iterator[Item]:
        return self._read(keys)

    def surplus(self, keys: Container[bytes], *, remove: bool) -> int:
        """Removes what a killed run has left, too."""
        found = set()
        for key in scan(self._store):
            if key.startswith(TEMPORARY) and is_ours(key.removeprefix(TEMPORARY)):
                unlink(self._store.home(key), key)
            elif is_ours(key) and key not in keys:
                found.add(key)
                if remove:
                    unlink(self._store.home(key), key)
        self._settle()
        return len(found)

    def _names(self) -> Iterator[bytes]:
        """Each once: SCAN may repeat one, and a slot that moves is on two servers for a while."""
        seen = set()
        for key in scan(self._store):
            if key in seen:
                continue
            if is_ours(key):
                seen.add(key)
                yield key
            elif not stays(key):
                self.left_out += 1

    def _read(self, keys: Iterable[bytes]) -> Iterator[Item]:
        names = iter(keys)
        while batch := list(islice(names, BATCH)):
            for item in read(self._store, batch, self._beat):
                if isinstance(item, UnknownType):
                    self.left_out += 1
                else:
                    yield item

    def _settle(self) -> None:
        for server in self._store.servers:
            server.settle()
