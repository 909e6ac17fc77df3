"""Apps that are not ASGI: Flask, Django, and bare WSGI, in threads."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import django
import flask
import pytest
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.urls import path
from starlette.types import Scope

from realtime.embedded import Embedded
from realtime.middleware import EmbeddedLimiter, RemoteLimiter, Rule, StoreLimiter, client_address
from realtime.middleware.wsgi import RateLimit
from tests.middleware.conftest import House
from tests.middleware.fields import parse
from tests.redis.servers import running_redis
from tests.service import running_service

ITEMS = Rule("items", 3, per=3600)
PATIENT = 30.0


class Answer:
    """What came of one request, read and closed as a server does."""

    def __init__(self, app: WSGIApplication, path: str, method: str, **more: Any) -> None:
        environ: WSGIEnvironment = {
            "PATH_INFO": path,
            "REQUEST_METHOD": method,
            "REMOTE_ADDR": "203.0.113.7",
            "REMOTE_PORT": "4711",
            **more,
        }
        setup_testing_defaults(environ)
        self.headers: dict[str, str] = {}
        self.body = b""
        self.status = 0
        body = app(environ, self._start)
        try:
            self.body = b"".join(body)
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()

    def _start(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /
    ) -> Callable[[bytes], object]:
        self.status = int(status.split()[0])
        self.headers = {name.lower(): value for name, value in headers}
        return lambda data: None


def ask(app: WSGIApplication, path: str = "/items/1", method: str = "GET", **more: Any) -> Answer:
    return Answer(app, path, method, **more)


def statuses(app: WSGIApplication, times: int, path: str = "/items/1", **more: Any) -> list[int]:
    return [ask(app, path, **more).status for _ in range(times)]


def bare(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
    start("200 OK", [("Content-Type", "text/plain"), ("X-Cost", "2")])
    return [b"ok"]


def limited(house: House, app: WSGIApplication = bare, **options: Any) -> RateLimit:
    return RateLimit(app, limiter=EmbeddedLimiter(house.features), **options)


class TestDecisions:
    def test_they_are_those_of_the_middleware(self, house: House) -> None:
        app = validator(limited(house, validator(bare), rules={"/items/{id}": ITEMS}))
        environ = {"QUERY_STRING": "", "SCRIPT_NAME": ""}
        answers = [ask(app, **environ) for _ in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429]
        assert answers[0].headers["ratelimit-policy"] == '"items";q=3;w=3600'
        assert parse(answers[0].headers["ratelimit"])[0].parameters == {"r": 2, "t": 1200}
        refused = answers[3]
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["cache-control"] == "no-store"
        assert refused.headers["retry-after"] == "1200"
        assert b'"violated-policies": ["items"]' in refused.body
        assert statuses(app, 4, "/elsewhere", **environ) == [200] * 4
        assert statuses(app, 1, REMOTE_ADDR="198.51.100.1", **environ) == [200]

    def test_a_head_request_is_refused_without_a_body(self, house: House) -> None:
        app = limited(house, rules={"*": Rule("one", 1, per=60)})
        answers = [ask(app, method="HEAD") for _ in range(2)]
        assert (answers[1].status, answers[1].body) == (429, b"")

    def test_several_rules_keys_and_exemptions(self, house: House) -> None:
        app = limited(
            house,
            rules={"*": (ITEMS, Rule("wide", 9, per=60))},
            key=lambda scope: dict(scope["headers"]).get(b"x-user", b"").decode() or None,
            exempt=lambda scope: scope["environ"].get("HTTP_X_ROOT") == "1",
        )
        assert statuses(app, 4, HTTP_X_USER="ada") == [200, 200, 200, 429]
        assert statuses(app, 1, HTTP_X_USER="bob") == [200]
        assert statuses(app, 9, HTTP_X_ROOT="1") == [200] * 9
        assert statuses(app, 4) == [200, 200, 200, 429]

    def test_proxies_are_believed_if_they_are_ours(self, house: House) -> None:
        key = client_address(trusted_proxies=["203.0.113.0/24"])
        app = limited(house, rules={"*": Rule("one", 1, per=60)}, key=key)
        for address in ("198.51.100.1", "198.51.100.2"):
            assert statuses(app, 2, HTTP_X_FORWARDED_FOR=address) == [200, 429]

    def test_an_app_below_a_prefix_knows_its_own_paths(self, house: House) -> None:
        app = limited(house, rules={"/items/{id}": Rule("one", 1, per=60)})
        assert statuses(app, 2, SCRIPT_NAME="/shop") == [200, 429]

    def test_a_path_is_utf_8(self, house: House) -> None:
        app = limited(house, rules={"/café": Rule("one", 1, per=60)})
        raw = "/café".encode().decode("latin-1")
        assert statuses(app, 2, raw) == [200, 429]

    def test_functions_see_all_headers_however_cgi_names_them(self, house: House) -> None:
        seen: list[dict[bytes, bytes]] = []

        def cost(scope: Scope) -> int:
            seen.append(dict(scope["headers"]))
            return int(seen[-1].get(b"content-length", b"1"))

        app = limited(house, rules={"*": Rule("bytes", 100, per=3600)}, cost=cost)
        more = {"CONTENT_TYPE": "text/plain", "HTTP_X_NAME": "\u20ac"}
        assert "r=88" in ask(app, CONTENT_LENGTH="12", **more).headers["ratelimit"]
        assert "r=87" in ask(app, CONTENT_LENGTH="").headers["ratelimit"]
        assert seen[0][b"content-type"] == b"text/plain"
        assert b"content-type" not in seen[1]

    def test_a_peer_on_a_unix_socket_is_a_caller_too(self, house: House) -> None:
        app = limited(house, rules={"*": Rule("one", 1, per=60)})
        assert statuses(app, 2, REMOTE_ADDR="") == [200, 429]

    def test_a_real_cost_is_settled_when_the_response_is_closed(self, house: House) -> None:
        rule = Rule("tokens", 20, per=3600)
        app = limited(house, rules={"*": rule}, cost=5, cost_after="X-Cost")
        answers = [ask(app) for _ in range(2)]
        left = [parse(answer.headers["ratelimit"])[0].parameters["r"] for answer in answers]
        assert left == [15, 13]


@pytest.fixture(params=["embedded", "store", "remote"])
def anywhere(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedLimiter | StoreLimiter | RemoteLimiter]:
    folder = tmp_path_factory.mktemp("data")
    if request.param == "embedded":
        yield EmbeddedLimiter(Embedded())
    elif request.param == "store":
        with running_redis(folder) as redis:
            yield StoreLimiter(redis.url, timeout=PATIENT)
    else:
        with running_service(folder) as service:
            yield RemoteLimiter(service.url, timeout=PATIENT)


class TestThreads:
    def test_threads_get_exactly_what_there_is(
        self, anywhere: EmbeddedLimiter | StoreLimiter | RemoteLimiter
    ) -> None:
        rules = (Rule("fifty", 50, per=3600), Rule("seventy", 70, per=3600))
        app = RateLimit(
            bare, rules={"*": rules, "/one": Rule("ten", 10, per=3600)}, limiter=anywhere
        )
        with ThreadPoolExecutor(8) as pool:
            both = Counter(pool.map(lambda _: ask(app).status, range(200)))
            one = Counter(pool.map(lambda _: ask(app, "/one").status, range(50)))
        app.close()
        assert both == {200: 50, 429: 150}
        assert one == {200: 10, 429: 40}

    @pytest.mark.parametrize("algorithm", ["token_bucket", "concurrency"])
    def test_functions_of_the_app_hold_up_nobody_else(self, house: House, algorithm: Any) -> None:
        """Each runs in the thread of its request, where it may wait, and use a database."""
        together = threading.Barrier(4, timeout=PATIENT)

        def key(scope: Scope) -> str:
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()
            together.wait()
            return "somebody"

        rule = Rule("a", 100, per=3600, algorithm=algorithm)
        app = limited(house, rules={"*": rule}, key=key)
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda _: ask(app).status, range(8))) == [200] * 8
        app.close()

    def test_leases_are_held_until_the_response_is_closed(
        self, anywhere: EmbeddedLimiter | StoreLimiter | RemoteLimiter
    ) -> None:
        rule = Rule("exports", 2, per=60, algorithm="concurrency")
        app = RateLimit(bare, rules={"*": rule}, limiter=anywhere)
        held = [_open(app) for _ in range(2)]
        assert ask(app).status == 429
        for body in held:
            body.close()
            body.close()
        assert [ask(app).status for _ in range(3)] == [200] * 3
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(lambda _: ask(app).status, range(100))) <= {200, 429}
        assert ask(app).status == 200
        app.close()

    def test_an_app_that_fails_holds_nothing(self, house: House) -> None:
        def broken(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
            raise ZeroDivisionError

        def late(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
            start("200 OK", [])
            yield b"a"
            raise ZeroDivisionError

        rule = Rule("one", 1, per=60, algorithm="concurrency")
        for failing in (broken, late):
            app = limited(house, failing, rules={"*": rule})
            for _ in range(3):
                with pytest.raises(ZeroDivisionError):
                    ask(app)
            app.close()

    def test_after_it_was_closed_it_begins_anew(self, house: House) -> None:
        rule = Rule("one", 1, per=60, algorithm="concurrency")
        app = limited(house, rules={"*": rule})
        before = threading.active_count()
        for _ in range(2):
            assert ask(app).status == 200
            assert threading.active_count() == before + 1
            app.close()
            assert threading.active_count() == before

    def test_nobody_to_ask_is_what_the_policy_says(self) -> None:
        for policy, status in (("allow", 200), ("deny", 503)):
            remote = RemoteLimiter("http://127.0.0.1:1", timeout=PATIENT, on_outage=policy)  # type: ignore[arg-type]
            app = RateLimit(bare, rules={"*": ITEMS}, limiter=remote)
            assert ask(app).status == status
            app.close()


def _open(app: WSGIApplication) -> Any:
    environ: WSGIEnvironment = {"PATH_INFO": "/", "REMOTE_ADDR": "203.0.113.7"}
    setup_testing_defaults(environ)
    return app(environ, lambda status, headers, exc_info=None, /: lambda data: None)


def _answers(app: RateLimit, out: Any) -> None:
    out.put(statuses(app, 2))
    app.close()


def _forked(app: RateLimit) -> list[int]:
    """What two requests are answered in a process that was forked from this one."""
    fork = multiprocessing.get_context("fork")
    out = fork.SimpleQueue()
    child = fork.Process(target=_answers, args=(app, out))
    child.start()
    try:
        child.join(PATIENT)
        assert not child.is_alive()
        found: list[int] = out.get()
        return found
    finally:
        child.kill()
        child.join()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
class TestForks:
    """As servers make that load the app before they fork: no thread goes along."""

    def test_a_process_that_was_forked_after_a_request_works(self, house: House) -> None:
        rule = Rule("one", 1, per=60, algorithm="concurrency")
        app = limited(house, rules={"*": rule})
        assert ask(app).status == 200
        assert _forked(app) == [200, 200]
        assert ask(app).status == 200
        app.close()

    def test_it_connects_for_itself(self, tmp_path: Path) -> None:
        with running_redis(tmp_path) as server:
            limiter = StoreLimiter(server.url, timeout=PATIENT, on_outage="deny")
            app = RateLimit(bare, rules={"*": Rule("a", 4, per=3600)}, limiter=limiter)
            assert statuses(app, 1) == [200]
            assert _forked(app) == [200, 200]
            assert statuses(app, 2) == [200, 429]
            app.close()


def test_in_front_of_flask(house: House) -> None:
    app = flask.Flask("shop")

    @app.get("/items/<int:number>")
    def read(number: int) -> dict[str, int]:
        return {"item": number}

    app.wsgi_app = limited(house, app.wsgi_app, rules={"/items/{id}": ITEMS})  # type: ignore[assignment, method-assign]
    client = app.test_client()
    answers = [client.get(f"/items/{n}") for n in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[1].json == {"item": 1}
    assert parse(answers[1].headers["RateLimit"])[0].parameters["r"] == 1
    assert answers[3].json is not None and answers[3].json["status"] == 429

    def from_a_thread(number: int) -> int:
        headers = {"REMOTE_ADDR": "198.51.100.1"}
        return app.test_client().get("/items/1", environ_base=headers).status_code

    with ThreadPoolExecutor(4) as pool:
        assert Counter(pool.map(from_a_thread, range(20))) == {200: 3, 429: 17}


def _read(request: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse(f"item {number}")


urlpatterns = [path("items/<int:number>", _read)]


def test_in_front_of_django(house: House) -> None:
    if not settings.configured:
        settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="of a test")
        django.setup()
    app = limited(house, WSGIHandler(), rules={"/items/{id}": ITEMS})
    answers = [ask(app, f"/items/{n}") for n in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert answers[2].body == b"item 2"
    assert parse(answers[2].headers["ratelimit"])[0].parameters["r"] == 0
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda _: ask(app, REMOTE_ADDR="198.51.100.1").status, range(20))
        assert Counter(found) == {200: 3, 429: 17}
