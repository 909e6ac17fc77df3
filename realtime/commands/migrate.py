"""``realtime migrate``: from a data directory to a store, or back; and what its siblings share."""

from __future__ import annotations

import argparse
import sys

from realtime.commands import CommandError, settings_of
from realtime.settings import MEMORY, Settings
from realtime.shared_store import redis_options
from realtime.transfer.ends import TransferError
from realtime.transfer.layout import shown
from realtime.transfer.moving import Outcome, move
from realtime.transfer.places import Directory, Place, opened, place
from realtime.transfer.progress import Progress, interruptible

__all__ = ["carry", "of_settings", "run"]

DIFFERENT = 1


def run(parsed: argparse.Namespace) -> int:
    """Carry everything over, and compare."""
    try:
        source, target = place(parsed.source), place(parsed.target)
    except TransferError as error:
        raise CommandError(str(error)) from None
    return carry(source, target, settings_of(parsed), replace=parsed.replace)


def of_settings(parsed: argparse.Namespace) -> tuple[Settings, Place]:
    """Where the data of the service is: a flag wins over what else is configured."""
    if parsed.data is not None and parsed.store is not None:
        raise CommandError("say either --data or --store")
    settings = settings_of(parsed)
    try:
        if settings.store != MEMORY and parsed.data is None:
            return settings, place(settings.store)
    except TransferError as error:
        raise CommandError(str(error)) from None
    if settings.data is None:
        raise CommandError("there is no data directory: --data DIR, or --store URL")
    return settings, Directory(settings.data)


def carry(source: Place, target: Place, settings: Settings, *, replace: bool) -> int:
    """Move, tell how it went; the exit code. Raises CommandError."""
    if source == target:
        raise CommandError("the source and the target are the same")
    progress, options = Progress(sys.stderr), redis_options(settings)
    try:
        with (
            interruptible(progress),
            opened(source, options, progress.beat) as here,
            opened(target, options, progress.beat, to_be=True, replace=replace) as there,
        ):
            outcome = move(here, there, progress, replace=replace)
    except TransferError as error:
        raise CommandError(str(error)) from None
    _report(outcome)
    _warn(outcome)
    return 0 if outcome.equal else DIFFERENT


def _report(outcome: Outcome) -> None:
    rate = outcome.rows / max(outcome.copied_in, 1e-3)
    print(
        f"copied {outcome.keys:,} keys, {outcome.rows:,} rows "
        f"in {outcome.copied_in:.1f} s ({rate:,.0f} rows/s)"
    )
    print(f"source digest {outcome.compared.source}")
    print(f"target digest {outcome.compared.target}")
    if outcome.equal:
        print(f"equal, read anew in {outcome.compared_in:.1f} s")


def _warn(outcome: Outcome) -> None:
    compared = outcome.compared
    if compared.different:
        names = ", ".join(map(shown, compared.named))
        more = ", …" if compared.different > len(compared.named) else ""
        _say(f"keys that differ: {compared.different:,}: {names}{more}")
        _say("is a service still writing to one side? stop it, and run this again")
    if outcome.left_out:
        _say(f"keys that were left out, being none of ours: {outcome.left_out:,}")
    if outcome.surplus:
        what = "were removed" if outcome.removed else "stay"
        hint = "; --replace removes them" if outcome.equal and not outcome.removed else ""
        _say(f"keys of ours that only the target had, and that {what}: {outcome.surplus:,}{hint}")


def _say(sentence: str) -> None:
    print(f"realtime: {sentence}", file=sys.stderr)
