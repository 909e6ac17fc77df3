"""The pages beside the API: health, metrics, the OpenAPI document, the reference.

They are rare, so Starlette routes them. Errors are problem documents here too. Health
needs no key: it must answer before anything else works. Metrics do, once keys exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from realtime.access import Access
from realtime.backends.base import Backend, BackendUnavailable
from realtime.errors import MethodNotAllowed, NotFound, RealtimeError, Unavailable
from realtime.http import docs
from realtime.http.auth import admit
from realtime.http.operation import Scope
from realtime.http.problem import problem
from realtime.metrics import Metrics
from realtime.state import ServiceState

__all__ = ["Pages", "pages"]

SCRAPE = Scope("admin", "read")
HTML = {
    # The page is one file: whatever it might be made to load, it must not.
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


def _text(text: str) -> Response:
    return Response(text + "\n", media_type="text/plain", headers={"cache-control": "no-store"})


@dataclass(slots=False)
class Pages:
    """Renders each page; those that never change are rendered once, at their first visit."""

    backend: Backend
    access: Access
    state: ServiceState
    metrics: Metrics
    document: Mapping[str, Any]

    async def health(self, request: Request) -> Response:
        """The process runs and answers."""
        return _text("ok")

    async def readiness(self, request: Request) -> Response:
        """It can do its work: everything is loaded, the store answers, and what is published
        arrives."""
        if not self.state.ready:
            raise Unavailable(f"the service is {self.state.reason}")
        if self.state.leaving:
            raise Unavailable("the service is shutting down")
        await self.backend.ping()
        if self.state.amiss:
            raise Unavailable(self.state.amiss)
        return _text("ready")

    async def scrape(self, request: Request) -> Response:
        """The figures, for Prometheus."""
        admit(self.access, dict(request.scope["headers"]), SCRAPE)
        return Response(self.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def openapi(self, request: Request) -> Response:
        """The document that clients are generated from."""
        return Response(self._openapi, media_type="application/json")

    async def reference(self, request: Request) -> Response:
        """The page that people read."""
        return Response(self._reference, media_type="text/html", headers=HTML)

    async def errors(self, request: Request) -> Response:
        """Where the ``type`` of a problem leads."""
        return Response(self._errors, media_type="text/html", headers=HTML)

    async def home(self, request: Request) -> Response:
        return RedirectResponse("/docs")

    @cached_property
    def _openapi(self) -> bytes:
        return msgspec.json.encode(self.document)

    @cached_property
    def _reference(self) -> str:
        return docs.reference(self.document)

    @cached_property
    def _errors(self) -> str:
        return docs.errors()


def pages(pages: Pages) -> Starlette:
    """The application for everything that is not under /v1."""
    application = Starlette(
        routes=[
            Route("/", pages.home),
            Route("/healthz", pages.health),
            Route("/readyz", pages.readiness),
            Route("/metrics", pages.scrape),
            Route("/openapi.json", pages.openapi),
            Route("/docs", pages.reference),
            Route("/docs/errors", pages.errors),
        ],
        exception_handlers={
            HTTPException: _http_error,
            RealtimeError: _error,
            BackendUnavailable: _error,
            Exception: _error,
        },
    )
    application.router.redirect_slashes = False  # it would answer with an address made of Host
    return application


async def _http_error(request: Request, error: Exception) -> Response:
    """What Starlette's router raises, in our words."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "GET")
        return await _error(request, MethodNotAllowed(f"{request.method} is not allowed", allowed))
    return await _error(request, NotFound("there is no such page"))


async def _error(request: Request, error: Exception) -> Response:
    status, headers, body = problem(error, f"page {request.url.path!r}")
    names = {name.decode(): value.decode() for name, value in headers}
    return Response(body, status_code=status, headers=names)
