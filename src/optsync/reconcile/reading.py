"""The circumstances in which a record was read."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """``offset`` is the system's clock minus ours, None while it is unknown; ``is_first_run`` says that the collection
    was never read to its end before under its present meaning, ``was_read_before`` that it was under another."""

    system: str
    seen_at: datetime
    offset: timedelta | None = timedelta(0)
    is_first_run: bool = False
    was_read_before: bool = False

    def corrected(self, stamp: datetime) -> datetime:
        """The system's stamp by our clock; as it is while the system's clock is unknown."""
        return stamp - (self.offset or timedelta(0))
