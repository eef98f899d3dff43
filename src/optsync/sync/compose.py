"""The only place that chooses real parts."""

import random
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial

from requests.adapters import BaseAdapter

from optsync.clock import Clock, SystemClock
from optsync.config.keys import ledger_keys, require_keys
from optsync.config.schema import Config
from optsync.connect import registry
from optsync.connect.contract import Connector, Context
from optsync.state.store import Store
from optsync.sync.binding import bind
from optsync.sync.engine import Engine
from optsync.sync.gate import WriteGate
from optsync.sync.waiting import note_unheard


def compose(
    config: Config,
    *,
    clock: Clock | None = None,
    rng: random.Random | None = None,
    transport: BaseAdapter | None = None,
    store: Store | None = None,
    is_read_only: bool = False,
    beats: bool = False,
) -> Engine:
    """An engine for the configuration; the state database is migrated. ``beats``: see :class:`Engine`.

    Raises:
        ConfigError: the state URL is not usable, or a key is gone that forgotten people are known by.
        ConnectorBroken: a connector cannot be imported.
        CommandRefused: the state database belongs to a newer optsync.
    """
    clock = clock or SystemClock()
    rng = rng or random.Random()
    gate = WriteGate()
    connectors = connect(
        config,
        config.systems,
        clock=clock,
        rng=rng,
        transport=transport,
        is_read_only=is_read_only,
        before_write=gate.check,
    )
    bound = bind(config, {name: type(c) for name, c in connectors.items()})
    store = store or Store(config.state.url, clock)
    store.keys = store.keys or cache(partial(ledger_keys, config))
    store.migrate()
    with store.reading() as unit:
        require_keys(config, unit.points.hash_keys())
    if not is_read_only:
        with store.transaction() as unit:
            unit.ledger.catch_up()
            note_unheard(unit, bound.policies)
    return Engine(
        config=config,
        store=store,
        connectors=connectors,
        bound=bound,
        clock=clock,
        rng=rng,
        beats=beats,
        gate=gate,
    )


def connect(
    config: Config,
    systems: Iterable[str],
    *,
    clock: Clock,
    rng: random.Random,
    transport: BaseAdapter | None = None,
    is_read_only: bool = False,
    before_write: Callable[[], None] = lambda: None,
) -> Mapping[str, Connector]:
    """The connectors of these systems; nothing is sent yet."""
    connectors: dict[str, Connector] = {}
    for name in systems:
        settings = config.systems[name]
        context = Context(
            system=name,
            clock=clock,
            rng=rng,
            transport=transport,
            is_read_only=is_read_only,
            before_write=before_write,
        )
        connectors[name] = registry.load(settings.connector)(settings, context)
    return connectors
