"""What the web endpoints work with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from optsync.metrics import Metrics
from optsync.sync.engine import Engine


class Dispatching(Protocol):
    """Of the daemon's dispatcher, what the web needs."""

    def is_alive(self) -> bool:
        """Whether due runs are being started."""

    def neglected(self) -> Sequence[str]:
        """Syncs that are neither running nor waiting for their next run."""

    def trigger(self, sync: str) -> None:
        """Runs the sync soon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """Given to every router. ``stuck``: syncs whose run has come no further for hours."""

    engine: Engine
    dispatcher: Dispatching
    metrics: Metrics
    stuck: Callable[[], Sequence[str]]
