"""File systems that only one process sees: small ones, and such as may not be written to.

The process is started in a mount namespace of its own, so nothing has to be tidied up. That
needs root, or a system that lets users be root in a namespace of their own.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support import require

__all__ = ["remounted", "with_tmpfs"]


def with_tmpfs(folder: Path, size: str) -> Sequence[str]:
    """What to put before a command that is to find an empty file system of this size there."""
    return _within(f'mount -t tmpfs -o size={size},mode=700 none "$0"', folder)


def remounted(folder: Path, option: str) -> Sequence[str]:
    """What to put before a command that is to find the folder mounted with an option."""
    return _within(f'mount --bind "$0" "$0" && mount -o remount,bind,{option} "$0"', folder)


def _within(mount: str, folder: Path) -> Sequence[str]:
    prefix = [require("unshare"), "-rm", "sh", "-c", f'{mount} && exec "$@"', str(folder)]
    tried = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no file system may be mounted here: {tried.stderr.strip()}")
    return prefix
