"""Every rule in a case of its own, and the laws that hold for any neighbourhood."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsync.model.change import ChangeKind, WriteKind
from optsync.model.link import Agreed, Link
from optsync.model.record import Origin, Status
from optsync.model.scope import Basis
from optsync.model.statement import Source, StatementKind, Strength
from optsync.reconcile.consent import Wish
from optsync.reconcile.fields import Conflict, FieldRule
from optsync.reconcile.plan import decide, first_sight_statements, priority
from optsync.reconcile.policy import Enter, Inactive, Leave, SyncPolicy
from optsync.reconcile.rules import DISAGREED, TEXTS, Rule
from optsync.reconcile.view import Intent, Neighbourhood
from tests.reconcile.places import (
    ESP,
    FLAGS,
    OFFERS,
    SCOPE,
    around,
    before,
    carried_out,
    contact,
    grant,
    member,
    out,
    policy,
    retract,
    say,
)

NAME = FieldRule(crm="NAME", esp="FNAME")
JOINED = Link(crm=1, esp=2, point=1)
LINK = Link(crm=1, esp=2, agreed={NAME.key: Agreed("a", "a")})
SUBSCRIBED: dict[str, Any] = {"IN": True, "OUT": False}
HARD = say(StatementKind.HARD_BOUNCE, 90, scope="*")
BEFORE = {"shown_before": "in", "opt_out_before": "no", "opt_in_before": "yes"}
TICKED = replace(out(system="crm", record="r1", source=Source.CRM), evidence=BEFORE)
Case = tuple[Neighbourhood, SyncPolicy, list[tuple[str, ChangeKind, dict[str, Any]]]]


def named(crm: str, esp: str) -> Neighbourhood:
    """Two joined records that last agreed on "a"."""
    return around(
        contact(1, fields={**SUBSCRIBED, "NAME": crm}),
        member(2, fields={"FNAME": esp}),
        said={1: [grant(system="crm")]},
        links=[LINK],
    )


def conflict(kind: Conflict) -> SyncPolicy:
    return policy(fields=(replace(NAME, conflict=kind),))


SINGLE: dict[Rule, Case] = {
    Rule.OUT_TRAVELS: (
        around(contact(1, fields={"OUT": True}), member(2), said={1: [out(system="crm")]}, links=[LINK]),
        policy(),
        [("mc", ChangeKind.OPT_OUT, {"status": Status.OUT})],
    ),
    Rule.RESTRICTIVE_WINS: (
        around(
            contact(1, fields={"IN": True}),
            said={1: [out(system="crm")]},
            refused=frozenset({("crm", "contact", "r1")}),
        ),
        policy(),
        [("crm", ChangeKind.OPT_OUT, {"OUT": True, "IN": False})],
    ),
    Rule.GRANT_TRAVELS: (
        around(contact(1, fields=SUBSCRIBED), member(2, status=Status.UNKNOWN), said={1: [grant(system="crm")]}),
        policy(),
        [("mc", ChangeKind.OPT_IN, {"status": Status.IN})],
    ),
    Rule.GRANT_LIFTS_OUT: (
        around(
            contact(1, fields=SUBSCRIBED), member(2, status=Status.OUT), said={1: [out(90), grant(60, system="crm")]}
        ),
        policy(),
        [("mc", ChangeKind.OPT_IN, {"status": Status.IN})],
    ),
    Rule.TOPIC_OUT_TRAVELS: (
        around(contact(1), member(2, topics={"Offers": True}), said={1: [out(scope=OFFERS)]}, links=[LINK]),
        policy(),
        [("mc", ChangeKind.TOPIC, {"Offers": False})],
    ),
    Rule.TOPICS_DISAGREE: (
        around(
            contact(1),
            member(2, topics={"Offers": True}),
            said={1: [out(scope=OFFERS, reason=DISAGREED)]},
            links=[LINK],
        ),
        policy(),
        [("mc", ChangeKind.TOPIC, {"Offers": False})],
    ),
    Rule.TOPIC_TRAVELS: (
        around(
            contact(1, topics={"T_OFFERS": True}),
            member(2),
            said={1: [grant(scope=OFFERS, system="crm")]},
            links=[LINK],
        ),
        policy(),
        [("mc", ChangeKind.TOPIC, {"Offers": True})],
    ),
    Rule.ADDRESS_CHANGED: (
        around(contact(1, (5,), fields=SUBSCRIBED), member(2), said={5: [grant(system="crm")]}, links=[JOINED]),
        policy(renames_members=True),
        [("mc", ChangeKind.RENAME, {"address": "p5@example.com"})],
    ),
    Rule.ADDRESS_LEFT: (
        around(contact(1, (5,)), member(2), said={5: []}, links=[JOINED]),
        policy(renames_members=True, archives_members=True),
        [("mc", ChangeKind.ARCHIVE, {"status": Status.ARCHIVED})],
    ),
    Rule.BOUNCE_MARKED: (
        around(contact(1), said={1: [HARD]}),
        policy(),
        [("crm", ChangeKind.BOUNCE, {"BOUNCED": True})],
    ),
    Rule.BOUNCE_CLEARED: (
        around(contact(1, fields={"BOUNCED": True}), said={1: [HARD, say(StatementKind.DELIVERED, 30, scope="*")]}),
        policy(),
        [("crm", ChangeKind.BOUNCE, {"BOUNCED": False})],
    ),
    Rule.PROOF_COPIED: (
        around(contact(1, fields=SUBSCRIBED), member(2), said={1: [grant(system="mc", record="r2")]}, links=[LINK]),
        policy(),
        [("crm", ChangeKind.GRANT, {"CONSENT": "2026-06-01T11:00:00Z", "CONSENT_SOURCE": "mc"})],
    ),
    Rule.REASON_NOTED: (
        around(contact(1), said={1: [out(system="mc", reason="too many")]}),
        policy(),
        [
            ("crm", ChangeKind.OPT_OUT, {"OUT": True}),
            ("crm", ChangeKind.FIELD, {"REASON": "link · mc · too many · 2026-06-01"}),
        ],
    ),
    Rule.ONE_SIDE_CHANGED: (named("b", "a"), policy(), [("mc", ChangeKind.FIELD, {"FNAME": "b"})]),
    Rule.FIRST_FILL: (
        around(contact(1, fields={**SUBSCRIBED, "NAME": "a"}), member(2), said={1: [grant(system="crm")]}),
        policy(),
        [("mc", ChangeKind.FIELD, {"FNAME": "a"})],
    ),
    Rule.CONFLICT_CRM: (named("b", "c"), conflict(Conflict.CRM), [("mc", ChangeKind.FIELD, {"FNAME": "b"})]),
    Rule.CONFLICT_ESP: (named("b", "c"), conflict(Conflict.ESP), [("crm", ChangeKind.FIELD, {"NAME": "c"})]),
    Rule.CONFLICT_NON_EMPTY: (named("", "c"), conflict(Conflict.NON_EMPTY), [("crm", ChangeKind.FIELD, {"NAME": "c"})]),
    Rule.ENTERED_LIST: (
        around(contact(1, fields={**SUBSCRIBED, "NAME": "a"}), said={1: [grant(system="crm"), grant(scope=OFFERS)]}),
        policy(crm=replace(policy().crm, topics=())),
        [
            (
                "mc",
                ChangeKind.CREATE,
                {"address": "p1@example.com", "status": Status.IN, "Offers": True, "FNAME": "a"},
            )
        ],
    ),
    Rule.ASKED_ONCE: (
        around(contact(1)),
        policy(enter=Enter.REQUEST),
        [("mc", ChangeKind.REQUEST, {"address": "p1@example.com", "status": Status.PENDING})],
    ),
    Rule.ASKED_FOR_GRANT: (
        around(
            contact(1, fields=SUBSCRIBED),
            member(2, status=Status.OUT, origin=Origin.PERSON),
            said={1: [out(90, system="mc", is_personal=True), grant(30, system="crm")]},
        ),
        policy(),
        [("mc", ChangeKind.REQUEST, {"status": Status.PENDING})],
    ),
    Rule.LEFT_LIST: (
        around(contact(1), member(2), links=[LINK]),
        policy(has_list_scope=True, leave=Leave.ARCHIVE),
        [("mc", ChangeKind.ARCHIVE, {"status": Status.ARCHIVED})],
    ),
    Rule.RETURNED_TO_LIST: (
        around(contact(1, lists={"news"}), member(2), links=[replace(LINK, left=True)]),
        policy(name="news", has_list_scope=True, leave=Leave.TAG),
        [("mc", ChangeKind.ARCHIVE, {"tag": None})],
    ),
    Rule.INACTIVE: (
        around(
            contact(1, fields=SUBSCRIBED),
            member(2),
            said={1: [grant(8_000, system="crm")]},
            links=[LINK],
            mailed_at=before(100),
        ),
        policy(inactive=Inactive.EXCLUDE, inactive_after=timedelta(days=5)),
        [("mc", ChangeKind.ARCHIVE, {"status": Status.ARCHIVED})],
    ),
    Rule.SIGN_OF_LIFE: (
        around(contact(1), member(2), links=[replace(LINK, inactive=True)]),
        policy(inactive=Inactive.TAG),
        [("mc", ChangeKind.ARCHIVE, {"tag": None})],
    ),
    Rule.PUT_BACK: (
        around(contact(1, fields={"OUT": True}), said={1: [TICKED, retract(TICKED)]}),
        policy(),
        [("crm", ChangeKind.OPT_IN, {"OUT": False, "IN": True})],
    ),
    Rule.ESP_ONLY: (
        around(member(2, fields={"FNAME": "a"})),
        policy(creates_in_crm=True, crm_defaults={"TYPE": "CLIENT"}),
        [("crm", ChangeKind.CREATE, {"address": "p1@example.com", "TYPE": "CLIENT", "NAME": "a"})],
    ),
}
ELSEWHERE = {
    Rule.UNDONE: "no rule of a cycle, tested in test_undo",
    Rule.HANDLED_OPT_OUT: "after the cycle's writes, tested in test_handling",
    Rule.HANDLED_OPT_IN: "after the cycle's writes, tested in test_handling",
}


@pytest.mark.parametrize("rule", SINGLE)
def test_each_rule_decides_its_case(rule: Rule) -> None:
    found, how, expected = SINGLE[rule]
    intents = decide([1], found, how).intents

    assert [(i.system, i.kind, dict(i.after)) for i in intents] == expected
    assert rule in {i.rule for i in intents}


def test_what_a_lead_of_the_same_number_came_to_show_does_not_name_the_rule_of_a_contact() -> None:
    refused = frozenset({("crm", "lead", "r1")})
    found = around(contact(1, fields={"IN": True}), said={1: [out(system="crm")]}, refused=refused)

    assert [i.rule for i in decide([1], found, policy()).intents] == [Rule.OUT_TRAVELS]


def test_every_rule_has_its_sentence_and_its_case() -> None:
    assert set(TEXTS) == set(Rule)
    assert SINGLE.keys() | ELSEWHERE.keys() == set(Rule)
    assert len(set(TEXTS.values())) == len(Rule)


# order


def test_restrictive_changes_come_first_and_opt_outs_before_all() -> None:
    found = around(
        contact(1, fields={**SUBSCRIBED, "NAME": "b"}, topics={"T_OFFERS": True}),
        member(2, fields={"FNAME": "a"}, topics={"Events": True}),
        contact(3, (2,), fields=SUBSCRIBED),
        member(4, (2,)),
        said={
            1: [grant(system="crm"), grant(scope=OFFERS), out(scope=f"{SCOPE}/events"), HARD],
            2: [out(system="crm")],
        },
        links=[LINK],
    )
    kinds = [(i.kind, i.is_restrictive) for i in decide([1, 2], found, policy()).intents]

    assert kinds[0][0] is ChangeKind.OPT_OUT
    assert [flag for _, flag in kinds] == sorted((flag for _, flag in kinds), reverse=True)


@pytest.mark.parametrize("kind", ChangeKind)
def test_no_permissive_change_comes_before_a_restrictive_one(kind: ChangeKind) -> None:
    restrictive = [ChangeKind.OPT_OUT, ChangeKind.TOPIC, ChangeKind.BOUNCE]

    assert all(
        priority(k, is_restrictive=True) < priority(kind, is_restrictive=False)
        for k in restrictive
        if kind is not ChangeKind.OPT_OUT
    )


# laws over any neighbourhood

POINTS = (1, 2, 3)
booleans = st.sampled_from([None, False, True])
points_of = st.lists(st.sampled_from(POINTS), min_size=1, max_size=2, unique=True)
words = st.sampled_from([None, "", "a", "b"])
contacts = st.builds(
    lambda points, out_, in_, bounced, name, consent, topics, lists, is_gone, rank: (
        points,
        {
            "fields": {"OUT": out_, "IN": in_, "BOUNCED": bounced, "NAME": name, "CONSENT": consent},
            "topics": topics,
            "lists": lists,
            "is_gone": is_gone,
            "rank": rank,
        },
    ),
    points_of,
    booleans,
    booleans,
    booleans,
    words,
    st.sampled_from([None, "2020-01-01", "2026-06-01T12:00:00Z", "soon"]),
    st.fixed_dictionaries({"T_OFFERS": booleans, "T_EVENTS": booleans}),
    st.sampled_from([frozenset(), frozenset({"letter"})]),
    st.sampled_from([False, False, False, True]),
    st.integers(0, 1),
)
members = st.builds(
    lambda status, name, topics, is_gone: {
        "status": Status.ABSENT if is_gone else status,
        "fields": {"FNAME": name},
        "topics": {} if is_gone else topics,
        "is_gone": is_gone,
    },
    st.sampled_from([s for s in Status if s is not Status.ABSENT]),
    words,
    st.fixed_dictionaries({"Offers": booleans, "Events": booleans}),
    st.sampled_from([False, False, False, True]),
)
statements = st.builds(
    lambda kind, minutes, scope, system, strength: say(
        kind,
        minutes,
        scope=scope,
        system=system,
        strength=strength if kind is StatementKind.GRANT else Strength.NOTHING,
    ),
    st.sampled_from(
        [
            StatementKind.OUT,
            StatementKind.COMPLAINT,
            StatementKind.GRANT,
            StatementKind.GRANT,
            StatementKind.REQUEST,
            StatementKind.HARD_BOUNCE,
            StatementKind.DELIVERED,
        ]
    ),
    st.integers(1, 2000),
    st.sampled_from([SCOPE, SCOPE, "*", "acme", OFFERS, f"{SCOPE}/events", "beta/news"]),
    st.sampled_from([None, "crm", "mc"]),
    st.sampled_from(Strength),
)
policies = st.builds(
    policy,
    basis=st.sampled_from(Basis),
    has_list_scope=st.booleans(),
    outs_to_esp=st.sampled_from([True, True, False]),
    outs_to_crm=st.sampled_from([True, True, False]),
    enter=st.sampled_from(Enter),
    leave=st.sampled_from([Leave.KEEP, Leave.ARCHIVE]),
    creates_in_crm=st.booleans(),
    fields_after_opt_out=st.booleans(),
    fields=st.sampled_from(
        [(NAME,), (replace(NAME, conflict=Conflict.ESP),), (replace(NAME, to_crm=False, clears=True),)]
    ),
    crm=st.sampled_from(
        [
            policy().crm,
            replace(policy().crm, opt_in=None),
            replace(policy().crm, opt_out=None, bounce=None),
            replace(policy().crm, topics=(), consent_date=None, reason=None),
        ]
    ),
)


@st.composite
def neighbourhoods(draw: st.DrawFn) -> Neighbourhood:
    """Up to four contacts with one or two of three addresses, and at most one member for each address."""
    crm = [contact(n, points, **parts) for n, (points, parts) in enumerate(draw(st.lists(contacts, max_size=4)), 1)]
    esp = [member(n + 10, (n,), **draw(members)) for n in POINTS if draw(st.booleans())]
    said = {p: draw(st.lists(statements, max_size=4)) for p in POINTS}
    pairs = [(c.key, m.key) for c in crm for m in esp if c.primary == m.primary]
    links = [
        Link(crm=c, esp=m, agreed=draw(st.sampled_from([{}, LINK.agreed]))) for c, m in pairs if draw(st.booleans())
    ]
    return around(*crm, *esp, said=said, links=links)


def settled(found: Neighbourhood, how: SyncPolicy) -> Neighbourhood:
    decision = decide(POINTS, found, how)
    return carried_out(found, decision.intents, decision.settled)


def described(intents: Iterable[Intent]) -> list[Any]:
    return [(i.kind, i.rule, i.system, i.record, dict(i.before), dict(i.after)) for i in intents]


@given(neighbourhoods(), policies)
def test_once_everything_is_carried_out_nothing_is_left_to_do(found: Neighbourhood, how: SyncPolicy) -> None:
    how = replace(how, creates_in_crm=False)
    intents = decide(POINTS, found, how).intents
    gone = {s.key for s in found.esp if s.is_gone}
    after = settled(found, how)
    if any(i.record is None or i.record in gone or i.kind is ChangeKind.OPT_IN for i in intents):
        after = settled(after, how)  # who is new or came back is joined, or leaves the list, in the next cycle

    assert described(decide(POINTS, after, how).intents) == []


@given(neighbourhoods(), policies)
def test_whatever_is_created_or_comes_back_all_sides_agree_after_four_cycles(
    found: Neighbourhood, how: SyncPolicy
) -> None:
    """A member may come back, be created in the CRM, get its topics and proof there: one after the other."""
    for _ in range(4):
        found = settled(found, how)

    assert described(decide(POINTS, found, how).intents) == []


@given(neighbourhoods(), policies)
def test_nobody_is_subscribed_twice(found: Neighbourhood, how: SyncPolicy) -> None:
    intents = decide(POINTS, found, how).intents
    entered = {i.point for i in intents if i.system == "mc" and i.write is WriteKind.CREATE}
    subscribed = {i.point for i in intents if i.system == "mc" and i.kind is ChangeKind.OPT_IN}

    assert not entered & subscribed


@given(neighbourhoods(), policies)
def test_each_kind_of_change_carries_its_own_and_nothing_else(found: Neighbourhood, how: SyncPolicy) -> None:
    for intent in decide(POINTS, found, how).intents:
        flags = {how.crm.opt_out, how.crm.opt_in}
        if intent.write is not WriteKind.CREATE:
            assert (intent.status is None) or intent.write is WriteKind.STATUS
            assert not intent.topics or intent.write is WriteKind.TOPICS
            assert not flags & intent.fields.keys() or intent.kind in {ChangeKind.OPT_OUT, ChangeKind.OPT_IN}
        if intent.kind is ChangeKind.FIELD:
            assert (intent.status, dict(intent.topics)) == (None, {})
            assert not FLAGS & intent.fields.keys()
        if intent.kind is ChangeKind.OPT_OUT:
            assert intent.is_restrictive
            assert intent.status in {None, Status.OUT}
        assert intent.causes or intent.kind in {
            ChangeKind.FIELD,
            ChangeKind.CREATE,
            ChangeKind.REQUEST,
            ChangeKind.ARCHIVE,
            ChangeKind.BOUNCE,
        }


def is_permissive(intent: Intent, how: SyncPolicy) -> bool:
    """Whether the change lets mail about the sync's scope through."""
    status = intent.status in {Status.IN, Status.PENDING}
    flags = intent.fields.get(str(how.crm.opt_out)) is False or intent.fields.get(str(how.crm.opt_in)) is True
    return status or flags


@given(neighbourhoods(), policies)
def test_nothing_permissive_is_ever_written_for_somebody_who_is_out(found: Neighbourhood, how: SyncPolicy) -> None:
    seen = {s.key: s for s in (*found.crm, *found.esp)}
    for intent in decide(POINTS, found, how).intents:
        points = seen[intent.record].points[:1] if intent.record else (intent.point,)
        wishes = {p: found.points[p].standing(SCOPE, how).wish for p in points}
        if is_permissive(intent, how):
            assert Wish.OUT not in wishes.values()
        for name, wanted in intent.topics.items():
            scope = next(s for s, n in (*how.crm.topics, *how.esp.topics) if n == name)
            if wanted:
                assert all(found.points[p].topic_standing(scope, how).wish is Wish.IN for p in points)
                assert Wish.OUT not in wishes.values()


@given(neighbourhoods(), policies)
def test_every_record_of_somebody_who_is_out_shows_it_unless_the_way_is_closed(
    found: Neighbourhood, how: SyncPolicy
) -> None:
    after = settled(found, replace(how, outs_to_crm=True, outs_to_esp=True))
    for seen in (*after.crm, *after.esp):
        is_out = after.points[seen.points[0]].standing(SCOPE, how).wish is Wish.OUT
        if is_out and not seen.is_gone:
            flags = seen.record.fields
            assert seen.record.status is not Status.IN
            if seen.side == "crm":
                assert how.crm.opt_out is None or flags["OUT"] is True
                assert how.crm.opt_in is None or flags["IN"] is not True


@given(neighbourhoods(), policies, st.booleans(), st.data())
def test_a_record_that_was_not_read_makes_nothing_permissive_and_archives_nobody(
    found: Neighbourhood, how: SyncPolicy, drops_crm: bool, data: st.DataObject
) -> None:
    """Whoever is not there cannot have said anything: statements stay, and only creates may follow."""
    records = found.crm if drops_crm else found.esp
    if not records:
        return
    dropped = data.draw(st.sampled_from(records))
    fewer = replace(
        found,
        crm=tuple(s for s in found.crm if s is not dropped),
        esp=tuple(s for s in found.esp if s is not dropped),
        links={pair: link for pair, link in found.links.items() if dropped.key not in pair},
    )
    was = {_wish_of(i) for i in decide(POINTS, found, how).intents}
    for intent in decide(POINTS, fewer, how).intents:
        if _wish_of(intent) in was or intent.kind in {ChangeKind.CREATE, ChangeKind.REQUEST}:
            continue
        assert intent.kind is not ChangeKind.ARCHIVE
        if is_permissive(intent, how):
            # Only a second address's out, known through a member that was not read, may be missing now.
            assert len(_points_of(found, intent)) > 1


def _wish_of(intent: Intent) -> tuple[Any, ...]:
    return intent.kind, intent.system, intent.record, intent.status


def _points_of(found: Neighbourhood, intent: Intent) -> tuple[int, ...]:
    return next(s.points for s in (*found.crm, *found.esp) if s.key == intent.record)


@given(neighbourhoods(), policies)
def test_no_record_gets_two_changes_of_one_kind_and_direction(found: Neighbourhood, how: SyncPolicy) -> None:
    named = [(i.system, i.record, i.kind, i.is_restrictive) for i in decide(POINTS, found, how).intents if i.record]

    assert len(named) == len(set(named))


@given(neighbourhoods(), policies)
def test_a_refused_wish_is_not_planned_again(found: Neighbourhood, how: SyncPolicy) -> None:
    refused = frozenset(i.fingerprint for i in decide(POINTS, found, how).intents)

    assert decide(POINTS, replace(found, blocked=refused), how).intents == ()


@given(neighbourhoods(), policies)
def test_joining_for_the_first_time_only_ever_restricts(found: Neighbourhood, how: SyncPolicy) -> None:
    for _, statement in first_sight_statements(POINTS, found, how):
        assert statement.kind is StatementKind.OUT
        assert statement.scope in {scope for scope, _ in ESP.topics}
