"""Everything around some points in one decision: order, what is dropped, and people who were forgotten or refused."""

from dataclasses import replace
from typing import Any

import pytest

from optsync.model.change import ChangeKind
from optsync.model.link import Agreed, Link
from optsync.model.record import Origin, Status
from optsync.model.statement import Statement, StatementKind, Strength
from optsync.reconcile.fields import FieldRule
from optsync.reconcile.plan import decide, first_sight_statements, priority
from optsync.reconcile.rules import Rule
from optsync.reconcile.view import Intent, Neighbourhood
from tests.reconcile.places import CRM, EVENTS, OFFERS, SCOPE, around, contact, grant, member, out, policy, say

HARD = say(StatementKind.HARD_BOUNCE, 90, scope="*")
TICK = grant(scope=OFFERS, strength=Strength.NOTHING)
ORDER = [
    (ChangeKind.OPT_OUT, True),
    (ChangeKind.TOPIC, True),
    (ChangeKind.BOUNCE, True),
    (ChangeKind.TOPIC, False),
    (ChangeKind.OPT_IN, False),
    (ChangeKind.REQUEST, False),
    (ChangeKind.GRANT, False),
    (ChangeKind.FIELD, False),
    (ChangeKind.RENAME, False),
    (ChangeKind.ARCHIVE, False),
]


def forgotten(found: Neighbourhood, *keys: int) -> Neighbourhood:
    points = {key: replace(point, is_forgotten=key in keys) for key, point in found.points.items()}
    return replace(found, points=points)


def kinds(found: Neighbourhood, keys: tuple[int, ...] = (1,), **how: Any) -> list[tuple[str, ChangeKind]]:
    return [(i.system, i.kind) for i in decide(keys, found, policy(**how)).intents]


def test_restrictions_go_first_then_wishes_then_values() -> None:
    places = [priority(kind, is_restrictive=flag) for kind, flag in ORDER]

    assert places == sorted(set(places))
    assert priority(ChangeKind.CREATE, is_restrictive=False) == priority(ChangeKind.REQUEST, is_restrictive=False)
    assert priority(ChangeKind.BOUNCE, is_restrictive=False) == priority(ChangeKind.TOPIC, is_restrictive=False)


def test_a_plan_is_in_that_order_though_its_points_are_not() -> None:
    found = around(
        contact(1, fields={"IN": True, "OUT": False}, topics={"T_OFFERS": True}),
        member(2, topics={"Offers": None}, status=Status.UNKNOWN),
        contact(3, (2,)),
        member(4, (2,), topics={"Offers": True}),
        said={1: [grant(system="crm"), grant(scope=OFFERS)], 2: [out(scope=OFFERS), HARD]},
    )
    places = [priority(i.kind, is_restrictive=i.is_restrictive) for i in decide([1, 2], found, policy()).intents]

    assert len(places) == 4
    assert places == sorted(places)
    assert places[0] == priority(ChangeKind.TOPIC, is_restrictive=True)


# people who were forgotten


def test_who_was_forgotten_gets_outs_and_nothing_else() -> None:
    shows = {"T_OFFERS": True}
    found = around(
        contact(1, fields={"IN": True, "NAME": "a"}, topics=shows),
        member(2, topics={"Offers": True}),
        said={1: [out(), out(scope=OFFERS), HARD]},
    )

    assert set(kinds(forgotten(found, 1))) == {
        ("crm", ChangeKind.OPT_OUT),
        ("mc", ChangeKind.OPT_OUT),
        ("crm", ChangeKind.TOPIC),
        ("mc", ChangeKind.TOPIC),
    }
    assert decide([1], forgotten(found, 1), policy()).skipped == {1: "forgotten", 2: "forgotten"}
    assert ("crm", ChangeKind.BOUNCE) in kinds(found)


@pytest.mark.parametrize("said", [[], [grant()], [HARD]])
def test_nothing_permissive_and_no_mark_reaches_who_was_forgotten(said: list[Statement]) -> None:
    found = around(contact(1, topics={"T_OFFERS": None}), member(2, (1,), Status.UNKNOWN), said={1: said})

    assert kinds(forgotten(found, 1)) == []
    assert kinds(forgotten(found, 9)) != [] or not said


def test_of_a_forgotten_point_that_nobody_holds_nobody_is_skipped() -> None:
    assert decide([1], forgotten(around(said={1: [out()]}), 1), policy()).skipped == {}


def test_a_record_without_a_usable_address_is_no_forgotten_ones() -> None:
    assert kinds(around(contact(1, ()), said={1: [out()]})) == []


def test_who_was_forgotten_disagrees_with_nobody_and_does_not_hide_the_next() -> None:
    crm = [contact(n, (n,), topics={"T_OFFERS": True}) for n in (1, 2)]
    esp = [member(n + 10, (n,), topics={"Offers": False}) for n in (1, 2)]
    found = around(*crm, *esp, said={1: [TICK], 2: [TICK]})

    assert [key for key, _ in first_sight_statements([1, 2], forgotten(found, 1), policy())] == [2]
    assert [key for key, _ in first_sight_statements([1, 2], found, policy())] == [1, 2]


# people whom the platform does not take


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([grant(system="crm")], []),
        ([out(system="crm")], [("mc", ChangeKind.OPT_OUT)]),
        ([grant(system="form")], [("crm", ChangeKind.GRANT)]),
    ],
)
def test_the_platform_gets_only_restrictions_of_whom_it_refuses_for_good(
    said: list[Statement], expected: list[Any]
) -> None:
    flags = {"OUT": said[0].kind is StatementKind.OUT, "IN": said[0].kind is StatementKind.GRANT}
    found = around(
        contact(1, fields={**flags, "NAME": "b"}),
        member(2, (1,), Status.UNKNOWN, fields={"FNAME": "a"}),
        said={1: said},
        links=[Link(crm=1, esp=2, agreed={"NAME=FNAME": Agreed("a", "a")})],
    )
    refused = replace(found, refused_for_good=frozenset({1}))

    assert kinds(refused) == expected
    assert set(kinds(found)) > set(expected) or expected == [("mc", ChangeKind.OPT_OUT)]


def test_the_crm_and_other_points_get_what_the_platform_refuses() -> None:
    found = around(
        contact(1, fields={"NAME": "b"}),
        member(2, fields={"FNAME": "c"}),
        links=[Link(crm=1, esp=2, agreed={"NAME=FNAME": Agreed("b", "a")})],
        refused_for_good=frozenset({1}),
    )
    elsewhere = replace(found, refused_for_good=frozenset({2}))
    to_esp = around(
        contact(1, fields={"NAME": "b"}),
        member(2, fields={"FNAME": "a"}),
        links=[Link(crm=1, esp=2, agreed={"NAME=FNAME": Agreed("a", "a")})],
        refused_for_good=frozenset({2}),
    )

    assert kinds(found) == [("crm", ChangeKind.FIELD)]
    assert kinds(elsewhere) == [("crm", ChangeKind.FIELD)]
    assert kinds(to_esp) == [("mc", ChangeKind.FIELD)]


def test_another_collection_takes_what_one_audience_refuses() -> None:
    agreed = [Link(crm=1, esp=2, agreed={"NAME=FNAME": Agreed("b", "a")})]
    elsewhere = replace(member(2, fields={"FNAME": "c"}), collection="other")
    named_alike = replace(contact(1, fields={"NAME": "b"}), collection="list")
    found = around(named_alike, elsewhere, links=agreed, refused_for_good=frozenset({1}))
    back = replace(found, links={(1, 2): replace(agreed[0], agreed={"NAME=FNAME": Agreed("a", "c")})})

    assert kinds(found) == [("crm", ChangeKind.FIELD)]
    assert kinds(back) == [("mc", ChangeKind.FIELD)]


# one change of a kind


def test_a_topic_that_goes_off_and_one_that_goes_on_stay_two_changes() -> None:
    found = around(
        contact(1, topics={"T_OFFERS": True, "T_EVENTS": False}),
        said={1: [out(scope=OFFERS), grant(scope=EVENTS)]},
    )

    assert [dict(i.after) for i in decide([1], found, policy()).intents] == [{"T_OFFERS": False}, {"T_EVENTS": True}]


def test_field_changes_of_two_records_stay_apart() -> None:
    agreed = {"NAME=FNAME": Agreed("a", "a")}
    found = around(
        *(contact(n, (n,), fields={"NAME": f"b{n}"}) for n in (1, 2)),
        *(member(n + 10, (n,), fields={"FNAME": "a"}) for n in (1, 2)),
        links=[Link(crm=n, esp=n + 10, agreed=agreed) for n in (1, 2)],
    )

    assert [(i.record, dict(i.after)) for i in decide([1, 2], found, policy()).intents] == [
        (11, {"FNAME": "b1"}),
        (12, {"FNAME": "b2"}),
    ]


def test_field_changes_of_one_record_that_were_decided_apart_become_one() -> None:
    """The reason of an opt-out, and a mapped field that goes on after it."""
    said = out(system="mc", reason="no")
    found = around(
        contact(1, fields={"NAME": "a"}),
        member(2, (1,), Status.OUT, fields={"FNAME": "b"}),
        said={1: [said]},
        links=[Link(crm=1, esp=2, agreed={"NAME=FNAME": Agreed("a", "a")})],
    )
    how = policy(fields_after_opt_out=True)
    (intent,) = [i for i in decide([1], found, how).intents if i.kind is ChangeKind.FIELD]

    text = "link · mc · no · 2026-06-01"
    assert (intent.rule, intent.record, intent.counterpart) == (Rule.REASON_NOTED, 1, 2)
    assert intent.before == {"REASON": None, "NAME": "a"}
    assert intent.after == intent.fields == {"REASON": text, "NAME": "b"}
    assert intent.causes == (said.uid,)
    assert intent.agreed == {"NAME=FNAME": Agreed("b", "b")}
    assert kinds(replace(found, blocked=frozenset({intent.fingerprint})), fields_after_opt_out=True) == [
        ("crm", ChangeKind.OPT_OUT)
    ]


def test_a_contact_with_two_members_gets_one_change_for_both() -> None:
    """Each address has a member; the contact's fields come from the one at its primary address."""
    rules = (FieldRule(crm="NAME", esp="FNAME"), FieldRule(crm="CITY", esp="TOWN"))
    found = around(
        contact(1, (1, 2), fields={"NAME": "a", "CITY": "x"}),
        member(3, (1,), fields={"FNAME": "b", "TOWN": "y"}),
        links=[Link(crm=1, esp=3, agreed={r.key: Agreed(v, v) for r, v in zip(rules, ("a", "x"), strict=True)})],
    )
    (intent,) = decide([1, 2], found, policy(fields=rules)).intents

    assert intent.after == {"NAME": "b", "CITY": "y"}
    assert intent.counterpart == 3


# what comes with it


def test_pairs_that_are_dropped_and_questions_are_handed_on() -> None:
    apart = around(contact(1, (5,)), contact(3, (1,)), member(2), links=[Link(crm=1, esp=2, point=1)], said={5: []})
    unclear = around(contact(1, (5,)), member(2), links=[Link(crm=1, esp=2)], said={5: []})

    assert decide([1, 5], apart, policy()).dropped == {(1, 2)}
    assert [q.kind for q in decide([1, 5], unclear, policy()).questions] == ["ambiguous"]


def test_what_keeps_an_opt_in_out_is_asked_beside_the_questions_of_fields() -> None:
    said = [out(90, system="mc", is_personal=True), grant(30, system="crm")]
    shows = member(2, (1,), Status.ARCHIVED, origin=Origin.PERSON)
    decision = decide([1], around(contact(1, fields={"IN": True}), shows, said={1: said}), policy())

    assert [(q.kind, q.record) for q in decision.questions] == [("needs_confirmation", 2)]
    assert decision.settled == (Link(crm=1, esp=2, point=1),)


def test_who_is_decided_with_a_counterpart_elsewhere_is_not_decided_here() -> None:
    """The member at p1 was left behind by the contact that is now at p5, and a new contact has no part in it."""
    said = {5: [grant()]}
    links = [Link(crm=1, esp=2, point=1)]
    alone = around(contact(1, (5,), fields={"IN": True}), member(2), said=said, links=links)
    how: dict[str, Any] = {"renames_members": True, "archives_members": True, "creates_in_crm": True}

    decision = decide([1, 5], alone, policy(**how))
    assert [(i.kind, i.record) for i in decision.intents if i.system == "mc"] == [(ChangeKind.RENAME, 2)]
    assert not [i for i in decision.intents if i.kind is ChangeKind.CREATE]
    away = around(
        contact(1, (5,), fields={"IN": True}),
        member(2, (1,), Status.IN, is_gone=True, modified_at=None, created_at=None),
        said=said,
        links=links,
    )
    assert decide([1, 5], away, policy(**how)).skipped == {1: "removed_there"}


def whole(intent: Intent) -> tuple[Any, ...]:
    return intent.kind, intent.record, dict(intent.after)


def test_the_same_questions_find_the_same_answers_whoever_is_asked_first() -> None:
    found = around(contact(1, fields={"IN": True}), contact(3, (2,)), said={1: [grant()], 2: [out(scope=SCOPE)]})
    there, back = (decide(keys, found, policy(crm=replace(CRM, consent_date=None))) for keys in ([1, 2], [2, 1]))

    assert sorted(map(str, map(whole, there.intents))) == sorted(map(str, map(whole, back.intents)))
