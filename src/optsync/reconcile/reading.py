"""The circumstances in which a record was read."""

from dataclasses import dataclass
from datetime import datetime, timedelta

LATE = timedelta(minutes=10)
"""Systems may show something so much later than they stamp it; readings overlap by as much."""
SLACK = timedelta(seconds=32)
"""A clock is not corrected for half a minute that it may be off; stamps, and offsets, are whole seconds besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """A system's clock was set: ``at`` that moment of ours its offset was found to be ``after`` and no longer
    ``before``. ``set_back_at``: when it was last found to be set back before that."""

    at: datetime
    before: timedelta
    after: timedelta
    set_back_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """``offset`` is the system's clock minus ours, None while it is unknown; ``jump`` is the newest that it has made;
    ``is_first_run`` says that the collection was never read to its end before under its present meaning,
    ``was_read_before`` that it was under another. ``collection``: which of the system's, where that is asked."""

    system: str
    collection: str = ""
    seen_at: datetime
    offset: timedelta | None = timedelta(0)
    jump: Jump | None = None
    is_first_run: bool = False
    was_read_before: bool = False
    written_since: datetime | None = None
    """The last reading before a write of ours that has moved the record's stamp, or may have: what else came to permit
    something since need not be later than that."""

    def corrected(self, stamp: datetime, *, permits: bool) -> datetime:
        """The system's stamp by our clock; as it is where nothing is known of the system's. What its clock as it was
        may have told before the jump was found counts from the earlier of the two moments if it ``permits`` something,
        else from the later."""
        moments = self.moments(stamp)
        return min(moments) if permits else max(moments)

    def moments(self, stamp: datetime) -> tuple[datetime, ...]:
        """When, by our clock, it may have been that the system's told this: before the jump was found, either of the
        two ways that it went may be meant."""
        if self.jump is None:
            return (stamp - (self.offset or timedelta(0)),)
        told, former = stamp - self.jump.after, stamp - self.jump.before
        return (told,) if former > self.jump.at + SLACK else (told, former)
