"""``realtime serve``: the last checks before the doors open, then the service itself."""

from __future__ import annotations

import argparse
import functools

from realtime import logs
from realtime.access import Access
from realtime.commands import CommandError, settings_of
from realtime.keyfile import KeyFileError
from realtime.settings import OPTIONS, Settings
from realtime.tokens import Tokens

__all__ = ["run"]


def run(parsed: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    settings = settings_of(parsed)
    check_access(settings)
    logs.configure(settings.log_level, settings.log_format)
    from realtime.app import serve  # only now: it takes longer than all that came before
    from realtime.snapshots import DirectoryInUse, SnapshotError

    try:
        serve(settings, functools.partial(print, flush=True))
    except (DirectoryInUse, SnapshotError) as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        raise CommandError(_reason(error, settings)) from None
    return 0


def check_access(settings: Settings) -> None:
    """Refuse to stand open to the network. Raises CommandError."""
    path = settings.keys_path
    if settings.keys_file is not None and not settings.keys_file.exists():
        raise CommandError(f"there is no keys file {path}; make a key with {_how_to(settings)}")
    try:
        access = Access(path, tokens=Tokens.of(settings))
    except KeyFileError as error:
        raise CommandError(str(error)) from None
    if access.empty and not settings.is_loopback:
        raise CommandError(
            f"{settings.host} can be reached from elsewhere and there is no API key: make one with "
            f"{_how_to(settings)}, or listen on 127.0.0.1"
        )


def _how_to(settings: Settings) -> str:
    """The command that makes a key where this service will look for it."""
    where = ""
    if settings.keys_path is None:
        where = " --keys-file PATH"
    elif settings.keys_file is not None:
        where = f" --keys-file {settings.keys_file}"
    elif settings.data != OPTIONS["data"].default:
        where = f" --data {settings.data}"
    return f"`realtime keys create{where} --name NAME --scope SCOPE`"


def _reason(error: OSError, settings: Settings) -> str:
    """What to say of a system call that failed: nearly always the address."""
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}"
