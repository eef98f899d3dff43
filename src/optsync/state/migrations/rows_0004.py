"""How rows of revision 0003 are stored in 0004, and the other way round."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any

import msgspec

Row = dict[str, Any]
DIGEST = 16
WORDS = {"statement": ("scope", "clock", "system", "run"), "standing": ("scope",), "change": ("run",)}
_TEXTS = {"statement": ("uid", "record", "target"), "system_record": ("rid",)}
_TIMES = ("sa", "ca", "oi", "c", "m")
_PARTS = ("s", "o", "r", "sa", "ca", "oi", "c", "m", "w", "k", "n")
_NOTHING: Row = {
    **dict.fromkeys(("address", "counterpart", "evidence", "inactive", "left", "status")),
    **dict.fromkeys(("is_request", "is_restrictive"), False),
    **{name: {} for name in ("agreed", "fields", "tags", "topics")},
}

_LARGE = 1
"""The kind of a packed value that is a whole number of more than 64 bits, by its digits."""


def forth(table: str, row: Row, number: Callable[[str | None], int | None]) -> Row:
    """A row of revision 0003 as 0004 has it. ``number``: of a word."""
    for name in WORDS.get(table, ()):
        row[name] = number(row[name])
    for name in _TEXTS.get(table, ()):
        row[name] = None if row[name] is None else _to_bytes(row[name])
    if table == "system_record":
        shape, row["data"] = _record_apart(msgspec.json.decode(row["data"]))
        row["shape"] = number(shape)
    elif table == "link":
        agreed = msgspec.json.decode(row["agreed"])
        row["shape"] = number(_json(sorted(agreed)))
        row["agreed"] = _pack([_one_or_both(*agreed[name]) for name in sorted(agreed)])
    elif table == "change":
        row["causes"] = _causes_to_bytes(row["causes"])
        row["fingerprint"] = digest_of(row["fingerprint"])
        row["write"] = _shortened(msgspec.json.decode(row["write"]), row["after"])
    return row


def back(table: str, row: Row, texts: Mapping[int, str]) -> Row:
    """A row of revision 0004 as 0003 has it, but for fingerprints, which stay digests. ``texts``: of the words."""
    for name in WORDS.get(table, ()):
        row[name] = None if row[name] is None else texts[row[name]]
    for name in _TEXTS.get(table, ()):
        row[name] = None if row[name] is None else to_text(row[name])
    if table == "system_record":
        row["data"] = _record_whole(msgspec.json.decode(texts[row.pop("shape")]), _unpack(row["data"]))
    elif table == "link":
        names, values = msgspec.json.decode(texts[row.pop("shape")]), _unpack(row["agreed"])
        both = (value if isinstance(value, list) else [value, value] for value in values)
        row["agreed"] = _json(dict(zip(names, both, strict=True)))
    elif table == "change":
        row["causes"] = _causes_to_text(row["causes"])
        row["fingerprint"] = to_text(row["fingerprint"])
        write, after = msgspec.json.decode(row["write"]), msgspec.json.decode(row["after"])
        row["write"] = _json({**_NOTHING, **{k: after if v == "=" else v for k, v in write.items()}})
    return row


def _pack(values: Sequence[Any]) -> bytes:
    try:
        return msgspec.msgpack.encode(values)
    except OverflowError:
        return msgspec.msgpack.encode([_without_large(value) for value in values])


def _without_large(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_large(each) for each in value]
    is_large = isinstance(value, int) and value.bit_length() > 63
    return msgspec.msgpack.Ext(_LARGE, str(value).encode()) if is_large else value


def _unpack(data: bytes) -> Any:
    return msgspec.msgpack.decode(data, ext_hook=lambda _, digits: int(bytes(digits)))


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


def digest_of(text: str) -> bytes:
    """By which a word is found, and what a fingerprint is now."""
    return blake2b(text.encode(), digest_size=DIGEST).digest()


def _to_bytes(text: str) -> bytes:
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) == DIGEST and digest.hex() == text:
        return digest
    plain = text.encode()
    return b"\0" + plain if len(plain) == DIGEST or (len(plain) > DIGEST and plain[0] == 0) else plain


def to_text(stored: bytes) -> str:
    if len(stored) == DIGEST:
        return stored.hex()
    return (stored[1:] if len(stored) > DIGEST and stored[0] == 0 else stored).decode()


def _causes_to_bytes(text: str) -> bytes:
    digests = [_to_bytes(cause) for cause in msgspec.json.decode(text)]
    if all(len(digest) == DIGEST for digest in digests):
        return b"".join(digests)
    return text.encode() if len(text.encode()) % DIGEST else f"{text} ".encode()


def _causes_to_text(stored: bytes) -> str:
    if len(stored) % DIGEST:
        return stored.decode().strip()
    return _json([stored[at : at + DIGEST].hex() for at in range(0, len(stored), DIGEST)])


def _shortened(write: Row, after: str) -> str:
    kept = {name: value for name, value in write.items() if name not in _NOTHING or value != _NOTHING[name]}
    return _json({k: "=" if k in ("fields", "topics") and _json(v) == after else v for k, v in kept.items()})


def _one_or_both(crm: Any, esp: Any) -> Any:
    return crm if crm == esp and type(crm) is type(esp) and not isinstance(crm, list) else [crm, esp]


def _record_apart(record: Row) -> tuple[str, bytes]:
    """The names of what a record has, and the values."""
    addresses, topics, fields = record.get("a", []), record.get("t", {}), record.get("f", {})
    present = [name for name in _PARTS if name in record]
    values = [addresses[0] if len(addresses) == 1 else addresses]
    values += [datetime.fromisoformat(record[n]) if n in _TIMES else record[n] for n in present]
    values += [each[name] for each in (topics, fields) for name in sorted(each)]
    return _json([present, sorted(topics), sorted(fields), sorted(record.get("l", []))]), _pack(values)


def _record_whole(shape: Sequence[list[str]], values: list[Any]) -> bytes:
    present, topics, fields, lists = shape
    addresses, left = values[0], iter(values[1:])
    found = {name: next(left) for name in present}
    found["a"] = [addresses] if isinstance(addresses, str) else addresses
    found["t"], found["f"], found["l"] = {n: next(left) for n in topics}, {n: next(left) for n in fields}, lists
    order = ("a", "s", "o", "r", "sa", "ca", "oi", "t", "f", "c", "m", "l", "w", "k", "n")
    return msgspec.json.encode({n: found[n] for n in order if n in found and found[n] not in ([], {})})
