"""Joining two sides for the first time, who owns an address, and who enters, leaves and comes back to the list."""

from dataclasses import replace
from typing import Any

import pytest

from optsync.model.change import ChangeKind, GrantEvidence, WriteKind
from optsync.model.link import Link
from optsync.model.record import Origin, Side, Status
from optsync.model.statement import OUR_CLOCK, Source, Statement, StatementKind, Strength, state
from optsync.reconcile.fields import FieldRule
from optsync.reconcile.membership import couple, join
from optsync.reconcile.plan import decide, first_sight_statements
from optsync.reconcile.policy import Enter, Leave
from optsync.reconcile.rules import Rule
from optsync.reconcile.transforms import Transform
from optsync.reconcile.view import Intent, Neighbourhood, Seen
from tests.reconcile.places import EVENTS, NOW, OFFERS, SCOPE, around, before, contact, grant, member, out, policy, say

TICK = grant(scope=OFFERS, strength=Strength.NOTHING)
PROOF = {"CONSENT": "2026-06-01T11:00:00Z", "CONSENT_SOURCE": "mc"}


@pytest.mark.parametrize(
    ("crm", "esp", "said", "expected"),
    [
        (True, False, [TICK], "mc"),
        (False, True, [TICK], "crm"),
        (True, True, [TICK], None),
        (True, None, [TICK], None),
        (False, True, [grant(scope=OFFERS, strength=Strength.TRUSTED)], None),
        (False, True, [out(scope=OFFERS)], None),
    ],
)
def test_where_two_sides_disagree_when_first_joined_the_topic_is_out(
    crm: bool, esp: bool | None, said: list[Statement], expected: str | None
) -> None:
    found = around(contact(1, topics={"T_OFFERS": crm}), member(2, topics={"Offers": esp}), said={1: said})
    statements = [s for _, s in first_sight_statements([1], found, policy())]

    assert [(s.kind, s.scope, s.system) for s in statements] == (
        [(StatementKind.OUT, OFFERS, expected)] if expected else []
    )


@pytest.mark.parametrize(
    "parts", [{"links": [Link(crm=1, esp=2)]}, {"ticked": frozenset({(Side.CRM, "T_OFFERS")})}, {}]
)
def test_no_topic_is_out_that_was_joined_before_never_asked_or_united_by_policy(parts: dict[str, Any]) -> None:
    found = around(
        contact(1, topics={"T_OFFERS": True}), member(2, topics={"Offers": False}), said={1: [TICK]}, **parts
    )

    assert first_sight_statements([1], found, policy(topics_first_sight_union=not parts)) == []


@pytest.mark.parametrize(
    ("said", "how", "reason"),
    [
        ([out()], {}, "opted_out"),
        ([grant()], {"enter": Enter.SKIP}, "not_entered"),
        ([grant(), say(StatementKind.HARD_BOUNCE, scope="*")], {}, "undeliverable"),
        ([], {}, "no_consent"),
        ([say(StatementKind.REQUEST)], {"enter": Enter.REQUEST}, "asked"),
        ([grant()], {"has_list_scope": True}, "out_of_scope"),
    ],
)
def test_who_does_not_enter_is_counted_with_the_reason(said: list[Statement], how: dict[str, Any], reason: str) -> None:
    decision = decide([1], around(contact(1, fields={"IN": True}), said={1: said}), policy(**how))

    assert decision.skipped == {1: reason}
    assert not [i for i in decision.intents if i.system == "mc"]


def test_whom_people_removed_there_enters_only_with_a_newer_opt_in() -> None:
    removed = member(2, status=Status.IN, is_gone=True)
    old = around(contact(1, fields={"IN": True}), removed, said={1: [grant(9_500, scope=SCOPE)]})
    new = around(contact(1, fields={"IN": True}), removed, said={1: [grant(60, scope=SCOPE)]})

    assert decide([1], old, policy()).skipped == {1: "removed_there"}
    assert [i.kind for i in decide([1], new, policy()).intents if i.system == "mc"] == ["create"]


# who owns an address


def owned(*seen: Seen, **how: Any) -> tuple[int | None, int | None]:
    """The keys of owner and member at point 1."""
    found = around(*seen)
    pair = couple(found.points[1], found, policy(**how))
    return pair.owner.key if pair.owner else None, pair.member.key if pair.member else None


OLDER, NEWER = contact(2, created_at=before(100)), contact(1, created_at=before(50))


@pytest.mark.parametrize(
    ("seen", "how", "expected"),
    [
        ([NEWER, OLDER], {}, 2),
        ([OLDER, NEWER], {"prefers_newest": True}, 1),
        ([NEWER, contact(3, created_at=None)], {}, 3),
        ([NEWER, contact(3, created_at=None)], {"prefers_newest": True}, 1),
        ([contact(4, created_at=None), contact(3, created_at=None)], {}, 3),
        ([OLDER, contact(3, rank=1, created_at=before(200))], {}, 2),
        ([OLDER, contact(3, lists=frozenset({"letter"}))], {"has_list_scope": True}, 3),
        ([NEWER, OLDER], {"has_list_scope": True}, 2),
        ([NEWER, contact(2, is_gone=True, created_at=before(100))], {}, 1),
        ([NEWER, contact(2, (5, 1), created_at=before(100))], {}, 1),
        ([contact(2, (5, 1))], {}, None),
    ],
)
def test_of_all_holders_of_an_address_one_owns_it(seen: list[Seen], how: dict[str, Any], expected: int | None) -> None:
    assert owned(*seen, **how) == (expected, None)


def test_of_several_members_one_that_is_there_counts_then_the_first_known() -> None:
    assert owned(member(5), member(4))[1] == 4
    assert owned(member(4, is_gone=True), member(5))[1] == 5
    assert owned(member(4, is_gone=True))[1] == 4


def test_without_a_member_at_the_address_the_one_counts_whom_people_took_away_at_a_former() -> None:
    former = member(4, (7,), is_gone=True)
    found = around(contact(1), contact(2, (1,)), removed={1: former})

    assert couple(found.points[1], found, policy()).member == former
    assert couple(found.points[1], replace(found, crm=()), policy()).member is None


# first sight


@pytest.mark.parametrize(("crm", "source", "record"), [(True, Source.ESP, "r2"), (False, Source.CRM, "r1")])
def test_the_out_of_two_who_disagree_names_who_denied(crm: bool, source: Source, record: str) -> None:
    found = around(
        contact(1, topics={"T_OFFERS": crm, "T_EVENTS": True}),
        member(2, topics={"Offers": not crm, "Events": True}),
        said={1: [TICK]},
    )
    ((key, statement),) = first_sight_statements([1], found, policy())

    assert key == 1
    assert statement == state(
        scope=OFFERS,
        kind=StatementKind.OUT,
        at=NOW,
        clock=OUR_CLOCK,
        seen_at=NOW,
        source=source,
        reason="the two sides disagreed when first seen",
        system="mc" if record == "r2" else "crm",
        record=record,
    )


def test_each_topic_is_judged_by_itself() -> None:
    ticked = contact(1, topics={"T_OFFERS": True, "T_EVENTS": True})
    unticked = member(2, topics={"Offers": False, "Events": False})

    def outs(said: list[Statement], **how: Any) -> list[str]:
        found = around(ticked, unticked, said={1: said})
        return [s.scope for _, s in first_sight_statements([1], found, policy(**how))]

    assert outs([TICK]) == [EVENTS, OFFERS]
    assert outs([out(scope=EVENTS)]) == [OFFERS]
    only_offers = replace(policy().esp, topics=((OFFERS, "Offers"),))
    assert outs([], esp=only_offers) == [OFFERS]


# entering


def entered(found: Neighbourhood, **how: Any) -> tuple[list[Intent], dict[int, str]]:
    decision = decide([1], found, policy(**how))
    return [i for i in decision.intents if i.system == "mc"], dict(decision.skipped)


LEFT_BY_THEMSELF = [out(90, system="mc", is_personal=True), grant(30, system="crm")]


def test_who_left_there_by_themself_and_opted_in_again_enters_by_a_request_for_that_grant() -> None:
    found = around(contact(1, fields={"IN": True}), said={1: LEFT_BY_THEMSELF})
    (intent,), skipped = entered(found)

    assert (intent.kind, intent.status, intent.rule) == (ChangeKind.REQUEST, Status.PENDING, Rule.ASKED_FOR_GRANT)
    assert intent.causes == (LEFT_BY_THEMSELF[1].uid,)
    assert intent.evidence == GrantEvidence(at=before(30), ip=None, source=Source.LINK, text=None)
    assert skipped == {}


@pytest.mark.parametrize(
    ("said", "parts", "reason"),
    [
        ([*LEFT_BY_THEMSELF, say(StatementKind.REQUEST, 20, system="mc")], {}, "asked"),
        ([grant()], {"refused_for_good": frozenset({1})}, "refused"),
        ([out(90), grant(60), say(StatementKind.SOFT_BOUNCE, 45_000, scope="*")], {}, None),
        ([grant(60, system="crm")], {"left_by_self": {1: before(30)}}, None),
    ],
)
def test_who_is_refused_or_waits_is_counted(said: list[Statement], parts: dict[str, Any], reason: str | None) -> None:
    intents, skipped = entered(around(contact(1, fields={"IN": True}), said={1: said}, **parts), soft_limit=1)

    assert (skipped, len(intents)) == (({1: reason}, 0) if reason else ({}, 1))
    if "left_by_self" in parts:
        assert [i.kind for i in intents] == [ChangeKind.REQUEST]


def test_a_create_that_was_refused_is_counted_and_not_tried_again() -> None:
    found = around(contact(1, fields={"IN": True}), said={1: [grant()]})
    (intent,), _ = entered(found)

    assert entered(replace(found, blocked=frozenset({intent.fingerprint}))) == ([], {1: "refused"})


@pytest.mark.parametrize(
    ("was", "expected"),
    [
        (member(2, (1,), Status.OUT, is_gone=True, origin=Origin.PERSON), ChangeKind.REQUEST),
        (member(2, (1,), Status.OUT, is_gone=True, origin=Origin.ADMIN), ChangeKind.CREATE),
        (member(2, (1,), Status.IN, is_gone=True, modified_at=before(60)), None),
        (member(2, (1,), Status.IN, is_gone=True, modified_at=before(61)), ChangeKind.CREATE),
        (member(2, (1,), Status.IN, is_gone=True, modified_at=None, created_at=before(61)), ChangeKind.CREATE),
        (member(2, (1,), Status.IN, is_gone=True, modified_at=None, created_at=None), None),
        (member(2, (1,), Status.ABSENT, is_gone=True), ChangeKind.OPT_IN),
    ],
)
def test_whom_people_took_away_there_comes_back_by_an_opt_in_after_it(was: Seen, expected: ChangeKind | None) -> None:
    intents, _ = entered(around(contact(1, fields={"IN": True}), was, said={1: [grant(60, system="crm")]}))

    assert [i.kind for i in intents] == ([expected] if expected else [])


def test_a_request_names_the_grant_that_lifts_and_not_a_later_tick() -> None:
    said = [*LEFT_BY_THEMSELF, grant(20, strength=Strength.NOTHING)]
    (intent,), _ = entered(around(contact(1, fields={"IN": True}), said={1: said}))

    assert (intent.kind, intent.causes) == (ChangeKind.REQUEST, (LEFT_BY_THEMSELF[1].uid,))


def test_a_create_names_its_grant_though_somebody_was_asked_since() -> None:
    said = [grant(60, system="crm"), say(StatementKind.REQUEST, 50, system="mc")]
    (intent,), _ = entered(around(contact(1, fields={"IN": True}), said={1: said}))

    assert (intent.kind, intent.causes) == (ChangeKind.CREATE, (said[0].uid,))


def test_who_was_asked_and_shows_that_they_left_waits() -> None:
    gone = member(2, (1,), Status.OUT, is_gone=True, origin=Origin.PERSON)
    said = [grant(60, system="crm"), say(StatementKind.REQUEST, 50, system="mc")]

    assert entered(around(contact(1, fields={"IN": True}), gone, said={1: said})) == ([], {1: "asked"})


def test_who_was_taken_away_at_a_former_address_enters_anew() -> None:
    former = member(4, (7,), Status.ABSENT, is_gone=True)
    found = around(contact(1, fields={"IN": True}), said={1: [grant(60, system="crm")]}, removed={1: former})

    assert [i.kind for i in join(couple(found.points[1], found, policy()), found, policy()).intents] == [
        ChangeKind.CREATE
    ]


@pytest.mark.parametrize(("out", "said", "enters"), [(True, [], False), (True, [grant()], True), (False, [], True)])
def test_whose_contact_shows_out_enters_by_an_opt_in_only(out: bool, said: list[Statement], enters: bool) -> None:
    found = around(contact(1, fields={"IN": False}), contact(2, fields={"OUT": out}), said={1: said})
    intents, skipped = entered(found, basis="legitimate_interest")

    assert [intent.rule for intent in intents] == ([Rule.ENTERED_LIST] if enters else [])
    assert skipped == ({} if enters else {1: "opted_out"})


def test_who_needs_no_consent_enters_without_being_asked() -> None:
    found = around(contact(1))

    (intent,), _ = entered(found, basis="legitimate_interest")
    assert (intent.kind, intent.status, intent.causes, intent.evidence) == (ChangeKind.CREATE, Status.IN, (), None)


def test_a_transform_reads_the_other_fields_of_the_record() -> None:
    rule = FieldRule(
        crm="NAME",
        esp="FNAME",
        transform=Transform(lambda value, fields: f"{fields['TITLE']} {value}", None, reads_others=True),
    )
    found = around(contact(1, fields={"IN": True, "NAME": "Ann", "TITLE": "Dr"}), said={1: [grant()]})
    (intent,), _ = entered(found, fields=(rule,))

    assert intent.fields == {"FNAME": "Dr Ann"}
    made = decide([1], around(member(2, fields={"FNAME": "Dr Ann"})), policy(fields=(rule,), creates_in_crm=True))
    assert [dict(i.fields) for i in made.intents] == [{}]


# entering the CRM


@pytest.mark.parametrize(
    ("seen", "said", "how", "expected"),
    [
        ([member(2)], [], {}, {"TYPE": "CLIENT"}),
        ([member(2)], [grant(system="mc")], {}, {"TYPE": "CLIENT", "IN": True, **PROOF}),
        ([member(2)], [grant(system="crm")], {}, {"TYPE": "CLIENT", "IN": True}),
        ([member(2)], [grant(scope=OFFERS, system="mc")], {}, {"TYPE": "CLIENT"}),
        ([member(2)], [], {"creates_in_crm": False}, None),
        ([member(2, (1,), Status.PENDING)], [], {}, None),
        ([member(2)], [out()], {}, None),
        ([member(2, is_gone=True)], [], {}, None),
        ([member(2), contact(1, (5, 1))], [], {}, None),
        ([member(2), contact(1, (5, 1), is_gone=True)], [], {}, {"TYPE": "CLIENT"}),
        ([member(2), contact(1, (5,))], [], {}, {"TYPE": "CLIENT"}),
    ],
)
def test_a_member_whom_no_record_holds_is_created_in_the_crm(
    seen: list[Seen], said: list[Statement], how: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    usual: dict[str, Any] = {"creates_in_crm": True, "crm_defaults": {"TYPE": "CLIENT"}, **how}
    intents = [i for i in decide([1], around(*seen, said={1: said}), policy(**usual)).intents if i.record is None]

    assert [dict(i.fields) for i in intents] == ([] if expected is None else [expected])


def test_who_is_created_in_the_crm_has_the_topics_that_they_wanted() -> None:
    said = [grant(scope=OFFERS, system="mc"), grant(scope=EVENTS, system="mc"), out(scope=EVENTS, minutes=1)]
    decision = decide([1], around(member(2), said={1: said}), policy(creates_in_crm=True))
    (intent,) = (i for i in decision.intents if i.kind is ChangeKind.CREATE)

    assert intent.topics == {"T_OFFERS": True}
    assert intent.after["T_OFFERS"] is True


def test_a_field_that_goes_one_way_does_not_reach_a_new_record() -> None:
    one_way = policy(creates_in_crm=True, fields=(FieldRule(crm="NAME", esp="FNAME", to_crm=False),))

    assert [dict(i.fields) for i in decide([1], around(member(2, fields={"FNAME": "a"})), one_way).intents] == [{}]


# leaving and coming back

LEFT = Link(crm=1, esp=2, left=True, point=1)


@pytest.mark.parametrize(
    ("leave", "link", "status", "expected"),
    [
        (Leave.ARCHIVE, Link(crm=1, esp=2), Status.IN, WriteKind.ARCHIVE),
        (Leave.TAG, Link(crm=1, esp=2), Status.IN, WriteKind.TAG),
        (Leave.KEEP, Link(crm=1, esp=2), Status.IN, None),
        (Leave.ARCHIVE, Link(crm=1, esp=2), Status.OUT, None),
        (Leave.ARCHIVE, Link(crm=1, esp=2, left=True), Status.IN, None),
        (Leave.ARCHIVE, Link(crm=1, esp=2, is_kept=True), Status.IN, None),
        (Leave.ARCHIVE, Link(crm=1, esp=9), Status.IN, None),
    ],
)
def test_who_leaves_the_list_is_taken_off_once(
    leave: Leave, link: Link, status: Status, expected: WriteKind | None
) -> None:
    found = around(contact(1), member(2, (1,), status), links=[link])
    decision = decide([1], found, policy(has_list_scope=True, leave=leave))
    moved = [(i.write, i.left, dict(i.after), dict(i.tags)) for i in decision.intents if i.left is not None]

    after = {"tag": "left list"} if leave is Leave.TAG else {"status": Status.ARCHIVED}
    tags = {"left list": True} if leave is Leave.TAG else {}
    assert moved == ([(expected, True, after, tags)] if expected else [])
    assert decision.skipped == {1: "out_of_scope"}
    blocked = frozenset(i.fingerprint for i in decision.intents)
    again = decide([1], replace(found, blocked=blocked), policy(has_list_scope=True, leave=leave))
    assert not [i for i in again.intents if i.left is not None]


@pytest.mark.parametrize(
    ("link", "status", "expected"),
    [
        (LEFT, Status.IN, (replace(LEFT, left=False, is_kept=True),)),
        (LEFT, Status.ARCHIVED, ()),
        (replace(LEFT, left_by_tag=True), Status.IN, ()),
        (replace(LEFT, left=False), Status.IN, ()),
    ],
)
def test_whom_others_put_back_on_the_list_is_theirs_from_then_on(
    link: Link, status: Status, expected: tuple[Link, ...]
) -> None:
    found = around(contact(1), member(2, (1,), status), links=[link])

    assert decide([1], found, policy(has_list_scope=True, leave=Leave.ARCHIVE)).settled == expected


def test_who_is_held_by_a_record_that_belongs_to_the_list_stays() -> None:
    listed = contact(3, (1,), lists=frozenset({"letter"}))
    found = around(contact(1), listed, member(2), links=[Link(crm=1, esp=2)])

    assert not [i for i in decide([1], found, policy(has_list_scope=True, leave=Leave.TAG)).intents if i.left]


ARCHIVED = member(2, (1,), Status.ARCHIVED)


@pytest.mark.parametrize(
    ("said", "shows", "parts", "expected"),
    [
        ([grant(system="crm")], ARCHIVED, {}, [(WriteKind.STATUS, ChangeKind.OPT_IN, Status.IN)]),
        (
            [grant(system="crm"), say(StatementKind.SOFT_BOUNCE, 10, scope="*")],
            ARCHIVED,
            {},
            [(WriteKind.STATUS, ChangeKind.OPT_IN, Status.IN)],
        ),
        ([grant(system="crm")], member(2), {}, [(WriteKind.TAG, ChangeKind.ARCHIVE, None)]),
        ([], member(2), {}, [(WriteKind.TAG, ChangeKind.ARCHIVE, None)]),
        # nobody is subscribed who is not in, cannot be reached, or comes back only by themself
        ([], ARCHIVED, {}, []),
        ([out()], ARCHIVED, {}, []),
        ([grant(system="crm"), say(StatementKind.HARD_BOUNCE, scope="*")], ARCHIVED, {}, []),
        (LEFT_BY_THEMSELF, ARCHIVED, {}, []),
        ([grant(60, system="crm")], ARCHIVED, {"left_by_self": {1: before(30)}}, []),
        (LEFT_BY_THEMSELF, member(2), {}, [(WriteKind.TAG, ChangeKind.ARCHIVE, None)]),
        ([grant(system="crm")], ARCHIVED, {"links": [replace(LEFT, left=False)]}, []),
        # who was only tagged was archived by people
        ([grant(system="crm")], ARCHIVED, {"links": [replace(LEFT, left_by_tag=True)]}, []),
        (
            [grant(system="crm")],
            member(2),
            {"links": [replace(LEFT, left_by_tag=True)]},
            [(WriteKind.TAG, ChangeKind.ARCHIVE, None)],
        ),
        ([grant(system="crm")], ARCHIVED, {"links": [replace(LEFT, esp=9)]}, []),
    ],
)
def test_who_belongs_to_the_list_again_gets_back_what_was_taken_from_them(
    said: list[Statement], shows: Seen, parts: dict[str, Any], expected: list[Any]
) -> None:
    found = around(contact(1, fields={"IN": True}), shows, said={1: said}, **{"links": [LEFT], **parts})
    back = [i for i in decide([1], found, policy()).intents if i.left is not None]

    assert [(i.write, i.kind, i.status) for i in back] == expected
    assert all(i.left is False for i in back)
    blocked = frozenset(i.fingerprint for i in back)
    assert not [i for i in decide([1], replace(found, blocked=blocked), policy()).intents if i.left is not None]


def test_a_return_shows_what_was_and_what_will_be() -> None:
    found = around(contact(1, fields={"IN": True}), ARCHIVED, said={1: [grant(system="crm")]}, links=[LEFT])
    (intent,) = [i for i in decide([1], found, policy()).intents if i.left is not None]

    assert (intent.rule, intent.before, intent.after) == (
        Rule.RETURNED_TO_LIST,
        {"status": Status.ARCHIVED},
        {"status": Status.IN},
    )
