"""The PHP shapes of the REST API: queries as ``parse_str`` reads them, maps and lists that look alike when empty."""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any
from urllib.parse import quote

REFERENCE = "$result"
"""What a batch replaces by an earlier command's result, wherever it stands in a value."""


def command(method: str, params: Mapping[str, Any]) -> str:
    """One command of a batch: ``method?query``, each key and value encoded once, without safe characters."""
    parts: list[str] = []
    for name, value in params.items():
        if name == "select":
            parts.append(_selection(tuple(value)))
        else:
            _encode(name, value, parts)
    return f"{method}?{'&'.join(parts)}" if parts else method


@lru_cache(maxsize=64)
def _selection(names: tuple[str, ...]) -> str:
    """Every page of a walk, and every walk, asks for the same one."""
    parts: list[str] = []
    _encode("select", names, parts)
    return "&".join(parts)


@lru_cache(maxsize=1024)
def _key(name: str) -> str:
    return quote(name, safe="")


def _encode(name: str, value: Any, parts: list[str]) -> None:
    """Adds ``key=value`` for the value and all that is inside it."""
    if isinstance(value, str):
        # Most values are numbers and single words, which stand for themselves.
        parts.append(f"{_key(name)}={value if value.isascii() and value.isalnum() else quote(value, safe='')}")
    elif isinstance(value, bool):
        parts.append(f"{_key(name)}={'1' if value else '0'}")
    elif isinstance(value, int):
        parts.append(f"{_key(name)}={value}")
    elif isinstance(value, date):
        # As YAML reads a date without quotes; Python's own text of one has a space where the portal wants a T.
        parts.append(f"{_key(name)}={quote(value.isoformat(), safe='')}")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            _encode(f"{name}[{key}]", inner, parts)
    elif isinstance(value, Sequence):
        if not value:
            # A query has no empty array; one empty text clears a multiple field just as well.
            parts.append(f"{_key(f'{name}[]')}=")
        for index, inner in enumerate(value):
            _encode(f"{name}[{index}]", inner, parts)
    else:
        parts.append(f"{_key(name)}={quote(str(value), safe='')}")


def holds_reference(value: Any) -> bool:
    """Whether a batch would replace something in it: such a value must travel in a call of its own."""
    if isinstance(value, str):
        return REFERENCE in value
    if isinstance(value, Mapping):
        return any(holds_reference(v) for v in value.values())
    return isinstance(value, Sequence) and any(holds_reference(v) for v in value)


def as_map(value: Any) -> dict[str, Any] | None:
    """A map; an empty one arrives as ``[]``, one with the keys 0, 1, … as a list. None if it is neither."""
    if isinstance(value, dict):
        return {str(key): inner for key, inner in value.items()}
    if isinstance(value, list):
        return {str(index): inner for index, inner in enumerate(value)}
    return None


def as_list(value: Any) -> list[Any] | None:
    """A list; one with holes arrives as a map with numeric keys. None if it is neither."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict) and all(str(key).isdigit() for key in value):
        return [inner for _, inner in sorted(value.items(), key=lambda item: int(item[0]))]
    return None
