"""Times as people type and read them; without a zone they are UTC."""

from datetime import UTC, datetime, timedelta

from optsync.errors import ConfigError


def parse(text: str, *, option: str) -> datetime:
    """An aware time. A date alone is the first instant of that day.

    Raises:
        ConfigError: it is no time; the message shows the forms.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise ConfigError(
            f"{option}: {text!r} is no time; expected 2026-11-22, 2026-11-22T09:14 or 2026-11-22T10:14+01:00"
        )
    return moment


def written(moment: datetime | str | None, *, beside: datetime | str | None = None) -> str:
    """``2026-11-22 09:14 UTC``; only the time of day where ``beside`` is of the same day."""
    if moment is None:
        return "never"
    moment, other = _moment(moment), None if beside is None else _moment(beside)
    if other is not None and other.date() == moment.date():
        return f"{moment:%H:%M}"
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def length(seconds: float) -> str:
    """A length of time in its two largest units: ``2 d 3 h``, ``4 min 10 s``."""
    left = int(timedelta(seconds=seconds).total_seconds())
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def _moment(value: datetime | str) -> datetime:
    return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)
