"""Held plans in the cycles that follow: a derived change that is held already is neither planned again nor counted."""

from collections.abc import Collection, Sequence

from optsync.model.change import ChangeKind, ChangeState
from optsync.reconcile.view import Intent
from optsync.state.plans import DROPPED, Approval, HeldChange
from optsync.state.unit import Unit
from optsync.sync.disputed import look_again
from optsync.sync.engine import Engine


class HeldChanges:
    """The held plans of one sync, as deciding meets their changes again. ``approving``: plans whose changes are
    planned anew, with what the systems show now. ``has_plans``: whether anything was ever held or approved."""

    def __init__(self, engine: Engine, sync: str, approving: Collection[str] = (), *, has_plans: bool = True) -> None:
        self._engine = engine
        self._sync = sync
        self._approving = frozenset(approving)
        self._has_plans = has_plans

    def sort_out(
        self, unit: Unit, keys: Collection[int], points: Collection[int], derived: Sequence[Intent]
    ) -> list[tuple[Intent, str | None]]:
        """The changes to plan now, each with the plan by which a person has approved it. ``derived``: all that
        follows for the points ``keys``, sendable or not; ``points``: everybody around them."""
        if not self._has_plans:
            return [(intent, None) for intent in derived]
        held = unit.plans.held_at(self._sync, points)
        approvals = unit.plans.approved_at(self._sync, points)
        named = [(intent, intent.fingerprint) for intent in derived]
        prints = {fingerprint for _, fingerprint in named}
        self._drop(unit, held, keys, prints)
        self._end(unit, approvals, keys, prints)
        approved = {each.fingerprint: each.plan for each in approvals}
        plans = {change.fingerprint: change.plan for change in held}
        free = {None, *self._approving}
        return [
            (intent, plans.get(fingerprint) or approved.get(fingerprint))
            for intent, fingerprint in named
            if plans.get(fingerprint) in free
        ]

    def _drop(self, unit: Unit, held: Sequence[HeldChange], keys: Collection[int], derived: Collection[str]) -> None:
        """Ends the held changes that do not follow any more."""
        wanted = frozenset(keys)
        gone = [change for change in held if change.point_id in wanted and change.fingerprint not in derived]
        if not gone:
            return
        unit.changes.set_state(
            (change.id for change in gone), ChangeState.SUPERSEDED, settled_at=self._engine.clock.now(), fact=DROPPED
        )
        # A record that has another address by now may need the same for that one.
        records = unit.records.load(change.record_id for change in gone if change.record_id is not None)
        unit.points.mark([self._sync], {p for o in records for p in o.points} - wanted)
        of_topics = [change for change in gone if change.kind == ChangeKind.TOPIC]
        touched = {change.record_id for change in of_topics}
        about = {p for o in records if o.key in touched for p in o.points} | {change.point_id for change in of_topics}
        look_again(unit, self._engine.bound.policies, self._sync, about)

    def _end(self, unit: Unit, approvals: Sequence[Approval], keys: Collection[int], derived: Collection[str]) -> None:
        """Ends the approvals of changes that do not follow any more, but of those that were put off: should they follow
        once more, that is another time."""
        wanted = frozenset(keys)
        gone = [each for each in approvals if each.point_id in wanted and each.fingerprint not in derived]
        if gone:
            put_off = unit.issues.blocked(self._sync)
            unit.plans.lapse(each for each in gone if each.fingerprint not in put_off)
