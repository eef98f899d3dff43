"""Every record read ends in exactly one counted outcome."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optsync.model.record import Side
from optsync.state.unit import Unit
from optsync.sync.decide import bindings_by_source
from optsync.sync.engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Counts of the records that a cycle has read. ``seen`` by side; ``outcome``: ``changed`` if the reading caused or
    received a change of the run, ``skipped`` by reason, else ``same``. What is quarantined is counted where it is
    read."""

    seen: Mapping[Side, int]
    outcome: Mapping[str, Any]


def tally(unit: Unit, engine: Engine, sync: str, run: str) -> Tally:
    seen = dict.fromkeys(Side, 0)
    counts = {"changed": 0, "same": 0}
    for source, binding in bindings_by_source(unit, engine, engine.bound.policies[sync]).items():
        for outcome, count in unit.records.outcomes(source, sync=sync, run=run).items():
            counts[outcome] = counts.get(outcome, 0) + count
            seen[binding.side] += count
    changed, same = counts.pop("changed"), counts.pop("same")
    return Tally(seen=seen, outcome={"changed": changed, "same": same, "skipped": counts})
