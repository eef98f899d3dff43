"""Joining the two sides at one contact point: who owns it, entering and leaving the list."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from optsync.model.change import ChangeKind, WriteKind
from optsync.model.link import Agreed, Link
from optsync.model.quick import quick_dataclass
from optsync.model.record import Record, Side, Status, Value
from optsync.model.statement import OUR_CLOCK, Source, Statement, StatementKind, Strength, state
from optsync.reconcile.asking import enters_asked, must_confirm, to_confirm, why_not_ask
from optsync.reconcile.consent import Deliverability, Standing, Wish
from optsync.reconcile.identity import Apart
from optsync.reconcile.pairing import pair_fields
from optsync.reconcile.policy import Enter, Leave, SyncPolicy
from optsync.reconcile.project import evidence_of, proof_of
from optsync.reconcile.representation import Representation, flags_for, shown, topic_shown
from optsync.reconcile.rules import DISAGREED, Rule
from optsync.reconcile.transforms import canonical
from optsync.reconcile.undo import no_longer_kept
from optsync.reconcile.view import Decision, Intent, Neighbourhood, Point, Seen, is_in_list, spelled

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LEFT_TAG = "left list"


@quick_dataclass(frozen=True, slots=True)
class Couple:
    """Who owns a contact point on either side of a sync."""

    point: Point
    owner: Seen | None
    member: Seen | None
    holders: tuple[Seen, ...]
    """All live CRM records whose primary address it is."""


def couple(point: Point, around: Neighbourhood, policy: SyncPolicy) -> Couple:
    """Finds the owner of the fields (who belongs to the list, then contact before lead before company, then the
    oldest or newest) and the member with this address."""
    here = around.by_primary.get(point.key, ())
    holders = [s for s in here if s.side is Side.CRM and not s.is_gone]
    sign = -1.0 if policy.prefers_newest else 1.0
    if len(holders) > 1:
        holders.sort(key=lambda s: (s.record.rank, sign * (s.record.created_at or _EPOCH).timestamp(), s.key))
    members = sorted((s for s in here if s.side is Side.ESP), key=lambda s: (s.is_gone, s.key))
    listed = [s for s in holders if is_in_list(s, policy)] or holders
    owner = listed[0] if listed else None
    former = around.removed.get(owner.key) if owner else None
    return Couple(point, owner, members[0] if members else former, tuple(holders))


def join(pair: Couple, around: Neighbourhood, policy: SyncPolicy) -> Decision:
    """What happens to the fields and to the membership of one contact point."""
    if around.engaged.intersection(s.key for s in (*pair.holders, pair.member) if s):
        return Decision()  # decided with the counterpart that has another address
    is_here = pair.member is not None and not pair.member.is_gone and pair.member.primary == pair.point.key
    member = pair.member if is_here else None
    if pair.owner is None:
        intents = tuple(_create_in_crm(pair, around, policy)) if member else ()
        return Decision(intents=intents, settled=_put_back(pair, member, around) if member else ())
    if member is None:
        return _enter(pair, around, policy)
    if not is_in_list(pair.owner, policy):
        intents = tuple(_leave(pair, around, policy))
        return Decision(
            intents=intents, settled=_put_back(pair, member, around), skipped={pair.owner.key: "out_of_scope"}
        )
    decision = pair_fields(pair.point, pair.owner, member, around, policy)
    settled = no_longer_kept(decision.settled, member, around)
    returned = tuple(_return(pair, around, policy))
    if not returned and settled == decision.settled:
        return decision
    return replace(decision, intents=(*returned, *decision.intents), settled=settled)


def follow(pair: Apart, around: Neighbourhood, policy: SyncPolicy) -> Decision:
    """The fields of two records that will have one address again, if the CRM record is whom they follow."""
    point = around.points[pair.points[0]]
    if couple(point, around, policy).owner != pair.record:
        return Decision()
    return pair_fields(point, pair.record, pair.member, around, policy)


def leave(pair: Apart, around: Neighbourhood, policy: SyncPolicy) -> Decision:
    """A pair that came apart and does not belong to the list. Who has the member's address now may."""
    point = around.points[pair.points[1]]
    left = Couple(point, pair.record, pair.member, (pair.record, *couple(point, around, policy).holders))
    intents, settled = tuple(_leave(left, around, policy)), _put_back(left, pair.member, around)
    return Decision(intents=intents, settled=settled, skipped={pair.record.key: "out_of_scope"})


# first sight of both sides


def disagreements(pair: Couple, around: Neighbourhood, policy: SyncPolicy) -> Iterator[Statement]:
    """Topics on which two records disagree when they are joined for the first time, or when the topic is mapped for
    them: they are off.

    An unticked box counts only where somebody on that side has the topic ticked: a field that is empty on every
    record was never asked."""
    if pair.owner is None or pair.member is None or pair.member.is_gone or policy.topics_first_sight_union:
        return
    is_joined = (pair.owner.key, pair.member.key) in around.links
    if is_joined and not (around.newly_mapped or around.late):
        return
    names = dict(policy.esp.topics)
    # Who does not belong to the list is joined with nobody, and is no news for it.
    both_since = max((at for s in (pair.owner, pair.member) if (at := around.first_seen.get(s.key))), default=None)
    for scope, crm_name in policy.crm.topics:
        esp_name = names.get(scope)
        if scope in around.newly_mapped or (pair.point.key, scope) in around.late:
            is_first = _is_unproven(pair.point, scope, policy)
        else:
            is_first = not is_joined and _only_first_sights(pair.point, scope, both_since)
        if esp_name is None or not is_first:
            continue
        values = {
            Side.CRM: topic_shown(pair.owner.record, crm_name),
            Side.ESP: topic_shown(pair.member.record, esp_name),
        }
        if set(values.values()) != {True, False}:
            continue
        denying = Side.CRM if values[Side.CRM] is False else Side.ESP
        name = crm_name if denying is Side.CRM else esp_name
        if (denying, name) in around.ticked:
            yield _topic_out(scope, pair.owner if denying is Side.CRM else pair.member, around.now)


def _only_first_sights(point: Point, scope: str, both_since: datetime | None) -> bool:
    """What was said after both records were there (``both_since``, where that is asked) is no first sight."""
    said = [s for s in point.statements if s.scope == scope]
    if both_since is not None and any(s.seen_at > both_since for s in said):
        return False
    return all(s.kind is StatementKind.GRANT and s.strength is Strength.NOTHING for s in said)


def _is_unproven(point: Point, scope: str, policy: SyncPolicy) -> bool:
    """Of boxes that are seen for the first time: ticks of before tell of other boxes, or of these before they were
    out of sight, and only a proof is more than what they show."""
    is_proven = any(s.strength > Strength.TRUSTED for s in point.said if s.scope == scope)
    return not is_proven and point.topic_standing(scope, policy).wish is not Wish.OUT


def _topic_out(scope: str, denying: Seen, now: datetime) -> Statement:
    return state(
        scope=scope,
        kind=StatementKind.OUT,
        at=now,
        clock=OUR_CLOCK,
        seen_at=now,
        source=Source.CRM if denying.side is Side.CRM else Source.ESP,
        reason=DISAGREED,
        system=denying.system,
        record=denying.record.id,
    )


# entering and leaving


def _enter(pair: Couple, around: Neighbourhood, policy: SyncPolicy) -> Decision:
    if pair.owner is None:
        return Decision()
    listed = [s for s in pair.holders if is_in_list(s, policy)]
    if not listed:
        return Decision(skipped={pair.owner.key: "out_of_scope"})
    decided = pair.point.standing(policy.scope, policy)
    refusal = _why_not_enter(pair, decided, around, policy)
    if refusal:
        return Decision(skipped={pair.owner.key: refusal})
    is_here = pair.member is not None and pair.member.primary == pair.point.key
    if pair.member is not None and is_here and pair.member.record.status is Status.ABSENT:
        return Decision()  # the record of somebody who left is there still: the opt-in is written to it
    is_request = enters_asked(pair.point, decided, _record(pair), around, policy)
    intent = _create_in_esp(pair.point, listed[0], decided, policy, is_request=is_request)
    if intent.fingerprint in around.blocked:
        return Decision(skipped={pair.owner.key: "refused"})
    return Decision(intents=(intent,))


def _why_not_enter(pair: Couple, decided: Standing, around: Neighbourhood, policy: SyncPolicy) -> str | None:
    # A flag that was set for an address which has left since shows out as any other does.
    shows_out = any(shown(holder.record, policy.crm).status is Status.OUT for holder in pair.holders)
    if decided.wish is Wish.OUT or (shows_out and decided.wish is not Wish.IN):
        return "opted_out"
    if policy.enter is Enter.SKIP:
        return "not_entered"
    if pair.point.mailbox(around.now, policy) is Deliverability.HARD:
        return "undeliverable"
    if pair.member is not None and not _is_newer_than_absence(decided, pair.member):
        return "removed_there"
    if pair.point.key in around.refused_for_good:
        return "refused"
    is_request = enters_asked(pair.point, decided, _record(pair), around, policy)
    return why_not_ask(pair.point, decided, policy) if is_request else None


def _record(pair: Couple) -> Record | None:
    return pair.member.record if pair.member else None


def _is_newer_than_absence(decided: Standing, member: Seen) -> bool:
    """People took the member away there: only an opt-in that came after the record's last state brings it back."""
    last = member.record.modified_at or member.record.created_at
    grant = decided.decided_by
    return decided.wish is Wish.IN and grant is not None and last is not None and grant.at > last


def _create_in_esp(point: Point, owner: Seen, decided: Standing, policy: SyncPolicy, *, is_request: bool) -> Intent:
    status = Status.PENDING if is_request else Status.IN
    values: dict[str, Value] = {}
    agreed: dict[str, Agreed] = {}
    for rule in policy.fields:
        forward = canonical(rule.transform.forward(owner.record.fields.get(rule.crm), owner.record.fields))
        if rule.to_esp and forward is not None:
            values[rule.esp] = forward
            agreed[rule.key] = Agreed(rule.remembered(owner.record.fields), forward)
    grant = to_confirm(point, policy) if is_request and decided.wish is Wish.IN else decided.decided_by
    why = Rule.ENTERED_LIST if not is_request else Rule.ASKED_FOR_GRANT if grant else Rule.ASKED_ONCE
    topics = _wanted(point, policy.esp, policy)
    address = spelled(point, owner)
    return Intent(
        kind=ChangeKind.REQUEST if is_request else ChangeKind.CREATE,
        write=WriteKind.CREATE,
        system=policy.esp_system,
        collection=policy.audience,
        record=None,
        point=point.key,
        rule=why,
        after={"address": address, "status": status, **topics, **values},
        causes=(grant.uid,) if grant else (),
        status=status,
        topics=topics,
        fields=values,
        address=address,
        evidence=evidence_of(grant),
        agreed=agreed,
        counterpart=owner.key,
    )


def _wanted(point: Point, representation: Representation, policy: SyncPolicy) -> dict[str, bool]:
    """The topics that a new record begins with."""
    wishes = {name: point.topic_standing(scope, policy).wish for scope, name in representation.topics}
    return {name: True for name, wish in wishes.items() if wish is Wish.IN}


def _create_in_crm(pair: Couple, around: Neighbourhood, policy: SyncPolicy) -> Iterator[Intent]:
    member = pair.member
    if not policy.creates_in_crm or member is None or member.record.status is not Status.IN:
        return
    is_known = any(pair.point.key in s.points and not s.is_gone for s in around.crm)
    decided = pair.point.standing(policy.scope, policy)
    if is_known or decided.wish is Wish.OUT:
        return
    values: dict[str, Value] = dict(policy.crm_defaults)
    agreed: dict[str, Agreed] = {}
    for rule in policy.fields:
        shown = member.record.fields.get(rule.esp)
        value = canonical(rule.transform.back(shown)) if rule.to_crm and rule.transform.back else None
        if value is not None:
            values[rule.crm] = value
            agreed[rule.key] = Agreed(value, shown)
    if decided.wish is Wish.IN:
        values |= {**flags_for(Status.IN, None, policy.crm), **proof_of(decided, policy.crm_system, policy.crm)}
    topics = _wanted(pair.point, policy.crm, policy)
    intent = Intent(
        kind=ChangeKind.CREATE,
        write=WriteKind.CREATE,
        system=policy.crm_system,
        collection=policy.crm_collections[0],
        record=None,
        point=pair.point.key,
        rule=Rule.ESP_ONLY,
        after={"address": spelled(pair.point, member), **topics, **values},
        topics=topics,
        fields=values,
        address=spelled(pair.point, member),
        agreed=agreed,
        counterpart=member.key,
    )
    if intent.fingerprint not in around.blocked:
        yield intent


def _leave(pair: Couple, around: Neighbourhood, policy: SyncPolicy) -> Iterator[Intent]:
    """Only members that optsync created or matched while they belonged to the list are touched, once."""
    member = pair.member
    if policy.leave is Leave.KEEP or member is None or member.record.status is not Status.IN:
        return
    if any(is_in_list(s, policy) for s in pair.holders) or _is_on_another_list(pair, around):
        return
    links = [link for s in pair.holders if (link := around.links.get((s.key, member.key)))]
    if not links or any(link.left or link.is_kept for link in links):
        return
    intent = _place(pair.point, member, is_archive=policy.leave is Leave.ARCHIVE, left=True)
    if intent.fingerprint not in around.blocked:
        yield intent


def _is_on_another_list(pair: Couple, around: Neighbourhood) -> bool:
    """Whether the member belongs to the list of another sync, which has the same audience."""
    fellows = around.fellows
    return pair.point.key in fellows.listed or any(s.key in fellows.also_listed for s in pair.holders)


def _put_back(pair: Couple, member: Seen, around: Neighbourhood) -> tuple[Link, ...]:
    """The links of a member that optsync took off the list and others put back: if it is archived again, that is their
    doing as well. Another sync, to whose list it belongs, is no such other."""
    links = around.by_member.get(member.key, ()) if member.record.status is Status.IN else ()
    is_kept = not _is_on_another_list(pair, around)
    return tuple(replace(link, left=False, is_kept=is_kept) for link in links if link.left and not link.left_by_tag)


def _return(pair: Couple, around: Neighbourhood, policy: SyncPolicy) -> Iterator[Intent]:
    """Whoever belongs to the list again gets back what optsync took: the tag goes, an archived member returns if
    the person still is in, whichever sync of the audience took it. What people archived stays archived."""
    member = pair.member
    if member is None:
        return
    left = [link for link in around.by_member.get(member.key, ()) if link.left]
    is_archived, fellows = member.record.status is Status.ARCHIVED, around.fellows
    own = any(not link.left_by_tag for link in left) if is_archived else bool(left)
    if not own and member.key not in (fellows.archived if is_archived else fellows.tagged):
        return
    if is_archived and not may_return(pair.point, around, policy):
        return
    intent = _place(pair.point, member, is_archive=is_archived, left=False)
    if intent.fingerprint not in around.blocked:
        yield intent


def may_return(point: Point, around: Neighbourhood, policy: SyncPolicy) -> bool:
    """Whether a member that optsync archived may be put back on the list, and the platform is not known to refuse it.
    What such a member shows hides whether the person left."""
    is_in = point.standing(policy.scope, policy).wish is Wish.IN
    told = around.left_by_self.get(point.key)
    is_reached = point.mailbox(around.now, policy) is not Deliverability.HARD
    return is_in and is_reached and not must_confirm(point, None, told, policy)


def _place(point: Point, member: Seen, *, is_archive: bool, left: bool) -> Intent:
    """Takes a member off the list, or puts it back."""
    status = Status.ARCHIVED if left else Status.IN
    write = WriteKind.TAG if not is_archive else WriteKind.ARCHIVE if left else WriteKind.STATUS
    return Intent(
        kind=ChangeKind.OPT_IN if write is WriteKind.STATUS else ChangeKind.ARCHIVE,
        write=write,
        system=member.system,
        collection=member.collection,
        record=member.key,
        point=point.key,
        rule=Rule.LEFT_LIST if left else Rule.RETURNED_TO_LIST,
        before={"status": member.record.status} if is_archive else {},
        after={"status": status} if is_archive else {"tag": LEFT_TAG if left else None},
        status=status if write is WriteKind.STATUS else None,
        tags={} if is_archive else {LEFT_TAG: left},
        address=member.record.addresses[0],
        left=left,
    )
