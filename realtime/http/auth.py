"""Who asks, and may they: ``Authorization: Bearer <key>`` against the keys of the service.

While no key exists everybody may do everything (and the service listens on loopback only).
A missing or unknown key is 401, a key without the operation's scope 403. The token of a user
goes in the same place, with scopes in its claims.

There is no cache of keys that passed. Checking one is a hash and a look-up, about 1 µs; a
cache would keep secrets in memory and would have to learn of every revocation and expiry.
Likewise of tokens: verifying one takes 20 to 150 µs.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from realtime.access import Access, Principal
from realtime.errors import Forbidden, Unauthorized, Unavailable
from realtime.http.operation import Scope
from realtime.origins import is_local_host, is_local_origin
from realtime.tokens import TokenError, TokenKeysUnavailable

__all__ = ["admit", "admit_server", "check_scope"]

_SCHEME = b"bearer "


def admit(access: Access, headers: Mapping[bytes, bytes], scope: Scope | None) -> Principal:
    """Who asks. Raises Unauthorized, Forbidden and, where nobody can say yet, Unavailable."""
    if access.open:
        return _anybody(access, headers)
    credentials = headers.get(b"authorization", b"")
    if credentials[:7].lower() != _SCHEME:
        raise Unauthorized("this needs a key: Authorization: Bearer <key>")
    return _bearer(access, credentials[7:].strip(), scope)


def admit_server(access: Access, headers: Mapping[bytes, bytes], scope: Scope | None) -> Principal:
    """As `admit`, of a request that may say its key in other ways: ``X-API-Key: <key>``, which
    counts before all others, and ``Authorization: apikey <key>``."""
    if access.open:
        return _anybody(access, headers)
    credentials = headers.get(b"x-api-key")
    if credentials is None:
        scheme, _, credentials = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() not in (b"apikey", b"bearer"):
            raise Unauthorized("this needs a key: X-API-Key: <key>")
    return _bearer(access, credentials.strip(), scope)


def _anybody(access: Access, headers: Mapping[bytes, bytes]) -> Principal:
    """Who asks an open service. Raises Forbidden."""
    reason = _foreign(headers.get(b"host", b"localhost"), headers.get(b"origin"))
    if reason is not None:
        raise Forbidden(reason)
    return access.anonymous


def _bearer(access: Access, credentials: bytes, scope: Scope | None) -> Principal:
    """Whose key or token this is. Raises Unauthorized, Forbidden and Unavailable."""
    try:
        caller = access.principal(credentials)
    except TokenKeysUnavailable as error:
        raise Unavailable(str(error)) from None
    except TokenError as error:
        raise Unauthorized(str(error)) from None
    if caller is None:
        raise Unauthorized("this key is not known, or no longer")
    check_scope(caller, scope)
    return caller


@lru_cache(maxsize=256)
def _foreign(host: bytes, origin: bytes | None) -> str | None:
    """Why a request may be that of a stranger's page, to which a browser lends its way to us.

    The cache is for speed: nearly every request of a client has the same two headers.
    """
    if not is_local_host(host.decode("latin-1")):
        return "while no API key exists, the service answers to names of this machine"
    if origin is not None and not is_local_origin(origin.decode("latin-1")):
        return "while no API key exists, only pages of this machine may do this"
    return None


def check_scope(caller: Principal, scope: Scope | None) -> None:
    """Raises Forbidden unless the caller's key or token covers the scope."""
    if scope is not None and not caller.may(*scope):
        what = "token" if caller.is_user else "key"
        raise Forbidden(f"this {what} lacks the scope {scope}")
