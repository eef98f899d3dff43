"""``optsync daemon``: schedules all syncs and serves the web endpoints, until a signal."""

import asyncio
import logging
import os
import random
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress

import structlog
from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError

from optsync.config.schema import Config
from optsync.daemon.dispatcher import Dispatcher
from optsync.daemon.lanes import lanes
from optsync.daemon.local import LocalDispatcher
from optsync.daemon.runner import Runner
from optsync.daemon.server import Server, listen
from optsync.daemon.watchdog import Watchdog
from optsync.errors import ConfigError
from optsync.metrics import Metrics
from optsync.sync.compose import compose
from optsync.sync.engine import Engine
from optsync.web.app import create_app
from optsync.web.service import Web

_log = structlog.get_logger(__name__)
GRACE = 30.0
"""Seconds that runs have to end after a signal. What was not sent by then is derived again at the next start."""


def daemon(config: Config) -> int:
    """Serves until SIGTERM or SIGINT and returns the exit code; a second signal ends the process at once.

    Raises:
        ConfigError: the port or state database of the configuration cannot be used. Nothing was started.
        CommandRefused: the state database belongs to a newer optsync. ConnectorBroken: one cannot be imported.
    """
    with listen(config.web.listen) as listener, closing(_compose(config)) as engine:
        host, port = listener.getsockname()[:2]
        service = _Service(engine)
        _log.info("daemon starts", syncs=sorted(config.syncs), host=host, port=port)
        Server(service.app, service.stopping.set).run(sockets=[listener])
        if not service.is_drained:
            _log.warning("a run was cut off; the next start goes on from there")
            # Its thread would keep the process for as long as the vendor keeps it waiting.
            sys.stderr.flush()
            os._exit(0)
    _log.info("daemon ended")
    return 0


def _compose(config: Config) -> Engine:
    if config.state.is_sqlite and config.state.file is None:
        raise ConfigError("state.url: a database in memory forgets every opt-out at the end; name a file")
    # It says at length what is counted and logged here.
    logging.getLogger("apscheduler").setLevel(logging.CRITICAL)
    try:
        return compose(config, beats=True)
    except SQLAlchemyError as error:
        reason = type(getattr(error, "orig", None) or error).__name__
    raise ConfigError(f"state.url: the state database cannot be opened ({reason}); is it running, is its folder there?")


class _Service:
    """The parts of one daemon and the order in which they begin and end."""

    def __init__(self, engine: Engine) -> None:
        config, clock = engine.config, engine.clock
        self.stopping = threading.Event()
        self.is_drained = True
        metrics = Metrics(engine.store, clock, config.syncs, config.systems)
        with engine.store.reading() as unit:
            metrics.remember(unit.runs)
        self._runner = Runner(engine, metrics, self.stopping.is_set)
        systems = {sync: {b.system for b in engine.bound.sources_of(sync)} for sync in config.syncs}
        self._dispatcher: Dispatcher = LocalDispatcher(
            config.syncs, self._runner.run, lanes=lanes(systems), metrics=metrics, clock=clock, rng=random.Random()
        )
        self._watchdog = Watchdog(lambda: self._dispatcher.is_alive() and not self._runner.stuck())
        web = Web(engine=engine, dispatcher=self._dispatcher, metrics=metrics, stuck=self._runner.stuck)
        self.app = create_app(web, lifespan=self._lifespan)

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        self._dispatcher.start()
        self._watchdog.ready()
        watching = asyncio.create_task(self._watchdog.watch())
        try:
            yield
        finally:
            self.stopping.set()
            self._watchdog.stopping()
            self.is_drained = await asyncio.to_thread(self._dispatcher.stop, GRACE)
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            self._watchdog.close()
