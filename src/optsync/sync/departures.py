"""Asking systems for opt-outs that their records do not show any more."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from optsync.connect.contract import CanTellDepartures, Departure, can
from optsync.errors import SystemFailure
from optsync.model.change import ChangeKind
from optsync.model.record import Origin, Record
from optsync.model.statement import Statement
from optsync.reconcile.departure import Span, departed, is_news, is_ours
from optsync.reconcile.reading import Reading
from optsync.state.records import Observed
from optsync.state.unasked import Question, Ticket
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
    """What is asked about the records of a source: questions with what was observed, since when an opt-out counts by
    the system's clock as it is now, and the ticket that is presented."""

    source: int
    questions: Sequence[tuple[Question, Observed]] = ()
    since: Mapping[str, datetime | None] = field(default_factory=dict)
    ticket: Ticket | None = None


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
        if not binding.tells_departures or not self._open_among(binding, keys):
            return set()
        try:
            self._ask(binding, lambda unit, source: unit.unasked.among(source, keys)[:_AT_ONCE], has_ticket=False)
        except SystemFailure as failure:
            # Everything else that is written to the system needs no answer.
            _log.warning("a question stays open", system=binding.system, reason=str(failure))
        return self._open_among(binding, keys)

    def _open_among(self, binding: SourceBinding, keys: Collection[int]) -> set[int]:
        with self._engine.store.reading() as unit:
            source = unit.sources.require(binding.system, binding.collection).id
            return {question.key for question in unit.unasked.among(source, keys)}

    def _ask(
        self, binding: SourceBinding, choose: Callable[[Unit, int], Sequence[Question]], *, has_ticket: bool
    ) -> None:
        connector = self._engine.connectors[binding.system]
        if not can(connector, CanTellDepartures):
            return
        asked = self._choose(binding, choose, has_ticket=has_ticket)
        if not asked.questions:
            return
        began, ticket = self._engine.clock.now(), asked.ticket
        presented = ticket.name if ticket else None
        answers = connector.departures(binding.collection, asked.since, presented)
        with self._engine.store.transaction() as unit:
            self._guarded(unit)
            # What was worked on before a question was put (again) does not answer it.
            answered = [
                observed
                for question, observed in asked.questions
                if observed.record.id in answers.told and (ticket is None or question.noted_at <= ticket.asked_at)
            ]
            self._say(unit, binding, [(o, answers.told[o.record.id]) for o in answered])
            unit.unasked.close(asked.source, (observed.key for observed in answered))
            if has_ticket and answers.ticket != presented:
                given = Ticket(answers.ticket, began) if answers.ticket else None
                unit.unasked.set_ticket(asked.source, given)

    def _choose(
        self, binding: SourceBinding, choose: Callable[[Unit, int], Sequence[Question]], *, has_ticket: bool
    ) -> _Asked:
        with self._engine.store.reading() as unit:
            source = unit.sources.require(binding.system, binding.collection).id
            questions = {question.key: question for question in choose(unit, source)}
            if not questions:
                return _Asked(source=source)
        with self._engine.store.transaction() as unit:
            self._guarded(unit)
            observed = unit.records.load(questions)
            # Of a forgotten person nothing is asked: they are out, and what else they did is nobody's business.
            forgotten = unit.points.forgotten({p for o in observed for p in o.points})
            over = {o.key for o in observed if not o.points or forgotten.intersection(o.points)}
            unit.unasked.close(source, over)
            reading = self._reading(unit, binding)
            chosen = [(questions[o.key], o) for o in observed if o.key not in over]
            return _Asked(
                source=source,
                questions=chosen,
                since={o.record.id: _by_their_clock(question.since, reading) for question, o in chosen},
                ticket=unit.unasked.ticket(source) if has_ticket else None,
            )

    def _reading(self, unit: Unit, binding: SourceBinding) -> Reading:
        now = self._engine.clock.now()
        measured = self._engine.connectors[binding.system].clock_offset
        offset, jump = settled_offset(unit, binding.system, measured, now=now)
        return Reading(system=binding.system, collection=binding.collection, seen_at=now, offset=offset, jump=jump)

    def _say(self, unit: Unit, binding: SourceBinding, told: Sequence[tuple[Observed, Departure | None]]) -> None:
        reading = self._reading(unit, binding)
        found = [
            (observed.points[0], _statement(observed.record, each, scope, reading), reading.moments(each.at))
            for observed, each in told
            if each is not None
            for scope in dict.fromkeys(r.scope for r in binding.representations)
        ]
        known = unit.ledger.about({point for point, *_ in found})
        # Somebody may have been forgotten while their question was on its way.
        forgotten = unit.points.forgotten(known)
        written = _written(unit, binding, {o.key for o, each in told if each and each.origin is Origin.ADMIN})
        said = [
            (p, statement)
            for p, statement, moments in found
            if p not in forgotten
            and is_news(statement, known[p])
            and not is_ours(statement, moments, written[str(statement.record)])
        ]
        unit.ledger.append(said, run=self._run)
        unit.points.mark(binding.syncs, {point for point, _ in said})
        for point, statement in said:
            unit.points.mark(binding.hearers(statement.scope), {point})


def _written(unit: Unit, binding: SourceBinding, records: Collection[int]) -> Mapping[str, Sequence[Span]]:
    """When opt-outs were written to these records: sent and answered, by our clock."""
    spans: defaultdict[str, list[Span]] = defaultdict(list)
    for change in [c for sync in binding.syncs for c in unit.changes.about_wishes(sync, records)]:
        if change.kind is ChangeKind.OPT_OUT and change.record and change.sent_at and change.settled_at:
            spans[change.record].append((change.sent_at, change.settled_at))
    return spans


def _by_their_clock(since: datetime | None, reading: Reading) -> datetime | None:
    """A stamp of before their clock was set, as that clock would tell it now; the earliest that it may be."""
    if since is None:
        return None
    now = reading.jump.after if reading.jump else reading.offset or timedelta(0)
    return reading.corrected(since, permits=True) + now


def _statement(record: Record, told: Departure, scope: str, reading: Reading) -> Statement:
    return departed(record, scope, reading, at=told.at, origin=told.origin, reason=told.reason, told=dict(told.detail))
