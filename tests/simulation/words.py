"""What somebody said: a no or a yes about an address, and whether a row or a system shows it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from tests.simulation.hands import Sight
from tests.simulation.messages import Row
from tests.simulation.script import TOPICS

Key: TypeAlias = tuple[str, Any]
"""A record: its side and id."""
STATUS = "status"
"""The scope of the purpose; the others are topics."""
APART = timedelta(seconds=230)
"""What must lie between a no and a later yes told by another clock, less what measuring a clock may be wrong."""

OUR_REASON = "N/A (Unsubscribed by admin)"
"""What the platform gives as the reason of an unsubscribe by its users, and of one by the API."""
FAR_APART = timedelta(seconds=370)
"""What must lie between them for everybody to agree which came later: the tolerance, and twice what measuring may be
wrong."""
OFF = timedelta(minutes=25)
"""By so much may be off what was told by a clock that was set unseen: it goes ten minutes wrong at most, either way,
and is corrected by what it was off before."""
FUTURE = timedelta(minutes=5)
"""A consent that is dated further ahead is none."""


@dataclass(slots=True, kw_only=True)
class No:
    """``order``: of all that happened. ``is_listed``: an answer of the cycle under way showed it."""

    email: str
    scope: str
    at: datetime
    order: int
    source: Key
    kind: str
    is_personal: bool
    is_complaint: bool = False
    is_blurred: bool = False
    is_listed: bool = False
    is_reported: bool = False
    """Of a complaint: the member shows it like any other no; that it was one stands in another listing."""
    is_certain: bool = False
    acquired: int = -1
    """The ``order`` of what made it speak for this address, where that came later."""
    heard_at: int | None = None
    """The ``order`` of the moment when it became certain, by the end of a cycle."""
    is_void: bool = False
    is_proof_ours: bool = False
    """We have written the date of a consent over it, or kept none of a forgotten person's: that this has moved tells
    nothing of what was said before."""
    is_of_known: bool = False
    """Of a record that a cycle that ended well had been shown before."""
    before: tuple[Row, ...] = ()
    """What the engine may have seen of the record last: in a cycle that ended well, and in one that did not."""

    def heard(self, order: int | None) -> None:
        """``order``: None where it was not."""
        self.is_certain, self.heard_at = order is not None, order

    def is_news(self, row: Row | None) -> bool:
        """Whether a row can tell it from what was seen before. Out again as before is none, nor is a topic that was on
        for a moment: no vendor shows a history of a field, and any edit moves a stamp."""
        if self.kind in TOPICS:
            return bool(self.before) and all(self.kind in seen.topics for seen in self.before)
        if self.kind == "transactional":
            return bool(self.before) and all(seen.is_in for seen in self.before)
        if self.kind != "out":
            return True
        proof = None if row is None or self.is_proof_ours else row.proof
        return all(not seen.is_out or (proof is not None and _is_another(proof, seen.proof)) for seen in self.before)

    @property
    def is_shown(self) -> bool:
        return self.is_listed and (self.is_reported or not self.is_complaint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Yes:
    """``at``: the time that is claimed. ``clock``: whose, None for a typed time."""

    email: str
    scope: str
    at: datetime
    order: int
    clock: str | None
    is_admin: bool = False
    is_blurred: bool = False
    source: Key | None = None
    is_of_known: bool = False
    """Said by a record that a cycle that ended well had been shown before: a first sight lifts nothing."""


def _is_another(proof: str, before: str) -> bool:
    """A reason where none is known to have been told before, since the answer was damaged, may be the one of before."""
    (stamp, _, reason), (former_stamp, _, former) = proof.partition(" "), before.partition(" ")
    is_moved = stamp.removeprefix("None") != former_stamp.removeprefix("None")
    return is_moved or (reason != former and "None" not in {reason, former})


def shows(row: Row, no: No) -> bool:
    """Whether the row shows what was said."""
    if (row.side, row.key) != no.source or (no.email not in row.addresses and no.kind != "unticked"):
        return False
    if no.kind == "out":
        return row.is_out and no.is_news(row)
    if no.is_complaint:
        return row.is_out or row.status == "cleaned"
    if no.kind == "transactional":
        return row.status == no.kind and no.is_news(row)
    if no.kind == "unticked":
        return not row.is_in and not row.is_out
    is_off = no.kind not in row.topics and no.kind not in row.untold
    return no.is_news(row) and is_off and row.status != "archived"


def remembered(row: Row, before: Row | None) -> Row:
    """The row as it is kept: with what was known before of the topics of a platform that nobody can tell."""
    if row.side == "crm" or not row.untold:
        return row
    known = before.topics & row.untold if before else frozenset()
    return row._replace(topics=row.topics - row.untold | known)


def still_shows(world: Sight, no: No) -> bool:
    side, key = no.source
    if side == "crm":
        contact = world.crm.get(key)
        return no.kind == "out" and contact is not None and contact.is_out and no.email in contact.addresses
    member = world.esp.get(key)
    if side != "esp" or member is None or member.address != no.email:
        return False
    if no.is_complaint:
        return True  # the reports go on telling it, whatever the member shows since
    return no.kind == "out" and member.status == "unsubscribed"


def is_hidden(world: Sight, no: No) -> bool:
    """Whether being archived hides it, so that nothing but the member's activity tells of it."""
    member = world.esp.get(no.source[1]) if no.source[0] == "esp" else None
    return no.kind == "out" and member is not None and member.status == "archived" and member.address == no.email


def covered(seen: Row, off: Iterable[str], *, is_out: bool) -> Row:
    """What the engine takes for its own doing of a record that it saw so and wrote."""
    known = seen._replace(topics=seen.topics.difference(off))
    if not is_out:
        return known
    proof = f"{seen.proof.split(' ')[0]} {OUR_REASON}" if seen.side == "esp" else seen.proof
    return known._replace(is_out=True, proof=proof)
