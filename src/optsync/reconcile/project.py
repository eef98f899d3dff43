"""From standings to what each record must show: status, topics, markers and proof."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from optsync.model.change import ChangeKind, GrantEvidence, WriteKind
from optsync.model.record import Side, Status, Value
from optsync.model.statement import Source, Statement, StatementKind
from optsync.reconcile.asking import ask, must_confirm
from optsync.reconcile.consent import Deliverability, Standing, Wish
from optsync.reconcile.moments import parse_moment
from optsync.reconcile.policy import SyncPolicy
from optsync.reconcile.putback import put_back, topic_retracted
from optsync.reconcile.representation import Representation, flags_for, shown, topic_shown
from optsync.reconcile.rules import DISAGREED, Rule
from optsync.reconcile.view import Intent, Neighbourhood, Point, Seen

_SATISFIES_OUT = frozenset({Status.OUT, Status.PENDING, Status.BOUNCED, Status.ARCHIVED, Status.ABSENT})
_LEFT_ALONE_WHEN_IN = frozenset({Status.IN, Status.BOUNCED, Status.ARCHIVED})


def project(seen: Seen, around: Neighbourhood, policy: SyncPolicy) -> Iterator[Intent]:
    """The changes that make ``seen`` show what its points' standings are."""
    if seen.primary is None:
        return
    representation = policy.crm if seen.side is Side.CRM else policy.esp
    point, decided = _deciding(seen, around, policy, policy.scope)
    if not (seen.is_gone and seen.side is Side.CRM):
        yield from _status(seen, around, point, decided, representation, policy)
    if seen.is_gone:
        return
    yield from _topics(seen, around, decided, representation, policy)
    if seen.side is Side.CRM:
        yield from _bounce(seen, around, representation, policy)
        yield from _proof(seen, around, decided, representation)


def _deciding(seen: Seen, around: Neighbourhood, policy: SyncPolicy, scope: str) -> tuple[Point, Standing]:
    """The address that decides a record: its primary, or any of its addresses that is a member and is out. An out that
    does not travel here leaves the word to another one that does, and an administrator's to a person's own."""
    primary = around.points[seen.points[0]]
    own = _standing(primary, scope, seen.side, policy)
    if len(seen.points) == 1:
        return primary, own
    binding = [(primary, own)] if _binds(own, seen.side, policy) else []
    for key in seen.points[1:]:
        is_member = key in around.members_elsewhere or any(
            m.side is Side.ESP and not m.is_gone for m in around.by_primary.get(key, ())
        )
        if is_member and _binds(other := _standing(around.points[key], scope, seen.side, policy), seen.side, policy):
            binding.append((around.points[key], other))
    in_person = (each for each in binding if _is_in_person(each[1]))
    return (*in_person, *binding, (primary, own))[0]


def _binds(standing: Standing, target: Side, policy: SyncPolicy) -> bool:
    return standing.wish is Wish.OUT and may_travel(standing.decided_by, target, policy)


def _is_in_person(standing: Standing) -> bool:
    return standing.decided_by is not None and standing.decided_by.is_personal


def _standing(point: Point, scope: str, target: Side, policy: SyncPolicy) -> Standing:
    """Decided by the newest out that travels to that side, if any does: by the person's own, since what administrators
    say may be held, and nobody's own no waits behind that."""
    found = point.standing(scope, policy) if scope == policy.scope else point.topic_standing(scope, policy)
    travelling = [out for out in found.outs if may_travel(out, target, policy)]
    in_person = [out for out in travelling if out.is_personal]
    return replace(found, decided_by=(in_person or travelling)[-1]) if travelling else found


# status


def _status(
    seen: Seen,
    around: Neighbourhood,
    point: Point,
    decided: Standing,
    representation: Representation,
    policy: SyncPolicy,
) -> Iterator[Intent]:
    if decided.wish is Wish.OUT:
        wanted, rule, is_needed = Status.OUT, Rule.OUT_TRAVELS, _must_go_out(seen, representation)
        is_needed = is_needed and not policy.is_transactional and may_travel(decided.decided_by, seen.side, policy)
    elif decided.wish is Wish.IN:
        wanted, rule, is_needed = Status.IN, Rule.GRANT_TRAVELS, _must_go_in(seen, representation)
        is_needed = is_needed and not (seen.side is Side.ESP and _is_hard(point, around, policy))
    else:
        yield from _put_back(seen, around, point, representation, policy)
        return
    if not is_needed or _has_no_place(seen, representation):
        return
    told = around.left_by_self.get(point.key)
    if wanted is Status.IN and seen.side is Side.ESP and must_confirm(point, seen.record, told, policy):
        yield from ask(seen, point, around, policy)
        return
    status = shown(seen.record, representation).status
    retracted = put_back(seen, around, representation) if wanted is Status.IN else None
    if wanted is Status.IN and status is Status.OUT:
        rule = Rule.PUT_BACK if retracted else Rule.GRANT_LIFTS_OUT
    if wanted is Status.OUT and (seen.system, seen.collection, seen.record.id) in around.refused:
        rule = Rule.RESTRICTIVE_WINS
    flags = flags_for(wanted, seen.record, representation)
    before: dict[str, Value] = {name: seen.record.fields.get(name) for name in flags} or {"status": status}
    yield _intent(
        seen,
        point,
        kind=ChangeKind.OPT_OUT if wanted is Status.OUT else ChangeKind.OPT_IN,
        write=WriteKind.STATUS,
        rule=rule,
        before=before,
        after=flags or {"status": wanted},
        causes=(*((retracted.cause,) if retracted else ()), *_causes(decided)),
        is_restrictive=wanted is Status.OUT,
        status=None if flags else wanted,
        fields=flags,
        evidence=evidence_of(decided.decided_by),
    )
    if wanted is Status.OUT and representation.reason and seen.side is Side.CRM:
        yield from _reason(seen, point, decided, representation.reason)


def _put_back(
    seen: Seen, around: Neighbourhood, point: Point, representation: Representation, policy: SyncPolicy
) -> Iterator[Intent]:
    """Without a standing of its own the record shows again what it showed before a retracted out, once."""
    found = put_back(seen, around, representation)
    is_lost = seen.is_gone and seen.record.status is not Status.ABSENT  # a list makes absent whoever is out
    if found is None or is_lost or (found.status is Status.IN and _is_hard(point, around, policy)):
        return
    status = shown(seen.record, representation).status
    intent = _intent(
        seen,
        point,
        kind=ChangeKind.OPT_IN,
        write=WriteKind.STATUS,
        rule=Rule.PUT_BACK,
        before={name: seen.record.fields.get(name) for name in found.flags} or {"status": status},
        after=found.flags or {"status": found.status},
        causes=(found.cause,),
        status=found.status,
        fields=found.flags,
    )
    if intent.fingerprint not in around.put_back:
        yield intent


def _has_no_place(seen: Seen, representation: Representation) -> bool:
    """Whether nothing of the record stands for the scope: the CRM knows no status, and no flag is mapped."""
    return seen.side is Side.CRM and not representation.uses_flags and seen.record.status is None


def _must_go_out(seen: Seen, representation: Representation) -> bool:
    if representation.uses_flags:
        return bool(flags_for(Status.OUT, seen.record, representation))
    return not seen.is_gone and shown(seen.record, representation).status not in _SATISFIES_OUT


def _must_go_in(seen: Seen, representation: Representation) -> bool:
    if representation.uses_flags:
        return bool(flags_for(Status.IN, seen.record, representation))
    status = shown(seen.record, representation).status
    if seen.is_gone:
        return status is Status.ABSENT
    return status not in _LEFT_ALONE_WHEN_IN and seen.record.is_word_known


def may_travel(decided_by: Statement | None, target: Side, policy: SyncPolicy) -> bool:
    """Whether an out goes to that side: ``opt_out: {crm_to_esp: false}`` keeps what the CRM said from the ESP, and the
    other way round."""
    if decided_by is None or decided_by.system is None:
        return True
    if target is Side.ESP:
        return policy.outs_to_esp or decided_by.system != policy.crm_system
    return policy.outs_to_crm or decided_by.system != policy.esp_system


def _reason(seen: Seen, point: Point, decided: Standing, name: str) -> Iterator[Intent]:
    said = decided.decided_by
    if said is None or said.system == seen.system:
        return
    text = " · ".join(p for p in (said.source.value, said.system, said.reason, said.at.date().isoformat()) if p)[:255]
    if seen.record.fields.get(name) == text:
        return
    yield _intent(
        seen,
        point,
        kind=ChangeKind.FIELD,
        write=WriteKind.FIELDS,
        rule=Rule.REASON_NOTED,
        before={name: seen.record.fields.get(name)},
        after={name: text},
        causes=_causes(decided),
        fields={name: text},
    )


# topics


def _topics(
    seen: Seen, around: Neighbourhood, status: Standing, representation: Representation, policy: SyncPolicy
) -> Iterator[Intent]:
    off: dict[str, Point] = {}
    on: dict[str, bool] = {}
    causes: dict[bool, list[str]] = {True: [], False: []}
    rule, why_off = Rule.TOPIC_TRAVELS, Rule.TOPICS_DISAGREE
    for scope, name in representation.topics:
        value = topic_shown(seen.record, name)
        if value is not True and status.wish is Wish.OUT:
            continue
        point, decided = _deciding(seen, around, policy, scope)
        if decided.wish is Wish.OUT and value is True and _goes_off(decided, seen, around, policy):
            off[name] = point
            causes[False].extend(_causes(decided))
            if decided.decided_by is None or decided.decided_by.reason != DISAGREED:
                why_off = Rule.TOPIC_OUT_TRAVELS  # somebody switched one of them off
        elif value is not True and decided.wish is not Wish.OUT and name in seen.record.topics:  # never one unseen
            retraction = topic_retracted(seen, around, scope, name)
            if decided.wish is Wish.IN or retraction:
                on[name] = True
                causes[True].extend((*((retraction,) if retraction else ()), *_causes(decided)))
            if retraction:
                rule = Rule.PUT_BACK
    if off and seen.record.status is not Status.ARCHIVED:  # who is archived is not mailed and cannot be edited
        topics = dict.fromkeys(off, False)
        yield _topic_intent(seen, next(iter(off.values())), topics, why_off, causes[False])
    if on and _accepts_permission(seen):
        yield _topic_intent(seen, around.points[seen.points[0]], on, rule, causes[True])


def _goes_off(decided: Standing, seen: Seen, around: Neighbourhood, policy: SyncPolicy) -> bool:
    """Whether an out of a topic travels there. Where nobody has said it, and another sync has made it of its two sides
    and waits for a person, it does not."""
    if not may_travel(decided.decided_by, seen.side, policy):
        return False
    return not around.disputed or any(o.reason != DISAGREED or o.uid not in around.disputed for o in decided.outs)


def _accepts_permission(seen: Seen) -> bool:
    """Archived and undeliverable members are left as they are."""
    return seen.record.status not in {Status.ARCHIVED, Status.BOUNCED, Status.ABSENT}


def _topic_intent(seen: Seen, point: Point, topics: Mapping[str, bool], rule: Rule, causes: Iterable[str]) -> Intent:
    return _intent(
        seen,
        point,
        kind=ChangeKind.TOPIC,
        write=WriteKind.TOPICS,
        rule=rule,
        before={name: seen.record.topics.get(name) for name in topics},
        after=dict(topics),
        causes=tuple(dict.fromkeys(causes)),
        is_restrictive=not any(topics.values()),
        topics=topics,
    )


# markers and proof


def _bounce(seen: Seen, around: Neighbourhood, representation: Representation, policy: SyncPolicy) -> Iterator[Intent]:
    name = representation.bounce
    if name is None:
        return
    point = around.points[seen.points[0]]
    is_hard = _is_hard(point, around, policy)
    if is_hard == (seen.record.fields.get(name) is True):
        return
    bounces = [s.uid for s in point.statements if s.kind is StatementKind.HARD_BOUNCE]
    yield _intent(
        seen,
        point,
        kind=ChangeKind.BOUNCE,
        write=WriteKind.FIELDS,
        rule=Rule.BOUNCE_MARKED if is_hard else Rule.BOUNCE_CLEARED,
        before={name: seen.record.fields.get(name)},
        after={name: is_hard},
        causes=tuple(bounces[-1:]),
        is_restrictive=is_hard,
        fields={name: is_hard},
    )


def _is_hard(point: Point, around: Neighbourhood, policy: SyncPolicy) -> bool:
    return point.mailbox(around.now, policy) is Deliverability.HARD


def _proof(seen: Seen, around: Neighbourhood, decided: Standing, representation: Representation) -> Iterator[Intent]:
    grant, values = decided.decided_by, proof_of(decided, seen.system, representation)
    if grant is None or not values:
        return
    known = seen.record.fields.get(representation.consent_date or "")
    if isinstance(known, str) and not _is_older(known, grant.at):
        return
    yield _intent(
        seen,
        around.points[seen.points[0]],
        kind=ChangeKind.GRANT,
        write=WriteKind.FIELDS,
        rule=Rule.PROOF_COPIED,
        before={name: seen.record.fields.get(name) for name in values},
        after=values,
        causes=(grant.uid,),
        fields=values,
    )


def proof_of(decided: Standing, system: str, representation: Representation) -> dict[str, Value]:
    """What a record of ``system`` shows as the proof of a grant that was given elsewhere; nothing without one."""
    grant = decided.decided_by
    if decided.wish is not Wish.IN or grant is None or not representation.consent_date:
        return {}
    if grant.system == system or grant.source is Source.LEGACY:
        return {}
    values: dict[str, Value] = {representation.consent_date: format_moment(grant.at)}
    if representation.consent_source:
        values[representation.consent_source] = grant.evidence.get("consent_source") or grant.system or grant.source
    if representation.consent_text and (text := grant.evidence.get("consent_text")):
        values[representation.consent_text] = text
    return values


def _is_older(known: str, at: datetime) -> bool:
    moment = parse_moment(known)
    if moment is None:
        return False
    return moment.date() < at.date() if len(known) <= 10 else moment < at.replace(microsecond=0)


def format_moment(moment: datetime) -> str:
    """A date-time as a canonical value."""
    return moment.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")


def evidence_of(grant: Statement | None) -> GrantEvidence | None:
    """What is handed to a vendor together with an opt-in."""
    if grant is None or grant.kind is not StatementKind.GRANT:
        return None
    return GrantEvidence(
        at=grant.at, ip=grant.evidence.get("ip"), source=grant.source, text=grant.evidence.get("consent_text")
    )


def _causes(decided: Standing) -> tuple[str, ...]:
    return (decided.decided_by.uid,) if decided.decided_by else ()


def _intent(  # noqa: PLR0913 - an intent has this many parts
    seen: Seen,
    point: Point,
    *,
    kind: ChangeKind,
    write: WriteKind,
    rule: Rule,
    before: Mapping[str, Value],
    after: Mapping[str, Value],
    causes: tuple[str, ...],
    is_restrictive: bool = False,
    status: Status | None = None,
    topics: Mapping[str, bool] | None = None,
    fields: Mapping[str, Value] | None = None,
    evidence: GrantEvidence | None = None,
) -> Intent:
    return Intent(
        kind=kind,
        write=write,
        system=seen.system,
        collection=seen.collection,
        record=seen.key,
        point=point.key,
        rule=rule,
        before=before,
        after=after,
        causes=causes,
        is_restrictive=is_restrictive,
        status=status,
        topics=topics or {},
        fields=fields or {},
        address=seen.record.addresses[0] if seen.record.addresses else None,
        evidence=evidence,
    )
