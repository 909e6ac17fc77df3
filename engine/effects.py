"""What happened, in Redis' words, told to whoever asked to hear it.

A verb that changed something announces its *effect*: a Redis command with final values
and absolute deadlines (``SET k v PXAT t``, never ``EXPIRE k 10``; the popped member,
never "pop one"). Replaying the effects in order on an empty engine gives the same state,
whatever the clock says then. Verbs that changed nothing announce nothing.

Most engines have no listener, and building a command costs more than many verbs, so a
verb writes ``if effects.listeners: effects.emit(...)`` and always counts the change.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Effect", "Effects", "Listener"]

Effect = tuple[bytes, ...]
Listener = Callable[[Effect], None]


class Effects:
    """The stream of effects. ``changes`` counts them, also while nobody listens."""

    __slots__ = ("changes", "listeners")

    def __init__(self) -> None:
        self.changes = 0
        self.listeners: tuple[Listener, ...] = ()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` at every effect, in order, before the verb returns.

        Answers the function that ends it. A listener must not call the engine.
        """
        self.listeners = (*self.listeners, listener)

        def unlisten() -> None:
            self.listeners = tuple(other for other in self.listeners if other is not listener)

        return unlisten

    def emit(self, *effect: bytes) -> None:
        for listener in self.listeners:
            listener(effect)
