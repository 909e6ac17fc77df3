"""Servers of a test's own, for tests that kill, hold or configure them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.redis.cluster import Cluster, running_cluster
from tests.redis.network import Proxy, proxied
from tests.redis.pair import Pair, running_pair
from tests.redis.sentinel import Sentinels, running_sentinels
from tests.redis.servers import RedisServer, running_redis
from tests.redis.tls import Certificate


@pytest.fixture
def pair(frozen_redis: RedisServer) -> Iterator[Pair]:
    """Both backends at one clock."""
    with running_pair(frozen_redis) as pair:
        yield pair


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """In real time."""
    with running_redis(tmp_path / "server") as server:
        yield server


@pytest.fixture
async def proxy(server: RedisServer) -> AsyncIterator[Proxy]:
    """A wire to ``server``."""
    async with proxied(server.port) as proxy:
        yield proxy


@pytest.fixture
def sentinels(tmp_path: Path) -> Iterator[Sentinels]:
    with running_sentinels(tmp_path) as sentinels:
        yield sentinels


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with running_cluster(tmp_path) as cluster:
        yield cluster


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return Certificate.make(tmp_path)


@pytest.fixture
def tls_server(tmp_path: Path, certificate: Certificate) -> Iterator[RedisServer]:
    """Its clients must trust ``certificate``, and need none of their own."""
    with running_redis(tmp_path / "tls", *certificate.options(), tls=True) as server:
        yield server


@pytest.fixture
def acl_server(tmp_path: Path) -> Iterator[RedisServer]:
    """Lets in the user ``app`` with the password ``p:s/w@rd``, and nobody else."""
    user = ("--user", "app", "on", ">p:s/w@rd", "~*", "&*", "+@all")
    nobody = ("--user", "default", "off")
    with running_redis(tmp_path / "acl", *user, *nobody) as server:
        yield server
