"""Lengths of time as people write them: ``90s``, ``5m``, ``24h``, ``30d``."""

import re
from datetime import timedelta
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_WRITTEN = re.compile(r"(\d{1,6})\s*([smhd])")
EXPECTED = "a length of time such as 90s, 5m, 24h or 30d"
_LONGEST = timedelta(days=36500)
"""Counted back from today, much more is before the beginning of the calendar."""


def parse(value: object) -> timedelta:
    """A whole number and its unit: s, m, h or d. ``0`` alone needs no unit.

    Raises:
        ValueError: it is written otherwise.
    """
    if isinstance(value, timedelta):
        return value
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if text == "0":
        return timedelta()
    written = _WRITTEN.fullmatch(text)
    if written is None:
        raise ValueError(EXPECTED)
    length = timedelta(seconds=int(written[1]) * _SECONDS[written[2]])
    if length > _LONGEST:
        raise ValueError(f"a length of time of at most {_LONGEST.days}d")
    return length


def written(value: timedelta) -> str:
    """The same length in the largest unit that holds it exactly."""
    seconds = int(value.total_seconds())
    unit = next(unit for unit in "dhms" if seconds % _SECONDS[unit] == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"


Duration: TypeAlias = Annotated[
    timedelta,
    BeforeValidator(parse),
    PlainSerializer(written, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^(0|[0-9]{1,6}\s*[smhd])$", "examples": ["5m"]}),
]
