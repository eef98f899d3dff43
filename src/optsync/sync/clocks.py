"""How far the systems' clocks are from ours, held steady.

Every answer measures the offset anew, a second more or less each time. Two times of one system must compare as they
do on its own clock, so all of them are corrected by one whole number of seconds until the clock really moves.
"""

from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias

from optsync.reconcile.reading import LATE, Jump
from optsync.state.unit import Unit

STEADY = 30.0
"""Seconds: what a slow answer or a slow network may add to a measurement."""
_OVERLAP = timedelta(minutes=2)
"""Readings reach back by more than this: a clock that is set back by no more hides nothing from the next one."""
_POSSIBLE = 100 * 365 * 86_400.0
"""Seconds: no clock is a century off. A number that says so is no time, and dates cannot be moved by any number."""


Settled: TypeAlias = tuple[timedelta | None, Jump | None]
"""The offset to correct by, and the last jump that the clock has made."""


def settled_offset(unit: Unit, system: str, measured: float | None, *, now: datetime) -> Settled:
    """The offset to correct this system's times by (its clock minus ours), and the last jump that it has made.
    ``measured``: seconds, from its newest answer, None if there is none yet; one that is impossible counts as none.

    The offset is None while it is unknown, and once when it has jumped: then the system's grants wait.
    """
    if measured is not None and abs(measured) > _POSSIBLE:
        measured = None
    kept = _kept(unit, system)
    if measured is None or (kept is not None and abs(measured - kept.seconds) <= STEADY):
        return (None, None) if kept is None else (timedelta(seconds=kept.seconds), kept.jump)
    found = 0 if abs(measured) <= STEADY else round(measured)
    if kept is None:
        unit.meta.put(_key(system), str(found))
        return timedelta(seconds=found), None
    back = _last_back(kept.jump)
    moments = (now.isoformat(), *([back.isoformat()] if back else []))
    unit.meta.put(_key(system), " ".join((str(found), str(kept.seconds), *moments)))
    return None, _jump(found, kept.seconds, now, back)


def last_jump(unit: Unit, system: str) -> Jump | None:
    """The last one that this system's clock was found to have made."""
    kept = _kept(unit, system)
    return kept.jump if kept else None


def was_set_lately(jump: Jump | None, *, now: datetime) -> bool:
    """Whether a system's clock was found to be set forward so short a time ago that it may still show something that
    the clock as it was has stamped: by the new one, that would be older than the next reading goes back."""
    return jump is not None and jump.after > jump.before and now - jump.at <= LATE


def was_set_back(jump: Jump | None, *, since: datetime | None) -> bool:
    """Whether a system's clock was found since then to be set back: what it has stamped after that, and before the
    reading that found it, is older than that reading went back."""
    back = _last_back(jump)
    return back is not None and since is not None and back > since


def _last_back(jump: Jump | None) -> datetime | None:
    if jump is None:
        return None
    return jump.at if jump.before - jump.after > _OVERLAP else jump.set_back_at


class _Kept(NamedTuple):
    seconds: int
    jump: Jump | None


def _key(system: str) -> str:
    return f"offset:{system}"


def _kept(unit: Unit, system: str) -> _Kept | None:
    return _parse(unit.meta.get(_key(system)))


def _parse(text: str | None) -> _Kept | None:
    """What is kept: the offset, and what it was until when if it has jumped, and when it was last set back before."""
    if text is None:
        return None
    found, *jumped = text.split()
    if not jumped:
        return _Kept(int(found), None)
    before, *moments = jumped
    at, *back = map(datetime.fromisoformat, moments)
    return _Kept(int(found), _jump(int(found), int(before), at, back[0] if back else None))


def _jump(after: int, before: int, at: datetime, back: datetime | None) -> Jump:
    return Jump(at=at, before=timedelta(seconds=before), after=timedelta(seconds=after), set_back_at=back)
