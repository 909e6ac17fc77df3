"""What the admin is shown of the classes of channels."""

from __future__ import annotations

from engine.clock import ManualClock
from realtime.embedded import Embedded
from realtime.services import Services
from realtime.settings import Settings
from tests.http.conftest import House, serve


async def test_without_a_table_the_defaults_are_shown(house: House) -> None:
    shown = (await house.http.get("/v1/admin/namespaces")).json()
    assert shown["strict"] is False
    (default,) = shown["namespaces"]
    assert (default["name"], default["prefix"], default["history_size"]) == ("", "", 100)


async def test_every_option_is_shown_as_it_ended_up() -> None:
    orders = {
        "prefix": "orders.",
        "history_ttl": "1h",
        "subscribe": "users",
        "slow": "drop-oldest",
        "publish_rate": "50/s",
    }
    settings = Settings(namespace_tables={"orders": orders}, strict_namespaces=True)
    clock = ManualClock()
    services = Services.on(Embedded(clock).services.backend, settings.namespaces())
    async with serve(services, clock) as house:
        shown = (await house.http.get("/v1/admin/namespaces")).json()
    assert shown["strict"] is True
    assert shown["namespaces"][1] == {
        "name": "orders",
        "prefix": "orders.",
        "history_size": 100,
        "history_ttl": 3600.0,
        "recovery": "stream",
        "presence": True,
        "join_leave": False,
        "subscribe": "users",
        "publish": "nobody",
        "read_history": "token",
        "read_presence": "token",
        "delta": False,
        "wildcards": False,
        "slow": "drop-oldest",
        "publish_rate": "50/1s",
        "user_publish_rate": None,
        "message_bytes": 65_536,
    }
