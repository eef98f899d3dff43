"""Rejecting a held plan: what administrators said to cause it is retracted, what nobody said is dropped."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from optsync.errors import CommandRefused
from optsync.model.change import ChangeState
from optsync.model.statement import OUR_CLOCK, Source, Statement, StatementKind, Strength, state
from optsync.reconcile.carry import root
from optsync.reconcile.rules import DISAGREED
from optsync.state.issues import NewIssue
from optsync.state.plans import REJECTED, HeldChange, Plan
from optsync.state.unit import Unit
from optsync.sync.engine import Engine
from optsync.sync.word import Word

_ADMINISTRATIVE = frozenset({Source.ADMIN, Source.API, Source.CRM, Source.ESP, Source.IMPORT, Source.LEGACY})
_RETRACTABLE = frozenset({StatementKind.OUT, StatementKind.GRANT, StatementKind.HARD_BOUNCE})
ISSUE = "plan_rejected"


@dataclass(frozen=True, slots=True)
class _Part:
    """One change of the plan with what caused it. ``retracted``: those of the causes that are voided."""

    change: HeldChange
    system: str
    causes: Sequence[str]
    retracted: frozenset[str]


def reject(engine: Engine, unit: Unit, plan: Plan, word: Word, *, run: str) -> None:
    """Voids every administrative statement among the causes of the plan's changes (with ``word.system``: only what
    that system said). What a person said stays and is planned anew; changes that nobody's word caused are not planned
    again until the issue that is opened about them is retried. That two sides disagreed at first sight is nobody's
    word: without it, what one of them shows would be written over what the other does. Where the policy unites them
    by now, that is what is asked for.

    Raises:
        CommandRefused: nothing of the plan came from ``word.system``.
    """
    held = unit.plans.changes_held(plan.uid)
    points = unit.plans.points_of(plan.uid)
    causes = {uid for _, _, causes in held for uid in causes}
    # A record's flag speaks for all its addresses, those that have left it since included, and goes with it to others.
    known = (said for each in unit.ledger.about(points).values() for said in each if said.uid in causes)
    speakers = {(said.system, said.record) for said in known if said.system and said.record}
    about = unit.ledger.about(points | unit.ledger.points_with(causes, speakers))
    unites = engine.bound.policies[plan.sync].topics_first_sight_union
    heard = {key: [s for s in said if unites or s.reason != DISAGREED] for key, said in about.items()}
    targets = _targets(heard, causes, word)
    unit.ledger.append(_retractions(engine, plan, word, targets), run=run)
    unit.points.mark(engine.bound.policies, {point for point, _ in targets} | points)
    uids = frozenset(said.uid for _, said in targets)
    parts = [_Part(change, system, causes, uids.intersection(causes)) for change, system, causes in held]
    dropped = [p for p in parts if not p.retracted and _is_dropped(p, word, _wishes(heard))]
    if word.system is not None and not targets and not dropped:
        raise CommandRefused(f"nothing that plan {plan.uid} holds was said in {word.system}; it stays held")
    now = engine.clock.now()
    rejected = [p.change.id for p in parts if p.retracted] + [p.change.id for p in dropped]
    unit.changes.set_state(rejected, ChangeState.SUPERSEDED, settled_at=now, fact=REJECTED)
    unit.plans.close(plan.uid, "rejected", actor=word.actor)
    if dropped:
        unit.issues.open(_issue(plan, word, len(dropped)), run=run)


def _targets(about: Mapping[int, Sequence[Statement]], causes: set[str], word: Word) -> list[tuple[int, Statement]]:
    return [
        (point, said)
        for point, statements in about.items()
        for said in _caused(statements, causes)
        if _is_administrative(said) and word.system in {None, said.system}
    ]


def _caused(statements: Sequence[Statement], causes: set[str]) -> Iterator[Statement]:
    """The causes among these, what was carried from them, and what a record said besides in the same reading: a tick
    and the consent that was typed with it are one wish."""
    found = [said for said in statements if said.uid in causes or root(said) in causes]
    yield from found
    uids, told = {said.uid for said in found}, {_reading(said) for said in found if said.record}
    yield from (said for said in statements if said.uid not in uids and _reading(said) in told)


def _reading(said: Statement) -> tuple[object, ...]:
    return said.scope, said.kind, said.system, said.record, said.seen_at


def _is_administrative(said: Statement) -> bool:
    if said.is_personal or _is_sign_up(said):
        return False
    return said.source in _ADMINISTRATIVE and said.kind in _RETRACTABLE


def _is_sign_up(said: Statement) -> bool:
    """Whether the platform vouches for the person: by their activity, or by a stamp that nobody else can set. What its
    administrators write, or an import there, lifts nothing by itself and stays weaker than this."""
    return said.kind is StatementKind.GRANT and said.source is Source.ESP and said.strength >= Strength.EVIDENCED


def _wishes(about: Mapping[int, Sequence[Statement]]) -> frozenset[str]:
    kinds = (StatementKind.OUT, StatementKind.GRANT, StatementKind.COMPLAINT)
    return frozenset(s.uid for said in about.values() for s in said if s.kind in kinds)


def _is_dropped(part: _Part, word: Word, wishes: frozenset[str]) -> bool:
    """Nobody's wish caused it; with a system named, it came from that system's values."""
    is_wished = bool(wishes.intersection(part.causes))
    return not is_wished and (word.system is None or word.system != part.system)


def _retractions(
    engine: Engine, plan: Plan, word: Word, targets: Iterable[tuple[int, Statement]]
) -> list[tuple[int, Statement]]:
    now = engine.clock.now()
    return [
        (
            point,
            state(
                scope=said.scope,
                kind=StatementKind.RETRACT,
                at=now,
                clock=OUR_CLOCK,
                seen_at=now,
                source=Source.ADMIN,
                reason=f"plan {plan.uid} rejected",
                target=said.uid,
                evidence={"actor": word.actor},
            ),
        )
        for point, said in targets
    ]


def _issue(plan: Plan, word: Word, count: int) -> NewIssue:
    return NewIssue(
        kind=ISSUE,
        message=f"{count} changes of plan {plan.uid} were rejected and are not planned again: no wish "
        "caused them, so there is nothing to retract. optsync issues retry on this lets them be planned again",
        sync=plan.sync,
        values={"plan": plan.uid, "changes": count, "actor": word.actor},
        blocks=plan.uid,
    )
