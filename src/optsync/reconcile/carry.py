"""What follows a person from one address to another: restrictions always, grants only with evidence."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from optsync.model.quick import quick_dataclass
from optsync.model.scope import contains
from optsync.model.statement import Statement, StatementKind, state
from optsync.reconcile.consent import Wish, effective, standing, unbeaten

CARRIED = "carried"
"""In a statement's evidence: which other one it was carried from."""
_SPEAKER = ("scope", "kind", "source", "is_personal", "system", "record")


@quick_dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A change of address: when it happened by whose clock, when it was seen, and on which record. ``since``: when it
    may have happened at the earliest, if that is another time: where no stamp tells of it, the record was last seen
    without it then."""

    at: datetime
    clock: str | None
    seen_at: datetime
    system: str
    record: str
    since: datetime | None = None

    @property
    def noted(self) -> dict[str, str]:
        """What a carried statement's evidence says about it; no address, which an erasure would have to find."""
        return {"carried_at": self.at.isoformat(), "carried_by": f"{self.system} {self.record}"}


def restrictions(
    left: Iterable[Statement], moved: Moved, *, tolerance: timedelta, said_now: Sequence[Statement] = ()
) -> Iterator[Statement]:
    """What the new address inherits of the outs and complaints that stood at the one that was ``left``, dated at
    the change. ``said_now``: what the reading that shows the change says besides; it may lift them. A grant that came
    after the change is about the old address alone."""
    return (restated(said, moved) for said in _left_standing(left, moved, tolerance=tolerance, said_now=said_now))


def _left_standing(
    left: Iterable[Statement], moved: Moved, *, tolerance: timedelta, said_now: Sequence[Statement]
) -> Iterator[Statement]:
    """What of it is inherited, as it was said."""
    changed_at = moved.since or moved.at
    statements = tuple(s for s in left if s.kind is not StatementKind.GRANT or s.at <= changed_at)
    standing_still = {s.uid for s in unbeaten((*statements, *said_now), tolerance=tolerance)}
    return (said for said in statements if said.uid in standing_still)


def restated(said: Statement, moved: Moved) -> Statement:
    """The restriction for another address, dated at the change; at its own time where that tells of a later one, or it
    would count for less there."""
    at, clock = (said.at, said.clock) if said.at > moved.at else (moved.at, moved.clock)
    return state(
        scope=said.scope,
        kind=said.kind,
        at=at,
        clock=clock,
        seen_at=moved.seen_at,
        source=said.source,
        is_personal=said.is_personal,
        reason=said.reason,
        system=said.system,
        record=said.record,
        evidence={**said.evidence, **moved.noted, CARRIED: root(said)},
    )


def root(said: Statement) -> str:
    """The statement that this one was carried from, itself if it was not."""
    return said.evidence.get(CARRIED, said.uid)


def missing(
    source: Iterable[Statement],
    target: Iterable[Statement],
    moved: Moved,
    *,
    tolerance: timedelta,
    said_now: Sequence[Statement] = (),
) -> list[Statement]:
    """The restrictions of one of a person's addresses that the other one never had, each to be carried once.
    ``said_now``: as for :func:`restrictions`."""
    target = tuple(target)
    known = {root(said) for said in target}
    carried = [said for said in effective(target) if CARRIED in said.evidence]
    return [
        restated(said, moved)
        for said in _left_standing(source, moved, tolerance=tolerance, said_now=said_now)
        if root(said) not in known and not any(_stands_for(each, said) for each in carried)
    ]


def _stands_for(carried: Statement, said: Statement) -> bool:
    """Whether what the same speaker had said before came with it: dated at one change, the two are one statement."""
    is_same = all(getattr(carried, part) == getattr(said, part) for part in _SPEAKER)
    return is_same and said.at <= carried.at and said.seen_at <= carried.seen_at


def grants(
    left: Sequence[Statement],
    moved: Moved,
    *,
    tolerance: timedelta,
    within: str | None = None,
    but: Collection[str] = (),
) -> Iterator[Statement]:
    """The grants that stand at the address that was ``left``, with their own time, strength and evidence: at the new
    address they lift nothing that they would not lift by themselves.

    ``within``: only what is about this scope, a wider grant narrowed to it. ``but``: scopes of syncs in which no
    grant follows."""
    for said in left:
        if said.kind is not StatementKind.GRANT:
            continue
        if standing(left, said.scope, tolerance=tolerance).wish is not Wish.IN:
            continue
        scope = said.scope if within is None else _narrowed(said.scope, within)
        if scope is None or any(contains(kept, scope) or contains(scope, kept) for kept in but):
            continue
        yield _for_scope(said, scope, moved)


def _narrowed(scope: str, within: str) -> str | None:
    if contains(within, scope):
        return scope
    return within if contains(scope, within) else None


def _for_scope(said: Statement, scope: str, moved: Moved) -> Statement:
    evidence = {**said.evidence, **moved.noted, CARRIED: root(said)}
    if scope == said.scope:
        return replace(said, evidence=evidence)
    return state(
        scope=scope,
        kind=said.kind,
        at=said.at,
        clock=said.clock,
        seen_at=said.seen_at,
        source=said.source,
        strength=said.strength,
        is_personal=said.is_personal,
        reason=said.reason,
        system=said.system,
        record=said.record,
        evidence=evidence,
    )
