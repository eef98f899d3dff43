"""Links: two records of one person, and what their systems last agreed on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from optsync.model.quick import quick_dataclass
from optsync.model.record import Side, Value


@quick_dataclass(frozen=True, slots=True)
class Agreed:
    """What both sides showed when they last agreed (or their difference was accepted), each in its own form."""

    crm: Value
    esp: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """The last copy of a field rule's value: from what both had (``old``) to ``new``, both in the ESP's form,
    written to ``target``. ``bounces``: how many copies in a row each took the one before it back."""

    old: Value
    new: Value
    target: Side
    at: datetime
    bounces: int = 0


@quick_dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A CRM record and a member that were joined in a sync; ``agreed`` and ``moves`` by field rule. A rule in
    ``frozen`` copies nothing until both sides show the same. ``left``: optsync archived or tagged the member when the
    person left the list, or the address. ``is_kept``: that was undone; it is not done again before the person belongs
    to the list. ``inactive``: optsync did so for want of any sign of life. ``left_by_tag``, ``inactive_by_tag``: that
    was a tag, which is no reason to bring back whoever is archived. ``point``: the contact point at which both were
    last joined, None if that was not noted."""

    crm: int
    esp: int
    agreed: Mapping[str, Agreed] = field(default_factory=dict)
    frozen: frozenset[str] = frozenset()
    moves: Mapping[str, Move] = field(default_factory=dict)
    left: bool = False
    inactive: bool = False
    is_kept: bool = False
    left_by_tag: bool = False
    inactive_by_tag: bool = False
    point: int | None = None

    @property
    def is_off_list(self) -> bool:
        """Whether optsync archived the member, as far as it remembers."""
        return (self.left and not self.left_by_tag) or (self.inactive and not self.inactive_by_tag)
