"""What becomes of connections whose token is revoked: they are closed at once.

Each node hears of every revocation and closes its own connections, with a code that keeps
clients from coming back by themselves: first the application has to get another token.
"""

from __future__ import annotations

from realtime.services.revocations import Kind, Revocation
from realtime.ws import codes
from realtime.ws.client import Client
from realtime.ws.clients import Clients

__all__ = ["close_revoked"]


def close_revoked(clients: Clients[Client], revocation: Revocation) -> None:
    """O(clients of the user); a single token is looked for among all clients of this node."""
    name = revocation.name
    if revocation.kind is Kind.CLIENT:
        client = clients.get(name)
        if client is not None:
            client.disconnect()
        return
    for client in clients.of(name) if revocation.kind is Kind.USER else clients:
        if not client.stands():
            client.disconnect(codes.CLOSE_INVALID_TOKEN)
