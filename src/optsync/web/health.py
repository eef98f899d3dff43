"""Whether the process lives, whether it is ready, and its numbers. No secret and no address is in any of them."""

from collections.abc import Iterator

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy.exc import SQLAlchemyError

from optsync.web.service import Web

_LOOKS = ["GET", "HEAD"]
"""Some load balancers ask with HEAD."""


def router(web: Web) -> APIRouter:
    """``/healthz``, ``/readyz`` and ``/metrics``."""
    routes = APIRouter(include_in_schema=False)

    @routes.api_route("/healthz", methods=_LOOKS)
    async def healthz() -> JSONResponse:
        """200 while due runs are being started, and come further. Asks nothing that could be slow."""
        return _answer(list(_standstills(web)))

    @routes.api_route("/readyz", methods=_LOOKS)
    def readyz() -> JSONResponse:
        """503 with reasons while something keeps syncs from running. A system out of reach is none: ``status``
        and the metrics tell that, and a restart would not help."""
        return _answer(list(_reasons(web)))

    @routes.api_route("/metrics", methods=_LOOKS)
    def metrics() -> Response:
        return Response(web.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return routes


def _standstills(web: Web) -> Iterator[str]:
    """What a restart would mend."""
    if not web.dispatcher.is_alive():
        yield "the scheduler does not run"
    for sync in web.stuck():
        yield f"sync {sync} hangs: its run has come no further for two hours"


def _reasons(web: Web) -> Iterator[str]:
    yield from _standstills(web)
    for sync in web.dispatcher.neglected():
        yield f"sync {sync} is neither running nor scheduled"
    try:
        with web.engine.store.reading() as unit:
            unit.runs.list(limit=1)
    except SQLAlchemyError as error:
        yield f"the state database does not answer ({type(error).__name__})"


def _answer(reasons: list[str]) -> JSONResponse:
    body = {"ok": not reasons, "reasons": reasons}
    return JSONResponse(body, status_code=503 if reasons else 200, headers={"Cache-Control": "no-store"})
