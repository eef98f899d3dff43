"""Where what systems show and what the ledger means are apart, and what would have to be written to change that.

Derived with the very functions that plan changes: first as if nothing were in the way, then as it is. What is missing
then is in the way of something.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from optsync.model.change import ChangeKind
from optsync.model.link import Link
from optsync.model.record import Side, Status, Value
from optsync.reconcile.asking import must_confirm
from optsync.reconcile.consent import Wish
from optsync.reconcile.fields import FieldRule, are_equal, merge
from optsync.reconcile.membership import Couple, couple
from optsync.reconcile.pairing import fields_flow, is_withheld
from optsync.reconcile.plan import decide
from optsync.reconcile.policy import SyncPolicy
from optsync.reconcile.representation import shown
from optsync.reconcile.transforms import canonical
from optsync.reconcile.view import Decision, Intent, Neighbourhood, Seen, is_in_list

_STATUS = frozenset({ChangeKind.OPT_OUT, ChangeKind.OPT_IN})


class About(StrEnum):
    """What two sides disagree about."""

    STATUS = "status"
    TOPIC = "topic"
    FIELD = "field"


class Cause(StrEnum):
    """Why a disagreement stands, as far as the reconciler can tell. The state knows more of ``PLANNED``: held,
    waiting, or on its way."""

    PLANNED = "planned"
    REFUSED = "refused"
    STAYS = "stays"
    """``opt_out: {way: false}``."""
    DISPUTED = "disputed"
    """Nobody has said it, and another sync of the topic holds it or was told not to write it."""
    FROZEN = "frozen"
    REVIEW = "review"
    DIRECTION = "direction"
    BLANK = "blank"
    ACCEPTED = "accepted"
    CONFIRMATION = "confirmation"
    """The person is in and the platform takes that only from themself: they were asked, or cannot be."""
    UNDECIDED = "undecided"
    """One side says in, another out, and nobody's word decides between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """``seen``: the record that should show something else. ``field``: its topic or field, as the system calls it;
    ``shows``: what it has there, None for a status."""

    point: int
    seen: Seen
    about: About
    cause: Cause
    field: str | None = None
    shows: Value = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Two decisions about the same points: as it is, and with nothing in the way."""

    keys: tuple[int, ...]
    around: Neighbourhood
    policy: SyncPolicy
    decided: Decision
    wanted: Decision
    possible: frozenset[str]
    """Fingerprints of what is decided as it is."""


def look(keys: Sequence[int], around: Neighbourhood, policy: SyncPolicy) -> Look:
    """Decides about these points twice."""
    unhindered = replace(policy, outs_to_esp=True, outs_to_crm=True)
    decided = decide(keys, around, policy)
    return Look(
        keys=tuple(keys),
        around=around,
        policy=policy,
        decided=decided,
        wanted=decide(keys, replace(around, blocked=frozenset(), disputed=frozenset()), unhindered),
        possible=frozenset(intent.fingerprint for intent in decided.intents),
    )


def mismatches(seen_twice: Look) -> Iterator[Mismatch]:
    """Every disagreement at these points, each once."""
    records = {seen.key: seen for seen in (*seen_twice.around.crm, *seen_twice.around.esp)}
    keys, disputed = frozenset(seen_twice.keys), set()
    # With nothing in the way another word may decide what is written all the same.
    decided = {(i.record, i.kind): i for i in seen_twice.decided.intents if i.kind in _STATUS}
    for wanted in seen_twice.wanted.intents:
        intent = decided.get((wanted.record, wanted.kind), wanted)
        seen = records.get(intent.record) if intent.record is not None else None
        if seen is None or seen.primary not in keys:
            continue
        if intent.kind in _STATUS:
            disputed.add(seen.primary)
        yield from _of_intent(intent, seen, seen_twice)
    for key in seen_twice.keys:
        pair = couple(seen_twice.around.points[key], seen_twice.around, seen_twice.policy)
        if key not in disputed:
            yield from _undecided(key, pair, seen_twice)
        yield from _of_fields(key, pair, seen_twice)


def _of_intent(intent: Intent, seen: Seen, look_: Look) -> Iterator[Mismatch]:
    point = seen.points[0]
    if intent.kind in _STATUS:
        cause = _cause(intent, look_)
        yield Mismatch(point=point, seen=seen, about=About.STATUS, cause=cause, fingerprint=intent.fingerprint)
    elif intent.kind is ChangeKind.TOPIC:
        # What is written of some of the topics is another change than that of all.
        mine = [i for i in look_.decided.intents if i.record == intent.record and i.kind is ChangeKind.TOPIC]
        for name, value in intent.before.items():
            written = next((i for i in mine if name in i.before), intent)
            yield Mismatch(
                point=point,
                seen=seen,
                about=About.TOPIC,
                cause=_cause(written, look_),
                field=name,
                shows=value,
                fingerprint=written.fingerprint,
            )


def _cause(intent: Intent, look_: Look) -> Cause:
    if intent.fingerprint in look_.possible:
        return Cause.PLANNED
    if intent.fingerprint in look_.around.blocked:
        return Cause.REFUSED
    return Cause.DISPUTED if look_.around.disputed.intersection(intent.causes) else Cause.STAYS


def _undecided(key: int, pair: Couple, look_: Look) -> Iterator[Mismatch]:
    """One side in, the other out, and no change that would settle it."""
    member, policy, told = pair.member, look_.policy, look_.around.left_by_self.get(key)
    if member is None or member.is_gone:
        return
    at_esp = shown(member.record, policy.esp).status
    for holder in pair.holders:
        if {shown(holder.record, policy.crm).status, at_esp} == {Status.IN, Status.OUT}:
            is_in = pair.point.standing(policy.scope, policy).wish is Wish.IN
            is_theirs = is_in and must_confirm(pair.point, member.record, told, policy)
            cause = Cause.CONFIRMATION if is_theirs else Cause.UNDECIDED
            yield Mismatch(point=key, seen=member, about=About.STATUS, cause=cause)
            return


def _of_fields(key: int, pair: Couple, look_: Look) -> Iterator[Mismatch]:
    """Only where fields are meant to agree: of a member who belongs to the list and may get them."""
    owner, member, policy = pair.owner, pair.member, look_.policy
    if owner is None or member is None or member.is_gone or not is_in_list(owner, policy):
        return
    if not fields_flow(pair.point, member, policy):
        return
    link = look_.around.links.get((owner.key, member.key)) or Link(crm=owner.key, esp=member.key)
    for rule in policy.fields:
        if are_equal(rule, owner.record.fields, member.record.fields) or is_withheld(rule, owner, look_.around):
            continue
        cause, target = _of_rule(rule, owner, member, link)
        seen, name = (member, rule.esp) if target is Side.ESP else (owner, rule.crm)
        intents = [i for i in look_.wanted.intents if i.record == seen.key and name in i.fields]
        if cause is Cause.PLANNED and intents:
            cause = _cause(intents[0], look_)
        yield Mismatch(
            point=key,
            seen=seen,
            about=About.FIELD,
            cause=cause,
            field=name,
            shows=seen.record.fields.get(name),
            fingerprint=intents[0].fingerprint if intents else None,
        )


def _of_rule(rule: FieldRule, owner: Seen, member: Seen, link: Link) -> tuple[Cause, Side]:
    """Why the two values differ, and the side that would be written to."""
    crm, esp = owner.record.fields, member.record.fields
    other = Side.CRM if rule.to_crm and not rule.to_esp else Side.ESP
    if rule.key in link.frozen:
        return Cause.FROZEN, other
    verdict = merge(rule, crm, esp, link.agreed.get(rule.key))
    if verdict.is_conflict:
        return Cause.REVIEW, other
    if verdict.target is not None:
        return Cause.PLANNED, verdict.target
    if not rule.clears and (canonical(crm.get(rule.crm)) is None or canonical(esp.get(rule.esp)) is None):
        return Cause.BLANK, other
    return (Cause.ACCEPTED if rule.to_esp and rule.to_crm else Cause.DIRECTION), other
