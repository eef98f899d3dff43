"""The guard at work: a plan that changes too much waits for a person before its first write."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import structlog

from optsync.errors import CommandRefused
from optsync.reconcile.guard import Excess, GuardKind, GuardLimit, excesses, guard_kind
from optsync.state.issues import NewIssue
from optsync.state.plans import Plan
from optsync.state.unit import Unit
from optsync.sync.disputed import look_again
from optsync.sync.engine import Engine
from optsync.sync.held import HeldChanges
from optsync.sync.joined_topics import is_noted, note_joined
from optsync.sync.reject import reject
from optsync.sync.word import Word

Counts: TypeAlias = Mapping[tuple[str, GuardKind], int]
"""By system."""

_log = structlog.get_logger(__name__)
NEW_MEANING = "the mapping, list scope, scope or audience changed"


class Guard:
    """Of one sync in one turn of a run. ``guarded`` is called inside every transaction; ``word``: what a person said
    about held plans; ``since``: in a later turn, the newest change of all when the run began: what it has let go after
    that without a person's word counts with what it lets go now."""

    def __init__(
        self,
        engine: Engine,
        sync: str,
        run: str,
        guarded: Callable[[Unit], None],
        *,
        word: Word | None,
        since: int | None = None,
    ) -> None:
        self._engine = engine
        self._sync = sync
        self._run = run
        self._guarded = guarded
        self._word = word
        self._approving: tuple[str, ...] = ()
        self._approved_topics: set[int] = set()
        self._has_plans = True
        self._is_first = True
        self._known_meaning: str | None = None
        self._since = since
        self.plan: str | None = None
        """The plan that this run holds."""
        self.reasons: list[dict[str, Any]] = []
        """Why: system, kind, count, known and limits, or a sentence under ``reason``."""

    def begin(self, unit: Unit) -> HeldChanges:
        """Takes the person's word; what it is about is looked at again in this cycle.

        Raises:
            CommandRefused: the plan is not held any more, or would be written otherwise by now.
        """
        self._reject(unit)
        self._known_meaning = unit.meta.get(meaning_key(self._sync))
        self._let_go_of_other_meanings(unit)
        policy = self._engine.bound.policies[self._sync]
        if self._known_meaning == self._meaning() and not is_noted(unit, policy):
            note_joined(unit, policy)  # everybody was looked at by a version that did not note it
        self._approving = self._approved(unit)
        for uid in self._approving:
            unit.points.mark([self._sync], unit.plans.points_of(uid))
            self._approved_topics |= unit.plans.points_of(uid, of_topics=True)
        self._has_plans = unit.plans.has_any(self._sync)
        self._is_first = unit.meta.get(applied_key(self._sync)) is None
        return HeldChanges(self._engine, self._sync, self._approving, has_plans=self._has_plans)

    def _reject(self, unit: Unit) -> None:
        uid = self._word.rejects if self._word else None
        if uid is None or self._word is None:
            return
        reject(self._engine, unit, self._require(unit, uid), self._word, run=self._run)
        unit.issues.close(HELD, sync=self._sync, blocks=uid, reason="rejected")
        _log.info("plan rejected", sync=self._sync, run=self._run, plan=uid)

    def _require(self, unit: Unit, uid: str) -> Plan:
        plan = unit.plans.find(uid)
        if plan is None or plan.state != "held":
            raise CommandRefused(f"plan {uid} is not held any more; nothing was changed")
        return plan

    def _let_go_of_other_meanings(self, unit: Unit) -> None:
        """What was held or approved before the meaning changed would be written otherwise now: it is approved no more,
        and held anew."""
        now, key = self._meaning(), held_key(self._sync)
        known = unit.meta.get(key) or self._known_meaning
        if known == now:
            return
        unit.meta.put(key, now)
        held = unit.plans.held(self._sync) if known else []
        if self._word and self._word.approves in {plan.uid for plan in held}:
            raise CommandRefused(
                f"plan {self._word.approves} was held before {NEW_MEANING}, and would be written otherwise now: nothing"
                " was done. optsync sync holds it anew, as it is by now"
            )
        unit.plans.lapse_all(self._sync)
        for plan in held:
            unit.points.mark([self._sync], unit.plans.points_of(plan.uid))
            look_again(unit, self._engine.bound.policies, self._sync, unit.plans.points_of(plan.uid, of_topics=True))
            unit.plans.close(plan.uid, "superseded")
            unit.issues.close(HELD, sync=self._sync, blocks=plan.uid, reason=NEW_MEANING)

    def _approved(self, unit: Unit) -> tuple[str, ...]:
        word = self._word
        if word is None:
            return ()
        if word.approves is not None:
            return (self._require(unit, word.approves).uid,)
        held = unit.plans.held(self._sync) if word.approves_first else []
        return tuple(plan.uid for plan in held if plan.is_first and _is_volume(plan.reasons))

    def judge(self, planned: int, *, is_cautious: bool, is_rehearsal: bool) -> None:
        """Holds what this run has planned (so many changes), if it is too much and nobody has approved it, and
        releases the rest, but not in a rehearsal. Answers by ``plan`` and ``reasons``. ``is_cautious``: one side was
        not read."""
        is_new_meaning = not is_cautious and self._known_meaning != self._meaning()
        if not (planned or self._has_plans or is_new_meaning):
            return
        with self._engine.store.transaction() as unit:
            self._guarded(unit)
            counts = self._counts(unit)
            reasons = self._reasons(unit, counts)
            is_expected = self._is_first and self._word and self._word.approves_first and _is_volume(reasons)
            if reasons and not is_expected:
                self._hold(unit, reasons)
                unit.plans.take_back(self._run, self._approving)
            else:
                self._let_go(unit, reasons)
            if is_new_meaning:
                unit.meta.put(meaning_key(self._sync), self._meaning())
                note_joined(unit, self._engine.bound.policies[self._sync])
            if is_rehearsal:
                self.plan = None
                return
            self._look_back(unit)
            unit.changes.release(self._run, self._sync)

    def waiting(self, unit: Unit) -> list[str]:
        """The plans of earlier runs that are still held."""
        held = unit.plans.held(self._sync) if self._has_plans else []
        return [plan.uid for plan in held if plan.uid != self.plan]

    def conclude(self, *, is_cautious: bool) -> None:
        """The run's writes are done: once everything is through, or was tried and refused, the sync's first run is
        over."""
        if is_cautious or self.reasons or not self._is_first:
            return
        with self._engine.store.transaction() as unit:
            self._guarded(unit)
            # Whom a system refuses for ever is looked at in every run, and must not keep the limit of creates away.
            is_left = unit.points.is_any_untried(self._sync, self._run) or unit.changes.is_any_ready(self._sync)
            if not is_left:
                unit.meta.put(applied_key(self._sync), self._run)

    # judging

    def _reasons(self, unit: Unit, counts: Counts) -> list[dict[str, Any]]:
        if not counts:
            return []
        found = []
        if self._known_meaning is not None and self._known_meaning != self._meaning():
            found.append({"reason": NEW_MEANING, "count": sum(counts.values())})
        return [*found, *self._excessive(unit, counts, exempt=(GuardKind.CREATES,) if self._is_first else ())]

    def volume(self, unit: Unit) -> list[dict[str, Any]]:
        """What the run has planned too much of, in the form of ``reasons``."""
        return self._excessive(unit, self._counts(unit))

    def _counts(self, unit: Unit) -> Counts:
        """Of every kind that is planned now, with what was let go of it before."""
        counts: dict[tuple[str, GuardKind], int] = {}
        for system, _, kind, rank, count in unit.plans.count_planned(self._run, self._sync):
            key = (system, guard_kind(kind, rank))
            counts[key] = counts.get(key, 0) + count
        if counts and self._since is not None:
            for system, _, kind, rank, count in unit.plans.count_released(self._run, self._sync, after=self._since):
                key = (system, guard_kind(kind, rank))
                if key in counts:
                    counts[key] += count
        return counts

    def _excessive(self, unit: Unit, counts: Counts, *, exempt: Sequence[GuardKind] = ()) -> list[dict[str, Any]]:
        limits = self._limits()
        if all(count <= limits[kind].max for (_, kind), count in counts.items()):
            return []  # whatever is known, and counting that takes long
        return [_reason(excess) for excess in excesses(counts, self._known(unit), limits, exempt=exempt)]

    def _known(self, unit: Unit) -> dict[str, int]:
        """The records of each system that this sync reads."""
        known: dict[str, int] = {}
        for binding in self._engine.bound.sources_of(self._sync):
            source = unit.sources.require(binding.system, binding.collection)
            known[binding.system] = known.get(binding.system, 0) + unit.sources.count_known(source.id)
        return known

    def _limits(self) -> dict[GuardKind, GuardLimit]:
        guard = self._engine.config.guard
        return {kind: GuardLimit(**dict(getattr(guard, kind))) for kind in GuardKind}

    def _meaning(self) -> str:
        return self._engine.bound.meanings[self._sync]

    # holding and releasing

    def _hold(self, unit: Unit, reasons: Sequence[dict[str, Any]]) -> None:
        self.plan = self._new_plan(unit, reasons, is_first=self._is_first)
        self.reasons = list(reasons)

    def _new_plan(self, unit: Unit, reasons: Sequence[dict[str, Any]], *, is_first: bool) -> str:
        uid = f"P{self._engine.new_id()}"
        unit.plans.add(uid, sync=self._sync, run=self._run, is_first=is_first, reasons=reasons)
        return uid

    def _let_go(self, unit: Unit, reasons: Sequence[dict[str, Any]]) -> None:
        approving = list(self._approving)
        if reasons:
            # Kept as a plan of its own: what does not arrive at once stays approved.
            approving.append(self._new_plan(unit, reasons, is_first=True))
            unit.plans.plan_again(self._run, approving[-1])
        for uid in approving:
            unit.plans.close(uid, "approved", actor=self._word.actor if self._word else None)
            unit.issues.close(HELD, sync=self._sync, blocks=uid, reason="approved")
            _log.info("plan approved", sync=self._sync, run=self._run, plan=uid)
        look_again(unit, self._engine.bound.policies, self._sync, self._approved_topics)

    def _look_back(self, unit: Unit) -> None:
        """Says again what is still held, and lets go of plans of which nothing is left."""
        now = self._engine.clock.now()
        for plan in unit.plans.held(self._sync):
            if unit.plans.count_held(plan.uid) == 0:
                unit.plans.close(plan.uid, "superseded")
                unit.issues.close(HELD, sync=self._sync, blocks=plan.uid, reason="nothing of it is left")
                _log.info("held plan dissolved", sync=self._sync, run=self._run, plan=plan.uid)
                continue
            unit.issues.open(_issue(plan), run=self._run)
            age = round((now - plan.held_at).total_seconds())
            _log.warning("plan is held", sync=self._sync, run=self._run, plan=plan.uid, age_s=age, why=in_words(plan))


HELD = "plan_held"


def meaning_key(sync: str) -> str:
    """Where the digest is kept under which a sync was last planned."""
    return f"meaning:{sync}"


def held_key(sync: str) -> str:
    """Where the digest is kept under which all that a sync holds was decided."""
    return f"held_under:{sync}"


def applied_key(sync: str) -> str:
    """Where the run is kept that ended the first run of a sync."""
    return f"applied:{sync}"


def _reason(excess: Excess) -> dict[str, Any]:
    limit = excess.limit
    return {
        "system": excess.system,
        "kind": excess.kind.value,
        "count": excess.count,
        "known": excess.known,
        "max": limit.max,
        "percent": limit.percent,
        "cap": limit.cap,
    }


def _is_volume(reasons: Sequence[Mapping[str, Any]]) -> bool:
    """Whether it is held for its size alone, which of a first run may be foreseen. What follows from another mapping
    somebody is to have looked at."""
    return not any("reason" in reason for reason in reasons)


def _issue(plan: Plan) -> NewIssue:
    return NewIssue(
        kind=HELD,
        message=f"plan {plan.uid} waits for a person: {in_words(plan)}. Nothing of it was written; optsync runs show "
        f"{plan.run} lists it. To let it go: optsync approve {plan.uid} --actor NAME; to take it back: optsync reject "
        f"{plan.uid} --actor NAME",
        sync=plan.sync,
        values={"plan": plan.uid, "reasons": plan.reasons},
        blocks=plan.uid,
    )


def in_words(plan: Plan) -> str:
    """Why the plan is held, in one line."""
    return "; ".join(reason_in_words(reason) for reason in plan.reasons)


def reason_in_words(reason: dict[str, Any]) -> str:
    """One reason of a held plan."""
    if "reason" in reason:
        return f"{reason['reason']}, {reason['count']} changes"
    return (
        f"{reason['count']} {reason['kind']} in {reason['system']}, where {reason['known']} records are known "
        f"(limit {reason['max']}, and {reason['percent']:g} % or {reason['cap']})"
    )
