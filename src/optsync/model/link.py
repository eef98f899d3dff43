"""Links: two records of one person, and what their systems last agreed on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from optsync.model.record import Value


@dataclass(frozen=True, slots=True)
class Agreed:
    """What both sides showed when they last agreed (or their difference was accepted), each in its own form."""

    crm: Value
    esp: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A CRM record and a member that were joined in a sync; ``agreed`` by field rule."""

    crm: int
    esp: int
    agreed: Mapping[str, Agreed] = field(default_factory=dict)
    frozen: frozenset[str] = frozenset()
