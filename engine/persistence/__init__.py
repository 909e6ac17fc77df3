"""Beside the engine: how what it holds is written down, and read back.

`rdb` is the door: values become the bytes of a Redis snapshot, and such bytes become values.
Nothing here opens a file, forks or waits; that is `realtime.snapshots`' part.
"""
