"""How rows of revision 0004 are stored in 0005, and the other way round."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from optsync.state.migrations.rows_0004 import to_text

Row = dict[str, Any]
_LASTING = (
    *("uid", "scope", "kind", "at", "clock", "seen_at", "source"),
    *("strength", "is_personal", "system", "target", "run"),
)
_VALUE, _AS_AFTER, _AS_POINT = 0, "=", "@"
_LARGE = 1
"""The kind of a packed value that is a whole number of more than 64 bits, by its digits."""


# changes


def change_forth(row: Row, email: str | None, number: Callable[[str], int]) -> Row:
    """``email``: of its contact point; ``number``: of a word."""
    before, after, write = (msgspec.json.decode(row.pop(name)) for name in ("before", "after", "write"))
    said = {"kind": write.pop("kind")} if "kind" in write else {}
    if email is not None and write.get("address") == email:
        said["address"] = _AS_POINT
        del write["address"]
    for name in ("fields", "topics"):
        if write.get(name) == _AS_AFTER:
            said[name] = write.pop(name)
    values: list[Any] = []
    shape = [_apart(part, values) for part in (before, after, write)]
    return {**row, "shape": number(_json([*shape, said])), "data": _pack(values)}


def change_back(row: Row, email: str | None, shape: str) -> Row:
    """``shape``: the text of its word."""
    *parts, said = msgspec.json.decode(shape)
    values = iter(_unpack(row.pop("data")))
    before, after, write = (_whole(part, values) for part in parts)
    write |= said | ({"address": email} if "address" in said else {})
    del row["shape"]
    return {**row, "before": _json(before), "after": _json(after), "write": _json(write)}


def _apart(part: Any, values: list[Any]) -> Any:
    if isinstance(part, dict):
        return {name: _apart(part[name], values) for name in sorted(part)}
    values.append(part)
    return _VALUE


def _whole(shape: Any, values: Iterator[Any]) -> Any:
    if isinstance(shape, dict):
        return {name: _whole(inner, values) for name, inner in shape.items()}
    return next(values)


# evidence


def evidence_forth(row: Row, number: Callable[[str], int]) -> Row:
    """What would not be the same text again stays that text: it is sealed."""
    text = row["data"]
    found = _decoded(text)
    if found is None or _json(found) != text:
        return {**row, "shape": None, "data": text.encode()}
    names = sorted(found)
    return {**row, "shape": number(_json(names)), "data": _pack([found[name] for name in names])}


def _decoded(text: str) -> dict[str, str] | None:
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except msgspec.MsgspecError:
        return None


def evidence_back(row: Row, shape: str | None) -> Row:
    """``shape``: the text of its word."""
    return {"statement_id": row["statement_id"], "data": evidence_text(row["data"], shape)}


def evidence_text(data: bytes, shape: str | None) -> str:
    """As it was sealed."""
    if shape is None:
        return bytes(data).decode()
    return _json(dict(zip(msgspec.json.decode(shape), _unpack(data), strict=True)))


# statements


def whole_proof(row: Row, texts: Mapping[int, str], evidence: str | None, salt: bytes, seal: bytes) -> bytes:
    """Of a statement as the database has it. ``texts``: of the words."""
    said = {**row, "is_personal": int(row["is_personal"])}
    for name in ("scope", "clock", "system", "run"):
        said[name] = None if row[name] is None else texts[row[name]]
    for name in ("uid", "record", "target"):
        said[name] = None if row[name] is None else to_text(bytes(row[name]))
    text = msgspec.json.encode([*(said[name] for name in _LASTING), said["reason"], said["record"], evidence])
    return hashlib.sha256(b"optsync proof 1\0" + bytes(salt) + bytes(seal) + text).digest()


# values


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


def _pack(values: list[Any]) -> bytes:
    try:
        return msgspec.msgpack.encode(values)
    except OverflowError:
        return msgspec.msgpack.encode(_without_large(values))


def _without_large(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_large(each) for each in value]
    if isinstance(value, dict):
        return {name: _without_large(inner) for name, inner in value.items()}
    is_large = isinstance(value, int) and value.bit_length() > 63
    return msgspec.msgpack.Ext(_LARGE, str(value).encode()) if is_large else value


_unpack = msgspec.msgpack.Decoder(ext_hook=lambda _, digits: int(bytes(digits))).decode
