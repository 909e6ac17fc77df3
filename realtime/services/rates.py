"""How often may be published: the rates of namespaces, the same for whoever publishes.

A namespace may bound each of its channels (``publish_rate``), so that subscribers get no more
than they can take, and each user over all of its channels (``user_publish_rate``). Both are
token buckets in the store, so they hold over all nodes together; `engine.limits` does the sums.
A refusal spends nothing, and nothing is published.

They lie under rule names that begin with a NUL, as no rule of a user may. O(1): at most two
takes per publication. They are two steps, for a user and a channel lie in different slots of a
cluster: what the channel then refuses, the user has paid for.
"""

from __future__ import annotations

from functools import lru_cache

from realtime.backends.base import Buckets, Decision, TokenBucket
from realtime.backends.keys import bucket_key
from realtime.errors import TooManyRequests
from realtime.rate import Rate
from realtime.services.durations import microseconds
from realtime.services.names import name_bytes
from realtime.services.namespaces import Namespace

__all__ = ["CHANNEL_PUBLISH", "USER_PUBLISH", "PublishRates", "bucket_of", "wait_of"]

CHANNEL_PUBLISH, USER_PUBLISH = "channel_publish", "user_publish"
"""What the limits are called among the figures of the service."""


class PublishRates:
    """Whether one more publication may be made now."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets
        self.refusals = {CHANNEL_PUBLISH: 0, USER_PUBLISH: 0}
        """Limit -> how often it has refused, since the start of the process."""

    async def admit(self, namespace: Namespace, channel: bytes, user: str = "") -> None:
        """Count a publication. Who publishes without a name has no rate of their own.

        Raises TooManyRequests if it is one too many, and BackendUnavailable.
        """
        per_user, per_channel = namespace.user_publish_rate, namespace.publish_rate
        if per_user is not None and user:
            rule = b"\0publish:" + namespace.name.encode()
            key = bucket_key(rule, name_bytes("user", user))
            await self._take(USER_PUBLISH, key, per_user, "of a user here")
        if per_channel is not None:
            key = bucket_key(b"\0publish", channel)
            await self._take(CHANNEL_PUBLISH, key, per_channel, "on a channel here")

    async def _take(self, limit: str, key: bytes, rate: Rate, of_what: str) -> None:
        decision = await self._buckets.take(key, bucket_of(rate))
        if not decision.allowed:
            self.refusals[limit] += 1
            raise TooManyRequests(
                f"too many requests: at most {rate} publications {of_what}",
                retry_after=wait_of(decision),
            )


@lru_cache(maxsize=1024)
def bucket_of(rate: Rate) -> TokenBucket:
    """The rate as a rule: all of it at once if need be, and then evenly."""
    return TokenBucket(rate.limit, microseconds("per", rate.per), rate.limit)


def wait_of(decision: Decision) -> int:
    """Whole seconds after which what was refused can pass; at least one."""
    return max(1, -(-decision.retry_after // 1_000_000))
