"""What only several keys together can show to be wrong."""

from collections.abc import Callable, Iterator, Mapping

from optsync.config.problem import Problem
from optsync.config.schema import Config
from optsync.connect.contract import Connector

Connectors = Mapping[str, type[Connector] | None]
Check = Callable[[Config, Connectors], Iterator[Problem]]


def problems(config: Config, connectors: Connectors) -> Iterator[Problem]:
    """Everything the checks find, in no particular order."""
    for check in _CHECKS:
        yield from check(config, connectors)


_CHECKS: tuple[Check, ...] = ()
