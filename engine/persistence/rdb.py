"""Snapshots in Redis' own file format, both ways: RDB version 10, with its checksum.

    for chunk in write(keyspace.items(now), About(created_at=now)): file.write(chunk)
    for key, value, deadline in read(file): keyspace.put(key, value, deadline)

So nobody is locked in: `redis-server` loads what we write, and we load what it wrote, as far
as the engine has the types. Neither direction ever holds the file in memory.

How the package is cut, from the outside inwards:

    writer  reader        items <-> chunks; the order of things in the file
    values  streams       one value; sorted sets and streams have their own shapes
    listpack packed lzf   blobs inside values: today's, Redis before 7, compressed
    source  encoding      lengths and strings, with every bound checked; checksum
    format  errors crc64  numbers, names, words

Strings may come back held otherwise (b"7" as 7 and the reverse); their text is the same.
"""

from __future__ import annotations

from engine.persistence.crc64 import Crc, crc64
from engine.persistence.errors import Damaged, RdbError, Unsupported
from engine.persistence.reader import read
from engine.persistence.writer import About, Item, write

__all__ = ["About", "Crc", "Damaged", "Item", "RdbError", "Unsupported", "crc64", "read", "write"]
