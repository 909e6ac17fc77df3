"""Bad input: each a clear problem, and the next request is fine.

The table runs through ASGI, over each store, and against a service in a process of its own,
over a socket, where a request may also be broken below what an ASGI application ever sees.
"""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from tests.http.conftest import housed
from tests.http.contract import Contract
from tests.redis.stores import STORES
from tests.service import Service, running_service

SCORES = "/v1/leaderboards/b/scores"
ADD = "/v1/counters/c/add"
MIB = 1024 * 1024


class Bad(NamedTuple):
    """A request and the status it deserves."""

    status: int
    method: str
    path: str
    body: bytes | None = None
    path_of_fault: str | None = None
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)


def score(member: Any = "ada", value: str = "1", extra: str = "") -> bytes:
    return f'{{"member":{json.dumps(member)},"score":{value}{extra}}}'.encode()


DEEP = b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}"

TABLE = {
    "a score that is text": Bad(422, "POST", SCORES, score(value='"1"'), "$.score"),
    "a score that is a truth": Bad(422, "POST", SCORES, score(value="true"), "$.score"),
    "a score that is null": Bad(422, "POST", SCORES, score(value="null"), "$.score"),
    "a score that is a list": Bad(422, "POST", SCORES, score(value="[1]"), "$.score"),
    "no score": Bad(422, "POST", SCORES, b'{"member":"ada"}', "$"),
    "NaN": Bad(400, "POST", SCORES, score(value="NaN")),
    "Infinity": Bad(400, "POST", SCORES, score(value="-Infinity")),
    "1e999": Bad(422, "POST", SCORES, score(value="1e999"), "$.score"),
    "a number of 5000 digits": Bad(422, "POST", SCORES, score(value="9" * 5000), "$.score"),
    "a fault within a list": Bad(
        422,
        "POST",
        SCORES,
        b'{"entries":[{"member":"a","score":1},{"member":"b","score":"x"}]}',
        "$.entries[1].score",
    ),
    "an empty list": Bad(422, "POST", SCORES, b'{"entries":[]}', "$.entries"),
    "a member of 256 octets": Bad(422, "POST", SCORES, score("a" * 256), "$.member"),
    "a member of 128 letters of two octets": Bad(422, "POST", SCORES, score("ü" * 128)),
    "an empty member": Bad(422, "POST", SCORES, score(""), "$.member"),
    "a member with a line break": Bad(422, "POST", SCORES, score("a\nb")),
    "a member with a NUL": Bad(422, "POST", SCORES, score("a\0b")),
    "a member with a C1 control": Bad(422, "POST", SCORES, score("a\x9bb")),
    "half a surrogate pair": Bad(400, "POST", SCORES, b'{"member":"\\ud800","score":1}'),
    "a member that is a number": Bad(422, "POST", SCORES, score(7), "$.member"),
    "a board of 256 octets": Bad(422, "POST", f"/v1/leaderboards/{'b' * 256}/scores", score()),
    "a board with a control character": Bad(422, "GET", "/v1/leaderboards/a%0Ab"),
    "an unknown field": Bad(422, "POST", SCORES, score(extra=',"rank":1'), "$"),
    "a field of another letter case": Bad(422, "POST", ADD, b'{"BY":1}', "$"),
    "a whole number with a fraction": Bad(422, "POST", ADD, b'{"by":1.5}', "$.by"),
    "a number beyond 64 bits": Bad(422, "POST", ADD, b'{"by":9223372036854775808}', "$.by"),
    "an unknown query parameter": Bad(422, "GET", "/v1/leaderboards/b/entries?page=2"),
    "a query where there is none": Bad(422, "POST", f"{ADD}?by=2", b"{}"),
    "a repeated query parameter": Bad(422, "GET", "/v1/leaderboards/b/entries?limit=1&limit=2"),
    "a query parameter that is no number": Bad(422, "GET", "/v1/leaderboards/b/entries?limit=x"),
    "a limit of zero": Bad(422, "GET", "/v1/leaderboards/b/entries?limit=0"),
    "a limit of too many": Bad(422, "GET", "/v1/leaderboards/b/entries?limit=1001"),
    "a negative offset": Bad(422, "GET", "/v1/leaderboards/b/entries?offset=-1"),
    "a bound of nan": Bad(422, "GET", "/v1/leaderboards/b/entries?min_score=nan"),
    "a bound of inf": Bad(422, "GET", "/v1/leaderboards/b/entries?max_score=inf"),
    "a bound of 1e999": Bad(422, "GET", "/v1/leaderboards/b/entries?max_score=1e999"),
    "a bad escape in a query": Bad(400, "GET", "/v1/counters?names=%zz"),
    "octets that are no UTF-8 in a query": Bad(400, "GET", "/v1/counters?names=%ff"),
    "a bad escape in a path": Bad(400, "GET", "/v1/counters/%zz"),
    "half an escape in a path": Bad(400, "GET", "/v1/counters/a%2"),
    "octets that are no UTF-8 in a path": Bad(400, "GET", "/v1/counters/%C3%28"),
    "an empty body": Bad(400, "POST", SCORES, b""),
    "half a body": Bad(400, "POST", SCORES, b'{"member":"ada"'),
    "two bodies": Bad(400, "POST", SCORES, score() + score()),
    "a body that is a list": Bad(422, "POST", SCORES, b"[]", "$"),
    "a body that is text": Bad(422, "POST", SCORES, b'"ada"', "$"),
    "a body that is a form": Bad(400, "POST", SCORES, b"member=ada&score=1"),
    "a byte order mark": Bad(400, "POST", SCORES, b"\xef\xbb\xbf" + score()),
    "UTF-16": Bad(400, "POST", SCORES, score().decode().encode("utf-16")),
    "no UTF-8 in a name": Bad(400, "POST", SCORES, b'{"member":"\xff","score":1}'),
    "no UTF-8 in what is passed on": Bad(
        400, "POST", "/v1/channels/c/messages", b'{"data":"\xff"}'
    ),
    "an escape that does not exist": Bad(400, "POST", "/v1/channels/c/messages", b'{"data":"\\q"}'),
    "deep JSON": Bad(400, "POST", "/v1/channels/c/messages", DEEP),
    "deep JSON without an end": Bad(400, "POST", SCORES, b"[" * 500_000),
    "deep JSON in a session": Bad(
        400, "POST", "/v1/sessions", b'{"data":{"a":' + b'{"a":' * 70 + b"1" + b"}" * 72
    ),
    "10 MiB": Bad(413, "POST", SCORES, b" " * (10 * MIB)),
    "one octet too many": Bad(413, "POST", SCORES, score() + b" " * (MIB + 1 - len(score()))),
    "a form by its type": Bad(
        415, "POST", SCORES, score(), None, (("Content-Type", "application/x-www-form-urlencoded"),)
    ),
    "text by its type": Bad(415, "POST", SCORES, score(), None, (("Content-Type", "text/plain"),)),
    "an empty type": Bad(415, "POST", SCORES, score(), None, (("Content-Type", ""),)),
    "another charset": Bad(
        415, "POST", SCORES, score(), None, (("Content-Type", "application/json; charset=latin1"),)
    ),
    "an unknown route": Bad(404, "GET", "/v1/unknown"),
    "an unknown route with a body": Bad(404, "POST", "/v1/unknown", score()),
    "nothing after the version": Bad(404, "GET", "/v1/"),
    "an empty name": Bad(404, "GET", "/v1/counters/"),
    "an empty name in the middle": Bad(404, "POST", "/v1/leaderboards//scores", score()),
    "a slash at the end": Bad(404, "GET", "/v1/leaderboards/b/entries/"),
    "dots in a path": Bad(404, "GET", "/v1/counters/../../../../etc/passwd"),
    "escaped dots in a path": Bad(404, "GET", "/v1/counters/%2e%2e/%2e%2e/etc"),
    "a method that a path lacks": Bad(405, "DELETE", SCORES),
    "a method that nobody has": Bad(405, "TRACE", ADD),
    "a header given twice": Bad(
        400, "POST", ADD, b"{}", None, (("Idempotency-Key", "a"), ("Idempotency-Key", "b"))
    ),
}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with running_service(None) as service:
        yield service


@pytest.fixture(params=[*STORES, "socket"])
async def client(
    request: pytest.FixtureRequest, contract: Contract
) -> AsyncIterator[httpx.AsyncClient]:
    if request.param in STORES:
        async with housed(request.param, request) as house:
            yield house.http
        return
    service: Service = request.getfixturevalue("service")

    async def check(response: httpx.Response) -> None:
        await response.aread()
        contract.check(response.request, response)

    async with httpx.AsyncClient(base_url=service.url, event_hooks={"response": [check]}) as client:
        yield client


@pytest.mark.parametrize("bad", TABLE.values(), ids=TABLE)
async def test_bad_input_is_refused_and_the_next_request_is_fine(
    client: httpx.AsyncClient, bad: Bad
) -> None:
    before = (await client.post(ADD)).json()["value"]
    refused = await client.send(
        httpx.Request(
            bad.method,
            client.base_url.copy_with(raw_path=bad.path.encode()),
            content=bad.body,
            headers=list(bad.headers),
        )
    )
    assert refused.status_code == bad.status, refused.text
    problem = refused.json()
    assert problem["type"].startswith("/docs/errors#")
    assert problem["detail"]
    assert problem.get("path") == bad.path_of_fault
    assert (await client.post(ADD)).json()["value"] == before + 1


async def test_a_body_of_unknown_length_is_bounded_too(client: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 64 * 1024

    refused = await client.post(SCORES, content=endless())
    assert refused.status_code == 413
    assert (await client.post(ADD)).status_code == 200


async def test_a_body_in_parts_is_put_together(client: httpx.AsyncClient) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for octet in score():
            yield bytes([octet])

    assert (await client.post(SCORES, content=parts())).json()["member"] == "ada"


@pytest.mark.parametrize(
    "media",
    ["application/json", "Application/JSON ; charset=UTF-8", 'application/json;charset="utf-8"'],
)
async def test_json_is_json_however_it_is_declared(client: httpx.AsyncClient, media: str) -> None:
    answer = await client.post(SCORES, content=score(), headers={"Content-Type": media})
    assert answer.status_code == 200
    assert (await client.post(SCORES, content=score())).status_code == 200


async def test_a_head_is_a_get_without_its_body(client: httpx.AsyncClient) -> None:
    await client.post(SCORES, content=score())
    path = "/v1/leaderboards/b/members/ada"
    head, get = await client.head(path), await client.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(get.content))
    assert (await client.head("/v1/leaderboards/b/members/none")).status_code == 404


async def test_options_tell_the_methods_of_a_path(client: httpx.AsyncClient) -> None:
    answer = await client.options("/v1/counters/c")
    assert answer.status_code == 204
    assert answer.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PUT"
    assert (await client.options("/v1/unknown")).status_code == 404


async def test_a_method_that_is_refused_is_told_the_others(client: httpx.AsyncClient) -> None:
    refused = await client.patch("/v1/counters/c", json={})
    assert refused.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PUT"


BROKEN = {
    "a request line of noise": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n",
    "two lengths": b"POST /v1/counters/c/add HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    "a length and chunks": b"POST /v1/counters/c/add HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a length that is none": b"POST /v1/counters/c/add HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Length: +2\r\n\r\n{}",
    "a space before the colon": b"GET /v1/counters/c HTTP/1.1\r\nHost : localhost\r\n\r\n",
    "octets above ASCII in the path": b"GET /v1/counters/\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("sent", BROKEN.values(), ids=BROKEN)
def test_what_is_no_http_is_refused_and_the_connection_closed(
    service: Service, sent: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(sent)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in head.lower()
    assert json.loads(body)["type"].startswith("/docs/errors#")
    assert httpx.post(f"{service.url}{ADD}").status_code == 200


def test_a_batch_may_be_spelled_in_any_way(service: Service) -> None:
    """It lets others have their turn, so it must never be taken for what answers at once."""
    item = {"method": "GET", "path": "/v1/leaderboards/b/entries?limit=1000"}
    entries = [{"member": f"m{number}", "score": number} for number in range(1_000)]
    httpx.post(f"{service.url}{SCORES}", json={"entries": entries})
    for path in ("/v1/batch", "/v1/%62atch"):
        answer = httpx.post(f"{service.url}{path}", json={"operations": [item] * 40}, timeout=30)
        assert {result["status"] for result in answer.json()["results"]} == {200}
