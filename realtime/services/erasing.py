"""The head of a packed board when somebody is taken out of it.

Everything the head knows is of blocks, so one who leaves moves what stands behind him: their
indices by one, and their dense ranks if nobody else had his score. Blocks stay where they are; one
that becomes empty keeps the score that it began with, which is in order still.

Pure. O(blocks).
"""

from __future__ import annotations

from array import array

from realtime.services.packing import Head

__all__ = ["head_without"]


def head_without(
    head: Head, place: tuple[int, int], keys: array[float], last: float, mark: int
) -> Head:
    """``place``: the block, whose scores are ``keys``, and the index in it. ``last``: the key of
    the worst entry then."""
    number, at = place
    index, key = head.befores[number] + at, keys[at]
    is_alone = not _is_shared(head, number, keys, at)
    after = head._replace(
        total=head.total - 1,
        last=last,
        firsts=head.firsts[:],
        starts=head.starts[:],
        denses=head.denses[:],
        befores=head.befores[:],
        block_marks=head.block_marks[:],
        bucket_marks=head.bucket_marks[:],
        mark=mark,
    )
    if at == 0 and len(keys) > 1 and keys[1] != key:
        after.firsts[number], after.starts[number] = keys[1], index
        after.denses[number] += 0 if is_alone else 1
    for behind in range(number + 1, len(head.firsts)):
        after.befores[behind] -= 1
        if head.starts[behind] > index:
            after.starts[behind] -= 1
            after.denses[behind] -= is_alone
    return after


def _is_shared(head: Head, number: int, keys: array[float], at: int) -> bool:
    """Whether somebody else has the same score: only neighbours can."""
    key, last = keys[at], len(keys) - 1
    if (at > 0 and keys[at - 1] == key) or (at < last and keys[at + 1] == key):
        return True
    if at == 0 and head.starts[number] < head.befores[number]:
        return True
    index = head.befores[number] + at
    return at == last and index < head.total - 1 and head.firsts[head.block_at(index + 1)] == key
