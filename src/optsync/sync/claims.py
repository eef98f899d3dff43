"""Refused opt-ins: records that came to show "in" although the person is out; and who keeps writing that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from optsync.reconcile.consent import Standing, Wish, standing
from optsync.reconcile.matters import QUIET
from optsync.reconcile.policy import SyncPolicy
from optsync.reconcile.project import may_travel
from optsync.reconcile.rules import Rule
from optsync.state.issues import Issue, NewIssue
from optsync.state.unit import Unit
from optsync.sync.ingest import PendingClaim

REFUSED = "refused_opt_in"
FIGHTING = "fighting_writer"
FLIPS = 3
"""So many of one record within the window are no slip of a hand: twice may be somebody who tries again."""
CROWD = 10
"""So many records of one system within a day: nobody does that by hand, and nobody reads as many issues."""
_DAY = timedelta(days=1)
_KEPT = 20
"""Times and examples that an issue holds, of more only the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flip:
    """One record that came to show "in" once more. ``times``: of its flips within the window, this one included."""

    pending: PendingClaim
    decided: Standing
    times: tuple[datetime, ...]

    @property
    def refused(self) -> NewIssue:
        return _refused(self.pending, self.decided, self.times)


def judge_claims(
    unit: Unit,
    claims: Sequence[PendingClaim],
    *,
    policies: Mapping[str, SyncPolicy],
    tolerance: timedelta,
    run: str,
    now: datetime,
) -> None:
    """Opens an issue for every claim that no statement supports and that is put back: one for each record, or one for
    the system where the same is done again and again or to many. It is called when all sides of a sync were read, so
    that an out which is read after the claim counts as well. ``policies``: by sync."""
    claims = _of_known(unit, claims)
    about = unit.ledger.about({c.point for c in claims})
    groups: dict[tuple[str, str, str], dict[str, tuple[PendingClaim, Standing]]] = {}
    for pending in claims:
        decided = standing(about[pending.point], pending.claim.scope, tolerance=tolerance)
        if decided.wish is Wish.OUT and _is_put_back(pending, decided, policies):
            key = (pending.binding.system, pending.binding.collection, pending.claim.scope)
            # Syncs that share the audience see the same flip: it is one.
            groups.setdefault(key, {})[pending.record.id] = (pending, decided)
    for group in groups.values():
        _judge(unit, _with_times(unit, list(group.values()), now), run=run, now=now)


def _of_known(unit: Unit, claims: Sequence[PendingClaim]) -> Sequence[PendingClaim]:
    """Without those of people who were forgotten while they waited, and whose record's id tells the address: it is
    stored under another one by now."""
    forgotten = unit.points.forgotten({c.point for c in claims})
    known = unit.records.stored_ids([c.record.id for c in claims if c.point in forgotten]) if forgotten else ()
    return [c for c in claims if c.point not in forgotten or c.record.id in known]


def _is_put_back(pending: PendingClaim, decided: Standing, policies: Mapping[str, SyncPolicy]) -> bool:
    """Whether some sync takes one of the outs to that side. A topic's box shows what was said about the topic alone."""
    scope, side = pending.claim.scope, pending.binding.side
    about = [p for p in (policies[name] for name in pending.binding.syncs) if scope in {p.scope, *p.mapped_topics}]
    shown = ((p, out) for p in about for out in decided.outs if scope in {p.scope, out.scope})
    return any(not p.is_transactional and may_travel(out, side, p) for p, out in shown)


def _with_times(unit: Unit, found: Sequence[tuple[PendingClaim, Standing]], now: datetime) -> list[_Flip]:
    subjects = [_refused(*each, ()).subject for each in found]
    known = unit.issues.latest(subjects)
    flips = []
    for (pending, decided), subject in zip(found, subjects, strict=True):
        before = _times(known[subject].values) if subject in known else ()
        recent = (*(t for t in before if now - t < QUIET), now)
        flips.append(_Flip(pending=pending, decided=decided, times=recent))
    return flips


def _judge(unit: Unit, flips: Sequence[_Flip], *, run: str, now: datetime) -> None:
    """``flips``: the records of one system that came to show "in" for one scope."""
    first = flips[0].refused
    about = {"sync": str(first.sync), "system": str(first.system), "field": str(first.field)}
    is_crowd = len(flips) >= CROWD or _standing_fight(unit, _fight(first)) is not None
    if not is_crowd:
        others = unit.issues.count_records(REFUSED, **about, since=now - _DAY, but=[f.pending.record.id for f in flips])
        is_crowd = others + len(flips) >= CROWD
    if is_crowd:
        _count_crowd(unit, flips, run=run, now=now)
        return
    for flip in flips:
        refused = flip.refused
        fight = _fight(refused, record=refused.record, point=refused.point_id)
        if _standing_fight(unit, fight) is None and len(flip.times) < FLIPS:
            unit.issues.open(refused, run=run, is_news=True)
        else:
            reason = _join(unit, fight, [flip], records=1, run=run)
            unit.issues.count_under([refused], run=run, reason=reason)


def _count_crowd(unit: Unit, flips: Sequence[_Flip], *, run: str, now: datetime) -> None:
    """One issue for the system; it takes the place of those about single records."""
    first = flips[0].refused
    about = {"sync": str(first.sync), "system": str(first.system), "field": str(first.field)}
    unit.issues.count_under([flip.refused for flip in flips], run=run, reason=FIGHTING)
    records = unit.issues.count_records(REFUSED, **about, since=now - QUIET)
    reason = _join(unit, _fight(first), flips, records=records, run=run)
    for kind in (REFUSED, FIGHTING):
        unit.issues.absorb(kind, **about, run=run, reason=reason)


def _standing_fight(unit: Unit, fight: NewIssue) -> Issue | None:
    known = unit.issues.latest([fight.subject]).get(fight.subject)
    return None if known is None or known.state == "resolved" else known


def _join(unit: Unit, fight: NewIssue, flips: Sequence[_Flip], *, records: int, run: str) -> str:
    """Opens the issue or counts it up; answers why the single ones are closed."""
    known = _standing_fight(unit, fight)
    before: Mapping[str, Any] = known.values if known else {}
    times = sorted({*_times(before), *(t for flip in flips for t in flip.times)})
    count = int(before["flips"]) + len(flips) if known else sum(len(flip.times) for flip in flips)
    examples = list(dict.fromkeys([*(f.pending.record.id for f in flips), *before.get("examples", ())]))
    values = {
        "shows": flips[0].pending.claim.shows,
        "flips": count,
        "records": records,
        "first_at": before.get("first_at") or times[0].isoformat(),
        "times": [t.isoformat() for t in times[-_KEPT:]],
        "examples": examples[:_KEPT],
    }
    message = _message(fight, count=count, records=records)
    unit.issues.open(replace(fight, message=message, values=values), run=run, is_news=True)
    number = unit.issues.latest([fight.subject])[fight.subject].id
    return f"part of issue {number} ({FIGHTING})"


def _fight(refused: NewIssue, *, record: str | None = None, point: int | None = None) -> NewIssue:
    return NewIssue(
        kind=FIGHTING,
        message="",
        sync=refused.sync,
        system=refused.system,
        collection=refused.collection,
        record=record,
        point_id=point,
        rule=Rule.RESTRICTIVE_WINS,
        field=refused.field,
    )


def _message(fight: NewIssue, *, count: int, records: int) -> str:
    who = "this record" if fight.record else f"{records} records"
    return (
        f"something in {fight.system} keeps writing: {who} came to show 'in' for {fight.field} without an opt-in, "
        f"{count} times so far, and was put back each time; find the robot, import or colleague that does it"
    )


def _times(values: Mapping[str, Any]) -> tuple[datetime, ...]:
    return tuple(datetime.fromisoformat(text) for text in values.get("times", ()))


def _refused(pending: PendingClaim, decided: Standing, times: Sequence[datetime]) -> NewIssue:
    out, record, claim = decided.decided_by, pending.record, pending.claim
    return NewIssue(
        kind=REFUSED,
        message=f"shows '{claim.shows}' for {claim.scope} without an opt-in that lifts the opt-out: it is put back",
        sync=pending.binding.syncs[0],
        system=pending.binding.system,
        collection=pending.binding.collection,
        record=record.id,
        point_id=pending.point,
        rule=Rule.RESTRICTIVE_WINS,
        field=claim.scope,
        values={
            "shows": claim.shows,
            "shown_at": record.modified_at.isoformat() if record.modified_at else None,
            "out_at": out.at.isoformat() if out else None,
            "out_source": out.source if out else None,
            "out_system": out.system if out else None,
            "times": [t.isoformat() for t in times[-_KEPT:]],
        },
    )
