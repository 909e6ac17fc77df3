"""Finding what answers a path."""

from __future__ import annotations

import pytest

from realtime.errors import MethodNotAllowed, NotFound
from realtime.http.router import Router

ROUTES = [
    ("GET", "/limits/{rule}"),
    ("PUT", "/limits/{rule}"),
    ("POST", "/limits/take"),
    ("POST", "/limits/{rule}/take"),
    ("GET", "/limits/{rule}/keys/{key}"),
    ("POST", "/limits/take/now"),
]


@pytest.fixture
def router() -> Router[str]:
    router: Router[str] = Router()
    for method, template in ROUTES:
        router.add(method, template, f"{method} {template}")
    return router


@pytest.mark.parametrize(
    ("method", "path", "target", "names"),
    [
        ("GET", "/limits/login", "GET /limits/{rule}", ["login"]),
        ("HEAD", "/limits/login", "GET /limits/{rule}", ["login"]),
        ("POST", "/limits/take", "POST /limits/take", []),
        ("PUT", "/limits/take", "PUT /limits/{rule}", ["take"]),
        ("POST", "/limits/take/take", "POST /limits/{rule}/take", ["take"]),
        ("POST", "/limits/take/now", "POST /limits/take/now", []),
        ("GET", "/limits/take/keys/keys", "GET /limits/{rule}/keys/{key}", ["take", "keys"]),
        ("GET", "/limits/{rule}", "GET /limits/{rule}", ["{rule}"]),
    ],
)
def test_a_literal_wins_only_where_it_leads_somewhere(
    router: Router[str], method: str, path: str, target: str, names: list[str]
) -> None:
    assert router.find(method, path.split("/")) == (target, names)


@pytest.mark.parametrize(
    "path",
    ["", "/", "/limits", "/limits/", "/limits//take", "/limits/a/b", "/limits/a/keys/", "/x"],
)
def test_what_no_template_matches_is_not_found(router: Router[str], path: str) -> None:
    with pytest.raises(NotFound):
        router.find("GET", path.split("/"))


def test_another_method_is_told_what_is_allowed(router: Router[str]) -> None:
    with pytest.raises(MethodNotAllowed) as refused:
        router.find("DELETE", ["", "limits", "take"])
    assert refused.value.allowed == "GET, HEAD, OPTIONS, POST, PUT"


def test_a_route_is_declared_once(router: Router[str]) -> None:
    with pytest.raises(AssertionError):
        router.add("GET", "/limits/{name}", "again")


def test_looking_does_not_cost_more_for_a_path_of_many_segments(router: Router[str]) -> None:
    with pytest.raises(NotFound):
        router.find("GET", ["", "limits", *["take"] * 100_000])
