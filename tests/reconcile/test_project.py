"""What each record must show: which address decides it, what may travel, and what is left alone."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from optsync.model.change import ChangeKind, GrantEvidence
from optsync.model.record import Origin, Side, Status
from optsync.model.statement import Source, Statement, StatementKind
from optsync.reconcile.project import evidence_of, format_moment, project
from optsync.reconcile.rules import DISAGREED, Rule
from optsync.reconcile.view import Intent, Neighbourhood, Seen, Written
from tests.reconcile.places import (
    CRM,
    EVENTS,
    NOW,
    OFFERS,
    around,
    before,
    contact,
    grant,
    member,
    out,
    policy,
    retract,
    say,
)

HARD = say(StatementKind.HARD_BOUNCE, 90, scope="*")
IN_BY_FLAG = contact(1, fields={"IN": True, "OUT": False})


def shown_by(found: Neighbourhood, key: int = 1, **how: Any) -> list[Intent]:
    """What the record must show."""
    (seen,) = [s for s in (*found.crm, *found.esp) if s.key == key]
    return list(project(seen, found, policy(**how)))


def statuses(found: Neighbourhood, key: int = 1, **how: Any) -> list[tuple[ChangeKind, int]]:
    kinds = {ChangeKind.OPT_OUT, ChangeKind.OPT_IN, ChangeKind.REQUEST}
    return [(i.kind, i.point) for i in shown_by(found, key, **how) if i.kind in kinds]


# which address decides


@pytest.mark.parametrize(
    ("said", "others", "expected"),
    [
        ({1: [out()]}, [], [(ChangeKind.OPT_OUT, 1)]),
        ({1: [out()], 2: [out()]}, [member(3, (2,))], [(ChangeKind.OPT_OUT, 1)]),
        # another address binds the record only where it is a member, and only by an out
        ({2: [out()]}, [member(3, (2,))], [(ChangeKind.OPT_OUT, 2)]),
        ({2: [out()]}, [], []),
        ({2: [out()]}, [member(3, (2,), is_gone=True)], []),
        ({2: [out()]}, [contact(3, (2,))], []),
        ({1: [grant()], 2: []}, [member(3, (2,))], [(ChangeKind.OPT_IN, 1)]),
        ({1: [], 2: [grant()]}, [member(3, (2,))], []),
        ({2: [], 4: [out()]}, [member(3, (2,)), member(5, (4,))], [(ChangeKind.OPT_OUT, 4)]),
        # what a person said decides before what administrators say of the same record
        ({1: [out()], 2: [out(is_personal=True)]}, [member(3, (2,))], [(ChangeKind.OPT_OUT, 2)]),
        ({1: [out()], 2: [out(is_personal=True)]}, [], [(ChangeKind.OPT_OUT, 1)]),
        (
            {1: [out()], 2: [out()], 4: [out(is_personal=True)]},
            [member(3, (2,)), member(5, (4,))],
            [(ChangeKind.OPT_OUT, 4)],
        ),
        (
            {1: [out(is_personal=True)], 2: [out(is_personal=True)]},
            [member(3, (2,))],
            [(ChangeKind.OPT_OUT, 1)],
        ),
        ({2: [out()], 4: [out()]}, [member(3, (2,)), member(5, (4,))], [(ChangeKind.OPT_OUT, 2)]),
    ],
)
def test_the_primary_address_decides_or_a_member_among_the_others_that_is_out(
    said: dict[int, list[Statement]], others: list[Seen], expected: list[Any]
) -> None:
    assert statuses(around(contact(1, (1, 2, 4)), *others, said=said)) == expected


def test_the_second_of_two_addresses_binds_as_well() -> None:
    found = around(contact(1, (1, 2)), member(3, (2,)), said={2: [out()]})

    assert statuses(found) == [(ChangeKind.OPT_OUT, 2)]


def test_a_topic_is_decided_by_the_same_addresses() -> None:
    both = {"T_OFFERS": True, "T_EVENTS": True}
    found = around(
        contact(1, (1, 2), topics=both), member(3, (2,)), said={1: [out(scope=EVENTS)], 2: [out(scope=OFFERS)]}
    )

    assert [(i.point, dict(i.after), i.causes) for i in shown_by(found) if i.kind is ChangeKind.TOPIC] == [
        (1, {"T_EVENTS": False, "T_OFFERS": False}, (out(scope=EVENTS).uid, out(scope=OFFERS).uid))
    ]


def test_what_a_person_said_causes_an_out_however_much_administrators_said_since() -> None:
    first, own, last = out(90, is_personal=True), out(60, is_personal=True), out(50)
    found = around(contact(1), member(2), said={1: [last, own, first]})

    for key in (1, 2):
        assert [i.causes for i in shown_by(found, key) if i.kind is ChangeKind.OPT_OUT] == [(own.uid,)]


def test_what_a_person_said_that_does_not_travel_leaves_the_word_to_an_administrator() -> None:
    stays, travels = out(50, system="mc", is_personal=True), out(60)
    found = around(contact(1, (1, 2)), member(3, (2,)), said={1: [travels], 2: [stays]})

    assert [(i.point, i.causes) for i in shown_by(found, outs_to_crm=False) if i.kind is ChangeKind.OPT_OUT] == [
        (1, (travels.uid,))
    ]


@pytest.mark.parametrize("seen", [contact(1, ()), contact(1, is_gone=True)])
def test_a_contact_without_an_address_or_a_life_shows_nothing(seen: Seen) -> None:
    assert list(project(seen, around(seen, said={1: [out(), HARD]}), policy())) == []


# what may travel


@pytest.mark.parametrize(
    ("system", "to_esp", "to_crm", "expected"),
    [
        ("crm", True, True, {1, 2}),
        ("crm", False, True, {1}),
        ("mc", True, False, {2}),
        ("mc", False, True, {1, 2}),
        ("crm", True, False, {1, 2}),
        (None, False, False, {1, 2}),
        ("other", False, False, {1, 2}),
    ],
)
def test_an_out_stays_where_it_was_said_only_if_its_way_is_closed(
    system: str | None, to_esp: bool, to_crm: bool, expected: set[int]
) -> None:
    for scope, kind in (("acme/news", ChangeKind.OPT_OUT), (OFFERS, ChangeKind.TOPIC)):
        found = around(
            contact(1, topics={"T_OFFERS": True}),
            member(2, topics={"Offers": True}),
            said={1: [out(system=system, scope=scope)]},
        )
        intents = [i for key in (1, 2) for i in shown_by(found, key, outs_to_esp=to_esp, outs_to_crm=to_crm)]
        assert {i.record for i in intents if i.kind is kind} == expected


@pytest.mark.parametrize(("scope", "kind"), [("acme/news", ChangeKind.OPT_OUT), (OFFERS, ChangeKind.TOPIC)])
def test_an_out_that_stays_where_it_was_said_leaves_the_word_to_an_older_one(scope: str, kind: ChangeKind) -> None:
    stays, travels = out(50, system="mc", scope=scope), out(70, scope=scope)
    ticked = {"T_OFFERS": True}
    found = around(contact(1, (1, 2), topics=ticked), member(2, (2,)), said={1: [stays], 2: [stays, travels]})
    alone = around(contact(1, topics=ticked), said={1: [travels, stays]})

    for seen, point in ((found, 2), (alone, 1)):
        told = [(i.point, i.causes) for i in shown_by(seen, outs_to_crm=False) if i.kind is kind]
        assert told == [(point, (travels.uid,))]
    assert [i.causes for i in shown_by(alone) if i.kind is kind] == [(stays.uid,)]


@pytest.mark.parametrize(("key", "system", "how"), [(1, "mc", "outs_to_crm"), (2, "crm", "outs_to_esp")])
def test_what_does_not_travel_to_one_side_hides_no_older_out_from_it(key: int, system: str, how: str) -> None:
    stays, travels = out(50, system=system), out(70)
    found = around(contact(1), member(2), said={1: [travels, stays]})

    causes = [i.causes for i in shown_by(found, key, **{how: False}) if i.kind is ChangeKind.OPT_OUT]
    assert causes == [(travels.uid,)]


# what is left alone


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        *((status, [out()], []) for status in Status if status not in {Status.IN, Status.UNKNOWN}),
        (Status.IN, [out()], [(ChangeKind.OPT_OUT, 1)]),
        (Status.UNKNOWN, [out()], [(ChangeKind.OPT_OUT, 1)]),
        (Status.IN, [grant()], []),
        (Status.BOUNCED, [grant()], []),
        (Status.ARCHIVED, [grant()], []),
        (Status.OUT, [grant()], [(ChangeKind.OPT_IN, 1)]),
        (Status.PENDING, [grant()], [(ChangeKind.OPT_IN, 1)]),
        (Status.UNKNOWN, [grant()], [(ChangeKind.OPT_IN, 1)]),
        (Status.OUT, [grant(), HARD], []),
        (Status.OUT, [], []),
    ],
)
def test_a_member_is_written_to_only_where_it_shows_something_else(
    status: Status, said: list[Statement], expected: list[Any]
) -> None:
    assert statuses(around(member(1, (1,), status), said={1: said})) == expected


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (member(1, (1,), Status.IN, is_gone=True), []),
        (member(1, (1,), Status.ABSENT, is_gone=True), [(ChangeKind.OPT_IN, 1)]),
        (member(1, (1,), Status.UNKNOWN, is_word_known=False), []),
    ],
)
def test_who_is_gone_or_in_a_state_that_nobody_mapped(seen: Seen, expected: list[Any]) -> None:
    assert statuses(around(seen, said={1: [grant()]})) == expected
    assert [k for k, _ in statuses(around(seen, said={1: [out()]}))] == (
        [ChangeKind.OPT_OUT] if not seen.is_gone else []
    )


def test_a_record_whose_addresses_cannot_be_used_any_more_is_written_to_by_its_id() -> None:
    nameless = replace(contact(1), record=replace(contact(1).record, addresses=()))

    assert [i.address for i in shown_by(around(nameless, said={1: [HARD]}))] == [None]


def test_in_the_crm_a_grant_shows_though_mail_bounces() -> None:
    assert statuses(around(contact(1), said={1: [grant(), HARD]})) == [(ChangeKind.OPT_IN, 1)]


@pytest.mark.parametrize(
    ("seen", "parts", "expected"),
    [
        (member(1, (1,), Status.OUT, origin=Origin.PERSON), {}, ChangeKind.REQUEST),
        (member(1, (1,), Status.OUT), {"left_by_self": {1: before(30)}}, ChangeKind.REQUEST),
        (member(1, (1,), Status.OUT), {"left_by_self": {2: before(30)}}, ChangeKind.OPT_IN),
        (contact(1), {"left_by_self": {1: before(30)}}, ChangeKind.OPT_IN),
    ],
)
def test_who_left_by_themself_is_asked_where_the_platform_wants_it(
    seen: Seen, parts: dict[str, Any], expected: ChangeKind
) -> None:
    found = around(seen, said={1: [grant(60, system="crm")]}, **parts)

    assert [kind for kind, _ in statuses(found)] == [expected]


def test_an_opt_out_carries_no_proof_of_an_opt_in_and_names_no_retraction() -> None:
    void = replace(out(90, system="crm", record="r1"), evidence={"shown_before": "in", "opt_out_before": "no"})
    found = around(contact(1, fields={"OUT": True, "IN": True}), said={1: [void, retract(void), out(30)]})
    (intent, _) = shown_by(found)

    assert (intent.kind, intent.evidence, intent.causes) == (ChangeKind.OPT_OUT, None, (out(30).uid,))


# the reason of an out


@pytest.mark.parametrize(
    ("system", "reason", "shows", "expected"),
    [
        ("mc", "too many", None, "link · mc · too many · 2026-06-01"),
        ("mc", None, "older", "link · mc · 2026-06-01"),
        (None, None, None, "link · 2026-06-01"),
        ("mc", "x" * 300, None, "link · mc · " + "x" * 243),
        ("mc", "too many", "link · mc · too many · 2026-06-01", None),
        ("crm", "typed", None, None),
    ],
)
def test_the_reason_is_noted_beside_an_out_that_came_from_elsewhere(
    system: str | None, reason: str | None, shows: str | None, expected: str | None
) -> None:
    found = around(contact(1, fields={"REASON": shows}), said={1: [out(system=system, reason=reason)]})
    noted = [i for i in shown_by(found) if i.kind is ChangeKind.FIELD]

    assert [(dict(i.before), dict(i.after), i.causes) for i in noted] == (
        [({"REASON": shows}, {"REASON": expected}, (out(system=system, reason=reason).uid,))] if expected else []
    )


def test_a_reason_is_noted_in_the_crm_only_and_beside_an_out_only() -> None:
    here = around(contact(1), member(2), said={1: [out(system="form")]})
    back = around(contact(1, fields={"OUT": True}), said={1: [out(90), grant(60)]})

    assert not [i for i in shown_by(here, 2, esp=replace(policy().esp, reason="REASON")) if i.kind is ChangeKind.FIELD]
    assert not [i for i in shown_by(back) if i.kind is ChangeKind.FIELD]
    assert not [i for i in shown_by(here, crm=replace(CRM, reason=None)) if i.kind is ChangeKind.FIELD]


# putting back without a standing


BROUGHT = out(source=Source.IMPORT)
LEFT = Written(
    is_topics=False, is_restrictive=True, before={"status": "in"}, after={"status": "out"}, causes=(BROUGHT.uid,)
)
VOID = [BROUGHT, retract(BROUGHT)]


def test_a_member_is_put_back_to_in_with_all_that_a_change_says() -> None:
    found = around(member(1, (1,), Status.OUT), said={1: VOID}, written={1: [LEFT]})
    (intent,) = shown_by(found)

    assert (intent.kind, intent.rule, intent.status, intent.causes) == (
        ChangeKind.OPT_IN,
        Rule.PUT_BACK,
        Status.IN,
        (retract(BROUGHT).uid,),
    )
    assert (intent.before, intent.after) == ({"status": Status.OUT}, {"status": Status.IN})


def test_who_is_off_a_list_because_we_took_them_off_is_put_back_onto_it() -> None:
    found = around(member(1, (1,), Status.ABSENT, is_gone=True), said={1: VOID}, written={1: [LEFT]})
    (intent,) = shown_by(found)

    assert (intent.rule, intent.status, dict(intent.before)) == (Rule.PUT_BACK, Status.IN, {"status": Status.ABSENT})


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (member(1, (1,), Status.OUT), [*VOID, HARD]),
        (member(1, (1,), Status.ABSENT, is_gone=True), [*VOID, HARD]),
        (member(1, (1,), Status.ABSENT, is_gone=True), [*VOID, out(30, is_personal=True)]),
        (member(1, (1,), Status.OUT, is_gone=True), VOID),
    ],
)
def test_nobody_is_put_back_who_is_gone_or_cannot_be_reached(seen: Seen, said: list[Statement]) -> None:
    assert shown_by(around(seen, said={1: said}, written={1: [LEFT]})) == []


def test_a_contacts_flags_are_put_back_though_mail_bounces() -> None:
    marked = replace(LEFT, before={"OUT": None, "IN": True}, after={"OUT": True, "IN": False})
    shows = contact(1, fields={"OUT": True, "IN": False, "BOUNCED": True})
    (intent,) = shown_by(around(shows, said={1: [*VOID, HARD]}, written={1: [marked]}))

    assert (intent.status, dict(intent.before), dict(intent.after)) == (
        None,
        {"OUT": True, "IN": False},
        {"OUT": False, "IN": True},
    )


# topics


@pytest.mark.parametrize(
    ("status", "shows", "said", "expected"),
    [
        (Status.IN, True, [out(scope=OFFERS)], [False]),
        (Status.IN, None, [out(scope=OFFERS)], []),
        (Status.IN, False, [out(scope=OFFERS)], []),
        (Status.IN, False, [grant(scope=OFFERS)], [True]),
        (Status.IN, None, [grant(scope=OFFERS)], [True]),
        (Status.IN, True, [grant(scope=OFFERS)], []),
        (Status.IN, None, [], []),
        # whoever is out of the purpose gets no topic, and a purpose says nothing of a topic
        (Status.OUT, None, [grant(scope=OFFERS), out()], []),
        (Status.OUT, True, [out()], []),
        (Status.IN, None, [grant()], []),
        # the archived cannot be edited, the undeliverable are not subscribed
        (Status.ARCHIVED, True, [out(scope=OFFERS)], []),
        (Status.ARCHIVED, None, [grant(scope=OFFERS)], []),
        (Status.BOUNCED, True, [out(scope=OFFERS)], [False]),
        (Status.BOUNCED, None, [grant(scope=OFFERS)], []),
        (Status.ABSENT, None, [grant(scope=OFFERS)], []),
    ],
)
def test_a_topic_follows_its_own_standing(
    status: Status, shows: bool | None, said: list[Statement], expected: list[bool]
) -> None:
    found = around(member(1, (1,), status, topics={"Offers": shows}), said={1: said})
    topics = [i for i in shown_by(found) if i.kind is ChangeKind.TOPIC]

    assert [dict(i.topics) for i in topics] == [{"Offers": value} for value in expected]
    assert [i.is_restrictive for i in topics] == [not value for value in expected]


def test_one_topic_goes_off_and_another_on_each_for_its_own_cause() -> None:
    off, on = out(scope=OFFERS), grant(scope=EVENTS)
    found = around(member(1, topics={"Offers": True, "Events": False}), said={1: [off, on]})

    assert [(dict(i.before), dict(i.after), i.causes, i.rule) for i in shown_by(found)] == [
        ({"Offers": True}, {"Offers": False}, (off.uid,), Rule.TOPIC_OUT_TRAVELS),
        ({"Events": False}, {"Events": True}, (on.uid,), Rule.TOPIC_TRAVELS),
    ]


def test_topics_that_go_off_together_are_off_for_a_disagreement_only_where_nobody_switched_one_off() -> None:
    topics = {"Offers": True, "Events": True}
    said = {scope: out(scope=scope, reason=DISAGREED) for scope in (OFFERS, EVENTS)}

    def rules(*outs: Statement) -> list[Rule]:
        return [i.rule for i in shown_by(around(member(1, topics=topics), said={1: list(outs)}))]

    assert rules(said[OFFERS], said[EVENTS]) == [Rule.TOPICS_DISAGREE]
    assert rules(said[OFFERS], out(scope=EVENTS)) == [Rule.TOPIC_OUT_TRAVELS]
    assert rules(out(scope=OFFERS), said[EVENTS]) == [Rule.TOPIC_OUT_TRAVELS]


def test_a_disagreement_that_another_sync_waits_with_is_left_alone_unless_somebody_has_said_no() -> None:
    made, said = out(scope=OFFERS, reason=DISAGREED), out(90, scope=OFFERS)
    disputed = frozenset({made.uid, said.uid})

    def shown(*outs: Statement, disputed: frozenset[str]) -> int:
        return len(shown_by(around(member(1, topics={"Offers": True}), said={1: list(outs)}, disputed=disputed)))

    assert shown(made, disputed=disputed) == 0
    assert shown(made, disputed=frozenset()) == shown(said, made, disputed=disputed) == 1


def test_a_topic_that_goes_on_again_names_retraction_and_grant() -> None:
    void = replace(out(90, scope=OFFERS, system="crm", record="r1"), evidence={"shown_before": "wanted"})
    said = [grant(60, scope=OFFERS), void, retract(void)]
    (intent,) = shown_by(around(contact(1, topics={"T_OFFERS": False}), said={1: said}))

    assert (intent.rule, intent.causes) == (Rule.PUT_BACK, (retract(void).uid, said[0].uid))


# markers and proof


@pytest.mark.parametrize(
    ("said", "shows", "expected"),
    [
        ([HARD], None, True),
        ([HARD], True, None),
        ([], True, False),
        ([], None, None),
        ([], False, None),
        ([say(StatementKind.SOFT_BOUNCE, 10, scope="*")], None, None),
        ([say(StatementKind.SOFT_BOUNCE, n, scope="*") for n in range(10, 15)], None, True),
    ],
)
def test_the_marker_shows_whether_mail_arrives(
    said: list[Statement], shows: bool | None, expected: bool | None
) -> None:
    marks = shown_by(around(contact(1, fields={"BOUNCED": shows}), said={1: said}))

    assert [dict(i.after) for i in marks] == ([] if expected is None else [{"BOUNCED": expected}])
    assert shown_by(around(contact(1), said={1: said}), crm=replace(CRM, bounce=None)) == []


def test_the_newest_bounce_is_the_cause_of_the_mark() -> None:
    later = say(StatementKind.HARD_BOUNCE, 30, scope="*")
    (intent,) = shown_by(around(contact(1), said={1: [HARD, later]}))

    assert intent.causes == (later.uid,)


def given(**parts: Any) -> Statement:
    evidence = parts.pop("evidence", {})
    return replace(grant(**{"system": "mc", **parts}), evidence=evidence)


@pytest.mark.parametrize(
    ("said", "shows", "expected"),
    [
        (given(), None, {"CONSENT": "2026-06-01T11:00:00Z", "CONSENT_SOURCE": "mc"}),
        (given(system=None), None, {"CONSENT": "2026-06-01T11:00:00Z", "CONSENT_SOURCE": "link"}),
        (
            given(evidence={"consent_source": "fair", "consent_text": "I agree"}),
            None,
            {"CONSENT": "2026-06-01T11:00:00Z", "CONSENT_SOURCE": "fair", "CONSENT_TEXT": "I agree"},
        ),
        (given(), "2026-05-31", {"CONSENT": "2026-06-01T11:00:00Z", "CONSENT_SOURCE": "mc"}),
        (given(), "2026-06-01T10:59:59Z", {"CONSENT": "2026-06-01T11:00:00Z", "CONSENT_SOURCE": "mc"}),
        # what is there is as new, or no date at all: nothing that people typed is overwritten
        (given(), "2026-06-01", None),
        (given(), "2026-06-01T11:00:00Z", None),
        (given(), "2026-06-01T11:00:01Z", None),
        (given(), "soon", None),
        # it comes from there, or from nobody
        (given(system="crm"), None, None),
        (given(source=Source.LEGACY), None, None),
        (out(system="mc"), None, None),
    ],
)
def test_a_newer_proof_is_copied(said: Statement, shows: str | None, expected: dict[str, str] | None) -> None:
    found = around(contact(1, fields={"IN": True, "OUT": False, "CONSENT": shows}), said={1: [said]})
    copied = [i for i in shown_by(found) if i.kind is ChangeKind.GRANT]

    assert [dict(i.after) for i in copied] == ([expected] if expected else [])
    assert [i.before.get("CONSENT") for i in copied] == ([shows] if expected else [])


def test_proof_goes_only_into_fields_that_are_mapped() -> None:
    found = around(IN_BY_FLAG, said={1: [given(evidence={"consent_text": "I agree"})]})
    bare = replace(CRM, consent_source=None, consent_text=None)

    assert [dict(i.after) for i in shown_by(found, crm=bare)] == [{"CONSENT": "2026-06-01T11:00:00Z"}]
    assert shown_by(found, crm=replace(CRM, consent_date=None)) == []


def test_a_member_gets_neither_marker_nor_proof() -> None:
    there = replace(CRM, side=Side.ESP, opt_out=None, opt_in=None, topics=())

    assert shown_by(around(member(1), said={1: [given(), HARD]}), esp=there) == []


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (NOW, "2026-06-01T12:00:00Z"),
        (datetime.fromisoformat("2026-06-01T12:00:00.75+02:00"), "2026-06-01T10:00:00Z"),
    ],
)
@pytest.mark.usefixtures("far_east")
def test_a_moment_is_written_in_one_way(moment: datetime, expected: str) -> None:
    assert format_moment(moment) == expected


def test_only_a_grant_is_handed_over_as_evidence() -> None:
    said = given(evidence={"ip": "192.0.2.1", "consent_text": "I agree"})

    assert evidence_of(said) == GrantEvidence(at=before(60), ip="192.0.2.1", source=Source.LINK, text="I agree")
    assert (evidence_of(out()), evidence_of(None)) == (None, None)
