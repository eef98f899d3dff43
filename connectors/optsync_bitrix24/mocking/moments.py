"""Times as a portal reads and shows them: second resolution, in its own offset."""

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from functools import lru_cache

from optsync.clock import Clock

_ISO = re.compile(
    r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?| \d{2}:\d{2}:\d{2})?", re.ASCII
)
_SITE = re.compile(r"(\d{2})\.(\d{2})\.(\d{4})(?: (\d{2}):(\d{2})(?::(\d{2}))?)?")


class Moments:
    """Unix seconds inside, text in the portal's offset outside."""

    def __init__(self, clock: Clock, offset_minutes: int) -> None:
        self._clock = clock
        self._offset = timedelta(minutes=offset_minutes)
        self._zone = timezone(self._offset)

    def now(self) -> int:
        return int(self._clock.now().timestamp())

    def exact(self) -> float:
        """Now, with fractions."""
        return self._clock.now().timestamp()

    def show(self, moment: int) -> str:
        return _shown(moment, self._zone)

    def show_date(self, day: str) -> str:
        """A date comes as midnight with the portal's offset added to the hour, and the offset again behind it."""
        artefact = datetime.fromisoformat(day).replace(tzinfo=self._zone) + max(self._offset, timedelta())
        return artefact.isoformat()

    def parse(self, text: str) -> int | None:
        """Without an offset it is the portal's time; None when it cannot be read."""
        found = _read(text.strip(), self._zone)
        return None if found is None else int(found.timestamp())

    def parse_day(self, text: str) -> str | None:
        """The day as written, ``YYYY-MM-DD``; None when it cannot be read."""
        found = _read(text.strip(), self._zone)
        return None if found is None else found.date().isoformat()


# Each command of a batch asks from the same moment, and is answered at the same one.
@lru_cache(maxsize=256)
def _shown(moment: int, zone: timezone) -> str:
    return datetime.fromtimestamp(moment, zone).isoformat()


@lru_cache(maxsize=256)
def _read(text: str, zone: timezone) -> datetime | None:
    try:
        if _ISO.fullmatch(text):
            found = datetime.fromisoformat(text)
        elif match := _SITE.fullmatch(text):
            day, month, year, hour, minute, second = (int(part or 0) for part in match.groups())
            found = datetime(year, month, day, hour, minute, second, tzinfo=zone)
        else:
            return None
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=zone)


def http_date(clock: Clock) -> str:
    """The ``Date`` header, which has an own fixed form."""
    return _dated(clock.now().replace(microsecond=0))


@lru_cache(maxsize=8)
def _dated(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC), usegmt=True)
