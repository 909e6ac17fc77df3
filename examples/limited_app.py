"""A FastAPI app whose routes are limited, each as it deserves. Nothing else has to run.

    pip install fastapi
    python examples/limited_app.py
    curl -i http://127.0.0.1:8000/search?q=ada                  # see RateLimit and its policy
    for i in $(seq 7); do curl -i -X POST http://127.0.0.1:8000/login; done    # the sixth: 429
    for i in 1 2 3; do curl -i http://127.0.0.1:8000/report & done             # the third: 429
    curl -i -X POST 'http://127.0.0.1:8000/generate?words=500'                 # 1,000, and 500 back

Callers are known by their address here. Several processes share their limits through a
service: pass the middleware ``limiter=RemoteLimiter("http://127.0.0.1:8080")``.
"""

from __future__ import annotations

import asyncio
import os

import uvicorn
from fastapi import FastAPI, Request
from starlette.types import Scope

from realtime.middleware import EmbeddedLimiter, EndpointLimits, RateLimitMiddleware, Rule

MINUTE, DAY = 60, 86_400
app = FastAPI(title="A rate-limited app")
limiter = EmbeddedLimiter()
limits = EndpointLimits(limiter=limiter)


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
        # Two at a time; whoever dies half-way makes room within a minute.
        "/report": Rule("reports", limit=2, per=MINUTE, algorithm="concurrency"),
    },
    cost=cost,
    limiter=limiter,
)


@app.post("/login")
async def login() -> dict[str, str]:
    return {"answer": "wrong password"}


@app.get("/search")
async def search(q: str = "") -> dict[str, list[str]]:
    return {"found": [f"something about {word}" for word in q.split()]}


@app.get("/report")
async def report() -> dict[str, str]:
    await asyncio.sleep(2)
    return {"report": "all is well"}


@app.post("/generate")
@limits.limited(
    Rule("words", limit=10_000, per=DAY),
    cost=1_000,  # more than most ask for; what was too much is given back
    cost_after=lambda scope: scope["state"].get("words"),
)
async def generate(request: Request, words: int = 100) -> dict[str, int]:
    request.state.words = words
    return {"words": words}


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")))
