"""The PHP shapes of the REST API: queries as ``parse_str`` reads them, maps and lists that look alike when empty."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote

REFERENCE = "$result"
"""What a batch replaces by an earlier command's result, wherever it stands in a value."""


def command(method: str, params: Mapping[str, Any]) -> str:
    """One command of a batch: ``method?query``, each key and value encoded once, without safe characters."""
    query = "&".join(
        _selection(tuple(value)) if name == "select" else _encoded(name, value) for name, value in params.items()
    )
    return f"{method}?{query}" if query else method


def _encoded(name: str, value: Any) -> str:
    return "&".join(f"{_key(key)}={quote(inner, safe='')}" for key, inner in _pairs(name, value))


@lru_cache(maxsize=64)
def _selection(names: tuple[str, ...]) -> str:
    """Every page of a walk, and every walk, asks for the same one."""
    return _encoded("select", names)


@lru_cache(maxsize=1024)
def _key(name: str) -> str:
    return quote(name, safe="")


def _pairs(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _pairs(f"{name}[{key}]", inner)
    elif isinstance(value, str):
        yield name, value
    elif isinstance(value, Sequence):
        if not value:
            # A query has no empty array; one empty text clears a multiple field just as well.
            yield f"{name}[]", ""
        for index, inner in enumerate(value):
            yield from _pairs(f"{name}[{index}]", inner)
    elif isinstance(value, bool):
        yield name, "1" if value else "0"
    else:
        yield name, str(value)


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
