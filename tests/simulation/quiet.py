"""The end of a world: the weather is fine, nobody does anything, and what must hold then is looked at."""

from collections import Counter
from typing import Protocol

from optsync.sync.report import Report
from optsync.sync.word import Word
from tests.simulation.builder import brought_back, is_of_crm, name_of
from tests.simulation.desk import ACTOR, World, found_gone, has_asked, held, let_travel, problems
from tests.simulation.hands import sight
from tests.simulation.law import Judge, Law, Violation
from tests.simulation.ledger import Books
from tests.simulation.line import Line
from tests.simulation.script import Act, Cycle
from tests.simulation.stage import SYNC

_GRACE = 4000
"""Seconds between the two compares that prove a deletion."""
_QUIET = 700
"""Longer than a lost request may still be carried out."""
_PATIENCE = 20
"""Quiet cycles at most, with plans that are held one after another."""


class Played(World, Protocol):
    """What there is of a world when all that its script holds is done. ``needs_full``: people did what only a full
    compare finds. ``is_rough``: the last cycle was cut short, or the next begins anew. ``needs_look``: what records
    consist of was changed, or an answer was damaged: no stamp tells of what has not been shown."""

    counts: Counter[str]
    books: Books
    judge: Judge
    line: Line
    needs_full: bool
    is_rough: bool
    is_quiet: bool
    needs_look: bool

    def rebuild(self, act: Act) -> bool: ...


class Quiet:
    """Of one world."""

    def __init__(self, world: Played) -> None:
        self._world = world

    def fall(self) -> None:
        """Both sides agree, and nothing is written any more.

        Raises:
            Violation: a rule did not hold.
        """
        world = self._world
        world.is_quiet = True
        self._bring_back()
        self._settle()
        self._judge(is_compared=not world.needs_full)
        if world.needs_full:
            for _ in range(2):
                self._cycle(Cycle(_GRACE, is_full=True))
            self._settle()
            self._judge(is_compared=True)
        if world.witness.terms.stays:
            self._let_travel()
        world.books.close()
        world.counts[Law.HEALS] += world.books.is_any_answer_damaged

    def _bring_back(self) -> None:
        """Administrators bring back what they took away, which optsync has told. That stamps no record."""
        world = self._world
        for act in brought_back(world.stage):
            world.counts[Law.TOLD] += 1
            told = [problems(world)]
            if is_of_crm(act):
                report = world.cycle(Cycle(_QUIET, is_full=True))
                told.append(str(report and report.syncs[SYNC].failures))
            if not all(name_of(act) in each for each in told):
                raise Violation(Law.TOLD, f"nobody is told that {name_of(act)} is missing: {told}")
            world.rebuild(act)
        if world.needs_look:
            self._cycle(Cycle(_QUIET, is_full=True))

    def _let_travel(self) -> None:
        """The operator has opt-outs travel again that were held up: they arrive within two cycles."""
        world = self._world
        world.judge.held_up = frozenset(world.witness.held_up())
        world.counts[Law.ARRIVES] += len(world.judge.held_up)
        let_travel(world)
        self._settle()
        self._judge(is_compared=True)

    def _settle(self) -> None:
        """Two cycles may write after what an operator lets go, a write finds deleted or a request hides, the next one
        must not, but for what an organisation adds to an opt-out whose address has just followed."""
        world = self._world
        wrote = 0
        for _ in range(_PATIENCE):
            writes, before = world.line.writes, sight(world.stage)
            report = self._cycle(Cycle(_QUIET))
            # A read that broke off, or begins anew, is ended first; what came since is read by the next one.
            is_still = world.line.writes == writes and sight(world.stage) == before and not world.is_rough
            world.is_rough = False
            if not self._is_decided() or found_gone(report) or has_asked(report):
                wrote = 0
            elif is_still:
                world.counts[Law.SETTLES] += 1
                return
            elif not _is_added(report):
                wrote += 1
            if wrote > 2:
                break
        raise Violation(Law.SETTLES, f"it goes on writing: {report and report.to_json()}")

    def _cycle(self, cycle: Cycle) -> Report | None:
        report = self._world.cycle(cycle)
        if report is None or report.syncs[SYNC].failures:
            raise Violation(Law.SETTLES, f"a cycle failed in fine weather: {report and report.to_json()}")
        return report

    def _is_decided(self) -> bool:
        """Approves what is held; whether nothing was."""
        world = self._world
        try:
            uid, _ = held(world.stage)
        except LookupError:
            return True
        world.is_approved = True
        world.cycle(Cycle(), Word(actor=ACTOR, approves=uid))
        return False

    def _judge(self, *, is_compared: bool) -> None:
        """``is_compared``: by full compares, which find who was deleted or complained; whose fields an address has
        follows from who holds it."""
        world = self._world
        now = sight(world.stage)
        world.witness.ends(now, is_compared=is_compared)
        world.judge.judge(now, mapped=world.stage.config.syncs[SYNC].crm.topics)
        world.books.may_send()
        if is_compared:
            world.books.values.judge(now)


def _is_added(report: Report | None) -> bool:
    changes = report.syncs[SYNC].changes if report else ()
    return bool(changes) and all(str(change.rule).startswith("handled_") for change in changes)
