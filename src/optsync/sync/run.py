"""One cycle: observe, reconcile, apply — for one or more syncs."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from optsync.errors import StateLocked, SystemFailure
from optsync.model.record import Side
from optsync.state.unit import Unit
from optsync.sync.apply import Applier
from optsync.sync.binding import SourceBinding, SourceKey
from optsync.sync.decide import Decider
from optsync.sync.departures import Departures
from optsync.sync.engine import Engine
from optsync.sync.guard import Guard
from optsync.sync.handling import CustomHandler
from optsync.sync.held import HeldChanges
from optsync.sync.holding import Holding
from optsync.sync.journaled import journaled
from optsync.sync.observe import Observer
from optsync.sync.progress import Progress, Silent
from optsync.sync.report import Report, SyncReport
from optsync.sync.review import Review
from optsync.sync.signs import SignReader
from optsync.sync.tally import tally
from optsync.sync.turn import Turn
from optsync.sync.waiting import is_decided_alike, note_not_before, waiting
from optsync.sync.word import Word

_log = structlog.get_logger(__name__)
_REMEMBERED = timedelta(days=30)
"""How long every run is remembered. Of those before that in which nothing happened, one a day of each sync is."""
_AT_ONCE = 2_000
"""So many old runs are looked at when one ends."""
_THINNED = "runs thinned"


def run_cycle(
    engine: Engine,
    syncs: Sequence[str] = (),
    *,
    full: bool = False,
    is_rehearsal: bool = False,
    one_turn: bool = False,
    progress: Progress | None = None,
    stopping: Callable[[], bool] = lambda: False,
    word: Word | None = None,
) -> Report:
    """Runs the named syncs (all, if none is named) one after the other; what goes wrong with one system or sync
    does not stop the others and is in the report.

    A rehearsal does the same work, writes to no system and leaves the state database as it was. ``stopping`` is
    asked between batches of writes. Ordinary writing is done in turns, and the systems are read again before each;
    ``one_turn``: the caller begins the next one, where the report says that something is left. ``word`` is what a
    person said about held plans.

    Raises:
        CommandRefused: the plan that ``word`` is about is not held any more; or another optsync has brought the
            database to another schema.
    """
    report = Report(run=engine.new_id())
    names = list(syncs) or list(engine.bound.policies)
    with engine.store.at_hand(), engine.store.rehearsal() if is_rehearsal else nullcontext():
        with engine.store.transaction() as unit:
            unit.leases.require_schema()
            unit.runs.begin(report.run, names)
        try:
            for name in names:
                cycle = _Cycle(engine, name, report.run, progress or Silent(), stopping, full=full, word=word)
                report.syncs[name] = cycle.run(is_rehearsal=is_rehearsal, one_turn=one_turn)
        except Exception:
            end_run(engine, report, "failed")
            raise
        end_run(engine, report, report.state)
    return report


def end_run(engine: Engine, report: Report, state: str) -> None:
    """Notes in the journal how the run ended; one that found every sync in other hands leaves no trace."""
    is_idle = bool(report.syncs) and all(sync.is_locked_out for sync in report.syncs.values())
    with engine.store.transaction() as unit:
        if is_idle:
            unit.runs.forget(report.run)
        else:
            head = unit.ledger.head()
            sealed = {} if head is None else {"ledger_head": head.to_json()}
            unit.runs.end(report.run, state, {**report.summary(), **sealed})
            _thin(unit, engine.clock.now())


def _thin(unit: Unit, now: datetime) -> None:
    """Once a day, or until that is done: what happens every minute must not fill the database for ever."""
    today = now.date().isoformat()
    done, beyond = (unit.meta.get(_THINNED) or " 0").split(" ")
    if done == today:
        return
    looked_at, last = unit.runs.thin(before=now - _REMEMBERED, beyond=int(beyond), most=_AT_ONCE)
    unit.meta.put(_THINNED, f"{done if looked_at == _AT_ONCE else today} {last}")


class _Cycle:
    """One sync's cycle under its lease: a turn of reading, deciding and writing, and another one for as long as the
    time for ordinary writes is over before they are."""

    def __init__(
        self,
        engine: Engine,
        sync: str,
        run: str,
        progress: Progress,
        stopping: Callable[[], bool],
        *,
        full: bool,
        word: Word | None,
    ) -> None:
        self._engine = engine
        self._sync = sync
        self._run = run
        self._progress = progress
        self._stopping = stopping
        self._full = full
        self._holding = Holding(engine, sync)
        self._report = SyncReport()
        self._quarantined = {Side.CRM: 0, Side.ESP: 0}
        self._guard = Guard(engine, sync, run, self._holding.guarded, word=word)
        self._turns = 0
        self._first = 0
        self._newest = 0
        self._left = 0
        self._goes_on = False
        self._full_reads: dict[SourceKey, datetime] = {}
        self._handler = CustomHandler(engine, sync, run, self._holding.guarded)
        self._observer = Observer(engine, run, self._holding.guarded, progress)

    def run(self, *, is_rehearsal: bool, one_turn: bool) -> SyncReport:
        systems = {b.system for b in self._engine.bound.sources_of(self._sync)}
        before = {s: self._engine.connectors[s].calls for s in systems}
        try:
            with self._holding.held(beats=self._engine.beats and not is_rehearsal):
                self._work(is_rehearsal=is_rehearsal, one_turn=one_turn)
        except StateLocked as error:
            self._report.failures.append(error)
            self._report.state = "failed"
        self._report.calls = {s: self._engine.connectors[s].calls - before[s] for s in sorted(systems)}
        _log.info(
            "sync ended",
            sync=self._sync,
            run=self._run,
            state=self._report.state,
            changes=len(self._report.changes),
            calls=self._report.calls,
            failures=[type(f).__name__ for f in self._report.failures],
        )
        return self._report

    def _work(self, *, is_rehearsal: bool, one_turn: bool) -> None:
        began = self._engine.clock.now()
        unread = self._turn(is_rehearsal=is_rehearsal)
        while self._goes_on and not one_turn and not self._stopping():
            unread = self._turn(is_rehearsal=is_rehearsal)
        self._report.has_more = self._goes_on
        if not is_rehearsal and not self._report.held_for:
            self._guard.conclude(is_cautious=bool(unread or self._report.failures))
        self._observer.judge_claims()
        if not unread:
            self._review(began)
        self._conclude(is_rehearsal=is_rehearsal)

    def _turn(self, *, is_rehearsal: bool) -> Mapping[str, SystemFailure]:
        """Reads, decides and writes; answers what could not be read."""
        held = self._begin(is_rehearsal=is_rehearsal)
        bindings = self._engine.bound.sources_of(self._sync)
        unread = self._observe(bindings)
        self._observer.judge_claims()
        available = {b.system for b in bindings} - {f.system for f in unread.values()}
        turn = Turn(available=available, is_cautious=bool(unread), newest=self._newest)
        decider = Decider(
            self._engine, self._sync, self._run, self._holding.guarded, turn=turn, held=held, progress=self._progress
        )
        decider.work_off()
        self._guard.judge(decider.planned, is_cautious=bool(unread), is_rehearsal=is_rehearsal)
        self._note_plan()
        if is_rehearsal:
            self._report.state = "failed" if self._report.failures else "planned"
        elif decider.planned or self._newest:
            # Counting what waits, in each of many turns, would cost the square of the people.
            self._apply(replace(turn, expected=self._left + decider.planned if self._left else 0))
        if not self._goes_on:
            self._handler.work_off(lambda: self._apply(turn), is_rehearsal=is_rehearsal)
        return unread

    def _begin(self, *, is_rehearsal: bool) -> HeldChanges:
        engine = self._engine
        if self._turns:
            self._guard = Guard(engine, self._sync, self._run, self._holding.guarded, word=None, since=self._first)
        self._turns, self._goes_on = self._turns + 1, False
        with engine.store.transaction() as unit:
            self._holding.guarded(unit)
            self._holding.recover(unit, keeps_waiting=is_decided_alike(unit, engine, self._sync))
            self._newest = unit.changes.newest() if unit.changes.is_any_ready(self._sync) else 0
            if self._turns == 1:
                self._first = unit.changes.newest()
            if is_rehearsal and self._newest:
                unit.changes.adopt(self._run, self._sync)
            held = self._guard.begin(unit)
            self._handler.begin(unit)
        return held

    def _note_plan(self) -> None:
        if self._guard.plan or self._guard.reasons:
            self._report.plan, self._report.held_for = self._guard.plan, self._guard.reasons

    def _review(self, began: datetime) -> None:
        review = Review(
            self._engine,
            self._sync,
            self._run,
            self._holding.guarded,
            began=began,
            full_reads=self._full_reads,
        )
        review.work_off()

    def _observe(self, bindings: Sequence[SourceBinding]) -> Mapping[str, SystemFailure]:
        """Reads every source; answers which could not be read."""
        unread: dict[str, SystemFailure] = {}
        for binding in bindings:
            if binding.system in {f.system for f in unread.values()}:
                continue
            try:
                every = min(self._engine.config.syncs[sync].full for sync in binding.syncs)
                if self._turns > 1:
                    read = self._observer.read(binding, full=False, adds=True)
                else:
                    read = self._observer.read(binding, full=self._full, full_every=every)
            except SystemFailure as failure:
                unread[f"{binding.system}/{binding.collection}"] = failure
                self._report.failures.append(failure)
                self._report.state = "failed"
                continue
            if read.failure is not None:
                self._report.failures.append(read.failure)
                self._report.state = "failed"
            self._quarantined[binding.side] += read.quarantined
            self._report.unheard_of += read.unheard_of
            if read.full_since is not None:
                self._full_reads[binding.system, binding.collection] = read.full_since
            self._hear(binding, read.source, is_due=read.is_full)
            self._ask(binding)
        return unread

    def _hear(self, binding: SourceBinding, source: int, *, is_due: bool) -> None:
        """Signs are worth a look; without them the rest of the cycle goes on as it would."""
        if binding.side is not Side.ESP:
            return
        try:
            reader = SignReader(self._engine, self._run, self._holding.guarded, self._progress)
            reader.read(binding, source, is_due=is_due)
        except SystemFailure as failure:
            self._report.failures.append(failure)
            self._report.state = "failed"

    def _ask(self, binding: SourceBinding) -> None:
        """What is not answered is asked again in the next cycle; the rest of this one goes on as it would."""
        try:
            Departures(self._engine, self._run, self._holding.guarded).ask(binding)
        except SystemFailure as failure:
            self._report.failures.append(failure)
            self._report.state = "failed"

    def _apply(self, turn: Turn) -> None:
        applier = Applier(
            self._engine,
            self._sync,
            self._run,
            self._holding.guarded,
            observer=self._observer,
            turn=turn,
            stopping=self._stopping,
            progress=self._progress,
        )
        applier.send_all()
        # Where nothing arrives, trying again at once would not end.
        self._goes_on = applier.is_cut_short and applier.done > 0 and not applier.failures
        self._left = applier.left if self._goes_on else 0
        if applier.not_before:
            with self._engine.store.transaction() as unit:
                self._holding.guarded(unit)
                note_not_before(unit, self._engine, self._sync, applier.not_before)
        if applier.failures:
            self._report.failures.extend(applier.failures.values())
            self._report.state = "failed"

    def _conclude(self, *, is_rehearsal: bool) -> None:
        if self._report.held_for and self._report.state != "failed":
            self._report.state = "held"
        with self._engine.store.reading() as unit:
            self._report.waiting = [uid for uid in self._guard.waiting(unit) if uid != self._report.plan]
            if not is_rehearsal:
                self._report.unsent = waiting(unit, self._sync, self._engine.clock.now())
                self._report.is_stopped = self._stopping() and unit.changes.is_any_ready(self._sync)
            store = self._engine.store
            self._report.changes = journaled(store, unit, self._run, self._sync, is_rehearsal=is_rehearsal)
            self._report.issues = unit.issues.count_of_run(self._run, self._sync)
            counted = tally(unit, self._engine, self._sync, self._run)
        self._report.seen = {side.value: counted.seen[side] + self._quarantined[side] for side in Side}
        self._report.outcome = {**counted.outcome, "quarantined": sum(self._quarantined.values())}
