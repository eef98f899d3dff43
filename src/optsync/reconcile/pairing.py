"""The mapped fields of two joined records: what is copied, what is remembered, what a person is asked."""

from collections.abc import Mapping
from dataclasses import replace

from optsync.model.change import ChangeKind, WriteKind
from optsync.model.link import Agreed, Link
from optsync.model.quick import quick_dataclass
from optsync.model.record import Side, Status, Value
from optsync.reconcile.consent import Wish
from optsync.reconcile.fields import FieldRule, are_equal, merge
from optsync.reconcile.oscillation import is_oscillating, moved
from optsync.reconcile.policy import SyncPolicy
from optsync.reconcile.rules import Rule
from optsync.reconcile.transforms import canonical
from optsync.reconcile.view import Decision, Intent, Neighbourhood, Point, Question, Seen


def pair_fields(point: Point, owner: Seen, member: Seen, around: Neighbourhood, policy: SyncPolicy) -> Decision:
    """The field changes of a CRM record and a member of one person, and the link as it is to be remembered; ``point``
    is the person's address. The link notes it once both have it."""
    known = around.links.get((owner.key, member.key))
    joined = point.key if owner.primary == member.primary else None
    link = known or Link(crm=owner.key, esp=member.key)
    if joined not in {None, link.point}:
        link = replace(link, point=joined)
    if not fields_flow(point, member, policy):
        link = _renewed(link, owner, member, policy)
        return Decision(settled=() if link == known else (link,))
    merged = _merge_all(link, point, owner, member, around, policy)
    intents = [
        _field_intent(point, *((member, owner) if side is Side.ESP else (owner, member)), changes)
        for side, changes in merged.pending.items()
        if changes
    ]
    kept = tuple(i for i in intents if i.fingerprint not in around.blocked)
    settled = () if merged.link == known else (merged.link,)
    return Decision(intents=kept, settled=(*settled, *_former(owner, member, around)), questions=merged.questions)


def _renewed(link: Link, owner: Seen, member: Seen, policy: SyncPolicy) -> Link:
    """With what both show alike by now instead of what they agreed on before, if they did, although nothing flows: once
    it does, a value of ours whose arrival nobody knew of would count as a change of that side's, and an edit on one
    side as a conflict."""
    crm, esp = owner.record.fields, member.record.fields
    alike = {
        rule.key: Agreed(rule.remembered(crm), esp.get(rule.esp))
        for rule in policy.fields
        if rule.key not in link.frozen and are_equal(rule, crm, esp)
        if rule.key in link.agreed or canonical(esp.get(rule.esp)) is not None
    }
    return replace(link, agreed={**link.agreed, **alike})


def _former(owner: Seen, member: Seen, around: Neighbourhood) -> tuple[Link, ...]:
    """The member's links with whom it had its values from before, without what was agreed then: should one of them have
    the fields again, what this owner wrote here is nobody's change."""
    links = around.by_member.get(member.key, ())
    return tuple(replace(link, agreed={}, moves={}) for link in links if link.crm != owner.key and link.agreed)


@quick_dataclass(frozen=True, slots=True)
class _Merged:
    """``pending``: what is written to either side, by field name. ``link``: what is remembered without a write."""

    pending: Mapping[Side, Mapping[str, tuple[str, Value, Rule, Agreed]]]
    link: Link
    questions: tuple[Question, ...]


def _merge_all(
    link: Link, point: Point, owner: Seen, member: Seen, around: Neighbourhood, policy: SyncPolicy
) -> _Merged:
    agreed, moves, frozen = dict(link.agreed), dict(link.moves), set(link.frozen)
    pending: dict[Side, dict[str, tuple[str, Value, Rule, Agreed]]] = {Side.CRM: {}, Side.ESP: {}}
    questions = []
    for rule in policy.fields:
        if is_withheld(rule, owner, around):
            continue
        key = rule.key
        verdict = merge(rule, owner.record.fields, member.record.fields, link.agreed.get(key))
        values = {"crm": owner.record.fields.get(rule.crm), "esp": member.record.fields.get(rule.esp)}
        if key in frozen:
            if not are_equal(rule, owner.record.fields, member.record.fields):
                continue
            frozen.discard(key)
            moves.pop(key, None)
        if verdict.is_conflict:
            questions.append(_question("field_conflict", owner, point, rule.crm, values))
        elif verdict.target and verdict.rule and verdict.agreed:
            moves[key] = moved(moves.get(key), link.agreed.get(key), verdict.agreed.esp, verdict.target, around.now)
            if is_oscillating(moves[key]):
                frozen.add(key)
                questions.append(_question("oscillation", owner, point, rule.crm, values))
                continue
            name = rule.esp if verdict.target is Side.ESP else rule.crm
            pending[verdict.target][name] = (key, verdict.value, verdict.rule, verdict.agreed)
        elif verdict.agreed:
            agreed[key] = verdict.agreed
    if agreed != link.agreed or moves != link.moves or frozen != set(link.frozen):
        link = replace(link, agreed=agreed, moves=moves, frozen=frozenset(frozen))
    return _Merged(pending, link, tuple(questions))


def is_withheld(rule: FieldRule, owner: Seen, around: Neighbourhood) -> bool:
    """Whether what looks like a blank may be a text that names somebody who was forgotten and shares the record: that
    is kept nowhere, and nothing is written over it or because of it."""
    values = owner.record.fields
    is_blank = values.get(rule.crm) is None or (rule.transform.reads_others and None in values.values())
    return is_blank and any(around.points[key].is_forgotten for key in owner.points)


def fields_flow(point: Point, member: Seen, policy: SyncPolicy) -> bool:
    """Whether field changes go on for a member: not once they are off the list or, unless configured, out."""
    if member.record.status in {Status.ARCHIVED, Status.ABSENT}:
        return False
    return policy.fields_after_opt_out or point.standing(policy.scope, policy).wish is not Wish.OUT


def _field_intent(
    point: Point, target: Seen, other: Seen, changes: Mapping[str, tuple[str, Value, Rule, Agreed]]
) -> Intent:
    values = {name: value for name, (_, value, _, _) in changes.items()}
    rules = [rule for _, _, rule, _ in changes.values()]
    return Intent(
        kind=ChangeKind.FIELD,
        write=WriteKind.FIELDS,
        system=target.system,
        collection=target.collection,
        record=target.key,
        point=point.key,
        rule=rules[0],
        before={name: target.record.fields.get(name) for name in values},
        after=values,
        fields=values,
        address=target.record.addresses[0] if target.record.addresses else None,
        agreed={key: agreement for key, _, _, agreement in changes.values()},
        counterpart=other.key,
    )


_QUESTIONS = {
    "field_conflict": "both sides changed this field and differ; the sync asks for review: make both equal, "
    "or dismiss this to leave them as they are",
    "oscillation": "this value keeps bouncing between two forms: something on each side takes the other's back; it is "
    "frozen until both sides show the same",
}


def _question(kind: str, owner: Seen, point: Point, name: str, values: Mapping[str, Value]) -> Question:
    return Question(kind=kind, record=owner.key, point=point.key, field=name, message=_QUESTIONS[kind], values=values)
