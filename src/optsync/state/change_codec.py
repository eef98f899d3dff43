"""What a change was before, what it is to be and what is written, as bytes: values apart from their names.

Changes of one kind name the same things, so the names are a shape, which many rows have in common. What the shape
itself can say is no value: the kind of write, what is written as ``after`` has it, the address that the contact point
has anyway.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from optsync.state.codec import Shaped, dumps, loads, pack, unpack


class Deed(NamedTuple):
    before: dict[str, Any]
    after: dict[str, Any]
    write: dict[str, Any]


def _nothing() -> dict[str, Any]:
    """What most writes have none of is not stored."""
    return {
        "address": None,
        "agreed": {},
        "counterpart": None,
        "evidence": None,
        "fields": {},
        "inactive": None,
        "is_request": False,
        "is_restrictive": False,
        "left": None,
        "status": None,
        "tags": {},
        "topics": {},
    }


_NOTHING = _nothing()
_VALUE = 0
"""Stands in a shape for a value."""
_AS_AFTER = "="
"""Stands for all that ``after`` has."""
_AS_POINT = "@"
"""Stands for the address of the contact point."""


def encode_deed(
    before: Mapping[str, Any], after: Mapping[str, Any], write: Mapping[str, Any], email: str | None
) -> Shaped:
    """Shape and values. ``email``: the address of the change's contact point."""
    kept = {name: value for name, value in write.items() if name not in _NOTHING or value != _NOTHING[name]}
    said: dict[str, Any] = {"kind": str(kept.pop("kind"))} if "kind" in kept else {}
    if email is not None and kept.get("address") == email:
        said["address"] = _AS_POINT
        del kept["address"]
    text = dumps(after)
    for name in ("fields", "topics"):
        if name in kept and dumps(kept[name]) == text:
            said[name] = _AS_AFTER
            del kept[name]
    values: list[Any] = []
    # As JSON has them, so that a value is the same whether it comes from here or is new.
    shape = [_apart(msgspec.to_builtins(part), values) for part in (before, after, kept)]
    return dumps([*shape, said]), pack(values)


def decode_deed(shape: str, data: bytes, email: str | None) -> Deed:
    """What ``encode_deed`` was given, with all that a write may have."""
    *parts, said = _of_shape(shape)
    values = iter(unpack(data))
    before, after, kept = (_whole(part, values) for part in parts)
    if said:
        kept |= said
        for name in ("fields", "topics"):
            if said.get(name) == _AS_AFTER:
                kept[name] = after
        if "address" in said:
            kept["address"] = email
    return Deed(before, after, _nothing() | kept)


_of_shape = lru_cache(maxsize=1024)(loads)


def _apart(part: Any, values: list[Any]) -> Any:
    """The shape of a part; its values are added to the others in the order of the names."""
    if type(part) is dict:
        return {name: _apart(part[name], values) for name in sorted(part)}
    values.append(part)
    return _VALUE


def _whole(shape: Any, values: Iterator[Any]) -> Any:
    if type(shape) is dict:
        return {name: _whole(inner, values) for name, inner in shape.items()}
    return next(values)
