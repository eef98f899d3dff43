"""The work of an undo: reading what there is now, planning what goes back, sending it, saying what stays."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from optsync.errors import OptsyncError, StateLocked, SystemFailure
from optsync.model.change import ChangeKind, ChangeState, WriteKind
from optsync.model.link import Link
from optsync.model.record import Side
from optsync.reconcile.rules import Rule
from optsync.reconcile.undo import INSTEAD, REASONS, Done, TakenBack, Why, is_undoable, take_back
from optsync.reconcile.view import Intent, Point
from optsync.state.changes import Change, NewChange
from optsync.state.erasures import NAME
from optsync.state.unit import Unit
from optsync.sync.agreements import Agreements
from optsync.sync.apply import Applier
from optsync.sync.binding import SourceBinding
from optsync.sync.decide import new_change, seen_of
from optsync.sync.engine import Engine
from optsync.sync.guard import Guard
from optsync.sync.holding import Holding
from optsync.sync.observe import Observer
from optsync.sync.progress import Progress
from optsync.sync.receipts import plain
from optsync.sync.refusals import left_by_self
from optsync.sync.report import Report, SyncReport
from optsync.sync.turn import Turn

_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class NotUndone:
    """Something of the run that stays; ``names`` are its fields, none where it is about all of it."""

    change: Change
    why: Why
    names: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        change = self.change
        return {
            "system": change.system,
            "record": change.record,
            "email": change.email,
            "kind": change.kind,
            "fields": list(self.names),
            "skipped": self.why,
            "reason": REASONS[self.why],
            "instead": INSTEAD.get(change.kind) if self.why is Why.NOT_UNDOABLE else None,
        }


@dataclass(slots=True, kw_only=True)
class UndoneSync(SyncReport):
    """One sync's part: what was taken back is in ``changes``, and here what was not."""

    not_undone: list[NotUndone] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """In the form of ``sync --json``, and what stays."""
        # Not super(): a dataclass with slots is made anew, and the bare form would mean the class before that.
        return {**SyncReport.to_json(self), "not_undone": [each.to_json() for each in self.not_undone]}

    def counts_to_json(self) -> dict[str, Any]:
        """Without what stays, which would name people; only how many there are of it."""
        return {**SyncReport.counts_to_json(self), "not_undone": len(self.not_undone)}


@dataclass(slots=True, kw_only=True)
class UndoReport(Report):
    """The whole of it; ``undoes`` is the run that is taken back."""

    undoes: str

    def to_json(self) -> dict[str, Any]:
        """In the form of ``sync --json``, and which run it takes back."""
        return {**Report.to_json(self), "undoes": self.undoes}


class Undoing:
    """One sync's part of an undo, under its leases."""

    def __init__(
        self,
        engine: Engine,
        sync: str,
        report: UndoReport,
        stopping: Callable[[], bool],
        progress: Progress,
        *,
        is_approved: bool,
    ) -> None:
        self._engine = engine
        self._policy = engine.bound.policies[sync]
        self._run = report.run
        self._undoes = report.undoes
        self._stopping = stopping
        self._progress = progress
        self._holding = Holding(engine, sync)
        self._observer = Observer(engine, self._run, self._holding.guarded, progress)
        self._report = UndoneSync()
        self._outcomes: dict[int, str] = {}
        self._is_approved = is_approved
        self._withdrawn: list[Change] = []

    def run(self, *, is_rehearsal: bool) -> UndoneSync:
        engine = self._engine
        systems = sorted({b.system for b in engine.bound.sources_of(self._policy.name)})
        before = {s: engine.connectors[s].calls for s in systems}
        try:
            with self._holding.held(beats=engine.beats and not is_rehearsal):
                self._work(is_rehearsal=is_rehearsal)
        except StateLocked as error:
            self._report.failures.append(error)
            self._report.state = "failed"
        self._report.calls = {s: engine.connectors[s].calls - before[s] for s in systems}
        return self._report

    def _work(self, *, is_rehearsal: bool) -> None:
        with self._engine.store.transaction() as unit:
            self._holding.guarded(unit)
            # What waits was decided from what is now taken back.
            self._holding.recover(unit, keeps_waiting=False)
        groups = self._undoable()
        if any(_is_archive(group) for group in groups) and not self._read_all():
            groups = [group for group in groups if not _is_archive(group)]
        sources: dict[tuple[str, str], list[list[Change]]] = {}
        for group in groups:
            sources.setdefault((group[0].system, group[0].collection), []).append(group)
        for source, groups in sources.items():
            try:
                self._plan_source(source, groups)
            except SystemFailure as failure:
                self._report.failures.append(failure)
                self._report.state = "failed"
        is_held = self._is_held()
        if is_rehearsal and not is_held:
            self._report.state = "planned"
        elif not is_held:
            self._apply()
        self._observer.judge_claims()
        self._conclude()

    def _undoable(self) -> list[list[Change]]:
        """What the run has done, by record and road; what cannot be taken back is noted at once."""
        with self._engine.store.reading() as unit:
            made = [c for c in unit.changes.of_run(self._undoes) if c.sync == self._policy.name]
        groups: dict[tuple[int | None, str], list[Change]] = {}
        for change in sorted((c for c in made if c.state is ChangeState.APPLIED), key=lambda c: c.id):
            write = WriteKind(change.write["kind"])
            if change.email == NAME:
                self._report.not_undone.append(NotUndone(change=change, why=Why.FORGOTTEN))
            elif is_undoable(change.kind, write, is_undo=change.rule == Rule.UNDONE):
                groups.setdefault((change.record_id, write), []).append(change)
            else:
                self._report.not_undone.append(NotUndone(change=change, why=Why.NOT_UNDOABLE))
        return list(groups.values())

    def _read_all(self) -> bool:
        """Whoever is put back on a list must be in with all that was said anywhere until now; whether every source
        could be read. Where one could not, archives stay, and the undo is called again."""
        for binding in self._engine.bound.sources_of(self._policy.name):
            try:
                if (failure := self._observer.read(binding, full=False).failure) is not None:
                    raise failure
            except SystemFailure as failure:
                self._report.failures.append(failure)
                self._report.state = "failed"
                return False
        self._observer.judge_claims()
        return True

    def _plan_source(self, source: tuple[str, str], groups: Sequence[list[Change]]) -> None:
        """Reads the records as they are now, and plans what is taken back."""
        binding = self._engine.bound.sources.get(source)
        if binding is None:
            self._stay(groups, Why.NOT_CONNECTED)
            return
        for start in range(0, len(groups), _BATCH):
            part = self._of_this_account(groups[start : start + _BATCH], binding)
            there = self._observer.look_again(binding, sorted({g[0].record for g in part if g[0].record}))
            with self._engine.store.transaction() as unit:
                self._holding.guarded(unit)
                self._plan(unit, [g for g in part if g[0].record in there])
            self._stay([g for g in part if g[0].record not in there], Why.GONE)
            self._progress.step(f"read {binding.system}", min(start + _BATCH, len(groups)), len(groups))

    def _of_this_account(self, groups: Sequence[list[Change]], binding: SourceBinding) -> list[list[Change]]:
        """Without those of a former account under the same name: what was their number is somebody else's by now."""
        with self._engine.store.reading() as unit:
            records = unit.records.load(g[0].record_id for g in groups if g[0].record_id)
        here = {o.key for o in records if o.system == binding.system}
        self._stay([g for g in groups if g[0].record_id not in here], Why.NOT_CONNECTED)
        return [g for g in groups if g[0].record_id in here]

    def _stay(self, groups: Iterable[Sequence[Change]], why: Why) -> None:
        for group in groups:
            self._report.not_undone.append(NotUndone(change=group[-1], why=why))
            self._count(group[-1], why)

    def _plan(self, unit: Unit, groups: Sequence[list[Change]]) -> None:
        # Who was forgotten since the run was looked up: its values must not come back.
        forgotten = unit.points.forgotten(g[0].point_id for g in groups)
        self._stay([g for g in groups if g[0].point_id in forgotten], Why.FORGOTTEN)
        groups = [g for g in groups if g[0].point_id not in forgotten]
        observed = {o.key: o for o in unit.records.load(g[0].record_id for g in groups if g[0].record_id)}
        about, now = unit.ledger.about({g[0].point_id for g in groups}), self._engine.clock.now()
        told = left_by_self(unit, self._policy, list(about))
        planned: list[NewChange] = []
        for group in groups:
            known = observed[group[0].record_id or 0]
            seen = seen_of(known, self._engine.bound.sources[known.system, known.collection])
            done = _done(group)
            members = [seen.key] if seen.side is Side.ESP else [done.counterpart or 0]
            links = list(unit.links.of(self._policy.name, members).values())
            point = Point(key=group[0].point_id, address="", statements=about[group[0].point_id])
            back = take_back(done, seen, links, point, self._policy, now=now, told=told.get(point.key))
            if back.settled is not None:
                unit.links.save(self._policy.name, [back.settled])
            if back.intent is not None:
                planned.append(_journaled(self._policy.name, back.intent, links))
            elif not back.stays and done.left:
                unit.links.set_left(self._policy.name, seen.key, left=False, is_kept=True)
            self._note(group[-1], back)
        unit.changes.plan(self._run, planned)

    def _note(self, change: Change, back: TakenBack) -> None:
        stays = [NotUndone(change=change, why=s.why, names=s.names) for s in back.stays]
        self._report.not_undone.extend(stays)
        self._count(change, "changed" if back.intent else stays[0].why if stays else "same")

    def _count(self, change: Change, outcome: str) -> None:
        """Each record has one outcome: changed before skipped before same."""
        key = change.record_id or 0
        known = self._outcomes.get(key, "same")
        if known == "same" or outcome == "changed":
            self._outcomes[key] = outcome

    def _is_held(self) -> bool:
        """Too much at once is not written before a person says so. Nothing is kept waiting: a held undo would be of
        values that go on changing, and asking again finds them as they are then."""
        with self._engine.store.transaction() as unit:
            self._holding.guarded(unit)
            guard = Guard(self._engine, self._policy.name, self._run, self._holding.guarded, word=None)
            reasons = [] if self._is_approved else guard.volume(unit)
            if not reasons:
                return False
            planned = [c for c in unit.changes.of_run(self._run) if c.sync == self._policy.name]
            self._agree_as_before(unit, planned)
            withdrawn = (c.id for c in planned)
            unit.changes.set_state(withdrawn, ChangeState.SUPERSEDED, settled_at=self._engine.clock.now())
        self._withdrawn = [replace(c, state=ChangeState.HELD) for c in planned]
        self._report.held_for = reasons
        if self._report.state != "failed":
            self._report.state = "held"
        return True

    def _agree_as_before(self, unit: Unit, changes: Sequence[Change]) -> None:
        sides = [(change, change.system == self._policy.esp_system) for change in changes]
        keys = [change.record_id if is_esp else change.write["counterpart"] for change, is_esp in sides]
        agreements = Agreements(unit, self._policy.name, {key for key in keys if key is not None})
        for change, is_esp in sides:
            agreements.as_before(change, is_esp=is_esp)
        agreements.save()

    def _apply(self) -> None:
        available = {b.system for b in self._engine.bound.sources_of(self._policy.name)}
        with self._engine.store.transaction() as unit:
            self._holding.guarded(unit)
            unit.changes.release(self._run, self._policy.name)
        failed = {f.system for f in self._report.failures if isinstance(f, SystemFailure)}
        applier = Applier(
            self._engine,
            self._policy.name,
            self._run,
            self._holding.guarded,
            observer=self._observer,
            turn=Turn(available=available - failed, seconds=None),
            stopping=self._stopping,
            progress=self._progress,
        )
        applier.send_all()
        if applier.failures:
            self._report.failures.extend(applier.failures.values())
            self._report.state = "failed"

    def _conclude(self) -> None:
        report = self._report
        with self._engine.store.reading() as unit:
            changes = [c for c in unit.changes.of_run(self._run) if c.sync == self._policy.name]
            report.issues = unit.issues.count_of_run(self._run, self._policy.name)
            sides = {o.key: o.system == self._policy.crm_system for o in unit.records.load(self._outcomes)}
        report.changes = self._withdrawn or [c for c in changes if c.state is not ChangeState.SUPERSEDED]
        if report.state == "done" and any(c.state is ChangeState.READY for c in report.changes):
            # No later run sends them: they follow from nothing but this call.
            report.state = "failed"
            report.failures.append(OptsyncError("stopped before all was taken back: call undo again, it goes on"))
        received = {c.record_id for c in report.changes}
        for late in changes:
            if late.state is ChangeState.SUPERSEDED and late.record_id not in received:
                report.not_undone.append(NotUndone(change=late, why=Why.TOUCHED, names=tuple(sorted(late.after))))
                self._outcomes[late.record_id or 0] = Why.TOUCHED
        for key, outcome in self._outcomes.items():
            report.seen["crm" if sides.get(key) else "esp"] += 1
            if outcome in {"changed", "same"}:
                report.outcome[outcome] += 1
            else:
                report.outcome["skipped"][outcome] = report.outcome["skipped"].get(outcome, 0) + 1


def _is_archive(group: Sequence[Change]) -> bool:
    return WriteKind(group[0].write["kind"]) is WriteKind.ARCHIVE


def _done(group: Sequence[Change]) -> Done:
    """What a run did to one record on one road, all its changes together."""
    written: dict[str, Any] = {}
    agreed: set[str] = set()
    counterpart = None
    for change in group:
        kept: Mapping[str, Any] = change.write.get("kept", {})
        for name, sent in change.write["fields"].items() if change.kind is ChangeKind.FIELD else ():
            before = written[name][0] if name in written else plain(change.before.get(name))
            written[name] = (before, plain(kept.get(name, sent)))
        agreed |= change.write["agreed"].keys()
        counterpart = change.write["counterpart"] or counterpart
    last = group[-1]
    return Done(
        kind=last.kind,
        write=WriteKind(last.write["kind"]),
        is_undo=last.rule == Rule.UNDONE,
        written=written,
        agreed=frozenset(agreed),
        counterpart=counterpart,
        tags=last.write["tags"],
        left=last.write["left"],
    )


def _journaled(sync: str, intent: Intent, links: Sequence[Link]) -> NewChange:
    """With what was agreed before, for the case that it is not applied."""
    change = new_change(sync, intent)
    link = next((k for k in links if intent.counterpart in {k.crm, k.esp}), None)
    former = {key: [link.agreed[key].crm, link.agreed[key].esp] for key in intent.agreed} if link else {}
    return replace(change, write={**change.write, "former": former})
