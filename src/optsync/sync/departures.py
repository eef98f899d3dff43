"""Asking systems for opt-outs that their records do not show any more."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from optsync.connect.contract import CanTellDepartures, Departure
from optsync.errors import SystemFailure
from optsync.model.record import Record
from optsync.model.statement import Statement
from optsync.reconcile.departure import departed
from optsync.reconcile.reading import Reading
from optsync.state.records import Observed
from optsync.state.unasked import Question
from optsync.state.unit import Unit
from optsync.sync.binding import SourceBinding
from optsync.sync.clocks import settled_offset
from optsync.sync.engine import Engine

_log = structlog.get_logger(__name__)
_MOST = 500
"""Questions that are put together; more wait for the next cycle."""
_AT_ONCE = 20
"""About so many a system is asked right before they are written to; the others are written to another time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """Questions with what is known of their records; ``since`` by the system's clock as it is now."""

    source: int
    questions: Sequence[tuple[Observed, datetime | None]]
    ticket: str | None


class Departures:
    """Puts the questions that readings and archivings have left open. ``guarded`` proves the lease in every
    transaction."""

    def __init__(self, engine: Engine, run: str, guarded: Callable[[Unit], None]) -> None:
        self._engine = engine
        self._run = run
        self._guarded = guarded

    def ask(self, binding: SourceBinding) -> None:
        """Asks what is open, once; what is not answered stays open.

        Raises:
            SystemUnavailable, RateLimited, CredentialsRefused: nothing is concluded.
        """
        self._ask(binding, lambda unit, source: unit.unasked.open(source, limit=_MOST), has_ticket=True)

    def left_open(self, binding: SourceBinding, keys: Collection[int]) -> set[int]:
        """Asks what is open about these records, a few of them; answers about which it still is."""
        if not binding.tells_departures:
            return set()
        try:
            self._ask(binding, lambda unit, source: unit.unasked.among(source, keys)[:_AT_ONCE], has_ticket=False)
        except SystemFailure as failure:
            # Everything else that is written to the system needs no answer.
            _log.warning("a question stays open", system=binding.system, reason=str(failure))
        with self._engine.store.reading() as unit:
            source = unit.sources.require(binding.system, binding.collection).id
            return {question.key for question in unit.unasked.among(source, keys)}

    def _ask(
        self, binding: SourceBinding, choose: Callable[[Unit, int], Sequence[Question]], *, has_ticket: bool
    ) -> None:
        connector = self._engine.connectors[binding.system]
        if not isinstance(connector, CanTellDepartures):
            return
        asked = self._choose(binding, choose)
        if not asked.questions:
            return
        answers = connector.departures(
            binding.collection,
            {observed.record.id: since for observed, since in asked.questions},
            asked.ticket if has_ticket else None,
        )
        with self._engine.store.transaction() as unit:
            self._guarded(unit)
            told = [(o, answers.told[o.record.id]) for o, _ in asked.questions if o.record.id in answers.told]
            self._say(unit, binding, told)
            unit.unasked.close(asked.source, (observed.key for observed, _ in told))
            if has_ticket and answers.ticket != asked.ticket:
                unit.unasked.set_ticket(asked.source, answers.ticket)

    def _choose(self, binding: SourceBinding, choose: Callable[[Unit, int], Sequence[Question]]) -> _Asked:
        with self._engine.store.reading() as unit:
            source = unit.sources.require(binding.system, binding.collection).id
            questions = {question.key: question.since for question in choose(unit, source)}
            if not questions:
                return _Asked(source=source, questions=(), ticket=None)
        with self._engine.store.transaction() as unit:
            self._guarded(unit)
            observed = unit.records.load(questions)
            # Of a forgotten person nothing is asked: they are out, and their activity is nobody's business.
            forgotten = unit.points.forgotten({p for o in observed for p in o.points})
            gone = [o.key for o in observed if not o.points or forgotten.intersection(o.points)]
            unit.unasked.close(source, gone)
            reading = self._reading(unit, binding)
            asked = [(o, _by_their_clock(questions[o.key], reading)) for o in observed if o.key not in gone]
            return _Asked(source=source, questions=asked, ticket=unit.unasked.ticket(source))

    def _reading(self, unit: Unit, binding: SourceBinding) -> Reading:
        now = self._engine.clock.now()
        measured = self._engine.connectors[binding.system].clock_offset
        offset, jump = settled_offset(unit, binding.system, measured, now=now)
        return Reading(system=binding.system, seen_at=now, offset=offset, jump=jump)

    def _say(self, unit: Unit, binding: SourceBinding, told: Sequence[tuple[Observed, Departure | None]]) -> None:
        reading = self._reading(unit, binding)
        said = [
            (observed.points[0], _statement(observed.record, each, scope, reading))
            for observed, each in told
            if each is not None
            for scope in dict.fromkeys(r.scope for r in binding.representations)
        ]
        unit.ledger.append(said, run=self._run)
        unit.points.mark(binding.syncs, {point for point, _ in said})
        for point, statement in said:
            unit.points.mark(binding.hearers(statement.scope), {point})


def _by_their_clock(since: datetime | None, reading: Reading) -> datetime | None:
    """A stamp of before their clock was set, as that clock would tell it now; the earliest that it may be."""
    if since is None:
        return None
    now = reading.jump.after if reading.jump else reading.offset or timedelta(0)
    return reading.corrected(since, permits=True) + now


def _statement(record: Record, told: Departure, scope: str, reading: Reading) -> Statement:
    return departed(
        record, scope, reading, at=told.at, origin=told.origin, reason=told.reason, told=dict(told.detail)
    )
