"""The data in a Redis or Valkey that several processes share, as the settings want it used."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from importlib import import_module

from realtime.backends.redis.address import parse
from realtime.backends.redis.dial import Credentials, Options
from realtime.backends.redis.store import RedisStore
from realtime.metrics import Probe
from realtime.settings import Settings, SettingsError

__all__ = ["SharedStore", "redis_options"]


def redis_options(settings: Settings) -> Options:
    """How the settings want a Redis to be used. Raises SettingsError."""
    return Options(
        timeout=settings.store_timeout,
        wait=settings.store_wait,
        presence_ttl=settings.presence_ttl,
        ca_file=settings.store_ca_file,
        cert_file=settings.store_cert_file,
        key_file=settings.store_key_file,
        credentials=_credentials(settings.store_credentials),
    )


class SharedStore:
    """A Redis or Valkey, which looks after its own disk."""

    gate = None
    snapshots = None
    backups = None

    def __init__(self, settings: Settings) -> None:
        self._store = RedisStore(parse(settings.store), redis_options(settings))
        self.backend = self._store.backend

    async def load(self, progress: Callable[[str], None]) -> str:
        amiss = await self._store.start()
        where = str(self._store.address)
        return where if amiss is None else f"{where}, which is away: {amiss}"

    def background(self) -> list[Coroutine[object, object, None]]:
        return []  # the store looks after itself

    def tick(self) -> None:
        """Nothing here expires in this process."""

    def probes(self) -> list[Probe]:
        store = self._store
        return [
            Probe(
                "store_up",
                "Whether every master of the store can be reached: 1, or 0.",
                lambda: float(store.is_up),
            ),
            Probe(
                "store_lost_connections",
                "Connections to the store that were lost.",
                lambda: store.figures.losses,
                counts=True,
            ),
            Probe(
                "store_commands",
                "Commands and scripts sent to the store.",
                lambda: store.figures.questions,
                counts=True,
            ),
            Probe(
                "store_pipelines",
                "Writes in which they left; commands per pipeline are the round trips saved.",
                lambda: store.figures.pipelines,
                counts=True,
            ),
            Probe(
                "store_lost_channels",
                "Channels whose subscribers had to recover, since something may be missing.",
                lambda: store.figures.lost_channels,
                counts=True,
            ),
        ]

    async def close(self) -> None:
        await self._store.close()


def _credentials(name: str | None) -> Credentials | None:
    if name is None:
        return None
    module, _, function = name.partition(":")
    try:
        found: Credentials = getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"store_credentials: {error}") from None
    return found
