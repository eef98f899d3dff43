"""Records and small structures as bytes, compactly and canonically (the same value gives the same bytes)."""

import hashlib
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from optsync.model.link import Agreed, Link, Move
from optsync.model.record import Origin, Record, Status, Value


class _Stored(msgspec.Struct, omit_defaults=True, frozen=True):
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
_encoder = msgspec.json.Encoder()


def encode_record(record: Record) -> tuple[bytes, bytes]:
    """The stored form, and the fingerprint over all of it but the time stamp, which any edit moves."""
    stored = _Stored(
        a=record.addresses,
        s=record.status,
        o=record.origin,
        r=record.reason,
        sa=record.status_at,
        ca=record.complained_at,
        oi=record.opted_in_at,
        t=dict(sorted(record.topics.items())),
        f=dict(sorted(record.fields.items())),
        c=record.created_at,
        l=tuple(sorted(record.lists)),
        w=record.word,
        k=record.is_word_known,
        n=record.rank,
    )
    plain = _encoder.encode(stored)
    fingerprint = hashlib.blake2b(plain, digest_size=16).digest()
    if record.modified_at is None:
        return plain, fingerprint
    return _encoder.encode(msgspec.structs.replace(stored, m=record.modified_at)), fingerprint


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
