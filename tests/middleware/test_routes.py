"""Which entry of the table a request belongs to; Starlette's own router is the judge."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from realtime.middleware.routes import Routes

TEMPLATES = [
    "/",
    "/items",
    "/items/{id}",
    "/items/{id:int}",
    "/items/{id}/reviews",
    "/items/new",
    "/items/{id}/reviews/{review}",
    "/users/@{name}",
    "/users/{id:uuid}",
    "/prices/{value:float}",
    "/files/{rest:path}",
    "/files/{rest:path}/edit",
    "/files/readme",
    "/{page}",
]


def table(*templates: str) -> Routes[str]:
    return Routes({template: template for template in templates})


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/", "/"),
        ("/items", "/items"),
        ("/items/7", "/items/{id:int}"),
        ("/items/x", "/items/{id}"),
        ("/items/new", "/items/new"),
        ("/items/new/reviews", "/items/{id}/reviews"),
        ("/items/7/reviews", "/items/{id}/reviews"),
        ("/items/7/reviews/8", "/items/{id}/reviews/{review}"),
        ("/items/7/reviews/8/9", None),
        ("/items/7/prices", None),
        ("/items/", None),
        ("/Items/7", None),
        ("/users/@ada", "/users/@{name}"),
        ("/users/@", None),
        ("/users/ada", None),
        ("/users/6a2f41a3-c54c-fce8-32d2-0324e1c32e22", "/users/{id:uuid}"),
        ("/prices/9.99", "/prices/{value:float}"),
        ("/prices/cheap", None),
        ("/files/a/b/c", "/files/{rest:path}"),
        ("/files/", "/files/{rest:path}"),
        ("/files/a/b/edit", "/files/{rest:path}/edit"),
        ("/files/readme", "/files/readme"),
        ("/about", "/{page}"),
        ("//", None),
        ("", None),
    ],
)
def test_the_most_specific_template_wins(path: str, template: str | None) -> None:
    assert table(*TEMPLATES).find("GET", path) == template


def test_the_order_of_the_table_makes_no_difference_between_kinds() -> None:
    forwards, backwards = table(*TEMPLATES), table(*reversed(TEMPLATES))
    for path in ("/items/7", "/items/x", "/items/new", "/files/a/edit", "/files/readme", "/x"):
        assert forwards.find("GET", path) == backwards.find("GET", path)


segments = st.sampled_from(["items", "7", "new", "reviews", "users", "@ada", "files", "edit", ""])
paths = st.lists(segments | st.text(max_size=3), max_size=5).map(
    lambda parts: "/" + "/".join(parts)
)


async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    """An endpoint that is never called."""


@given(path=paths | paths.map(lambda path: path + "\n"))
def test_what_starlette_routes_to_a_template_belongs_to_it(path: str) -> None:
    """Each template alone, so that it does not matter which of several wins."""
    scope: Scope = {"type": "http", "method": "GET", "path": path, "root_path": ""}
    for template in TEMPLATES:
        matches = Route(template, nowhere).matches(scope)[0] == Match.FULL
        if matches:
            assert table(template).find("GET", path) == template


@given(path=paths)
def test_what_belongs_to_a_template_starlette_routes_there(path: str) -> None:
    """So that nobody's budget is spent by a request that goes elsewhere."""
    scope: Scope = {"type": "http", "method": "GET", "path": path, "root_path": ""}
    for template in TEMPLATES:
        if "\n" not in path and table(template).find("GET", path) == template:
            assert Route(template, nowhere).matches(scope)[0] == Match.FULL


def test_a_newline_at_the_end_does_not_lead_around_a_literal() -> None:
    routes = table("/login", "/a/{b}/c", "/x/{n:int}", "/{rest:path}")
    assert routes.find("POST", "/login\n") == "/login"
    assert routes.find("POST", "/a/1/c\n") == "/a/{b}/c"
    assert routes.find("POST", "/x/1\n") == "/x/{n:int}"


def test_an_entry_for_the_method_wins_over_one_for_all() -> None:
    routes = Routes({"/login": "all", "POST /login": "post", "*": "rest", "DELETE *": "delete"})
    assert routes.find("POST", "/login") == "post"
    assert routes.find("GET", "/login") == "all"
    assert routes.find("GET", "/elsewhere") == "rest"
    assert routes.find("DELETE", "/elsewhere") == "delete"


def test_an_entry_for_another_method_leaves_the_way_to_less_specific_ones_open() -> None:
    routes = Routes({"POST /items/{id}": "post", "/{rest:path}": "all", "PUT /items/7": "put"})
    assert routes.find("PUT", "/items/7") == "put"
    assert routes.find("POST", "/items/7") == "post"
    assert routes.find("GET", "/items/7") == "all"


def test_head_is_limited_as_get_is_unless_it_has_an_entry() -> None:
    assert Routes({"GET /x": "get"}).find("HEAD", "/x") == "get"
    both = Routes({"GET /x": "get", "HEAD /x": "head"})
    assert (both.find("GET", "/x"), both.find("HEAD", "/x")) == ("get", "head")


def test_an_entry_that_is_false_is_an_entry() -> None:
    routes: Routes[tuple[str, ...]] = Routes({"/free": (), "/free/{x}": (), "*": ("rest",)})
    assert routes.find("GET", "/free") == ()
    assert routes.find("GET", "/free/1") == ()
    assert routes.find("GET", "/other") == ("rest",)


@pytest.mark.parametrize(
    ("templates", "reason"),
    [
        (["items"], "is no route"),
        ([""], "is no route"),
        (["GET items"], "is no route"),
        (["G3T /items"], "is no method"),
        (["/items/{id}", "/items/{name}"], "already has"),
        (["/items", "get /items", "GET /items"], "already has"),
        (["/x/{id:number}"], "no path convertor 'number'"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(templates: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        table(*templates)


def test_a_look_up_of_a_hostile_path_is_cheap() -> None:
    """Segments beyond the deepest template are never split: the list stays as short as it."""
    routes = table(*TEMPLATES)
    parts: list[int] = []

    class Path(str):
        def __getitem__(self, at: Any) -> str:
            return Path(str.__getitem__(self, at))

        def split(self, *how: Any) -> list[str]:
            found = str.split(self, *how)
            parts.append(len(found))
            return found

    assert routes.find("GET", Path("/items" + "/x" * 10_000)) is None
    assert max(parts) <= 5
