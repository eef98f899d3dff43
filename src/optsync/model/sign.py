"""Signs: what became of the mails that were sent to an address."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class SignKind(StrEnum):
    SOFT_BOUNCE = "soft_bounce"
    """A temporary failure."""
    HARD_BOUNCE = "hard_bounce"
    DELIVERED = "delivered"
    OPENED = "opened"
    """The person opened the mail or followed a link: it arrived, and they are there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """One event. ``address`` as the vendor shows it; ``at`` is aware, UTC, as the vendor's clock gave it; ``mailing``
    is the vendor's id of what was sent."""

    address: str
    kind: SignKind
    at: datetime
    mailing: str | None = None
    record: str | None = None
    """The id of the member, where the vendor says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignPage:
    """A part of what became of the mails, in bounded memory.

    ``cursor`` is opaque: given back it goes on after this page; the last page's cursor starts the next look.
    ``mailed_at``: when the newest mail known so far was sent to the collection (the vendor's clock), None if there is
    none within the time asked about.
    """

    signs: tuple[Sign, ...]
    cursor: str
    is_last: bool
    mailed_at: datetime | None = None
