"""Rate limits for anybody's Starlette or FastAPI app: see `realtime.middleware.ratelimit`."""

from __future__ import annotations

from realtime.middleware.clients import client_address
from realtime.middleware.limiter import EmbeddedLimiter, Limiter
from realtime.middleware.ratelimit import RateLimitMiddleware
from realtime.middleware.remote import RemoteLimiter
from realtime.middleware.rules import Rule
from realtime.middleware.store import StoreLimiter

__all__ = [
    "EmbeddedLimiter",
    "Limiter",
    "RateLimitMiddleware",
    "RemoteLimiter",
    "Rule",
    "StoreLimiter",
    "client_address",
]
