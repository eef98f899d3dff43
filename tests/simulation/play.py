"""Playing a script: the unmodified engine on mocks in process, in virtual time, and looked at all along."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from optsync.errors import OptsyncError
from optsync.state.store import DatabaseError
from optsync.sync.report import Report
from optsync.sync.run import run_cycle
from optsync.sync.undo import undo
from optsync.sync.word import Word
from optsync_mailchimp import reading
from tests.simulation.builder import build, emptied, emptied_only, is_of_crm, may_seem_to_lack
from tests.simulation.coverage import Coverage
from tests.simulation.desk import ACTOR, operate, spoken
from tests.simulation.hands import carry_out, claimed, lateness, sight
from tests.simulation.law import Inspector, Judge, Law, Violation
from tests.simulation.ledger import Books
from tests.simulation.line import REPLICA_LAG, Line
from tests.simulation.messages import Asked, Row
from tests.simulation.quiet import Quiet
from tests.simulation.script import (
    FAULTS,
    LATE,
    MEANWHILE,
    OVERTAKEN,
    PAGED,
    PARTIAL,
    SKEWED,
    STEPPED,
    Act,
    Cycle,
    Script,
)
from tests.simulation.stage import SYNC, Fate, Killed, Stage
from tests.simulation.witness import Witness

_MISSED_BY_DELTAS = frozenset({"delete", "merge", "forget", "let_lapse", "complain", "complain_cleaned", "restore"})
"""What moves no stamp, or takes the record away with it: the full compare finds it."""
_WHERE = re.compile(r" on \S+ \(process \d+\)")
"""What another process would tell otherwise: a seed has one trace."""
_LISTED = 3
"""So many members are looked at one by one; of more, what has changed is listed."""
CLOSING = frozenset({"out", "unsubscribed"})
"""How the two systems call it when somebody is taken off the list."""


class Player:
    """One world from its beginning to its end. ``counts``: how often each law had something to look at."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.stage = Stage(script)
        union = script.policy.get("topics_first_sight") == "union"
        self.witness = Witness(restricts_topics=not union, terms=self.stage.terms)
        self.counts: Counter[str] = Counter()
        self.coverage = Coverage(self.stage)
        self.trace: list[str] = []
        self.runs: list[str] = []
        self.cycles = 0
        self.is_approved = self.is_ordered = False
        self._meaning = self.stage.meaning
        self._planned_under: str | None = None
        self.is_quiet = self.is_rough = self.needs_look = False
        self._marks: set[str] = set()
        self.needs_full = False
        self._closed: set[tuple[str, object]] = set()
        self._cycle_now = Cycle()
        self._must_check = False
        self._under_way: Sequence[Asked] = ()
        self.witness.begins(sight(self.stage), self.stage.clock.now())
        self.books = Books(self.stage, self.witness, self.counts)
        self.judge = Judge(self.witness, self.counts, self.books.is_in_doubt)
        self._inspector = Inspector(
            self.witness,
            needs_consent=script.basis == "consent",
            counts=self.counts,
            is_in_doubt=self.books.is_in_doubt,
            is_seen_anew=self.books.was_seen_anew,
        )
        self.line = Line(self)
        self.stage.transport = self.line
        self.stage.engine = self.stage.restart()

    @property
    def fate(self) -> Fate:
        """Of the cycle under way."""
        return self.stage.store.fate

    def play(self, steps: slice = slice(None), *, is_whole: bool = True) -> None:
        """Plays these steps of the script, and the end unless others follow.

        Raises:
            Violation: a rule did not hold.
        """
        with _paged(self.script.page), self.stage.store.at_hand():
            for step in self.script.steps[steps]:
                self._step(step)
            if is_whole:
                Quiet(self).fall()

    def _step(self, step: Act | Cycle) -> None:
        if isinstance(step, Act):
            self._act(step)
        elif step.word == "undo":
            if self.runs:
                self.undo(step, self.runs[-1])
        else:
            self.cycle(step, self._word(step))

    def _word(self, cycle: Cycle) -> Word | None:
        try:
            return spoken(self, cycle.word) if cycle.word else None
        except LookupError:
            return None

    # what people do

    def _act(self, act: Act) -> None:
        stage = self.stage
        stage.clock.advance(act.wait)
        if act.who == "clock":
            clock = stage.crm_clock if act.what == "crm" else stage.esp_clock
            clock.ahead += act.other
            self.witness.clock_was_set(act.what)
            self._marks.add(STEPPED)
            is_done = True
        elif act.who == "builder":
            is_done = self.rebuild(act)
        elif act.who == "operator":
            is_done = operate(self, act)
            self.books.is_seen_anew |= is_done and act.what in {"remap", "refilter", "forget"}
        else:
            before, typed, late = sight(stage), claimed(act, stage), lateness(stage, act)
            # Of what was not possible as a whole, a part may have been done.
            is_done = carry_out(stage, act) or sight(stage) != before
            if is_done:
                stamped = stage.clock.now() - timedelta(seconds=late)
                self.witness.saw_act(act, before, sight(stage), stamped, typed)
                self.books.values.saw_act(before, sight(stage))
                # The survivor of a merge shows another consent date than before: that tells of a no.
                self.books.is_seen_anew |= act.what == "merge"
                self._marks |= {LATE} if act.late else set()
                self.needs_full = self.needs_full or act.what in _MISSED_BY_DELTAS
        self._tell(f"{act.who} {act.what} {act.slot} {act.other} {is_done}")

    def rebuild(self, act: Act) -> bool:
        """An administrator takes away or brings back what records consist of; False where that is not possible."""
        lost, only, before = emptied(self.stage, act), emptied_only(self.stage, act), sight(self.stage)
        if not build(self.stage, act):
            return False
        self.needs_look = True
        self.witness.came_back(before, sight(self.stage))
        if lost:
            self.witness.emptied(lost, sight(self.stage), only=only)
        if not is_of_crm(act):
            self.reconfigured()  # the platform's groups are remembered for hours
        return True

    # cycles

    def cycle(self, cycle: Cycle, word: Word | None = None) -> Report | None:
        """One cycle of the daemon; None if it was killed or its database failed."""
        self.is_ordered = word is not None
        return self._run(cycle, lambda: run_cycle(self.stage.engine, full=cycle.is_full, word=word))

    def undo(self, cycle: Cycle, run: str) -> None:
        """A run is taken back, in whatever weather."""
        self.is_ordered = self._inspector.is_undoing = True
        self._run(cycle, lambda: undo(self.stage.engine, run, actor=ACTOR, is_approved=True) and None)
        self._inspector.is_undoing = False

    def _run(self, cycle: Cycle, work: Callable[[], Report | None]) -> Report | None:
        self.stage.clock.advance(cycle.wait)
        self._begin(cycle)
        report: Report | None = None
        end = "done"
        try:
            report = work()
        except Killed:
            end = "killed"
            self._marks.add("killed")
        except DatabaseError as error:
            end = f"failed: {error.orig}" if hasattr(error, "orig") else "failed"
        except OptsyncError as error:
            end = f"refused: {_WHERE.sub('', str(error))}"
        self._end(report, end)
        if end == "killed":
            self.books.release_leases()
            self.stage.engine = self.stage.restart()
        return report

    def _begin(self, cycle: Cycle) -> None:
        self.cycles += 1
        self._cycle_now = cycle
        self._planned_under = self.books.planned_under()
        self.stage.store.fate = Fate(cycle.faults, cycle.kill, cycle.commits)
        self._closed.clear()
        self._inspector.looked_at.clear()
        self._must_check = True
        if self.script.page < 1000:
            self._marks.add(PAGED)
        if self.stage.crm_clock.ahead or self.stage.esp_clock.ahead:
            self._marks.add(SKEWED)

    def _end(self, report: Report | None, end: str) -> None:
        self.is_ordered = False
        struck = self.fate.struck | self._marks
        self.stage.store.fate = Fate()
        self._marks = set()
        is_well = report is not None and not report.syncs[SYNC].failures
        self.is_rough = self.is_rough or not is_well or self.books.begins_anew()
        self.witness.ends_cycle(is_well=is_well)
        self.coverage.note(struck)
        if is_well or self.books.planned_under() != self._planned_under:
            # Also where it was cut short after that: what followed from the new meaning is held, or nothing did.
            self._meaning = self.stage.meaning
        for key, is_out, off in self.books.doubted():
            self.witness.may_have_written(key, is_out=is_out, off=off)
        for key in self.books.closed():
            self.witness.may_have_written(key, is_out=True, off=())
        if report is None:
            self.books.is_anything_cut_short = True
            self._tell(end)
            return
        self.runs.append(report.run)
        self._note(report)
        self.books.count(report)
        if is_well:
            self.is_approved = self.is_approved and self.books.is_plan_under_way()
            self.witness.is_blurred = False
            self.books.may_send()
            if not self.books.is_any_answer_damaged:
                self.books.values.agree(sight(self.stage))

    def reconfigured(self) -> None:
        """Another process begins, with what the configuration says now."""
        self.stage.engine = self.stage.restart()
        self.witness.terms = self.stage.terms

    def _note(self, report: Report) -> None:
        part = report.syncs[SYNC]
        self._tell(f"sync {part.state} {[str(f) for f in part.failures]} {sorted(self.fate.struck)}")
        for c in part.changes:
            what = f"{c.kind} {c.before} -> {c.after} {c.rule} {c.state} {c.message or ''}"
            self.trace.append(f"      {c.system} {c.record} {c.email} {what}")

    def _tell(self, what: str) -> None:
        self.trace.append(f"{self.stage.clock.now():%d %H:%M:%S} {what}")

    # what goes over the line

    def on_write(self, asked: Sequence[Asked]) -> None:
        self.books.expect_intent(asked)
        # Before its first plan a sync holds nothing for that: there is no other meaning that anybody has seen.
        is_new = self._meaning != self.stage.meaning and self._planned_under is not None
        self.counts[Law.MEANING] += is_new
        if is_new and not self.is_quiet and not self.is_ordered and not self._is_handling(asked):
            raise Violation(Law.MEANING, f"written although the configuration means something else now: {asked}")
        if self._must_check:
            self._must_check = False
            self.books.may_send()
        self._under_way = asked
        self._overwrite()
        world = sight(self.stage)
        self.books.covered.update(_covering(asked).intersection(self.witness.unshown))
        # Whom a firewall turns away was not asked, and everybody knows it.
        is_turned_away = self.fate.faults.get(self.fate.requests) == "forbidden"
        is_of_many = sum(each.side == "esp" and not each.is_creating for each in asked) > _LISTED
        for each in asked:
            self._inspector.look(each, world, is_turned_away=is_turned_away, is_of_many=is_of_many)
            if each.is_creating and each.side == "esp":
                self.witness.entered[each.address] = each.status
            if each.status in CLOSING:
                self._closed.add((each.side, each.key))
                self._volume(each.side)
                self.witness.closes((each.side, each.key), world)

    def on_put_off(self, asked: Sequence[Asked]) -> None:
        world = sight(self.stage)
        for each in asked:
            self._inspector.put_off(each, world)

    def _is_handling(self, asked: Sequence[Asked]) -> bool:
        """What an organisation adds to an opt-out is no part of a plan: it is set whatever is held."""
        return self.script.handled and not any(each.status or each.topics for each in asked)

    def _volume(self, side: str) -> None:
        count = sum(1 for where, _ in self._closed if where == side)
        self.counts[Law.VOLUME] += not self.is_approved
        if self.is_approved or count <= self.script.guard:
            return
        if count * 100 > 20 * self.books.known(side):
            raise Violation(Law.VOLUME, f"{count} people are closed at {side} in one cycle, and nobody approved it")

    def on_shown(self, rows: Sequence[Row], *, is_alone: bool) -> None:
        fault = self.fate.faults.get(self.fate.requests)
        is_believed = rows[0].side == "esp" or not may_seem_to_lack(self.stage)
        is_whole = is_believed and (fault is None or FAULTS.get(fault) != PARTIAL)
        self.witness.was_shown(rows, is_whole=is_whole, is_alone=is_alone)
        for key in [(row.side, row.key) for row in rows]:
            if fault != "stale" or not self.was_otherwise(*key, REPLICA_LAG):
                self.witness.unshown.pop(key, None)
        self._inspector.looked_at.update((row.side, row.key) for row in rows)

    def on_damaged(self) -> None:
        self.witness.spoils()
        self.books.is_any_answer_damaged = self.needs_look = True

    def on_complaints_shown(self, addresses: Sequence[str]) -> None:
        self.witness.complaints_shown(addresses)

    def was_otherwise(self, side: str, key: Any, seconds: float) -> bool:
        """Whether a replica that is so many seconds behind has the record as it was last shown: what came before the
        latest change and was not shown either must be as young."""
        at = self.witness.unshown.get((side, key), self.witness.touched.get((side, key)))
        return at is not None and (self.stage.clock.now() - at).total_seconds() <= seconds

    def on_the_way(self, number: int) -> None:
        """What the cycle has for this request; a write that is on its way is done after it."""
        for step in self._cycle_now.meanwhile.get(number, ()):
            if isinstance(step, Cycle):
                self._overtake(step)
            elif step.who != "operator":
                self._marks.add(MEANWHILE)
                self._act(step)
                self._overwrite()
                # Where our write and somebody's edit meet, nobody can tell whose no it is: it counts as theirs.
                self.books.is_seen_anew = True
        self._under_way = ()

    def _overwrite(self) -> None:
        for each in self._under_way:
            off = [topic for topic, wanted in each.topics.items() if not wanted]
            key, is_out = (each.side, each.key), each.status in CLOSING
            self.witness.overwrites(key, is_out=is_out, off=off, is_proving=each.is_proving)

    def _overtake(self, cycle: Cycle) -> None:
        """Another daemon runs while this one waits for an answer."""
        outer, fate, engine, rows = self._cycle_now, self.fate, self.stage.engine, self.witness.pause()
        marks, self._marks = self._marks, {OVERTAKEN}
        closed = set(self._closed)
        looked_at = set(self._inspector.looked_at)
        try:
            self.stage.engine = self.stage.restart("second")
            self.cycle(cycle)
        finally:
            self._cycle_now, self.stage.engine = outer, engine
            self.stage.store.fate = fate
            self.witness.go_on(rows)
            self._marks = marks | {OVERTAKEN}
            self._closed = closed
            self._inspector.looked_at = looked_at


def _covering(asked: Sequence[Asked]) -> set[tuple[str, Any]]:
    """The records on which a restriction is written."""
    closing = (a for a in asked if a.status in CLOSING or not all(a.topics.values()))
    return {(a.side, a.key) for a in closing}


@contextmanager
def _paged(size: int) -> Iterator[None]:
    """The platform's pages are so small while the world is played."""
    usual = reading.PAGE_SIZE
    reading.PAGE_SIZE = size
    try:
        yield
    finally:
        reading.PAGE_SIZE = usual
