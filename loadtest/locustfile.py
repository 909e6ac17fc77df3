"""Many users of every feature, over HTTP and WebSocket.

    make serve
    .venv/bin/locust -f loadtest/locustfile.py --host http://127.0.0.1:8080
    .venv/bin/locust -f loadtest/locustfile.py --host http://127.0.0.1:8080 \\
        --headless --users 50 --spawn-rate 50 --run-time 30s

Each class is a kind of user; name some on the command line to have only those. WebSocket
users show up with the method WS: the time of a command until its reply, and under "delivery"
the time from a message's publication to its arrival. Locust itself is the bottleneck long
before the service is: look here for failures and latencies, not for the highest rate.

A service with API keys takes the one in the variable REALTIME_LOAD_KEY.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import websocket
from gevent.queue import Empty, Queue
from locust import HttpUser, User, between, task

PLAYERS = 10_000
CHANNELS = 20
PATIENCE = 5.0
"""Seconds a WebSocket user waits for a reply."""

KEY = os.environ.get("REALTIME_LOAD_KEY", "")
HEADERS = {"Authorization": f"Bearer {KEY}"} if KEY else {}


def some_player() -> str:
    return f"player:{random.randrange(PLAYERS)}"


class HttpCaller(HttpUser):
    """What HTTP users have in common."""

    abstract = True
    wait_time = between(0.05, 0.2)

    def on_start(self) -> None:
        self.client.headers.update(HEADERS)


class Player(HttpCaller):
    """Leaderboards: plays, and looks where that has led."""

    weight = 4
    board = "/v1/leaderboards/load"

    @task(4)
    def submit(self) -> None:
        entry = {"member": some_player(), "score": random.randrange(1_000_000)}
        self.client.post(f"{self.board}/scores", json=entry)

    @task(2)
    def submit_to_several(self) -> None:
        entry = {"member": some_player(), "score": random.randrange(1_000_000)}
        self.client.post("/v1/scores", json={**entry, "boards": ["load", "load-today"]})

    @task(2)
    def top(self) -> None:
        self.client.get(f"{self.board}/entries?limit=10", name=f"{self.board}/entries")

    @task(4)
    def rank(self) -> None:
        self.look(f"members/{some_player()}", "members/{member}")

    @task(2)
    def around(self) -> None:
        self.look(f"members/{some_player()}/around?radius=5", "members/{member}/around")

    def look(self, path: str, name: str) -> None:
        """Somebody who has never played is no failure."""
        url, shown = f"{self.board}/{path}", f"{self.board}/{name}"
        with self.client.get(url, name=shown, catch_response=True) as response:
            if response.status_code == 404:
                response.success()


class Counting(HttpCaller):
    """Counters: likes, views, stock."""

    @task(3)
    def add(self) -> None:
        url = f"/v1/counters/likes:{random.randrange(100)}/add"
        self.client.post(url, json={"by": 1}, name="/v1/counters/{name}/add")

    @task
    def read_some(self) -> None:
        names = ",".join(f"likes:{number}" for number in random.sample(range(100), 5))
        self.client.get(f"/v1/counters?names={names}", name="/v1/counters")


class LoggedIn(HttpCaller):
    """Sessions: logs in, comes back again and again, logs out."""

    def on_start(self) -> None:
        super().on_start()
        body = {"user": some_player(), "data": {"device": "load"}}
        self.session = {"Session-Id": self.client.post("/v1/sessions", json=body).json()["id"]}

    @task(5)
    def read(self) -> None:
        self.client.get("/v1/sessions/current", headers=self.session)

    @task
    def change(self) -> None:
        body = {"set": {"page": random.randrange(100)}}
        self.client.patch("/v1/sessions/current", json=body, headers=self.session)

    @task
    def log_out_and_in(self) -> None:
        self.client.delete("/v1/sessions/current", headers=self.session)
        self.on_start()


class Limited(HttpCaller):
    """Rate limits: one rule that mostly lets pass, and one that mostly does not."""

    def on_start(self) -> None:
        super().on_start()
        for rule, limit in (("generous", 1_000_000), ("strict", 5)):
            self.client.put(
                f"/v1/limits/{rule}", json={"limit": limit, "per": 60}, name="/v1/limits/{rule}"
            )

    @task(4)
    def take(self) -> None:
        url = f"/v1/limits/{random.choice(('generous', 'strict'))}/take"
        self.client.post(url, json={"key": some_player()}, name="/v1/limits/{rule}/take")

    @task
    def take_both(self) -> None:
        key = some_player()
        takes = [{"rule": rule, "key": key, "cost": 1} for rule in ("generous", "strict")]
        self.client.post("/v1/limits/take", json={"takes": takes})


class Announcer(HttpCaller):
    """Channels over HTTP: publishes to who listens on WebSockets, and reads history."""

    @task(4)
    def publish(self) -> None:
        self.client.post(
            f"/v1/channels/load:{random.randrange(CHANNELS)}/messages",
            json={"data": {"sent": time.time(), "text": "a message of the load test"}},
            name="/v1/channels/{channel}/messages",
        )

    @task
    def history(self) -> None:
        url = f"/v1/channels/load:{random.randrange(CHANNELS)}/messages?limit=10"
        self.client.get(url, name="/v1/channels/{channel}/messages")


class Refused(Exception):
    """The service answered a command with an error."""


class Connection:
    """One WebSocket and as much of the Centrifuge JSON protocol as the users below need.

    A greenlet of its own reads, so that publications are seen when they arrive and pings
    are answered while the user thinks.
    """

    def __init__(self, host: str, received: Callable[[dict[str, Any]], None]) -> None:
        """``received`` is told the data of every publication."""
        url = host.replace("http", "ws", 1) + "/connection/websocket"
        self._socket = websocket.create_connection(url, timeout=PATIENCE)
        self._socket.settimeout(None)
        self._received = received
        self._commands = 0
        self._replies: Queue[dict[str, Any]] = Queue()
        self._reader = gevent.spawn(self._read)
        self.call("connect", {"token": KEY} if KEY else {})

    def call(self, method: str, request: dict[str, Any]) -> None:
        """Send a command and wait for its reply. Raises Refused."""
        self._commands += 1
        self._socket.send(json.dumps({"id": self._commands, method: request}))
        try:
            reply = self._replies.get(timeout=PATIENCE)
        except Empty:
            raise Refused("no reply") from None
        if reply.get("id") != self._commands or method not in reply:
            raise Refused(reply)

    def close(self) -> None:
        self._reader.kill()
        self._socket.close()

    def _read(self) -> None:
        """Until the connection ends: hand on publications and replies, answer pings."""
        try:
            while True:
                for line in self._socket.recv().split("\n"):
                    self._take(json.loads(line))
        except (OSError, ValueError, websocket.WebSocketException) as error:
            self._replies.put({"error": f"disconnected: {error!r}"})

    def _take(self, item: dict[str, Any]) -> None:
        if not item:
            self._socket.send("{}")
        elif "push" not in item:
            self._replies.put(item)
        elif "pub" in item["push"]:
            self._received(item["push"]["pub"]["data"])


class WebSocketUser(User):
    """What WebSocket users have in common: a connection, and figures in Locust's table."""

    abstract = True
    wait_time = between(0.1, 0.5)

    def on_start(self) -> None:
        with self.timed("connect"):
            self.connection = Connection(self.host, self.received)

    def on_stop(self) -> None:
        self.connection.close()

    def received(self, data: dict[str, Any]) -> None:
        """A publication. What says when it was sent shows how long it took."""
        if "sent" in data:
            self.report("delivery", (time.time() - data["sent"]) * 1000)

    def call(self, method: str, **request: Any) -> None:
        with self.timed(method):
            self.connection.call(method, request)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Report how long the block takes, and whether it fails."""
        started, failure = time.perf_counter(), None
        try:
            yield
        except (Refused, OSError, websocket.WebSocketException) as error:
            failure = error
        self.report(name, (time.perf_counter() - started) * 1000, failure)

    def report(self, name: str, milliseconds: float, failure: BaseException | None = None) -> None:
        self.environment.events.request.fire(
            request_type="WS",
            name=name,
            response_time=milliseconds,
            response_length=0,
            exception=failure,
            context={},
        )


class Spectator(WebSocketUser):
    """Watches a live leaderboard."""

    def on_start(self) -> None:
        super().on_start()
        self.call("subscribe", channel="leaderboard:load")

    def received(self, data: dict[str, Any]) -> None:
        ranks = [entry["rank"] for entry in data["entries"]]
        if ranks != list(range(1, len(ranks) + 1)):
            self.report("live board", 0, Refused(f"ranks {ranks}"))

    @task
    def ask_who_else_watches(self) -> None:
        self.call("presence_stats", channel="leaderboard:load")


class Chatter(WebSocketUser):
    """Is in a channel: says something, looks who else is there and what was said."""

    weight = 3

    def on_start(self) -> None:
        super().on_start()
        self.channel = f"load:{random.randrange(CHANNELS)}"
        self.call("subscribe", channel=self.channel)

    @task(3)
    def say(self) -> None:
        self.call("publish", channel=self.channel, data={"sent": time.time(), "text": "hello"})

    @task
    def look_around(self) -> None:
        self.call("presence_stats", channel=self.channel)
        self.call("history", channel=self.channel, limit=10)

    @task
    def leave_and_return(self) -> None:
        self.call("unsubscribe", channel=self.channel)
        self.call("subscribe", channel=self.channel)
