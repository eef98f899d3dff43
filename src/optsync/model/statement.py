"""Statements: the immutable facts of the ledger."""

import hashlib
from collections.abc import Mapping
from dataclasses import field, fields
from datetime import datetime
from enum import IntEnum, StrEnum

from optsync.model.quick import quick_dataclass


class StatementKind(StrEnum):
    OUT = "out"
    COMPLAINT = "complaint"
    """An out that only an administrator with evidence lifts."""
    GRANT = "grant"
    REQUEST = "request"
    """A confirmation was asked for."""
    REQUEST_EXPIRED = "request_expired"
    """The request named by ``target`` ended without an answer."""
    HARD_BOUNCE = "hard_bounce"
    SOFT_BOUNCE = "soft_bounce"
    DELIVERED = "delivered"
    """A sign of life: a delivery, an open, a repaired mailbox."""
    RETRACT = "retract"
    """Voids the administrative statement named by ``target``."""


class Source(StrEnum):
    """Who said it, by which way."""

    LINK = "link"
    LIST_UNSUBSCRIBE = "list_unsubscribe"
    PREFERENCE_CENTER = "preference_center"
    ADMIN = "admin"
    API = "api"
    CRM = "crm"
    ESP = "esp"
    FORM = "form"
    SPAM_COMPLAINT = "spam_complaint"
    BOUNCE = "bounce"
    IMPORT = "import"
    LEGACY = "legacy"


class Strength(IntEnum):
    """What a grant can lift."""

    NOTHING = 0
    """A tick, a first sight, a legacy member: says "in" where nobody said out."""
    TRUSTED = 1
    """Lifts outs at exactly its own scope."""
    EVIDENCED = 2
    """Lifts every out but complaints."""
    ADMINISTRATOR = 3
    """Lifts every out."""


@quick_dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One fact about one contact point. All times are aware, UTC, already corrected for the clock's offset.

    ``at`` is the time that counts: of an out its event, never after ``seen_at``; of a grant the earlier of its
    evidenced time and ``seen_at``. ``clock`` names whose clock told it (a system; ``optsync``), None for typed
    and imported times: only two times of one clock compare exactly.
    """

    uid: str
    scope: str
    kind: StatementKind
    at: datetime
    clock: str | None
    seen_at: datetime
    source: Source
    strength: Strength = Strength.NOTHING
    is_personal: bool = False
    """The person said it themself: never retracted."""
    reason: str | None = None
    system: str | None = None
    record: str | None = None
    target: str | None = None
    evidence: Mapping[str, str] = field(default_factory=dict)


OUR_CLOCK = "optsync"


def state(  # noqa: PLR0913 - a statement has this many parts, and one place computes its identity
    *,
    scope: str,
    kind: StatementKind,
    at: datetime,
    clock: str | None,
    seen_at: datetime,
    source: Source,
    strength: Strength = Strength.NOTHING,
    is_personal: bool = False,
    reason: str | None = None,
    system: str | None = None,
    record: str | None = None,
    target: str | None = None,
    evidence: Mapping[str, str] | None = None,
) -> Statement:
    """Makes a statement; its ``uid`` follows from its content, so that the same fact seen twice is one."""
    at = min(at, seen_at)
    content = (
        f"{scope}\x1f{kind}\x1f{at.isoformat()}\x1f{clock}\x1f{source}\x1f{int(strength)}\x1f{is_personal}"
        f"\x1f{system}\x1f{record}\x1f{target}"
    )
    return Statement(
        uid=hashlib.blake2b(content.encode(), digest_size=16).hexdigest(),
        scope=scope,
        kind=kind,
        at=at,
        clock=clock,
        seen_at=seen_at,
        source=source,
        strength=strength,
        is_personal=is_personal,
        reason=reason,
        system=system,
        record=record,
        target=target,
        evidence=dict(evidence) if evidence else {},
    )


def counted_from(said: Statement, moment: datetime) -> Statement:
    """The same, said at ``moment`` if it is a no: our clock told that moment before it told those of the statement, so
    it was set back in between. A typed time belongs to no clock and stays, and so does whatever is no no."""
    is_no = said.kind in {StatementKind.OUT, StatementKind.COMPLAINT}
    return restated(said, at=moment, seen_at=moment) if is_no and said.clock is not None else said


def restated(said: Statement, *, at: datetime, seen_at: datetime) -> Statement:
    """The same, said and heard at other times."""
    parts = {part.name: getattr(said, part.name) for part in fields(said) if part.name != "uid"}
    return state(**{**parts, "at": at, "seen_at": seen_at})
