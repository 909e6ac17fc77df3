"""A FastAPI app whose routes are limited, each as it deserves. Nothing else has to run.

    pip install fastapi
    python examples/limited_app.py
    curl -i http://127.0.0.1:8000/search?q=ada                  # see RateLimit and its policy
    for i in $(seq 7); do curl -i -X POST http://127.0.0.1:8000/login; done    # the sixth: 429

Callers are known by their address here. Several processes share their limits through a
service: pass the middleware ``limiter=RemoteLimiter("http://127.0.0.1:8080")``.
"""

from __future__ import annotations

import os

import uvicorn
from fastapi import FastAPI
from starlette.types import Scope

from realtime.middleware import RateLimitMiddleware, Rule

MINUTE, DAY = 60, 86_400
app = FastAPI(title="A rate-limited app")


def cost(scope: Scope) -> int:
    """A search for many words counts as many."""
    query: bytes = scope["query_string"]
    return 1 + query.count(b"+")


app.add_middleware(
    RateLimitMiddleware,
    rules={
        # Whoever guesses passwords must not get a fresh start at every full minute.
        "POST /login": Rule("login", limit=5, per=MINUTE, algorithm="sliding_window"),
        # Ten at once are fine, then one every two seconds; and so many a day.
        "/search": (
            Rule("search", limit=30, per=MINUTE, burst=10),
            Rule("searches-a-day", limit=1_000, per=DAY, algorithm="fixed_window"),
        ),
    },
    cost=cost,
)


@app.post("/login")
async def login() -> dict[str, str]:
    return {"answer": "wrong password"}


@app.get("/search")
async def search(q: str = "") -> dict[str, list[str]]:
    return {"found": [f"something about {word}" for word in q.split()]}


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")))
