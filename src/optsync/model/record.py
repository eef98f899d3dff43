"""Records: what a system showed, in neutral words."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from optsync.model.quick import quick_dataclass

Value: TypeAlias = str | bool | int | float | tuple[str, ...] | None
"""A canonical field value. Dates are ``YYYY-MM-DD``; date-times ISO 8601 in UTC with a ``Z``; lists of
options are sorted tuples of option ids or labels; None is "no value"."""


class Side(StrEnum):
    """The part a system plays in a sync."""

    CRM = "crm"
    ESP = "esp"


class Status(StrEnum):
    """How a system shows whether a record may be mailed. A representation, never the wish itself."""

    IN = "in"
    """Subscribed."""
    OUT = "out"
    """Opted out, by whomever."""
    PENDING = "pending"
    """A confirmation was asked for and not yet given."""
    UNKNOWN = "unknown"
    """Known and never opted in; or a vendor word that nobody mapped."""
    BOUNCED = "bounced"
    """Undeliverable; no wish."""
    ARCHIVED = "archived"
    """Taken off the list, data kept; hides the former status."""
    ABSENT = "absent"
    """Not there."""


class Origin(StrEnum):
    """Who caused the status that is shown, as far as the system tells."""

    PERSON = "person"
    ADMIN = "admin"
    COMPLAINT = "complaint"
    UNKNOWN = "unknown"


BY_THEMSELF = frozenset({Origin.PERSON, Origin.COMPLAINT})
"""An out of these is the person's own."""


@quick_dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A row of one collection of one system, as read.

    ``addresses`` are as typed, the primary first, possibly none; the connector orders them, the core
    normalises them. ``status`` and ``topics`` belong to systems that have subscriptions of their own; where
    flags are ordinary fields (a CRM), ``status`` is None and the flags are in ``fields``. ``fields`` holds
    exactly the fields asked for, by the vendor's names (a missing one is None). All times are aware, UTC, as
    the vendor's clock gave them.
    """

    id: str
    addresses: tuple[str, ...] = ()
    status: Status | None = None
    origin: Origin = Origin.UNKNOWN
    reason: str | None = None
    """The vendor's reason or code for the status."""
    status_at: datetime | None = None
    """When the status came about, where the vendor gives an own time for it."""
    complained_at: datetime | None = None
    """When the person last complained, where the vendor keeps that apart from the status."""
    opted_in_at: datetime | None = None
    """The vendor's opt-in stamp."""
    topics: Mapping[str, bool | None] = field(default_factory=dict)
    """By the names asked for; None is "no value"."""
    fields: Mapping[str, Value] = field(default_factory=dict)
    created_at: datetime | None = None
    modified_at: datetime | None = None
    lists: frozenset[str] = frozenset()
    """Names of the list scopes of the read specification that it belongs to."""
    word: str | None = None
    """The vendor's own word for the status; named in an issue when nobody mapped it."""
    is_word_known: bool = True
    """False for a vendor word that is in no mapping: it is reported and nothing is inferred from it."""
    is_asked: bool = False
    """Whether the status is what the person asked for, and somebody else has yet to agree: should it change back, that
    was not the person's doing."""
    rank: int = 0
    """Order among the collections of a CRM when several records hold one address (contact before lead …)."""
