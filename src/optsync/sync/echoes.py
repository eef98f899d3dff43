"""What a record shows when it is read as if for the first time, and nobody has said anew: what was heard of it before,
and what we wrote there."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from optsync.model.change import ChangeKind, ChangeState
from optsync.model.record import Status
from optsync.model.statement import Source, Statement, StatementKind, Strength
from optsync.reconcile.departure import Span, is_around
from optsync.reconcile.moments import is_same_moment
from optsync.reconcile.reading import LATE, Reading
from optsync.reconcile.representation import topic_shown
from optsync.state.changes import Change
from optsync.state.records import Observed
from optsync.state.unit import Unit
from optsync.sync.binding import SourceBinding
from optsync.sync.receipts import plain

Said = tuple[int, Statement]
_DATE, _STAMP = "consent_date", "opted_in_at"


class Echoes:
    """Of one page. ``olds``: what was stored of its records before, by id. Only a yes that lifts nothing is ever an
    echo: what lifts something rests on news."""

    def __init__(self, unit: Unit, binding: SourceBinding, reading: Reading, olds: Mapping[str, Observed]) -> None:
        self._unit = unit
        self._binding = binding
        self._reading = reading
        self._olds = olds
        self._dates = [(r.scope, r.consent_date) for r in binding.representations if r.consent_date]
        self._topics = {scope: name for r in binding.representations for scope, name in r.topics}
        self._has_settable_stamps = any(r.stamp_nominates for r in binding.representations)

    def without(self, said: Iterable[Said]) -> list[Said]:
        """What was ``said``, without the echoes."""
        said = list(said)
        weak = [(point, each) for point, each in said if self._may_be(each)]
        if not weak:
            return said
        about = self._unit.ledger.about({point for point, _ in weak})
        written = self._written([(point, each) for point, each in weak if _is_proof(each)])
        echoes = {
            (point, each.uid)
            for point, each in weak
            if _was_told(each, about[point]) or self._is_written(each, written.get((point, str(each.record)), ()))
        }
        return [(point, each) for point, each in said if (point, each.uid) not in echoes]

    def _may_be(self, said: Statement) -> bool:
        """A proof; or a tick that the record was last seen with, since a tick has no time by which to know it again."""
        if (
            said.kind is not StatementKind.GRANT
            or said.strength is not Strength.NOTHING
            or said.source is Source.LEGACY
        ):
            return False
        if _is_proof(said):
            return True
        old, name = self._olds.get(str(said.record)), self._topics.get(said.scope)
        return old is not None and name is not None and topic_shown(old.record, name) is True

    def _written(self, proofs: Collection[Said]) -> Mapping[tuple[int, str], Sequence[Change]]:
        """By point and record of each proof: what we wrote there, or to make a record of whose id nobody heard."""
        keys = {rid: self._olds[rid].key for _, each in proofs if (rid := str(each.record)) in self._olds}
        at_record: defaultdict[int, list[Change]] = defaultdict(list)
        at_point: defaultdict[int, list[Change]] = defaultdict(list)
        for change in self._unit.changes.permissive(records=keys.values(), points={point for point, _ in proofs}):
            if change.record_id is not None:
                at_record[change.record_id].append(change)
            elif (change.system, change.collection) == (self._binding.system, self._binding.collection):
                at_point[change.point_id].append(change)
        of = {(point, str(each.record)) for point, each in proofs}
        return {(point, rid): at_point[point] + (at_record[keys[rid]] if rid in keys else []) for point, rid in of}

    def _is_written(self, said: Statement, written: Collection[Change]) -> bool:
        date, stamp = said.evidence.get(_DATE), said.evidence.get(_STAMP)
        if date is not None:
            names = [name for scope, name in self._dates if scope == said.scope]
            given = [change.write["fields"].get(name) for change in written if _sets(change) for name in names]
            return any(is_same_moment(date, plain(value)) for value in given)
        if stamp is None or not self._has_settable_stamps:
            return False
        return is_own_stamp(datetime.fromisoformat(stamp), written, self._reading)


def is_own_stamp(at: datetime, written: Iterable[Change], reading: Reading) -> bool:
    """Whether a record has the stamp of its opt-in (of the system's clock) from one of these changes: it was given, or
    the change was carried out then."""
    raising = [change for change in written if change.write["status"] == Status.IN]
    if any(_is_given(at, change.write["evidence"]) for change in raising):
        return True
    return is_around(reading.moments(at), filter(None, map(_span, raising)))


def is_own_moment(at: datetime, change: Change, reading: Reading) -> bool:
    """Whether something of the system's clock was when the change was carried out."""
    span = _span(change)
    return span is not None and is_around(reading.moments(at), [span])


def _is_proof(said: Statement) -> bool:
    return _DATE in said.evidence or _STAMP in said.evidence


def _was_told(said: Statement, known: Iterable[Statement]) -> bool:
    """Whether the same was told before: it counts as what has become of that since, and if that was nothing, it goes on
    counting for nothing. A proof is the same at another record of the address: a restored one may have another id."""
    of_system = (s for s in known if (s.kind, s.system, s.scope) == (said.kind, said.system, said.scope))
    if _is_proof(said):
        return any(_has_proof_of(one, said) for one in of_system)
    return any(one.record == said.record for one in of_system)


def _has_proof_of(known: Statement, said: Statement) -> bool:
    date = said.evidence.get(_DATE)
    if date is not None:
        return is_same_moment(date, known.evidence.get(_DATE))
    return known.evidence.get(_STAMP) == said.evidence.get(_STAMP)


def _sets(change: Change) -> bool:
    """Whether what the record shows may have come by the change, and was not there already."""
    return change.state is not ChangeState.SAME or change.kind is ChangeKind.CREATE


def _is_given(stamp: datetime, evidence: Mapping[str, str | None] | None) -> bool:
    given = evidence.get("at") if evidence else None
    return given is not None and abs(datetime.fromisoformat(given) - stamp) < timedelta(seconds=1)


def _span(change: Change) -> Span | None:
    """When the system may have carried it out; where its answer was lost, also later."""
    if change.sent_at is None:
        return None
    is_answered = change.state in {ChangeState.APPLIED, ChangeState.SAME} and change.settled_at is not None
    return change.sent_at, (change.settled_at or change.sent_at) if is_answered else change.sent_at + LATE
