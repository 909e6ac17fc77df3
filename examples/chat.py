"""A chat room in the browser; who comes in late reads what was said before.

    realtime serve
    python examples/chat.py                        # then open http://127.0.0.1:8000, twice

The page listens to the service itself (see chat.html). What is said goes through this
program, because it decides who may say what; the service then delivers and remembers it.
SERVICE and PORT in the environment choose another service and another port.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

SERVICE = os.environ.get("SERVICE", "http://127.0.0.1:8080")
PORT = int(os.environ.get("PORT", "8000"))
PAGE = Path(__file__).with_suffix(".html").read_text().replace("SERVICE_URL", SERVICE)
service = httpx.AsyncClient(base_url=SERVICE)
REMEMBERED = {"size": 50, "ttl": 24 * 3600}


async def say(request: Request) -> Response:
    try:
        message = json.loads(await request.body())
        name, text = message["name"].strip(), message["text"].strip()
    except (ValueError, KeyError, TypeError, AttributeError):
        return Response("send {name, text}", 400)
    if not 0 < len(name) <= 30 or not 0 < len(text) <= 500:
        return Response("a name of up to 30 characters, a text of up to 500", 400)
    publication = {"data": {"name": name, "text": text}, "history": REMEMBERED}
    try:
        answer = await service.post("/v1/channels/chat:lobby/messages", json=publication)
    except httpx.TransportError:
        return Response("the service is away", 502)
    return Response(status_code=204 if answer.is_success else 502)


if __name__ == "__main__":
    routes = [Route("/", HTMLResponse(PAGE)), Route("/say", say, methods=["POST"])]
    uvicorn.run(Starlette(routes=routes), port=PORT)
