"""What clients ask a Redis for, of the types that the engine has too."""

from __future__ import annotations

import random
from collections.abc import Iterator

from engine.clock import SECOND

__all__ = ["FAR", "commands"]

FAR = 4_000_000_000_000_000
"""The year 2096: deadlines from here on are ahead of the server's wall clock."""


def commands(draw: random.Random) -> Iterator[tuple[object, ...]]:
    """Anything that clients may ask for of our types; some of it is refused."""
    s, h, z, c = (f"{kind}{draw.randrange(3)}" for kind in "shzc")
    anything = draw.choice([s, h, z, c])
    n, m = draw.randrange(9), draw.randrange(9)
    ms, at = FAR // 1000 + n, FAR // SECOND + n
    choices: list[tuple[object, ...]] = [
        ("SET", s, n), ("SET", s, "text", "PXAT", ms), ("SET", s, m, "EX", 10**8),
        ("SET", s, n, "KEEPTTL"), ("SET", s, n, "NX"), ("SET", s, n, "XX", "GET"),
        ("set", s, "lower"), ("SETNX", s, n), ("SETEX", s, 10**8, m), ("PSETEX", s, 10**11, m),
        ("MSET", s, n, "s9", m), ("MSETNX", "s7", n, "s8", m), ("GETSET", s, m), ("GETDEL", s),
        ("GETEX", s, "EXAT", at), ("GETEX", s, "PERSIST"), ("APPEND", s, m),
        ("SETRANGE", s, n, "xy"), ("INCR", s), ("DECR", s), ("INCRBY", s, n), ("DECRBY", s, m),
        ("INCRBYFLOAT", s, n / 7), ("DEL", anything, s), ("UNLINK", anything),
        ("PEXPIREAT", anything, ms), ("EXPIREAT", anything, at, draw.choice(["NX", "XX", "GT"])),
        ("EXPIRE", anything, 10**8 + n), ("PEXPIRE", anything, 10**11 + m, "LT"),
        ("PERSIST", anything), ("RENAME", h, f"h{m % 3}"), ("RENAMENX", z, "z9"),
        ("COPY", anything, anything + "c", "REPLACE"), ("COPY", c, "cc"),
        ("HSET", h, n, m, "f", n), ("HMSET", h, m, n), ("HSETNX", h, n, m), ("HDEL", h, n, m),
        ("HINCRBY", h, n, m), ("HINCRBYFLOAT", h, n, 0.1), ("ZADD", z, n, m, "1.5e3", "x"),
        ("ZADD", z, "NX", n, m), ("ZADD", z, "XX", "CH", n, m), ("ZADD", z, "GT", n, m),
        ("ZADD", z, "LT", n, m), ("ZADD", z, "INCR", n, m), ("ZADD", z, "-inf", m, "+inf", n),
        ("ZADD", z, "0x1f", "hex"), ("ZINCRBY", z, n / 3, m), ("ZREM", z, n, m),
        ("ZREMRANGEBYRANK", z, -2, -1), ("ZREMRANGEBYSCORE", z, f"({n}", m),
        ("ZREMRANGEBYLEX", "lex", f"[{n}", f"({m}"), ("ZADD", "lex", 0, n, 0, m),
        ("ZPOPMIN", z), ("ZPOPMAX", z, 2), ("ZMPOP", 1, z, "MIN"), ("GEOADD", "geo", n, m, n),
        ("ZUNIONSTORE", "u", 2, z, f"z{m % 3}", "WEIGHTS", n, 0.5, "AGGREGATE", "MAX"),
        ("ZUNIONSTORE", z, 3, z, "u", "lex"), ("ZINTERSTORE", "i", 2, z, "u", "AGGREGATE", "MIN"),
        ("ZINTERSTORE", "i2", 2, "u", f"z{n % 3}", "WEIGHTS", 0, "-inf"),
        ("ZDIFFSTORE", "d", 2, z, "i"),
        ("ZRANGESTORE", "r", z, n - 4, m - 4), ("ZRANGESTORE", "r", z, n - 4, m - 4, "REV"),
        ("ZRANGESTORE", "q", z, f"({n}", "+inf", "BYSCORE", "LIMIT", m % 3, n - 1),
        ("ZRANGESTORE", "q", "u", "+inf", n, "BYSCORE", "REV", "LIMIT", m % 2, 3),
        ("ZRANGESTORE", "q", "lex", f"[{n}", "+", "BYLEX"),
        ("ZRANGESTORE", "q", "lex", f"({m}", "-", "REV", "BYLEX", "LIMIT", 0, -1),
        ("XADD", c, "*", "a", n), ("XADD", c, "MAXLEN", "~", 3, "*", "a", n, "b", m),
        ("XADD", c, "MAXLEN", "=", 4, "*", "a", n), ("XADD", c, "NOMKSTREAM", "*", "d", n),
        ("XADD", c, "MINID", "1", "*", "a", n), ("XTRIM", c, "MAXLEN", 2), ("XTRIM", c, "MINID", 5),
        ("XSETID", c, "99999999999999-0", "ENTRIESADDED", 100, "MAXDELETEDID", "5-5"),
        ("EVAL", "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('INCR', KEYS[1])", 1, s, n),
    ]  # fmt: skip
    yield draw.choice(choices)
    if n == 0:
        yield ("XDEL", c, *(draw.choice(["1-1", "99999999999999-1"]) for _ in range(2)))
