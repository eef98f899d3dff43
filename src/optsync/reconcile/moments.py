"""Dates as people and systems write them into fields."""

from datetime import UTC, datetime

from optsync.model.record import Value

_DAY = len("2026-11-22")


def is_same_moment(value: str, old: Value) -> bool:
    """Whether a consent date did not move; another way to write it is no news, nor is the day alone: a field for dates
    keeps no more of what we write there."""
    if not isinstance(old, str):
        return False
    moment = parse_moment(value)
    is_day_alone = len(value) == _DAY and old[:_DAY] == value
    return value == old or (moment is not None and (is_day_alone or moment == parse_moment(old)))


def parse_moment(value: str) -> datetime | None:
    """A canonical date or date-time; a date without a time is the first instant of that day, in UTC."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
