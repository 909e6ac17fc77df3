"""An arcade: sixteen players score, and a page in the browser shows the ten best, live.

    realtime serve
    python examples/arcade.py                      # then open http://127.0.0.1:8000

The players here submit over HTTP; the page listens to the service itself (see arcade.html).
SERVICE and PORT in the environment choose another service and another port.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

SERVICE = os.environ.get("SERVICE", "http://127.0.0.1:8080")
PORT = int(os.environ.get("PORT", "8000"))
PAGE = Path(__file__).with_suffix(".html").read_text().replace("SERVICE_URL", SERVICE)
PLAYERS = "ada bea cleo dario emil fatou grace hugo ines jun kofi lena mika noor omar pia rosa"


async def play(player: str, service: httpx.AsyncClient) -> None:
    """Score a little, again and again, at this player's own pace."""
    skill = random.uniform(20, 60)
    while True:
        await asyncio.sleep(random.expovariate(1.5))
        entry = {"member": player, "score": round(random.expovariate(1 / skill)) * 10}
        with suppress(httpx.TransportError):  # the service may be restarted: play on
            await service.post("/v1/leaderboards/arcade/scores", json=entry)


@asynccontextmanager
async def playing(app: Starlette) -> AsyncIterator[None]:
    async with httpx.AsyncClient(base_url=SERVICE) as service, asyncio.TaskGroup() as game:
        # Here points add up; on a board without rules a player's best score counts.
        await service.put("/v1/leaderboards/arcade", json={"keep": "sum"})
        players = [game.create_task(play(player, service)) for player in PLAYERS.split()]
        yield
        for player in players:
            player.cancel()


if __name__ == "__main__":
    app = Starlette(routes=[Route("/", HTMLResponse(PAGE))], lifespan=playing)
    uvicorn.run(app, port=PORT)
