"""A FastAPI app that limits what takes long, and what turns out to cost more or less.

    pip install fastapi
    python examples/costly_app.py
    for i in 1 2 3; do curl -i http://127.0.0.1:8000/report & done    # the third: 429
    curl -i -X POST 'http://127.0.0.1:8000/generate?words=500'        # 1,000, and 500 back

Each endpoint says its own limits; `examples/limited_app.py` says them in one place.
"""

from __future__ import annotations

import asyncio
import os

import uvicorn
from fastapi import FastAPI, Request

from realtime.middleware import EndpointLimits, Rule

MINUTE, DAY = 60, 86_400
app = FastAPI(title="An app with costly endpoints")
limits = EndpointLimits()


@app.get("/report")
@limits.limited(Rule("reports", limit=2, per=MINUTE, algorithm="concurrency"))
async def report() -> dict[str, str]:
    """Two at a time; whoever dies half-way makes room within a minute."""
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
