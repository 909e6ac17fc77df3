"""What the doors must know of the service as a whole: may they let anybody in?"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ServiceState"]


@dataclass(slots=True)
class ServiceState:
    """Changed by the composition root only."""

    ready: bool = False
    """Everything is loaded, and we are not on our way out."""
    leaving: bool = False
    """We are about to end: what is under way is finished, and others take what is new."""
    reason: str = "loading"
    """Why it is not ready, for a person."""
    amiss: str = ""
    """What does not work although it is ready, for a person; empty if everything does."""
