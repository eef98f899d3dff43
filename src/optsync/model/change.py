"""Writes to one record of one system, and what became of them."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum

from optsync.model.quick import quick_dataclass
from optsync.model.record import Record, Status, Value


class ChangeKind(StrEnum):
    """What a change is about, as plan, journal and guard call it."""

    OPT_OUT = "opt_out"
    OPT_IN = "opt_in"
    REQUEST = "request"
    TOPIC = "topic"
    FIELD = "field"
    CREATE = "create"
    ARCHIVE = "archive"
    RENAME = "rename"
    BOUNCE = "bounce"
    GRANT = "grant"


class ChangeState(StrEnum):
    """Where a change stands: plan, outbox, journal."""

    PLANNED = "planned"
    READY = "ready"
    SENDING = "sending"
    APPLIED = "applied"
    SAME = "same"
    REFUSED = "refused"
    FAILED = "failed"
    HELD = "held"
    SUPERSEDED = "superseded"


class WriteKind(StrEnum):
    """The separate roads to a vendor. A FIELDS write carries no status, by construction and by test."""

    STATUS = "status"
    TOPICS = "topics"
    FIELDS = "fields"
    CREATE = "create"
    ARCHIVE = "archive"
    RENAME = "rename"
    TAG = "tag"


@quick_dataclass(frozen=True, slots=True, kw_only=True)
class GrantEvidence:
    """What proves an opt-in that is written to another system; all of it may be missing."""

    at: datetime | None = None
    ip: str | None = None
    source: str | None = None
    text: str | None = None


@quick_dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One intended write, in neutral words.

    STATUS sets a subscription (``status``) or, where flags are ordinary fields, the flag ``fields`` and nothing
    else. TOPICS sets ``topics`` only, FIELDS sets ``fields`` only. CREATE makes a record that must not exist
    yet, with ``address``, ``status``, ``topics`` and ``fields``. RENAME gives the record the ``address`` in the place
    of ``former``: a connector that sees another one there first leaves it (FAILED). TAG adds and removes ``tags``.
    """

    key: str
    """The caller's name for it; comes back in the outcome."""
    kind: WriteKind
    collection: str
    record: str | None = None
    address: str | None = None
    former: str | None = None
    status: Status | None = None
    topics: Mapping[str, bool] = field(default_factory=dict)
    fields: Mapping[str, Value] = field(default_factory=dict)
    tags: Mapping[str, bool] = field(default_factory=dict)
    restrictive: bool = False
    evidence: GrantEvidence | None = None


class Result(StrEnum):
    """What a vendor did with a write."""

    APPLIED = "applied"
    SAME = "same"
    """It already was so."""
    REFUSED = "refused"
    """A fact about the person or record, see :class:`Fact`; retrying does not help."""
    FAILED = "failed"
    """Not applied; may be tried again."""
    INVALID = "invalid"
    """A value was refused: ``field`` says which one; the rest of the record may go on without it."""
    UNKNOWN = "unknown"
    """The answer was lost: applied or not. The record is re-read before anything else is sent."""


class Fact(StrEnum):
    """Why a vendor refused."""

    SELF_UNSUBSCRIBED = "self_unsubscribed"
    """The person left by themself; only their own confirmation brings them back."""
    UNDELIVERABLE = "undeliverable"
    FORGOTTEN = "forgotten"
    """Permanently deleted and blocked there."""
    FAKE_ADDRESS = "fake_address"
    BANNED = "banned"
    EXISTS = "exists"
    """A create met an existing record."""
    GONE = "gone"
    """The record is not there any more."""
    ARCHIVED = "archived"
    NOT_ALLOWED = "not_allowed"


@quick_dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One per write, in the order of the writes."""

    key: str
    result: Result
    record_id: str | None = None
    """Of the record written; of a created one, its new id."""
    record: Record | None = None
    """The record as the vendor shows it after the write, where its answer or a read-back says so."""
    is_partly_done: bool = False
    """Of an invalid one: the vendor took some of the write, and ``record`` shows what."""
    fact: Fact | None = None
    field: str | None = None
    message: str = ""
    """The vendor's words; no secret, may hold an address."""
    retry_at: datetime | None = None
