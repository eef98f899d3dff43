"""Records and small structures as bytes, compactly and canonically (the same value gives the same bytes)."""

from dataclasses import replace
from datetime import datetime
from hashlib import blake2b
from typing import Any

import msgspec

from optsync.model.link import Agreed, Link, Move
from optsync.model.record import Origin, Record, Status, Value


class _Stored(msgspec.Struct, omit_defaults=True, frozen=True, gc=False):
    """A record without its id, short names, sorted maps."""

    a: tuple[str, ...] = ()
    s: Status | None = None
    o: Origin = Origin.UNKNOWN
    r: str | None = None
    sa: datetime | None = None
    ca: datetime | None = None
    oi: datetime | None = None
    t: dict[str, bool | None] = {}
    f: dict[str, Value] = {}
    c: datetime | None = None
    m: datetime | None = None
    l: tuple[str, ...] = ()  # noqa: E741 - a key in stored data, short on purpose
    w: str | None = None
    k: bool = True
    n: int = 0


_decoder = msgspec.json.Decoder(_Stored)
_encoder = msgspec.json.Encoder(order="deterministic")


def encode_record(record: Record) -> tuple[bytes, bytes]:
    """The stored form, and the fingerprint over all of it but the time stamp, which any edit moves."""
    plain = _encoded(record, None)
    stored = plain if record.modified_at is None else _encoded(record, record.modified_at)
    return stored, _digest(plain)


def fingerprint_of(record: Record) -> bytes:
    """The fingerprint alone: all that is asked of most records, which are as they were."""
    return _digest(_encoded(record, None))


def _encoded(record: Record, modified_at: datetime | None) -> bytes:
    topics, fields, lists = record.topics, record.fields, record.lists
    # By position, in the order of _Stored: naming the parts would take as long as encoding them.
    stored = _Stored(
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
        modified_at,
        tuple(sorted(lists)) if lists else (),
        record.word,
        record.is_word_known,
        record.rank,
    )
    return _encoder.encode(stored)


def _digest(plain: bytes) -> bytes:
    return blake2b(plain, digest_size=16).digest()


def decode_record(rid: str, data: bytes) -> Record:
    """The record of that id from its stored form."""
    s = _decoder.decode(data)
    return Record(
        id=rid,
        addresses=s.a,
        status=s.s,
        origin=s.o,
        reason=s.r,
        status_at=s.sa,
        complained_at=s.ca,
        opted_in_at=s.oi,
        topics=s.t,
        fields=s.f,
        created_at=s.c,
        modified_at=s.m,
        lists=frozenset(s.l),
        word=s.w,
        is_word_known=s.k,
        rank=s.n,
    )


def dumps(value: Any) -> str:
    """JSON with sorted keys."""
    return msgspec.json.encode(value, order="sorted").decode()


def loads(value: str | bytes | None) -> Any:
    """What ``dumps`` wrote; None stays None."""
    return None if value is None else msgspec.json.decode(value)


_agreed = msgspec.json.Decoder(dict[str, tuple[Value, Value]])


def encode_agreed(agreed: dict[str, Agreed]) -> str:
    return dumps({key: (a.crm, a.esp) for key, a in agreed.items()})


def decode_agreed(text: str) -> dict[str, Agreed]:
    return {key: Agreed(crm, esp) for key, (crm, esp) in _agreed.decode(text).items()}


class _Memory(msgspec.Struct, omit_defaults=True, frozen=True):
    """What a link remembers besides what was agreed."""

    frozen: tuple[str, ...] = ()
    moves: dict[str, Move] = {}
    left: bool = False
    inactive: bool = False
    is_kept: bool = False
    point: int | None = None


_memory = msgspec.json.Decoder(_Memory)


def encode_memory(link: Link) -> str | None:
    """None where there is nothing to remember."""
    if not (link.frozen or link.moves or link.left or link.inactive or link.is_kept or link.point):
        return None
    frozen, moves = tuple(sorted(link.frozen)), dict(link.moves)
    return dumps(_Memory(frozen, moves, link.left, link.inactive, link.is_kept, link.point))


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
    )
