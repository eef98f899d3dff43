"""How far the systems' clocks are from ours, held steady.

Every answer measures the offset anew, a second more or less each time. Two times of one system must compare as they
do on its own clock, so all of them are corrected by one whole number of seconds until the clock really moves.
"""

from datetime import timedelta

from optsync.state.unit import Unit

STEADY = 30.0
"""Seconds: what a slow answer or a slow network may add to a measurement."""


def settled_offset(unit: Unit, system: str, measured: float | None) -> timedelta | None:
    """The offset to correct this system's times by (its clock minus ours). ``measured``: seconds, from its newest
    answer, None if there is none yet.

    None while it is unknown, and once when it has jumped: then the system's grants wait.
    """
    key = f"offset:{system}"
    kept = unit.meta.get(key)
    if measured is None:
        return None if kept is None else timedelta(seconds=int(kept))
    if kept is not None and abs(measured - int(kept)) <= STEADY:
        return timedelta(seconds=int(kept))
    found = 0 if abs(measured) <= STEADY else round(measured)
    unit.meta.put(key, str(found))
    return timedelta(seconds=found) if kept is None else None
