"""Log in, see where else you are logged in, and log out there too.

    realtime serve
    python examples/sessions_app.py        # then open http://127.0.0.1:8000 in two browsers

The browser holds the session's id in a cookie; all that belongs to it is in the service.
"""

import os
from pathlib import Path
from urllib.parse import quote

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

PAGE = Path(__file__).with_suffix(".html").read_text()
service = httpx.AsyncClient(base_url=os.environ.get("SERVICE", "http://127.0.0.1:8080"))


async def current(request: Request, method: str) -> httpx.Response:
    session = {"Session-Id": request.cookies.get("session", "none")}
    return await service.request(method, "/v1/sessions/current", headers=session)


async def log_in(request: Request) -> Response:
    user = (await request.body()).decode(errors="replace")  # a real app checks the password here
    body = {"user": user, "data": {"device": request.headers.get("user-agent", "unknown")}}
    answer = await service.post("/v1/sessions", json=body)
    response = Response(status_code=answer.status_code)
    if answer.status_code == 201:
        # Out of reach for scripts and for other sites' forms. With HTTPS, add secure=True.
        response.set_cookie("session", answer.json()["id"], httponly=True, samesite="lax")
    return response


async def here(request: Request) -> Response:
    """GET: who am I? DELETE: log out."""
    answer = await current(request, request.method)
    return Response(answer.content, answer.status_code, media_type="application/json")


async def everywhere(request: Request) -> Response:
    """GET: where am I logged in? DELETE: log out there too."""
    session = await current(request, "GET")
    if session.status_code != 200:
        return Response("not logged in", 401)
    user = quote(session.json()["user"], safe="")
    answer = await service.request(request.method, f"/v1/users/{user}/sessions")
    return Response(answer.content, answer.status_code, media_type="application/json")


ROUTES = [Route("/", HTMLResponse(PAGE)), Route("/login", log_in, methods=["POST"])]
ROUTES += [Route(f"/{at.__name__}", at, methods=["GET", "DELETE"]) for at in (here, everywhere)]
if __name__ == "__main__":
    uvicorn.run(Starlette(routes=ROUTES), port=int(os.environ.get("PORT", "8000")))
