"""Rosters: people who were on the list and are seen asking to be, so that they have left in between."""

from collections.abc import Collection, Sequence
from datetime import datetime

from optsync.connect.contract import Absence
from optsync.model.record import Record, Status
from optsync.reconcile.detect import Said
from optsync.reconcile.reading import Reading
from optsync.reconcile.representation import Representation
from optsync.reconcile.roster import left
from optsync.state.records import Observed
from optsync.state.unit import Unit
from optsync.sync.binding import SourceBinding
from optsync.sync.sifting import Sifted


def asking(unit: Unit, binding: SourceBinding, sifted: Sifted) -> Collection[str]:
    """The records of a page that ask to be on the list on which they were. The page may have missed them where they
    are, and an old request may have been left over: only a look-up tells."""
    if binding.absence is not Absence.LEFT:
        return ()
    found = [rid for rid, record in sifted.records.items() if record.status is Status.PENDING]
    known = unit.records.load(sifted.known[rid].key for rid in found if rid in sifted.known)
    return {o.record.id for o in known if not o.is_gone and o.record.status is not Status.PENDING}


def left_between(
    old: Observed | None, record: Record, binding: SourceBinding, representation: Representation, reading: Reading
) -> Sequence[Said]:
    """A list takes no request of a member: somebody left, and the request, which may be anybody's, is no grant."""
    is_roster = binding.absence is Absence.LEFT
    if not is_roster or old is None or old.is_gone or record.status is not Status.PENDING:
        return ()
    return tuple(left(old.record, representation, reading, may_be_ours=may_be_removed(old)))


def note_left(unit: Unit, binding: SourceBinding, old: Observed, *, at: datetime, run: str) -> None:
    """A removal found nobody to remove: they had left since they were read, or an attempt of ours whose answer was lost
    had removed them. Without our reason for it they stay out."""
    if binding.absence is not Absence.LEFT or old.is_gone or not old.points:
        return
    reading = Reading(system=binding.system, collection=binding.collection, seen_at=at)
    for representation in binding.representations:
        for each in left(old.record, representation, reading, may_be_ours=True):
            unit.ledger.append([(old.points[0], each.statement)], run=run)
            unit.points.mark(binding.hearers(each.statement.scope), {old.points[0]})


def may_be_removed(old: Observed) -> bool:
    """Whether the answer to a removal of ours was lost."""
    return old.unsure is not None and old.unsure.status == Status.OUT
