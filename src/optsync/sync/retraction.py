"""What was written because of statements that were retracted since: the reconciler may put it back."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from optsync.model.change import ChangeKind, ChangeState
from optsync.model.record import Status
from optsync.model.statement import Statement, StatementKind
from optsync.reconcile.view import Written
from optsync.state.changes import Change
from optsync.state.records import Observed
from optsync.state.unit import Unit


def retracted(about: Mapping[int, Sequence[Statement]]) -> set[int]:
    """The points about which something was retracted."""
    return {key for key, said in about.items() if any(s.kind is StatementKind.RETRACT for s in said)}


def written(
    unit: Unit, sync: str, observed: Iterable[Observed], points: Collection[int]
) -> dict[int, tuple[Written, ...]]:
    """By record that holds one of ``points``, those about which something was retracted: what the sync has written
    there about wishes, the newest first."""
    there = [o for o in observed if not o.is_gone or o.record.status is Status.ABSENT]  # off a list, perhaps by us
    holders = {o.key for o in there if not set(points).isdisjoint(o.points)}
    found: dict[int, tuple[Written, ...]] = {}
    for change in unit.changes.about_wishes(sync, holders) if holders else ():
        if change.record_id is not None and not _was_so_already(change):
            found[change.record_id] = (*found.get(change.record_id, ()), _written(change))
    return found


def _was_so_already(change: Change) -> bool:
    """A restrictive write that changed nothing: whoever had made it so before, the write did not."""
    return change.state is ChangeState.SAME and bool(change.write["is_restrictive"])


def _written(change: Change) -> Written:
    return Written(
        is_topics=change.kind is ChangeKind.TOPIC,
        is_restrictive=bool(change.write["is_restrictive"]),
        before=change.before,
        after=change.after,
        causes=tuple(change.causes),
    )
