"""Rate limits for anybody's app: see `realtime.middleware.ratelimit`.

For whole apps there is `RateLimitMiddleware`, for single endpoints `EndpointLimits`, and for apps
that are not ASGI `realtime.middleware.wsgi`.
"""

from __future__ import annotations

from realtime.middleware.clients import client_address
from realtime.middleware.endpoints import EndpointLimits
from realtime.middleware.limiter import EmbeddedLimiter, Limiter
from realtime.middleware.messages import Messages
from realtime.middleware.ratelimit import RateLimitMiddleware
from realtime.middleware.remote import RemoteLimiter
from realtime.middleware.rules import Rule
from realtime.middleware.store import StoreLimiter
from realtime.services.limits import Penalty, Tier

__all__ = [
    "EmbeddedLimiter",
    "EndpointLimits",
    "Limiter",
    "Messages",
    "Penalty",
    "RateLimitMiddleware",
    "RemoteLimiter",
    "Rule",
    "StoreLimiter",
    "Tier",
    "client_address",
]
