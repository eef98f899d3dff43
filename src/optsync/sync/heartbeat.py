"""Beating a lease while its holder waits: a vendor may take longer to answer than a lease lasts without a beat."""

import threading
from datetime import timedelta
from types import TracebackType
from typing import Self

import structlog
from sqlalchemy.exc import SQLAlchemyError

from optsync.errors import StateLocked
from optsync.state.leases import BEAT, Lease
from optsync.state.store import Store

_log = structlog.get_logger(__name__)
_LAST_BEAT = 15.0
"""Seconds: a beat under way waits for SQLite's writer ten seconds at most."""


class Heartbeat:
    """Beats leases from a thread of its own, from ``with`` to its end, by the machine's time.

    It never disturbs the work: a beat that fails is tried again at the next, and where the lease was taken over the
    next commit of the work finds out. Not for rehearsals, whose connection belongs to one thread.
    """

    def __init__(self, store: Store, *leases: Lease, every: timedelta = BEAT) -> None:
        self._store = store
        self._leases = leases
        self._every = every.total_seconds()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"heartbeat {leases[0].name}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join(_LAST_BEAT)

    def _run(self) -> None:
        while not self._is_over.wait(self._every):
            try:
                with self._store.transaction() as unit:
                    unit.leases.beat(*self._leases)
            except StateLocked:
                _log.warning("lease lost", lease=self._leases[0].name)
                return
            except SQLAlchemyError as error:
                _log.warning("lease not beaten", lease=self._leases[0].name, error=type(error).__name__)
