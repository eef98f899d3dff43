"""When the matter of an issue is over: for each kind, how it is looked at again.

An issue is never closed by the step that would have to repair it. What stands is derived again from what the systems
show now, from the ledger and from what both sides agreed on, so that it does not matter who repaired it, or where.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from optsync.model.change import ChangeKind
from optsync.model.contact_point import InvalidAddress, normalise
from optsync.model.link import Link
from optsync.model.record import Status
from optsync.reconcile.asking import Answer, hindrance, request
from optsync.reconcile.consent import Wish
from optsync.reconcile.fields import FieldRule, are_equal, merge
from optsync.reconcile.identity import resolve
from optsync.reconcile.membership import Couple, couple
from optsync.reconcile.moments import parse_moment
from optsync.reconcile.plan import decide
from optsync.reconcile.policy import SyncPolicy
from optsync.reconcile.representation import Representation, shown, topic_shown
from optsync.reconcile.view import Neighbourhood, Seen

UNREADABLE = "quarantined_record"
"""A matter of the collection, whichever of the syncs that read it has met it."""
QUIET = timedelta(days=7)
"""Without another flip for so long, whoever wrote "in" has stopped: a weekly import would have come round."""
_AHEAD = timedelta(minutes=5)
"""A date so little ahead of our clock is not in the future."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """What an open issue is about. ``last_at``: when it was last met."""

    kind: str
    system: str | None
    field: str | None
    point: int | None
    values: Mapping[str, Any]
    opened_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known around a matter now. ``record``: the one the issue names, if it is stored; ``names_record``:
    whether it names one. ``representations``: of the record's collection, for all syncs that read it.
    ``full_read_since``: when the complete read of that collection began that was the last of this cycle.
    ``handlers_awaited``: those that will be called again about somebody, since a call failed."""

    around: Neighbourhood
    policy: SyncPolicy
    names_record: bool
    record: Seen | None = None
    representations: tuple[Representation, ...] = ()
    is_clock_known: bool = True
    full_read_since: datetime | None = None
    handlers_awaited: frozenset[str] = frozenset()

    @property
    def is_gone(self) -> bool:
        return self.names_record and (self.record is None or self.record.is_gone)

    def couple(self, matter: Matter) -> Couple | None:
        """Who is joined at the matter's contact point."""
        point = self.around.points.get(matter.point) if matter.point is not None else None
        return None if point is None else couple(point, self.around, self.policy)


_GONE = "the record is gone"


def why_over(matter: Matter, facts: Facts) -> str | None:
    """Why the issue can be closed, None while its matter stands, or where only a person can tell."""
    examine = _EXAMINERS.get(matter.kind)
    return examine(matter, facts) if examine else None


# what one record shows


def _contradictory_flags(matter: Matter, facts: Facts) -> str | None:
    if facts.is_gone or facts.record is None:
        return _GONE
    record = facts.record.record
    asked = [r for r in facts.representations if r.opt_in == matter.field]
    return None if any(shown(record, r).is_contradictory for r in asked) else "the flags agree again"


def _invalid_address(_: Matter, facts: Facts) -> str | None:
    if facts.is_gone or facts.record is None:
        return _GONE
    for raw in facts.record.record.addresses:
        try:
            normalise(raw)
        except InvalidAddress:
            return None
    return "every address of the record can be used"


def _unknown_status(_: Matter, facts: Facts) -> str | None:
    if facts.is_gone or facts.record is None:
        return _GONE
    return "the record shows a status that is known" if facts.record.record.is_word_known else None


def _future_evidence(matter: Matter, facts: Facts) -> str | None:
    """A date that was ahead is no evidence when its day has come: only another date is."""
    if facts.is_gone or facts.record is None:
        return _GONE
    value = facts.record.record.fields.get(matter.field or "")
    if not isinstance(value, str):
        return "the date was taken away"
    moment = parse_moment(value)
    if moment is None:
        return None
    points = (facts.around.points.get(key) for key in facts.record.points)
    said = {s.at for point in points if point is not None for s in point.statements}
    is_corrected = moment <= matter.opened_at + _AHEAD or moment in said
    return "the date was corrected" if is_corrected else None


def _clock_skew(_: Matter, facts: Facts) -> str | None:
    return "the system's clock is known" if facts.is_clock_known else None


def _quarantined_record(matter: Matter, facts: Facts) -> str | None:
    """What can be read again is closed when it is read; here only what is not there any more."""
    if facts.full_read_since is not None and matter.last_at < facts.full_read_since:
        return "a complete read did not show the record any more"
    return None


# fields of two records


def _field(matter: Matter, facts: Facts) -> str | None:
    """A refused value, or one that was not kept: until both sides show the same."""
    rule = _rule(matter, facts.policy)
    if rule is None:
        return _not_wanted(matter, facts)
    pair = facts.couple(matter)
    if pair is None or pair.owner is None or pair.member is None or pair.member.is_gone:
        return "there is nobody to compare with any more"
    is_equal = are_equal(rule, pair.owner.record.fields, pair.member.record.fields)
    return "both sides show the same" if is_equal else None


def _field_conflict(matter: Matter, facts: Facts) -> str | None:
    found = _joined(matter, facts)
    if found is None:
        return "there is nobody to compare with any more"
    rule, link, pair_fields = found
    verdict = merge(rule, *pair_fields, link.agreed.get(rule.key))
    if verdict.is_conflict:
        return None
    return "both sides show the same" if are_equal(rule, *pair_fields) else "the conflict is decided"


def _oscillation(matter: Matter, facts: Facts) -> str | None:
    found = _joined(matter, facts)
    if found is None:
        return "there is nobody to compare with any more"
    rule, link, pair_fields = found
    if are_equal(rule, *pair_fields):
        return "both sides show the same"
    return None if rule.key in link.frozen else "the value is copied again"


def _ambiguous(_: Matter, facts: Facts) -> str | None:
    if facts.is_gone or facts.record is None:
        return _GONE
    questions = resolve(facts.record.points, facts.around, facts.policy).questions
    is_asked = facts.record.key in {question.record for question in questions}
    return None if is_asked else "it is clear again who has which address"


def _joined(matter: Matter, facts: Facts) -> tuple[FieldRule, Link, tuple[Mapping[str, Any], Mapping[str, Any]]] | None:
    rule, pair = _rule(matter, facts.policy), facts.couple(matter)
    if rule is None or pair is None or pair.owner is None or pair.member is None or pair.member.is_gone:
        return None
    key = (pair.owner.key, pair.member.key)
    link = facts.around.links.get(key) or Link(crm=key[0], esp=key[1])
    return rule, link, (pair.owner.record.fields, pair.member.record.fields)


def _rule(matter: Matter, policy: SyncPolicy) -> FieldRule | None:
    is_esp = matter.system == policy.esp_system
    return next((r for r in policy.fields if matter.field == (r.esp if is_esp else r.crm)), None)


# changes that were not made


def _not_wanted(matter: Matter, facts: Facts) -> str | None:
    """A change that a system refused: until it would not be made any more, because the record shows it or because
    the person wants something else now."""
    if facts.is_gone:
        return _GONE
    if matter.point is None or matter.point not in facts.around.points or "change" not in matter.values:
        return None
    if matter.values["change"] == ChangeKind.REQUEST and _is_still_refused(matter.point, facts):
        return None
    unblocked = replace(facts.around, blocked=frozenset(), refused_for_good=frozenset())
    intents = decide([matter.point], unblocked, facts.policy).intents
    key = facts.record.key if facts.record else None
    wanted = {(i.kind.value, i.system, i.record) for i in intents}
    return None if (matter.values["change"], matter.system, key) in wanted else "the change is not needed any more"


def _is_still_refused(point: int, facts: Facts) -> bool:
    """Nobody is asked a second time, so that the request is not derived again as another change would be."""
    said, scope = facts.around.points[point].statements, facts.policy.scope
    is_out = facts.around.points[point].standing(scope, facts.policy).wish is Wish.OUT
    pair = couple(facts.around.points[point], facts.around, facts.policy)
    is_there = pair.member is not None and pair.member.record.status in {Status.IN, Status.PENDING}
    return request(said, scope).answer is Answer.REFUSED and pair.owner is not None and not is_out and not is_there


def _needs_confirmation(matter: Matter, facts: Facts) -> str | None:
    pair = facts.couple(matter)
    if pair and hindrance(pair.point, pair.member, facts.around, facts.policy):
        return None
    return "nothing keeps the person out there any more"


def _put_off(matter: Matter, facts: Facts) -> str | None:
    until = matter.values.get("until")
    is_due = until is None or datetime.fromisoformat(until) <= facts.around.now
    return "its time has come" if is_due else None


def _handler_failed(matter: Matter, facts: Facts) -> str | None:
    name = matter.values.get("handler")
    if name not in facts.policy.handling.handlers:
        return "the handler is not configured any more"
    if matter.values.get("given_up") or name in facts.handlers_awaited:
        return None
    return "nobody waits for the handler any more"


# opt-ins that were refused


def _refused_opt_in(matter: Matter, facts: Facts) -> str | None:
    if facts.is_gone:
        return _GONE
    if _opted_in(matter, facts):
        return "the person has opted in since"
    is_quiet = facts.around.now - matter.last_at >= QUIET
    return f"out again, and left so for {QUIET.days} days" if is_quiet and not _shows_in(matter, facts) else None


def _fighting_writer(matter: Matter, facts: Facts) -> str | None:
    if facts.is_gone:
        return _GONE
    if facts.names_record and _opted_in(matter, facts):
        return "the person has opted in since"
    is_quiet = facts.around.now - matter.last_at >= QUIET
    return f"nothing was written back for {QUIET.days} days" if is_quiet else None


def _opted_in(matter: Matter, facts: Facts) -> bool:
    point = facts.around.points.get(matter.point) if matter.point is not None else None
    return point is not None and point.standing(matter.field or "", facts.policy).wish is not Wish.OUT


def _shows_in(matter: Matter, facts: Facts) -> bool:
    if facts.record is None:
        return False
    record = facts.record.record
    topics = [name for r in facts.representations for scope, name in r.topics if scope == matter.field]
    states = [shown(record, r).status for r in facts.representations if r.scope == matter.field]
    return Status.IN in states or any(topic_shown(record, name) for name in topics)


_EXAMINERS: Mapping[str, Callable[[Matter, Facts], str | None]] = {
    "contradictory_flags": _contradictory_flags,
    "invalid_address": _invalid_address,
    "unknown_status": _unknown_status,
    "future_evidence": _future_evidence,
    "clock_skew": _clock_skew,
    UNREADABLE: _quarantined_record,
    "quarantined_field": _field,
    "field_not_kept": _field,
    "field_conflict": _field_conflict,
    "oscillation": _oscillation,
    "ambiguous": _ambiguous,
    "refused": _not_wanted,
    "needs_confirmation": _needs_confirmation,
    "put_off": _put_off,
    "handler_failed": _handler_failed,
    "refused_opt_in": _refused_opt_in,
    "fighting_writer": _fighting_writer,
}
