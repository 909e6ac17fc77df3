"""A leaderboard service as people write it today: FastAPI, redis-py on asyncio, Redis.

One connection pool for the process, hiredis for parsing, one round trip per request by a
pipeline (without MULTI, which would only slow it down), pydantic models in and out. It
answers what our service answers, without the percentile and the previous rank.

    REDIS_URL=redis://127.0.0.1:6379 uvicorn loadtest.compare.peers.fastapi_redis:app
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

store: Any = redis.asyncio.Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    await store.ping()
    yield
    await store.aclose()


app = FastAPI(lifespan=lifespan)


class Score(BaseModel):
    member: str = Field(min_length=1, max_length=255)
    score: float


class Submitted(BaseModel):
    member: str
    score: float
    rank: int
    changed: bool


class Standing(BaseModel):
    member: str
    score: float
    rank: int
    total: int


@app.get("/leaderboards/{board}/members/{member}")
async def standing(board: str, member: str) -> Standing:
    async with store.pipeline(transaction=False) as pipeline:
        pipeline.zscore(board, member).zrevrank(board, member).zcard(board)
        score, rank, total = await pipeline.execute()
    if score is None:
        raise HTTPException(404, "no such member")
    return Standing(member=member, score=score, rank=rank + 1, total=total)


@app.post("/leaderboards/{board}/scores")
async def submit(board: str, entry: Score) -> Submitted:
    async with store.pipeline(transaction=False) as pipeline:
        pipeline.zadd(board, {entry.member: entry.score}, gt=True, ch=True)
        pipeline.zscore(board, entry.member).zrevrank(board, entry.member)
        changed, score, rank = await pipeline.execute()
    return Submitted(member=entry.member, score=score, rank=rank + 1, changed=bool(changed))
