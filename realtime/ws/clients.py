"""Who is connected here: every client of this process, by id, user and session.

Commands, close codes and channels are the clients' own business; this is where others find
them. All of it is dictionaries: entering, leaving and finding one are O(1), and finding those
of a user is O(its clients). The empty user is that of everybody who has not said who they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

__all__ = ["Clients", "Identified"]


class Identified(Protocol):
    """A connected client, as far as the registry looks at it."""

    id: str
    user: str
    session: str
    """Of a client whose commands come apart from it; a secret, or empty."""


C = TypeVar("C", bound=Identified)


class Clients(Generic[C]):
    """The clients that have connected and not yet departed."""

    __slots__ = ("_by_id", "_by_session", "_by_user")

    def __init__(self) -> None:
        self._by_id: dict[str, C] = {}
        self._by_user: dict[str, dict[str, C]] = {}
        self._by_session: dict[str, C] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[C]:
        """A copy of now: whoever is told something may leave by it."""
        return iter(list(self._by_id.values()))

    @property
    def users(self) -> int:
        """How many users have a client here; all those without a name count as one."""
        return len(self._by_user)

    def enter(self, client: C) -> None:
        self._by_id[client.id] = client
        self._by_user.setdefault(client.user, {})[client.id] = client
        if client.session:
            self._by_session[client.session] = client

    def exit(self, client: C) -> None:
        del self._by_id[client.id]
        self._by_session.pop(client.session, None)
        of_user = self._by_user[client.user]
        del of_user[client.id]
        if not of_user:
            del self._by_user[client.user]

    def get(self, client: str) -> C | None:
        """The client with that id, if it is connected here."""
        return self._by_id.get(client)

    def by_session(self, session: str) -> C | None:
        """The client of a session, if it is connected here."""
        return self._by_session.get(session)

    def of(self, user: str) -> list[C]:
        """The clients of a user, the longest connected first."""
        return list(self._by_user.get(user, {}).values())

    def count(self, user: str) -> int:
        """How many clients a user has here. O(1)."""
        return len(self._by_user.get(user, {}))
