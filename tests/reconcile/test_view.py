"""What the reconciler looks at, and how it names a change."""

from dataclasses import replace
from datetime import timedelta
from hashlib import blake2b
from typing import Any

import pytest

from optsync.model.change import ChangeKind, WriteKind
from optsync.model.scope import Kind, Purpose
from optsync.model.statement import StatementKind
from optsync.reconcile.consent import Deliverability, Wish
from optsync.reconcile.rules import Rule
from optsync.reconcile.view import Intent, Point, is_in_list, spelled
from tests.reconcile.places import (
    CRM,
    ESP,
    OFFERS,
    SCOPE,
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

UNMAPPED = policy(crm=replace(CRM, topics=()), esp=replace(ESP, topics=()))
INTENT = Intent(
    kind=ChangeKind.OPT_OUT,
    write=WriteKind.STATUS,
    system="mc",
    collection="list",
    record=2,
    point=1,
    rule=Rule.OUT_TRAVELS,
    causes=("u1", "u2"),
)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({}, "mc|list|2|opt_out|u1,u2|"),
        ({"record": None}, "mc|list|point 1|opt_out|u1,u2|"),
        ({"record": 0}, "mc|list|0|opt_out|u1,u2|"),
        ({"causes": ()}, "mc|list|2|opt_out||"),
        ({"fields": {"OUT": True}}, "mc|list|2|opt_out|u1,u2|"),
        (
            {"kind": ChangeKind.FIELD, "causes": (), "fields": {"B": 1, "A": "z", "C": None}},
            "mc|list|2|field||[('A', 'z'), ('B', 1), ('C', None)]",
        ),
        ({"kind": ChangeKind.RENAME, "causes": (), "address": "a@example.com"}, "mc|list|2|rename||a@example.com"),
        ({"kind": ChangeKind.ARCHIVE, "causes": (), "rule": Rule.LEFT_LIST}, "mc|list|2|archive||left_list"),
        ({"kind": ChangeKind.ARCHIVE, "causes": (), "rule": Rule.INACTIVE}, "mc|list|2|archive||inactive"),
        (
            {"kind": ChangeKind.ARCHIVE, "write": WriteKind.TAG, "causes": (), "rule": Rule.INACTIVE},
            "mc|list|2|archive||inactive tag",
        ),
    ],
)
def test_a_refused_wish_is_known_again_by_its_name_in_every_release(parts: dict[str, Any], expected: str) -> None:
    digest = blake2b(expected.encode(), digest_size=16).hexdigest()
    assert replace(INTENT, **parts).fingerprint == digest


def point(*said: Any) -> Point:
    return Point(key=1, address="ann@example.com", statements=said)


def test_a_point_stands_by_the_policys_tolerance() -> None:
    said = point(out(90, clock="mc"), grant(80, clock="crm"))

    assert said.standing(SCOPE, policy()).wish is Wish.IN
    assert said.standing(SCOPE, policy(clock_tolerance=timedelta(minutes=11))).wish is Wish.OUT


def test_a_no_to_more_than_a_transactional_purpose_does_not_count_for_it() -> None:
    service = policy(purpose=Purpose(scope=SCOPE, kind=Kind.TRANSACTIONAL))
    said = point(out(10, scope="*"), say(StatementKind.COMPLAINT, 10, scope="acme"), grant(60))

    assert said.standing(SCOPE, policy()).wish is Wish.OUT
    assert said.standing(SCOPE, service).wish is Wish.IN
    assert point(out(10)).standing(SCOPE, service).wish is Wish.OUT


def test_a_topic_inherits_its_purpose_unless_it_needs_its_own() -> None:
    assert point(grant()).standing(OFFERS, UNMAPPED).wish is Wish.IN
    assert point(grant()).standing(OFFERS, policy()).wish is Wish.UNKNOWN


def test_a_topics_own_standing_is_what_was_said_about_exactly_it() -> None:
    off = out(90, scope=OFFERS, clock="mc")

    assert point(grant(), out(20)).topic_standing(OFFERS, policy()).wish is Wish.UNKNOWN
    assert point(off).topic_standing(OFFERS, policy()).wish is Wish.OUT
    assert point(off, retract(off)).topic_standing(OFFERS, policy()).wish is Wish.UNKNOWN
    back = point(off, grant(80, scope=OFFERS, clock="crm"))
    assert back.topic_standing(OFFERS, policy()).wish is Wish.IN
    assert back.topic_standing(OFFERS, policy(clock_tolerance=timedelta(minutes=11))).wish is Wish.OUT


def test_what_one_question_found_is_no_answer_to_another() -> None:
    asked = point(grant(), out(90, clock="mc"), grant(80, clock="crm"))
    wide = policy(clock_tolerance=timedelta(minutes=100))
    for _ in range(2):
        assert asked.standing(OFFERS, UNMAPPED).wish is Wish.IN
        assert asked.standing(OFFERS, policy()).wish is Wish.UNKNOWN
        assert asked.topic_standing(OFFERS, policy()).wish is Wish.UNKNOWN
        assert asked.standing(SCOPE, policy()).wish is Wish.IN
        assert asked.standing(SCOPE, wide).wish is Wish.OUT
        assert asked.topic_standing(SCOPE, wide).wish is Wish.OUT

    assert asked.standing(SCOPE, policy()) is asked.standing(SCOPE, policy())
    assert asked.topic_standing(SCOPE, policy()) is asked.topic_standing(SCOPE, policy())
    assert replace(asked, statements=()).standing(SCOPE, policy()).wish is Wish.UNKNOWN


def test_soft_bounces_count_within_the_policys_window() -> None:
    said = point(*(say(StatementKind.SOFT_BOUNCE, at, scope="*") for at in (10, 20, 100)))
    now = before(0)

    assert said.mailbox(now, policy(soft_limit=3)) is Deliverability.HARD
    assert said.mailbox(now, policy(soft_limit=3, soft_within=timedelta(minutes=50))) is Deliverability.SOFT
    assert said.mailbox(now + timedelta(days=31), policy(soft_limit=3)) is Deliverability.OK


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (("Ann@Example.com",), "Ann@Example.com"),
        (("bob@example.com", "nonsense", " Ann@example.com "), "Ann@example.com"),
        (("bob@example.com",), "ann@example.com"),
        ((), "ann@example.com"),
    ],
)
def test_an_address_is_spelled_as_the_record_spells_it(addresses: tuple[str, ...], expected: str) -> None:
    seen = contact(1)

    assert spelled(point(), replace(seen, record=replace(seen.record, addresses=addresses))) == expected


def test_records_are_found_by_their_primary_point() -> None:
    first, second, third = contact(1, (1, 2)), member(2, (1,)), contact(3, ())
    found = around(first, second, third)

    assert found.by_primary == {1: [first, second]}
    assert (first.primary, third.primary) == (1, None)


@pytest.mark.parametrize(
    ("has_scope", "lists", "expected"),
    [(False, set(), True), (True, {"letter"}, True), (True, {"other"}, False), (True, set(), False)],
)
def test_who_belongs_to_the_list(has_scope: bool, lists: set[str], expected: bool) -> None:
    assert is_in_list(contact(1, lists=frozenset(lists)), policy(has_list_scope=has_scope)) is expected
