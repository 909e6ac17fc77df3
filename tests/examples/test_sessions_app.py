"""The app with sessions: log in, who am I, where else, log out here and everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.examples.conftest import Run


@contextmanager
def device(url: str, name: str) -> Iterator[httpx.Client]:
    """A browser that has logged in as ada."""
    with httpx.Client(base_url=url, headers={"User-Agent": name}) as client:
        assert client.post("/login", content="ada").status_code == 201
        yield client


def test_log_out_everywhere_ends_the_session_on_every_device(example: Run) -> None:
    url = example("sessions_app")
    with device(url, "phone") as phone, device(url, "laptop") as laptop:
        assert phone.get("/here").json()["user"] == "ada"
        sessions = laptop.get("/everywhere").json()["sessions"]
        assert [session["data"]["device"] for session in sessions] == ["phone", "laptop"]

        assert phone.delete("/everywhere").json() == {"ended": 2}
        assert [client.get("/here").status_code for client in (phone, laptop)] == [404, 404]
        assert laptop.get("/everywhere").status_code == 401


def test_log_out_here_leaves_the_others_alone(example: Run) -> None:
    url = example("sessions_app")
    with device(url, "phone") as phone, device(url, "laptop") as laptop:
        assert phone.delete("/here").status_code == 204
        assert phone.get("/here").status_code == 404
        assert laptop.get("/here").status_code == 200


def test_a_stranger_is_shown_the_way_in(example: Run) -> None:
    url = example("sessions_app")
    assert "Who are you?" in httpx.get(url).text
    assert httpx.get(f"{url}/everywhere").status_code == 401
    assert httpx.post(f"{url}/login", content="\n").status_code == 422


def test_scripts_and_other_sites_cannot_use_the_cookie(example: Run) -> None:
    cookie = httpx.post(f"{example('sessions_app')}/login", content="ada").headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie
