"""The web application: one list of routers."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from fastapi import APIRouter, FastAPI

from optsync import __doc__ as summary
from optsync.web import health
from optsync.web.service import Web

ROUTERS: tuple[Callable[[Web], APIRouter], ...] = (health.router,)
"""Each module makes its own router of what the daemon gives it."""


def create_app(web: Web, *, lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]]) -> FastAPI:
    """The application over the parts in ``web``; ``lifespan`` begins and ends what runs beside it."""
    app = FastAPI(
        title="optsync",
        summary=summary,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    for make in ROUTERS:
        app.include_router(make(web))
    return app
