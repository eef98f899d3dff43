"""Opt-ins that rest on a stamp which an API write can set: where they would lift something they are confirmed first."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta

from optsync.model.statement import Statement, StatementKind, Strength, state
from optsync.reconcile.asking import has_open
from optsync.reconcile.consent import Wish, effective, standing
from optsync.state.unit import Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Nomination:
    """An opt-in that rests on a stamp an API write can set, and that lifts an out, answers a request or is a return."""

    record: str
    uid: str
    since: datetime
    """When the newest out that it would lift was said, the request was made, or the person had left."""


class NeedsConfirmation(Exception):
    """The page holds nominations; nothing of it was stored. Confirm them and take the page again."""

    def __init__(self, nominations: Sequence[Nomination]) -> None:
        super().__init__(f"{len(nominations)} opt-ins to confirm")
        self.nominations = tuple(nominations)


Nominated = tuple[str, int, Statement, Sequence[int]]
"""The record's id, the point, what its stamp says, and the points that the record had until now: what stands there
follows to the new one, unless this lifts it."""
Confirmed = Mapping[str, datetime | None]
"""By the uid of what was nominated: when the person signed up by their activity, by our clock; None: it shows none."""


def judge_nominations(
    unit: Unit,
    nominated: Sequence[Nominated],
    said: Sequence[tuple[int, Statement]],
    *,
    confirmed: Confirmed,
    tolerance: timedelta,
) -> Iterator[tuple[int, Statement]]:
    """Where nothing is lifted the stamp suffices, as a grant that lifts nothing; a lift needs confirmation. So does the
    answer to a request: it may lift what is still to be read; and the return of who had left there by themself, whom
    the platform takes back from nobody else. ``said``: what else the page says, by point.

    Raises:
        NeedsConfirmation: of all that is not in ``confirmed`` yet.
    """
    if not nominated:
        return
    about = unit.ledger.about({each for _, point, _, left in nominated for each in (point, *left)})
    told: defaultdict[int, list[Statement]] = defaultdict(list)
    for point, statement in (*((p, s) for p, listed in about.items() for s in listed), *said):
        told[point].append(statement)
    missing: list[Nomination] = []
    for record, point, statement, left in nominated:
        known = [each for of in (point, *left) for each in told[of]]
        current = standing(known, statement.scope, tolerance=tolerance)
        lifted = standing([*known, statement], statement.scope, tolerance=tolerance)
        is_out = current.wish is Wish.OUT
        asked = None if is_out else has_open(known, statement.scope) or _left(known, statement)
        if asked is None and not (is_out and lifted.wish is not Wish.OUT):
            yield point, replace(statement, strength=Strength.NOTHING)
        elif statement.uid not in confirmed:
            beaten = asked or current.decided_by or statement
            missing.append(Nomination(record=record, uid=statement.uid, since=beaten.at))
        elif (at := confirmed[statement.uid]) and not _was_told(known, statement, at):
            yield point, as_of(statement, at)
        elif not is_out:
            yield point, replace(statement, strength=Strength.NOTHING)
    if missing:
        raise NeedsConfirmation(missing)


def _left(known: Sequence[Statement], said: Statement) -> Statement | None:
    """The person's own leaving of that system, if they have not come back there by a sign-up since."""
    there = [s for s in effective(known) if (s.system, s.scope) == (said.system, said.scope)]
    left = [s for s in there if s.is_personal and s.kind in {StatementKind.OUT, StatementKind.COMPLAINT}]
    returned = any(s.strength >= Strength.EVIDENCED and s.at > left[-1].at for s in there) if left else True
    return None if returned else left[-1]


def _was_told(known: Sequence[Statement], said: Statement, at: datetime) -> bool:
    """Whether the record told of this sign-up, or of a later one, before: what it lifts was decided then."""
    told = (each for each in known if each.kind is said.kind and each.scope == said.scope)
    return any((each.system, each.record) == (said.system, said.record) and each.at >= at for each in told)


def as_of(said: Statement, at: datetime) -> Statement:
    """The opt-in as of when the person gave it: the stamp may be later, since any program sets it."""
    if at >= said.at:
        return said
    parts = {each.name: getattr(said, each.name) for each in fields(said) if each.name not in {"uid", "at", "evidence"}}
    return state(**parts, at=at, evidence={**said.evidence, "signed_up_at": at.isoformat()})
