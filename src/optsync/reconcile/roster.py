"""Rosters: what it says that somebody is not on the list any more."""

from collections.abc import Iterable

from optsync.model.record import Record, Status
from optsync.model.statement import OUR_CLOCK, Source, StatementKind, state
from optsync.reconcile.detect import Said
from optsync.reconcile.reading import Reading
from optsync.reconcile.representation import Representation, shown


def left(record: Record, representation: Representation, reading: Reading) -> Iterable[Said]:
    """A roster no longer shows the record and a direct look-up says "not there": an out when observed, unless
    the record last showed a bounce."""
    if shown(record, representation).status is not Status.IN:
        return ()
    statement = state(
        scope=representation.scope,
        kind=StatementKind.OUT,
        at=reading.seen_at,
        clock=OUR_CLOCK,
        seen_at=reading.seen_at,
        source=Source.ESP,
        is_personal=True,
        reason="left the list",
        system=reading.system,
        record=record.id,
    )
    return (Said(statement),)
