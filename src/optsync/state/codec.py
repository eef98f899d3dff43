"""Records and small structures as bytes, compactly and canonically (the same value gives the same bytes)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from itertools import compress
from operator import attrgetter, ne
from typing import Any, TypeAlias

import msgspec

from optsync.model.link import Agreed, Link, Move
from optsync.model.record import Origin, Record, Status, Value

Names: TypeAlias = tuple[str, ...]


class _Plain(msgspec.Struct, omit_defaults=True, frozen=True, gc=False):
    """What a fingerprint covers: a record without its id, short names, sorted maps."""

    a: tuple[str, ...] = ()
    s: Status | None = None
    o: Origin = Origin.UNKNOWN
    r: str | None = None
    sa: datetime | None = None
    ca: datetime | None = None
    oi: datetime | None = None
    t: Mapping[str, bool | None] = {}
    f: Mapping[str, Value] = {}
    c: datetime | None = None
    m: datetime | None = None
    l: tuple[str, ...] = ()  # noqa: E741 - fingerprints are stored, and cover this name
    w: str | None = None
    k: bool = True
    n: int = 0
    q: bool = False


_encoder = msgspec.json.Encoder(order="deterministic")
_LARGE = 1
"""The kind of a packed value that is a whole number of more than 64 bits, by its digits."""
_packed = msgspec.msgpack.Encoder().encode
unpack = msgspec.msgpack.Decoder(ext_hook=lambda _, digits: int(bytes(digits))).decode
"""What :func:`pack` was given; tuples are lists then."""


def pack(values: Sequence[Any]) -> bytes:
    """Values in MessagePack, whole numbers of any size included."""
    try:
        return _packed(values)
    except OverflowError:
        return _packed([_without_large(value) for value in values])


def _without_large(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return tuple(map(_without_large, value))
    if isinstance(value, dict):
        return {name: _without_large(inner) for name, inner in value.items()}
    is_large = isinstance(value, int) and value.bit_length() > 63
    return msgspec.msgpack.Ext(_LARGE, str(value).encode()) if is_large else value


Shaped = tuple[str, bytes]
"""Names, and their values without them: the records of one source have the same names, as a rule."""

_ATTRIBUTES = {
    "s": "status",
    "o": "origin",
    "r": "reason",
    "sa": "status_at",
    "ca": "complained_at",
    "oi": "opted_in_at",
    "c": "created_at",
    "m": "modified_at",
    "w": "word",
    "k": "is_word_known",
    "n": "rank",
    "q": "is_asked",
}
"""The parts of a record that are one value, by their names in a shape, which has those that are not as usual."""
_USUAL = {"o": Origin.UNKNOWN, "k": True, "n": 0, "q": False}
_usual = tuple(_USUAL.get(name) for name in _ATTRIBUTES)
_parts_of = attrgetter(*_ATTRIBUTES.values())
_in_order = lru_cache(maxsize=1024)(lambda names: tuple(sorted(names)))
_STATUSES = {status.value: status for status in Status}
_ORIGINS = {origin.value: origin for origin in Origin}


def encode_record(record: Record) -> Shaped:
    """The stored form: shape and values."""
    # All of it in C: this runs for every record of a first read, and its counterpart for all that are looked at.
    parts = _parts_of(record)
    present = tuple(map(ne, parts, _usual))
    topics, fields = _in_order(tuple(record.topics)), _in_order(tuple(record.fields))
    values = [
        record.addresses[0] if len(record.addresses) == 1 else record.addresses,
        *compress(parts, present),
        *map(record.topics.__getitem__, topics),
        *map(record.fields.__getitem__, fields),
    ]
    return _shape_of(present, topics, fields, record.lists), pack(values)


@lru_cache(maxsize=1024)
def _shape_of(present: tuple[bool, ...], topics: Names, fields: Names, lists: frozenset[str]) -> str:
    return dumps((list(compress(_ATTRIBUTES, present)), topics, fields, sorted(lists)))


@lru_cache(maxsize=2048)  # while a batch is written its records are looked at several times
def decode_record(rid: str, shape: str, data: bytes) -> Record:
    """The record of that id from its stored form."""
    present, topics, fields, lists = _of_shape(shape)
    addresses, *values = unpack(data)
    parts = dict(zip(present, values, strict=False))
    if "status" in parts:
        parts["status"] = _STATUSES[parts["status"]]
    if "origin" in parts:
        parts["origin"] = _ORIGINS[parts["origin"]]
    rest = values[len(present) :]
    found = dict(zip(fields, rest[len(topics) :], strict=True))
    if list in map(type, rest):
        found = {name: tuple(value) if type(value) is list else value for name, value in found.items()}
    return Record(
        id=rid,
        addresses=(addresses,) if type(addresses) is str else tuple(addresses),
        topics=dict(zip(topics, rest, strict=False)),
        fields=found,
        lists=lists,
        **parts,
    )


@lru_cache(maxsize=1024)
def _of_shape(shape: str) -> tuple[list[str], list[str], list[str], frozenset[str]]:
    present, topics, fields, lists = loads(shape)
    return [_ATTRIBUTES[name] for name in present], topics, fields, frozenset(lists)


def fingerprint_of(record: Record) -> bytes:
    """A digest of all of it but the time stamp, which any edit moves."""
    topics, fields, lists = record.topics, record.fields, record.lists
    # By position, in the order of _Plain: naming the parts would take as long as encoding them.
    plain = _Plain(
        record.addresses,
        record.status,
        record.origin,
        record.reason,
        record.status_at,
        record.complained_at,
        record.opted_in_at,
        topics if type(topics) is dict else dict(topics),
        fields if type(fields) is dict else dict(fields),
        record.created_at,
        None,
        tuple(sorted(lists)) if lists else (),
        record.word,
        record.is_word_known,
        record.rank,
        record.is_asked,
    )
    return blake2b(_encoder.encode(plain), digest_size=16).digest()


def dumps(value: Any) -> str:
    """JSON with sorted keys."""
    return msgspec.json.encode(value, order="sorted").decode()


def loads(value: str | bytes | None) -> Any:
    """What ``dumps`` wrote; None stays None."""
    return None if value is None else msgspec.json.decode(value)


# evidence


def encode_evidence(evidence: Mapping[str, str]) -> Shaped:
    """What it names, and the texts."""
    names = sorted(evidence)
    return dumps(names), pack([evidence[name] for name in names])


def decode_evidence(shape: str | None, data: bytes | None) -> dict[str, str]:
    """What ``encode_evidence`` was given; nothing for none. Without a shape the data is the text itself."""
    if data is None:
        return {}
    found: dict[str, str] = loads(data) if shape is None else dict(zip(_names(shape), unpack(data), strict=True))
    return found


def evidence_text(shape: str | None, data: bytes | None) -> str | None:
    """Evidence as it is sealed."""
    if data is None:
        return None
    return bytes(data).decode(errors="replace") if shape is None else dumps(decode_evidence(shape, data))


_names = lru_cache(maxsize=1024)(loads)


# links


def encode_agreed(agreed: Mapping[str, Agreed]) -> Shaped:
    """The names of the fields and what was agreed, once where both sides have the same."""
    names = sorted(agreed)
    pairs = [agreed[name] for name in names]
    return dumps(names), pack([_one_or_both(pair.crm, pair.esp) for pair in pairs])


def _one_or_both(crm: Value, esp: Value) -> Any:
    is_same = crm == esp and type(crm) is type(esp) and type(crm) is not tuple
    return crm if is_same else (crm, esp)


def decode_agreed(shape: str, data: bytes) -> dict[str, Agreed]:
    """What ``encode_agreed`` made of it."""
    return {name: _agreed(value) for name, value in zip(loads(shape), unpack(data), strict=True)}


def _agreed(value: Any) -> Agreed:
    if type(value) is not list:
        return Agreed(value, value)
    crm, esp = (tuple(each) if type(each) is list else each for each in value)
    return Agreed(crm, esp)


class _Memory(msgspec.Struct, omit_defaults=True, frozen=True):
    """What a link remembers besides what was agreed. ``is_tag``: in one of an older release, which of the two was done
    by a tag is not told."""

    frozen: tuple[str, ...] = ()
    moves: dict[str, Move] = {}
    left: bool = False
    inactive: bool = False
    is_kept: bool = False
    point: int | None = None
    left_by_tag: bool = False
    inactive_by_tag: bool = False
    is_tag: bool = False


_memory = msgspec.json.Decoder(_Memory)


def encode_memory(link: Link) -> str | None:
    """None where there is nothing to remember."""
    if not (link.frozen or link.moves or link.left or link.inactive or link.is_kept or link.point):
        return None
    frozen, moves = tuple(sorted(link.frozen)), dict(link.moves)
    by_tag = link.left_by_tag, link.inactive_by_tag
    return dumps(_Memory(frozen, moves, link.left, link.inactive, link.is_kept, link.point, *by_tag))


def decode_memory(link: Link, text: str | None) -> Link:
    """The link with what ``encode_memory`` kept of it."""
    if text is None:
        return link
    stored = _memory.decode(text)
    return replace(
        link,
        frozen=frozenset(stored.frozen),
        moves=stored.moves,
        left=stored.left,
        inactive=stored.inactive,
        is_kept=stored.is_kept,
        point=stored.point,
        left_by_tag=stored.left_by_tag or (stored.left and stored.is_tag),
        inactive_by_tag=stored.inactive_by_tag or (stored.inactive and stored.is_tag),
    )
