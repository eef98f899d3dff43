"""What may be kept of a record that holds a forgotten person's address."""

import hashlib
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime

import idna

from optsync.model.contact_point import InvalidAddress, normalise
from optsync.model.record import Record, Value
from optsync.model.statement import Statement, StatementKind
from optsync.reconcile.carry import CARRIED
from optsync.reconcile.moments import parse_moment
from optsync.reconcile.representation import Representation

FORGOTTEN = "forgotten"
"""Why a record gets nothing but outs."""


def usable(addresses: Iterable[str]) -> tuple[str, ...]:
    """The normalised addresses, each once, in their order; what is none is left out."""
    found: dict[str, None] = {}
    for raw in addresses:
        try:
            found.setdefault(normalise(raw))
        except InvalidAddress:
            continue
    return tuple(found)


def is_owner(record: Record, forgotten: Collection[str]) -> bool:
    """Whether the record is the forgotten person's own: its primary address is theirs, and with it its fields."""
    return usable(record.addresses)[:1] in [(address,) for address in forgotten]


def own_part(record: Record, forgotten: Collection[str], representations: Iterable[Representation]) -> Record:
    """A forgotten person's own record: its id and what it shows about wishes, so that outs can still be written. The
    addresses of other people stay, since their wishes bind the record, too."""
    flags = {name for r in representations for name in (r.opt_out, r.opt_in, r.bounce) if name}
    return Record(
        id=record.id,
        addresses=tuple(a for a in record.addresses if usable([a]) and not _is_of(a, forgotten)),
        status=record.status,
        origin=record.origin,
        complained_at=record.complained_at,
        topics=record.topics,
        fields={name: value for name, value in record.fields.items() if name in flags},
        word=record.word,
        is_word_known=record.is_word_known,
        is_asked=record.is_asked,
    )


def others_part(record: Record, forgotten: Collection[str]) -> Record:
    """A record of somebody else that holds the address, too: all but the address, wherever it is spelled."""
    return replace(
        record,
        addresses=tuple(a for a in record.addresses if not _is_of(a, forgotten)),
        reason=None if mentions(record.reason, forgotten) else record.reason,
        fields={name: None if mentions(value, forgotten) else value for name, value in record.fields.items()},
    )


def kept(
    record: Record, forgotten: Collection[str], representations: Collection[Representation], since: datetime | None
) -> Record:
    """What is stored of a record that holds forgotten addresses. ``since``: when the owner was forgotten, None if that
    is somebody else. Proofs from after that stay, or the next reading would take them for ones that moved."""
    if since is None:
        return others_part(record, forgotten)
    own = own_part(record, forgotten, representations)
    dates = {r.consent_date: record.fields.get(r.consent_date) for r in representations if r.consent_date}
    later = {name: value for name, value in dates.items() if isinstance(value, str) and _is_after(value, since)}
    stamp = record.opted_in_at if record.opted_in_at is not None and record.opted_in_at > since else None
    return replace(own, fields={**own.fields, **later}, opted_in_at=stamp)


def as_before(old: Record, now: Record, representations: Collection[Representation], since: datetime) -> Record:
    """What a reading of a forgotten person's record is compared with: the proofs of before the erasure were not kept,
    and have not moved for that."""
    names = [r.consent_date for r in representations if r.consent_date]
    unkept = {n: v for n in names if isinstance(v := now.fields.get(n), str) and not _is_after(v, since)}
    stamp = now.opted_in_at if now.opted_in_at is not None and now.opted_in_at <= since else None
    known = {name: value for name, value in old.fields.items() if value is not None}
    return replace(old, fields={**old.fields, **unkept, **known}, opted_in_at=old.opted_in_at or stamp)


def _is_after(date: str, since: datetime) -> bool:
    moment = parse_moment(date)
    return moment is not None and moment > since


def mentions(value: Value, forgotten: Collection[str]) -> bool:
    """Whether a text, or one of several, spells one of the addresses."""
    texts = value if isinstance(value, tuple) else (value,)
    lowered = [_lowered(text) for text in texts if isinstance(text, str)]
    return any(spelled in text for address in forgotten for spelled in spellings(address) for text in lowered)


def gives_away(record: str, address: str) -> bool:
    """Whether a record's id names the address: it is the address, or a plain digest of it that anybody can guess."""
    plain = _lowered(record)
    return any(spelled in plain for spelled in spellings(address))


def _lowered(text: str) -> str:
    return unicodedata.normalize("NFC", text).lower()


def spellings(address: str) -> frozenset[str]:
    """Texts, in lower case, that name the address: as it is, with its domain as people read it, as it stands in
    links, and its digests in hexadecimal digits."""
    local, _, domain = address.rpartition("@")
    try:
        readable = idna.decode(domain).lower()
    except idna.IDNAError:
        readable = domain
    plain = {address, f"{local}@{readable}"}
    return frozenset(plain | {p.replace("@", "%40") for p in plain}).union(*(guessable(p) for p in plain))


def guessable(address: str) -> frozenset[str]:
    """The plain digests under which lists of addresses are passed around."""
    return frozenset(
        hashlib.new(name, spelling.encode(), usedforsecurity=False).hexdigest()
        for name in ("md5", "sha1", "sha256", "sha512")
        for spelling in (address, address.upper())
    )


def without_private_part(said: Statement) -> Statement:
    """A statement about a forgotten person: what counts, without what tells of them. What was carried to them once must
    be known for that."""
    return replace(said, reason=None, evidence={CARRIED: said.evidence[CARRIED]} if CARRIED in said.evidence else {})


def may_be_kept(said: Statement) -> bool:
    """Grants of forgotten people are void: only what restricts, and what tells whether mail arrives, is added."""
    return said.kind is not StatementKind.GRANT


def _is_of(raw: str, forgotten: Collection[str]) -> bool:
    return any(address in forgotten for address in usable([raw])) or mentions(raw, forgotten)
