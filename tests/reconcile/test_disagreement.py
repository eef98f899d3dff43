"""Where two sides are apart, and what is in the way of bringing them together."""

from dataclasses import replace
from typing import Any

import pytest

from optsync.model.change import ChangeKind
from optsync.model.link import Agreed, Link
from optsync.model.record import Origin, Status
from optsync.reconcile.disagreement import About, Cause, Mismatch, look, mismatches
from optsync.reconcile.fields import Conflict, FieldRule
from optsync.reconcile.plan import decide
from optsync.reconcile.policy import SyncPolicy
from optsync.reconcile.rules import DISAGREED, Rule
from optsync.reconcile.view import Neighbourhood
from tests.reconcile.places import EVENTS, OFFERS, around, contact, grant, member, out, policy
from tests.reconcile.test_plan import LINK, NAME, SINGLE, SUBSCRIBED, named

ONE_WAY: dict[str, Any] = {"to_esp": False}
OUT_HERE = SINGLE[Rule.OUT_TRAVELS][0]
TOPIC_OUT_HERE = SINGLE[Rule.TOPIC_OUT_TRAVELS][0]
AT_STATUS = (2, About.STATUS, None, None)
AT_TOPIC = (2, About.TOPIC, "Offers", True)
AT_MEMBER = (2, About.FIELD, "FNAME", "a")
AT_CONTACT = (1, About.FIELD, "NAME", "b")


def found_at(found: Neighbourhood, how: SyncPolicy, keys: tuple[int, ...] = (1,)) -> list[Mismatch]:
    return list(mismatches(look(keys, found, how)))


def told(mismatch: Mismatch) -> tuple[Any, ...]:
    return mismatch.seen.key, mismatch.about, mismatch.field, mismatch.shows


def refused(found: Neighbourhood) -> Neighbourhood:
    return replace(found, blocked=frozenset(i.fingerprint for i in decide([1], found, policy()).intents))


def frozen(found: Neighbourhood) -> Neighbourhood:
    return replace(found, links={(1, 2): replace(LINK, frozen=frozenset({NAME.key}))})


def with_rule(**parts: Any) -> SyncPolicy:
    return policy(fields=(replace(NAME, **parts),))


def differing(crm: str | None, esp: str | None, *, agreed: Agreed | None = None, **parts: Any) -> Neighbourhood:
    """Two who are in and whose names differ."""
    return around(
        contact(1, fields={**SUBSCRIBED, "NAME": crm}),
        member(2, fields={"FNAME": esp}),
        said={1: [grant(system="crm")]},
        links=[replace(LINK, agreed={NAME.key: agreed} if agreed else {})],
        **parts,
    )


@pytest.mark.parametrize(
    ("found", "how", "expected", "cause"),
    [
        (OUT_HERE, policy(), AT_STATUS, Cause.PLANNED),
        (OUT_HERE, policy(outs_to_esp=False), AT_STATUS, Cause.STAYS),
        (refused(OUT_HERE), policy(), AT_STATUS, Cause.REFUSED),
        (SINGLE[Rule.GRANT_TRAVELS][0], policy(), AT_STATUS, Cause.PLANNED),
        (replace(named("b", "a"), refused_for_good=frozenset({1})), policy(), AT_MEMBER, Cause.PLANNED),
        (
            around(
                contact(1, fields=SUBSCRIBED),
                member(2, status=Status.OUT, origin=Origin.PERSON),
                said={1: [grant(system="crm")]},
            ),
            policy(),
            AT_STATUS,
            Cause.CONFIRMATION,
        ),
        (TOPIC_OUT_HERE, policy(), AT_TOPIC, Cause.PLANNED),
        (refused(TOPIC_OUT_HERE), policy(), AT_TOPIC, Cause.REFUSED),
        (named("b", "a"), policy(), AT_MEMBER, Cause.PLANNED),
        (refused(named("b", "a")), policy(), AT_MEMBER, Cause.REFUSED),
        (named("a", "b"), policy(), (1, About.FIELD, "NAME", "a"), Cause.PLANNED),
        (frozen(named("b", "a")), policy(), AT_MEMBER, Cause.FROZEN),
        (frozen(named("b", "a")), with_rule(**ONE_WAY), AT_CONTACT, Cause.FROZEN),
        (named("b", "c"), with_rule(conflict=Conflict.REVIEW), (2, About.FIELD, "FNAME", "c"), Cause.REVIEW),
        (differing("b", "a", agreed=Agreed("b", "a")), policy(), AT_MEMBER, Cause.ACCEPTED),
        (differing("b", "a", agreed=Agreed("b", "a")), with_rule(to_crm=False), AT_MEMBER, Cause.DIRECTION),
        (differing("b", "a", agreed=Agreed("b", "a")), with_rule(**ONE_WAY), AT_CONTACT, Cause.DIRECTION),
        (differing("", "a", agreed=Agreed("a", "a")), policy(), AT_MEMBER, Cause.BLANK),
        (differing("a", "", agreed=Agreed("a", "a")), policy(), (2, About.FIELD, "FNAME", ""), Cause.BLANK),
        (
            differing("", "a", agreed=Agreed("", "a")),
            with_rule(clears=True),
            AT_MEMBER,
            Cause.ACCEPTED,
        ),
        (SINGLE[Rule.ASKED_FOR_GRANT][0], policy(), AT_STATUS, Cause.CONFIRMATION),
        (around(contact(1, fields=SUBSCRIBED), member(2, status=Status.OUT)), policy(), AT_STATUS, Cause.UNDECIDED),
        (
            around(contact(1, fields={"OUT": True}), member(2), said={}),
            policy(outs_to_crm=False),
            AT_STATUS,
            Cause.UNDECIDED,
        ),
        (
            around(contact(1, fields=SUBSCRIBED), member(2, status=Status.OUT, origin=Origin.PERSON)),
            policy(),
            AT_STATUS,
            Cause.UNDECIDED,
        ),
    ],
)
def test_each_disagreement_has_its_place_and_its_cause(
    found: Neighbourhood, how: SyncPolicy, expected: tuple[Any, ...], cause: Cause
) -> None:
    (mismatch,) = found_at(found, how)

    assert (told(mismatch), mismatch.cause, mismatch.point) == (expected, cause, 1)


@pytest.mark.parametrize(
    ("found", "kind", "key"),
    [
        (OUT_HERE, ChangeKind.OPT_OUT, 2),
        (TOPIC_OUT_HERE, ChangeKind.TOPIC, 2),
        (named("b", "a"), ChangeKind.FIELD, 2),
        (named("a", "b"), ChangeKind.FIELD, 1),
    ],
)
def test_a_disagreement_names_the_change_that_would_settle_it(found: Neighbourhood, kind: ChangeKind, key: int) -> None:
    (mismatch,) = found_at(found, policy())

    assert [mismatch.fingerprint] == [
        i.fingerprint for i in decide([1], found, policy()).intents if i.kind is kind and i.record == key
    ]


@pytest.mark.parametrize(
    ("found", "how"),
    [
        (named("a", "a"), {}),
        (differing("b", "a"), {"has_list_scope": True}),
        (around(contact(1, fields={"NAME": "b"}), member(2, status=Status.ARCHIVED, fields={"FNAME": "a"})), {}),
        (
            around(
                contact(1, fields={"OUT": True, "NAME": "b"}),
                member(2, status=Status.OUT, fields={"FNAME": "a"}),
                said={1: [out()]},
            ),
            {},
        ),
        (around(contact(1, fields={"NAME": "b"})), {}),
        (around(member(2, fields={"FNAME": "a"})), {}),
        (around(contact(1, fields=SUBSCRIBED), member(2, status=Status.OUT, is_gone=True)), {}),
        (around(contact(1, fields=SUBSCRIBED, is_gone=True), member(2, status=Status.OUT)), {}),
        (around(contact(1, fields=SUBSCRIBED), member(2, status=Status.PENDING)), {}),
        (around(contact(1), member(2)), {}),
    ],
)
def test_what_need_not_agree_is_no_disagreement(found: Neighbourhood, how: dict[str, Any]) -> None:
    assert found_at(found, policy(**how)) == []


def test_a_blank_may_be_a_text_that_is_not_kept_where_somebody_forgotten_shares_the_record() -> None:
    shared = around(
        contact(1, (1, 7), fields={**SUBSCRIBED, "NAME": None}),
        member(2, fields={"FNAME": "a"}),
        said={1: [grant(system="crm")]},
        links=[replace(LINK, agreed={NAME.key: Agreed("b", "a")})],
    )
    forgotten = replace(shared, points={**shared.points, 7: replace(shared.points[7], is_forgotten=True)})

    assert [(told(m), m.cause) for m in found_at(shared, policy())] == [(AT_MEMBER, Cause.BLANK)]
    assert found_at(forgotten, policy()) == []


def test_of_two_fields_each_is_told_and_of_two_holders_the_first_who_differs() -> None:
    other = FieldRule(crm="CITY", esp="CITY")
    fields = {"crm": {**SUBSCRIBED, "NAME": "b", "CITY": "x"}, "esp": {"FNAME": "a", "CITY": "y"}}
    two = around(contact(1, fields=fields["crm"]), member(2, fields=fields["esp"]), said={1: [grant(system="crm")]})
    holders = around(
        contact(1), contact(3, fields=SUBSCRIBED), contact(4, fields=SUBSCRIBED), member(2, (1,), Status.OUT)
    )

    assert [m.field for m in found_at(two, policy(fields=(NAME, other)))] == ["FNAME", "CITY"]
    assert [told(m) for m in found_at(holders, policy())] == [AT_STATUS]


def test_a_settled_field_does_not_hide_the_next() -> None:
    other = FieldRule(crm="CITY", esp="CITY")
    found = around(
        contact(1, fields={**SUBSCRIBED, "NAME": "a", "CITY": "x"}),
        member(2, fields={"FNAME": "a", "CITY": "y"}),
        said={1: [grant(system="crm")]},
    )

    assert [m.field for m in found_at(found, policy(fields=(NAME, other)))] == ["CITY"]


def test_a_record_is_told_at_its_primary_address_only() -> None:
    found = around(contact(1, (1, 2), fields={"OUT": True}), member(3, (1,)), said={1: [out(system="crm")]})

    assert found_at(found, policy(), keys=(2,)) == []
    assert [told(m) for m in found_at(found, policy(), keys=(1,))] == [(3, About.STATUS, None, None)]


def test_what_is_told_at_another_address_does_not_hide_what_is_told_here() -> None:
    found = around(
        contact(1, (1, 2)),
        member(3, (2,), topics={"Offers": True}),
        said={1: [out(system="mc")], 2: [out(scope=OFFERS)]},
    )

    assert [told(m) for m in found_at(found, policy(), keys=(2,))] == [(3, About.TOPIC, "Offers", True)]


def test_somebody_who_is_about_to_be_created_disagrees_with_nobody() -> None:
    found, how, _ = SINGLE[Rule.ENTERED_LIST]

    assert [i.record for i in decide([1], found, how).intents] == [None]
    assert found_at(found, how) == []


def test_a_field_that_stays_names_no_change_of_something_else() -> None:
    link = replace(LINK, agreed={NAME.key: Agreed("b", "a")})
    found = around(
        contact(1, fields={**SUBSCRIBED, "NAME": "b"}),
        member(2, fields={"FNAME": "a"}, topics={"Offers": True}),
        said={1: [grant(system="crm"), out(scope=OFFERS)]},
        links=[link],
    )

    assert [(m.about, m.cause, m.fingerprint is None) for m in found_at(found, policy())] == [
        (About.TOPIC, Cause.PLANNED, False),
        (About.FIELD, Cause.ACCEPTED, True),
    ]


def test_both_decisions_are_kept_to_be_looked_at() -> None:
    how = policy(outs_to_esp=False)
    seen = look([1], OUT_HERE, how)

    assert seen.decided == decide([1], OUT_HERE, how)
    assert [i.fingerprint for i in seen.wanted.intents] == [
        i.fingerprint for i in decide([1], OUT_HERE, policy()).intents
    ]


def test_a_status_that_is_about_to_change_is_told_once() -> None:
    found = around(contact(1, fields={"IN": True}), member(2, status=Status.OUT), said={1: [out(system="mc")]})

    assert [(told(m), m.cause) for m in found_at(found, policy())] == [((1, About.STATUS, None, None), Cause.PLANNED)]
    stays = found_at(found, policy(outs_to_crm=False))
    assert [(m.seen.key, m.cause) for m in stays] == [(1, Cause.STAYS)]


def test_what_is_about_to_change_by_an_older_word_does_not_stay() -> None:
    said = {1: [out(70), out(50, system="mc")]}
    found = around(contact(1, fields={"IN": True}), member(2, status=Status.OUT), said=said)

    assert [(m.seen.key, m.cause) for m in found_at(found, policy(outs_to_crm=False))] == [(1, Cause.PLANNED)]


def test_who_was_refused_because_they_left_must_confirm() -> None:
    found = around(
        contact(1, fields=SUBSCRIBED),
        member(2, status=Status.OUT),
        said={1: [grant(system="crm")]},
        left_by_self={1: grant(10).at},
        links=[Link(crm=1, esp=2)],
    )

    assert [m.cause for m in found_at(found, policy())] == [Cause.CONFIRMATION]


def test_topics_are_told_by_name() -> None:
    found = around(
        contact(1, topics={"T_OFFERS": True}),
        member(2),
        said={1: [grant(scope=OFFERS, system="crm")]},
        links=[LINK],
    )

    assert [(told(m), m.cause) for m in found_at(found, policy())] == [
        ((2, About.TOPIC, "Offers", None), Cause.PLANNED)
    ]


def test_what_another_sync_of_the_topic_holds_is_told_apart_from_what_is_written_of_others() -> None:
    made = out(scope=OFFERS, reason=DISAGREED)
    found = around(
        contact(1, topics={"T_EVENTS": True}),
        member(2, topics={"Offers": True, "Events": True}),
        said={1: [made, out(scope=EVENTS)]},
        links=[LINK],
        disputed=frozenset({made.uid}),
    )
    told_of: dict[int, dict[str | None, Cause]] = {1: {}, 2: {}}
    for mismatch in found_at(found, policy()):
        told_of[mismatch.seen.key][mismatch.field] = mismatch.cause

    assert told_of == {1: {"T_EVENTS": Cause.PLANNED}, 2: {"Offers": Cause.DISPUTED, "Events": Cause.PLANNED}}


def test_a_topic_that_is_written_names_the_change_of_its_own_record() -> None:
    made = out(scope=OFFERS, reason=DISAGREED)
    found = around(
        contact(1, topics={"T_EVENTS": True, "T_OFFERS": True}),
        member(2, topics={"Offers": True, "Events": True}),
        said={1: [made, out(scope=EVENTS)]},
        links=[LINK],
        disputed=frozenset({made.uid}),
    )
    written = {i.record: i.fingerprint for i in decide([1], found, policy()).intents}
    planned = [m for m in found_at(found, policy()) if m.cause is Cause.PLANNED]

    assert [(m.seen.key, m.fingerprint) for m in planned] == [(key, written[key]) for key in (1, 2)]


def test_of_two_people_each_topic_names_the_change_of_its_own_member() -> None:
    found = around(
        contact(1),
        member(2, topics={"Offers": True}),
        contact(3, (2,)),
        member(4, (2,), topics={"Offers": True}),
        said={1: [out(scope=OFFERS)], 2: [out(scope=OFFERS)]},
        links=[LINK, Link(crm=3, esp=4)],
    )
    written = {i.record: i.fingerprint for i in decide([1, 2], found, policy()).intents}

    assert {m.seen.key: m.fingerprint for m in found_at(found, policy(), (1, 2))} == {2: written[2], 4: written[4]}
    assert written[2] != written[4]
