"""What fell into a stretch of time, and what is far from any."""

from __future__ import annotations

import pytest

from loadtest.compare.load.steady import Kind
from loadtest.compare.paced import outside, paced, stretch, within
from loadtest.compare.peers import servers
from loadtest.compare.processes import Server, request
from tests.support import eventually

BOARD = "/v1/leaderboards/steady"
READS = Kind("GET", f"{BOARD}/entries", "")
WRITES = Kind("POST", f"{BOARD}/scores", '{"member":"$m","score":$s}')


def test_a_request_belongs_to_the_stretch_in_which_it_was_due() -> None:
    latencies = [(0.9, 0.5), (1.0, 0.001), (1.9, 0.3), (2.0, 0.7), (5.5, 0.002)]
    assert within(latencies, [(1.0, 2.0), (5.0, 6.0)]) == [1.0, 300.0, 2.0]


def test_quiet_is_what_keeps_away_from_every_event() -> None:
    assert outside([(20.0, 25.0), (10.0, 11.0)], 0.0, 30.0, 0.5) == [
        (0.0, 9.5),
        (11.5, 19.5),
        (25.5, 30.0),
    ]


def test_between_two_events_that_are_close_nothing_is_quiet() -> None:
    assert outside([(1.0, 2.0), (2.5, 4.0)], 1.0, 4.2, 0.5) == []


def test_one_pause_is_the_worst_and_not_the_median() -> None:
    found = stretch([*[1.0] * 990, *[2.0] * 8, 80.0, 90.0])
    assert (found.p50, found.p99, found.p999, found.worst) == (1.0, 2.0, 90.0, 90.0)


def test_few_requests_say_nothing() -> None:
    with pytest.raises(RuntimeError, match="only 49 requests"):
        stretch([1.0] * 49)


def test_reads_and_writes_are_asked_for_side_by_side() -> None:
    with servers.realtime() as server:
        with paced(server, 10, 400.0, {"reads": READS, "writes": WRITES}) as load:
            eventually(lambda: request(server.port, "GET", f"{BOARD}/members/player:7")[0] == 200)
        first = max(due for due, _ in load.latencies["writes"])
        assert {kind for kind, found in load.latencies.items() if found} == {"reads", "writes"}
        assert all(latency > 0 for found in load.latencies.values() for _, latency in found)
        before = request(server.port, "GET", READS.path)[1]
        with paced(server, 10, 400.0, {"writes": WRITES}) as load:
            eventually(lambda: request(server.port, "GET", READS.path)[1] != before)
        assert min(due for due, _ in load.latencies["writes"]) > first


def test_a_load_that_is_refused_is_an_error() -> None:
    wrong = Kind("GET", "/v1/leaderboards/steady/members/nobody", "")
    with servers.realtime() as server:
        loading = paced(server, 10, 400.0, {"reads": wrong})
        with pytest.raises(RuntimeError, match="the load failed"), loading:
            until_asked(server)


def until_asked(server: Server) -> None:
    """Somebody else has asked the service something."""

    def asked() -> bool:
        return b'status="404"' in request(server.port, "GET", "/metrics")[1]

    eventually(asked)
