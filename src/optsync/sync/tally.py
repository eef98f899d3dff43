"""Every record read ends in exactly one counted outcome."""

from collections.abc import Sequence
from typing import Any

from optsync.state.unit import Unit


def tally(unit: Unit, sync: str, run: str, sources: Sequence[int]) -> dict[str, Any]:
    """Counts of the records that this cycle has read: ``changed`` if the reading caused or received a change of
    this run, ``skipped`` by reason, else ``same``. What is quarantined is counted where it is read."""
    changed, skipped, same = 0, dict[str, int](), 0
    for source in sources:
        counts = unit.records.outcomes(source, sync=sync, run=run)
        changed += counts.pop("changed", 0)
        same += counts.pop("same", 0)
        for reason, count in counts.items():
            skipped[reason] = skipped.get(reason, 0) + count
    return {"changed": changed, "same": same, "skipped": skipped}
