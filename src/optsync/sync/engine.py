"""The engine: everything a cycle needs, chosen once."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from optsync.clock import Clock
from optsync.config.schema import Config
from optsync.connect.contract import Connector
from optsync.state.store import Store
from optsync.sync.binding import Bound
from optsync.sync.gate import WriteGate

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """``connectors`` by system name. ``beats``: leases are beaten by the machine's time while vendors are waited
    for; not under a virtual clock. Made by :func:`optsync.sync.compose.compose`, or by a test with its own clock,
    randomness, transport and store."""

    config: Config
    store: Store
    connectors: Mapping[str, Connector]
    bound: Bound
    clock: Clock
    rng: random.Random
    holder: str = "optsync"
    beats: bool = False
    gate: WriteGate = field(default_factory=WriteGate)
    """What every writing request passes; closed to whoever lost its leases."""
    true_ids: dict[str, str] = field(default_factory=dict)
    """The ids of records that are stored under a pseudonym, as this process has read them; they are nowhere else."""

    def new_id(self) -> str:
        """A run's id: sortable by time, 26 characters."""
        value = (int(self.clock.now().timestamp() * 1000) << 80) | self.rng.getrandbits(80)
        return "".join(_ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5))

    def close(self) -> None:
        for connector in self.connectors.values():
            connector.close()
        self.store.close()
