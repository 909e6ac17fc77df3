"""The numbers of Redis' RDB format, and the names of what we cannot hold.

    "REDIS" version(4 digits) | item … | EOF | checksum (8, little endian)

An item is an opcode with its operands, or a type, a key and a value. Lengths take one to
nine bytes; the two upper bits of the first say how many, or that the string to come is
stored as an integer or compressed.
"""

from __future__ import annotations

MAGIC = b"REDIS"
VERSION = 10
"""What Redis 7.0 writes: every Redis since, and every Valkey, reads it."""
READABLE = range(1, 13)
CHECKSUM_SINCE = 5
HEADER_SIZE = 9
CHECKSUM_SIZE = 8

# Opcodes
SLOT_INFO = 0xF4
IDLE = 0xF8
FREQUENCY = 0xF9
AUX = 0xFA
RESIZE = 0xFB
EXPIRE_MS = 0xFC
EXPIRE_SECONDS = 0xFD
SELECT = 0xFE
EOF = 0xFF

# Types
STRING = 0
ZSET = 3
HASH = 4
ZSET_2 = 5
HASH_ZIPMAP = 9
ZSET_ZIPLIST = 12
HASH_ZIPLIST = 13
STREAM_LISTPACKS = 15
HASH_LISTPACK = 16
ZSET_LISTPACK = 17
STREAM_LISTPACKS_2 = 19
STREAM_LISTPACKS_3 = 21

# How a string is stored when its first byte has both upper bits set
INT8 = 0xC0
INT16 = 0xC1
INT32 = 0xC2
COMPRESSED = 0xC3

UNSUPPORTED_TYPES = {
    1: "a list",
    2: "a set",
    6: "a value of a module",
    7: "a value of a module",
    10: "a list",
    11: "a set",
    14: "a list",
    18: "a list",
    20: "a set",
    22: "a hash whose fields expire",
    23: "a hash whose fields expire",
    24: "a hash whose fields expire",
    25: "a hash whose fields expire",
}

UNSUPPORTED_OPCODES = {
    0xF5: "a function library",
    0xF6: "a function library",
    0xF7: "the data of a module",
}
