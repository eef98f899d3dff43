"""All decisions around some contact points, restrictive ones first."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from optsync.model.change import ChangeKind
from optsync.model.link import Link
from optsync.model.statement import Statement
from optsync.reconcile.activity import attend
from optsync.reconcile.asking import hindrance
from optsync.reconcile.erasure import FORGOTTEN
from optsync.reconcile.identity import resolve, shared_restrictions
from optsync.reconcile.membership import couple, disagreements, follow, join, leave
from optsync.reconcile.policy import SyncPolicy
from optsync.reconcile.project import project
from optsync.reconcile.view import Decision, Intent, Neighbourhood, Question, Seen

_ORDER = {
    ChangeKind.OPT_OUT: 0,
    ChangeKind.TOPIC: 3,
    ChangeKind.BOUNCE: 3,
    ChangeKind.OPT_IN: 4,
    ChangeKind.REQUEST: 5,
    ChangeKind.CREATE: 5,
    ChangeKind.GRANT: 6,
    ChangeKind.FIELD: 7,
    ChangeKind.RENAME: 8,
    ChangeKind.ARCHIVE: 9,
}

ORDINARY = 3
"""The first place in the queue of what restricts nobody."""


def priority(kind: ChangeKind, *, is_restrictive: bool) -> int:
    """The place of a change in every queue: restrictive ones go first and alone."""
    if is_restrictive:
        return min(_ORDER[kind], 1) if kind is not ChangeKind.BOUNCE else 2
    return _ORDER[kind]


def first_sight_statements(
    keys: Collection[int], around: Neighbourhood, policy: SyncPolicy
) -> list[tuple[int, Statement]]:
    """Statements that follow from joining two sides for the first time, or from their coming apart; they come before
    any decision."""
    found = list(shared_restrictions(keys, around, policy))
    for key in keys:
        if around.points[key].is_forgotten:
            continue
        pair = couple(around.points[key], around, policy)
        found.extend((key, statement) for statement in disagreements(pair, around, policy))
    return found


def decide(keys: Sequence[int], around: Neighbourhood, policy: SyncPolicy) -> Decision:
    """The changes for the contact points ``keys`` and for every record that holds one of them."""
    intents: list[Intent] = []
    settled: list[Link] = []
    questions: list[Question] = []
    skipped: dict[int, str] = {}
    wanted = frozenset(keys)
    for seen in (*around.crm, *around.esp):
        if wanted.intersection(seen.points):
            intents.extend(i for i in _projected(seen, around, policy) if not around.is_blocked(i))
    apart = resolve(keys, around, policy)
    if apart.engaged or apart.removed:
        around = replace(around, engaged=apart.engaged, removed=apart.removed)
    intents.extend(apart.intents)
    decisions = [follow(pair, around, policy) for pair in apart.following]
    decisions += [leave(pair, around, policy) for pair in apart.leaving]
    decisions += [_joined_at(key, around, policy) for key in keys]
    for decision in decisions:
        intents.extend(decision.intents)
        settled.extend(decision.settled)
        questions.extend(decision.questions)
        skipped.update(decision.skipped)
    # Joined changes have a fingerprint of their own, which may be the one that was refused.
    intents = [i for i in _one_a_kind(intents) if not around.is_blocked(i)]
    intents = [i for i in intents if not _is_refused_for_good(i, around, policy)]
    intents.sort(key=lambda i: priority(i.kind, is_restrictive=i.is_restrictive))
    return Decision(
        intents=tuple(intents),
        settled=tuple(settled),
        questions=(*apart.questions, *questions),
        skipped=skipped,
        dropped=apart.dropped,
    )


def _joined_at(key: int, around: Neighbourhood, policy: SyncPolicy) -> Decision:
    if around.points[key].is_forgotten:
        return Decision(skipped={seen.key: FORGOTTEN for seen in around.by_primary.get(key, ())})
    pair = couple(around.points[key], around, policy)
    question = hindrance(pair.point, pair.member, around, policy)
    decision = attend(join(pair, around, policy), pair, around, policy)
    return replace(decision, questions=(*decision.questions, question)) if question else decision


def _projected(seen: Seen, around: Neighbourhood, policy: SyncPolicy) -> Iterator[Intent]:
    """What the record must show; one of a forgotten person only gets outs."""
    is_closed = seen.primary is not None and around.points[seen.primary].is_forgotten
    for intent in project(seen, around, policy):
        is_out = intent.is_restrictive and intent.kind in {ChangeKind.OPT_OUT, ChangeKind.TOPIC}
        if is_out or not is_closed:
            yield intent


def _is_refused_for_good(intent: Intent, around: Neighbourhood, policy: SyncPolicy) -> bool:
    is_there = intent.system == policy.esp_system and intent.collection == policy.audience
    return is_there and not intent.is_restrictive and intent.point in around.refused_for_good


def _one_a_kind(intents: Iterable[Intent]) -> list[Intent]:
    """One change per record and kind: field changes of one record, decided apart, become one."""
    merged: dict[tuple[int, ChangeKind], Intent] = {}
    others: list[Intent] = []
    for intent in intents:
        if intent.kind is not ChangeKind.FIELD or intent.record is None:
            others.append(intent)
            continue
        key = (intent.record, intent.kind)
        known = merged.get(key)
        merged[key] = intent if known is None else _joined(known, intent)
    return [*others, *merged.values()]


def _joined(first: Intent, second: Intent) -> Intent:
    return replace(
        first,
        before={**first.before, **second.before},
        after={**first.after, **second.after},
        fields={**first.fields, **second.fields},
        causes=tuple(dict.fromkeys((*first.causes, *second.causes))),
        agreed={**first.agreed, **second.agreed},
        counterpart=first.counterpart if first.counterpart is not None else second.counterpart,
    )
