"""Rosters: what it says that somebody is not on the list any more."""

from collections.abc import Iterable

from optsync.model.record import Record, Status
from optsync.model.statement import OUR_CLOCK, Source, StatementKind, state
from optsync.reconcile.detect import Said
from optsync.reconcile.reading import Reading
from optsync.reconcile.representation import Representation, shown

_BY_THEMSELF, _BY_US = "left the list", "off the list, by a removal of ours or before it"
_SAYS_NOTHING = frozenset({Status.BOUNCED, Status.PENDING, Status.ABSENT, Status.ARCHIVED})


def left(
    record: Record, representation: Representation, reading: Reading, *, may_be_ours: bool = False
) -> Iterable[Said]:
    """A roster no longer shows the record and a direct look-up says "not there": an out when observed, unless
    the record last showed a bounce, or somebody who was not on it. Whoever was out already says so again: a grant
    of between the two must not bring them back. ``may_be_ours``: we were about to remove them, and nobody knows whether
    we did."""
    if shown(record, representation).status in _SAYS_NOTHING:
        return ()
    statement = state(
        scope=representation.scope,
        kind=StatementKind.OUT,
        at=reading.seen_at,
        clock=OUR_CLOCK,
        seen_at=reading.seen_at,
        source=Source.ESP,
        is_personal=not may_be_ours,
        reason=_BY_US if may_be_ours else _BY_THEMSELF,
        system=reading.system,
        record=record.id,
    )
    return (Said(statement),)
