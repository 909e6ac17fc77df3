"""From what was written on the command line to a place, opened.

redis://…, rediss://…, …    a store, see `realtime.backends.redis.address`
anything else               the data directory of a service that is stopped
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from realtime.backends.redis.address import Address, AddressError, parse
from realtime.backends.redis.dial import Options
from realtime.settings import MEMORY
from realtime.transfer import snapshot
from realtime.transfer.ends import TransferError
from realtime.transfer.progress import Beat
from realtime.transfer.redis import Redis
from realtime.transfer.snapshot import Snapshot
from realtime.transfer.store import connected

__all__ = ["Directory", "File", "Place", "opened", "place"]


class Directory(NamedTuple):
    """The data directory of a service."""

    path: Path


class File(NamedTuple):
    """A snapshot by itself."""

    path: Path


Place = Address | Directory | File


def place(written: str) -> Address | Directory:
    """What was written on the command line. Raises TransferError."""
    if "://" not in written:
        return Directory(Path(written))
    if written == MEMORY:
        raise TransferError(f"{MEMORY} is gone with its process; name its data directory instead")
    try:
        return parse(written)
    except AddressError as error:
        raise TransferError(str(error)) from None


@contextmanager
def opened(
    place: Place,
    options: Options,
    beat: Beat,
    *,
    to_be: bool = False,
    replace: bool = False,
) -> Iterator[Redis | Snapshot]:
    """A place to read from; or one ``to_be`` written. Raises TransferError.

    What it holds is replaced as a whole only where it is a snapshot, and only if allowed."""
    if isinstance(place, Address):
        with connected(place, options) as store:
            yield Redis(store, beat)
    elif isinstance(place, Directory):
        with snapshot.directory(place.path, _clock, to_be=to_be, replace=replace) as found:
            yield found
    else:
        yield snapshot.file(place.path, _clock, to_be=to_be, replace=replace)


def _clock() -> int:
    return time.time_ns() // 1000
