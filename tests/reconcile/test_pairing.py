"""The mapped fields of two joined records: what is remembered, and what a person is asked."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from optsync.model.change import ChangeKind
from optsync.model.link import Agreed, Link, Move
from optsync.model.record import Side, Status
from optsync.model.statement import Statement
from optsync.reconcile.fields import Conflict, FieldRule
from optsync.reconcile.pairing import fields_flow, is_withheld, pair_fields
from optsync.reconcile.rules import Rule
from optsync.reconcile.transforms import Transform
from optsync.reconcile.view import Decision, Point, Question, Seen
from tests.reconcile.places import NOW, around, contact, grant, member, out, policy

NAME, CITY = FieldRule(crm="NAME", esp="FNAME"), FieldRule(crm="CITY", esp="TOWN")
BOTH: dict[str, Any] = {"fields": (NAME, CITY)}
JOINED = Link(crm=1, esp=2, point=1)
SAME = Agreed("a", "a")
HERE = Point(key=1, address="p1@example.com", statements=(grant(),))


def about_to(old: str | None, new: str) -> Move:
    return Move(old=old, new=new, target=Side.ESP, at=NOW)


def paired(crm: dict[str, Any], esp: dict[str, Any], *links: Link, point: Point = HERE, **how: Any) -> Decision:
    owner, there = contact(1, fields=crm), member(2, fields=esp)
    return pair_fields(point, owner, there, around(owner, there, links=links), policy(**how))


@pytest.mark.parametrize(
    ("links", "values", "expected"),
    [
        ((), ("a", "a"), replace(JOINED, agreed={NAME.key: SAME})),
        ((Link(crm=1, esp=2),), ("a", "a"), replace(JOINED, agreed={NAME.key: SAME})),
        ((Link(crm=1, esp=2, point=7),), ("a", "a"), replace(JOINED, agreed={NAME.key: SAME})),
        ((replace(JOINED, agreed={NAME.key: SAME}),), ("a", "a"), None),
        (
            (replace(JOINED, agreed={NAME.key: SAME}),),
            ("b", "a"),
            replace(JOINED, agreed={NAME.key: SAME}, moves={NAME.key: about_to("a", "b")}),
        ),
        ((replace(JOINED, agreed={NAME.key: SAME}),), ("b", "b"), replace(JOINED, agreed={NAME.key: Agreed("b", "b")})),
        ((), ("b", "a"), replace(JOINED, moves={NAME.key: about_to(None, "b")})),
    ],
)
def test_a_link_is_remembered_where_it_is_news(
    links: tuple[Link, ...], values: tuple[str, str], expected: Link | None
) -> None:
    found = paired({"NAME": values[0]}, {"FNAME": values[1]}, *links)

    assert found.settled == ((expected,) if expected else ())


@pytest.mark.parametrize(
    ("was", "frozen", "expected"),
    [
        ({NAME.key: SAME}, (), {NAME.key: Agreed("b", "b")}),
        ({NAME.key: Agreed("b", "b")}, (), None),
        ({NAME.key: SAME}, (NAME.key,), None),
        ({}, (), {NAME.key: Agreed("b", "b")}),
        ({NAME.key: SAME, CITY.key: Agreed("x", "x")}, (), {NAME.key: Agreed("b", "b"), CITY.key: Agreed("x", "x")}),
    ],
)
def test_what_both_show_alike_is_agreed_on_although_the_person_is_out_and_nothing_flows(
    was: dict[str, Agreed], frozen: tuple[str, ...], expected: dict[str, Agreed] | None
) -> None:
    link, gone = replace(JOINED, agreed=was, frozen=frozenset(frozen)), replace(HERE, statements=(out(),))
    found = paired({"NAME": "b", "CITY": "y"}, {"FNAME": "b", "TOWN": "z"}, link, point=gone, **BOTH)

    assert found.intents == ()
    assert found.settled == ((replace(link, agreed=expected),) if expected else ())


def test_what_another_holder_agreed_on_before_is_forgotten_and_nothing_else_of_it() -> None:
    moves = {NAME.key: about_to("b", "a")}
    mine = replace(JOINED, agreed={NAME.key: SAME})
    other = Link(crm=7, esp=2, agreed={NAME.key: SAME}, moves=moves, left=True)

    assert paired({"NAME": "a"}, {"FNAME": "a"}, mine, other).settled == (replace(other, agreed={}, moves={}),)
    assert paired({"NAME": "a"}, {"FNAME": "a"}, mine, replace(other, agreed={})).settled == ()
    assert paired({"NAME": "a"}, {"FNAME": "a"}, mine, replace(other, esp=9)).settled == ()


def test_two_who_are_apart_are_not_remembered_as_joined_at_an_address() -> None:
    owner, there = contact(1, (5,), fields={"NAME": "a"}), member(2, fields={"FNAME": "a"})

    for known in (None, 1):
        link = Link(crm=1, esp=2, point=known)
        found = pair_fields(HERE, owner, there, around(owner, there, links=[link]), policy())
        assert [k.point for k in found.settled] == [known]


@pytest.mark.parametrize(
    ("status", "said", "how", "flows"),
    [
        (Status.IN, [grant()], {}, True),
        (Status.OUT, [], {}, True),
        (Status.OUT, [out()], {}, False),
        (Status.OUT, [out()], {"fields_after_opt_out": True}, True),
        (Status.ARCHIVED, [grant()], {"fields_after_opt_out": True}, False),
        (Status.ABSENT, [grant()], {}, False),
    ],
)
def test_fields_go_on_until_somebody_is_out_or_off_the_list(
    status: Status, said: list[Statement], how: dict[str, Any], flows: bool
) -> None:
    here = replace(HERE, statements=tuple(said))
    there = member(2, (1,), status, fields={"FNAME": "a"})
    owner = contact(1, fields={"NAME": "b"})
    found = pair_fields(here, owner, there, around(owner, there), policy(**how))

    assert fields_flow(here, there, policy(**how)) is flows
    assert [i.kind for i in found.intents] == ([ChangeKind.FIELD] if flows else [])
    assert found.settled == (replace(JOINED, moves={NAME.key: about_to(None, "b")} if flows else {}),)
    again = pair_fields(here, owner, there, around(owner, there, links=found.settled), policy(**how))
    assert again.settled == ()


def test_what_both_sides_changed_is_written_to_each_in_one_change() -> None:
    agreed = {NAME.key: SAME, CITY.key: SAME}
    found = paired({"NAME": "b", "CITY": "a"}, {"FNAME": "a", "TOWN": "c"}, replace(JOINED, agreed=agreed), **BOTH)

    assert [(i.system, dict(i.before), dict(i.after), i.rule) for i in found.intents] == [
        ("crm", {"CITY": "a"}, {"CITY": "c"}, Rule.ONE_SIDE_CHANGED),
        ("mc", {"FNAME": "a"}, {"FNAME": "b"}, Rule.ONE_SIDE_CHANGED),
    ]


def test_a_field_that_is_refused_is_not_written_again() -> None:
    (intent,) = paired({"NAME": "b"}, {"FNAME": "a"}).intents
    owner, there = contact(1, fields={"NAME": "b"}), member(2, fields={"FNAME": "a"})
    blocked = around(owner, there, blocked=frozenset({intent.fingerprint}))

    assert pair_fields(HERE, owner, there, blocked, policy()).intents == ()


def test_a_record_without_an_address_gets_its_fields_too() -> None:
    def written(owner: Seen) -> list[str | None]:
        there = member(2, fields={"FNAME": "a"})
        esp_wins = policy(fields=(replace(NAME, conflict=Conflict.ESP),))
        return [i.address for i in pair_fields(HERE, owner, there, around(owner, there), esp_wins).intents]

    owner = contact(1, fields={"NAME": "b"})
    assert written(owner) == ["p1@example.com"]
    assert written(replace(owner, record=replace(owner.record, addresses=()))) == [None]


# what is not kept, since it names somebody who was forgotten

READING = replace(NAME, transform=Transform(lambda value, _: value, reads_others=True))


def sharing(**values: str | None) -> Seen:
    """A record that somebody else shares, at the second of its addresses."""
    seen = contact(1, (1, 7))
    return replace(seen, record=replace(seen.record, fields=values))


@pytest.mark.parametrize(
    ("rule", "owner", "expected"),
    [
        (NAME, sharing(NAME=None, CITY="x"), True),
        (NAME, sharing(CITY="x"), True),
        (NAME, sharing(NAME="b", CITY="x"), False),
        (NAME, sharing(NAME="b", CITY=None), False),
        (NAME, sharing(NAME="", CITY="x"), False),
        (READING, sharing(NAME="b", CITY="x"), False),
        (READING, sharing(NAME="b", CITY=None), True),
        (READING, sharing(NAME=None), True),
    ],
)
def test_a_blank_is_withheld_where_somebody_forgotten_shares_the_record(
    rule: FieldRule, owner: Seen, expected: bool
) -> None:
    for erased in (1, 7, None):
        found = around(owner)
        points = {key: replace(point, is_forgotten=key == erased) for key, point in found.points.items()}
        assert is_withheld(rule, owner, replace(found, points=points)) is (expected and erased is not None)


def test_a_field_that_is_withheld_does_not_hide_the_next() -> None:
    owner, there = sharing(NAME=None, CITY="x"), member(2, fields={"FNAME": "a", "TOWN": None})
    found = around(owner, there)
    found = replace(found, points={**found.points, 7: replace(found.points[7], is_forgotten=True)})

    decided = pair_fields(HERE, owner, there, found, policy(**BOTH))
    assert [(i.record, dict(i.after)) for i in decided.intents] == [(2, {"TOWN": "x"})]


# what a person is asked

CONFLICT = Question(
    kind="field_conflict",
    record=1,
    point=1,
    field="NAME",
    message="both sides changed this field and differ; the sync asks for review: make both equal, "
    "or dismiss this to leave them as they are",
    values={"crm": "b", "esp": "c"},
)


def test_a_conflict_for_review_is_asked_and_nothing_is_written_or_agreed() -> None:
    review = (replace(NAME, conflict=Conflict.REVIEW), CITY)
    found = paired(
        {"NAME": "b", "CITY": "x"}, {"FNAME": "c", "TOWN": "x"}, replace(JOINED, agreed={NAME.key: SAME}), fields=review
    )

    assert (found.questions, found.intents) == ((CONFLICT,), ())
    assert found.settled == (replace(JOINED, agreed={NAME.key: SAME, CITY.key: Agreed("x", "x")}),)


def bouncing(bounces: int) -> Link:
    """The name went from "b" to "a" in the CRM, and is about to go back to "b" there."""
    last = Move(old="b", new="a", target=Side.CRM, at=NOW - timedelta(days=1), bounces=bounces)
    return replace(JOINED, agreed={NAME.key: SAME}, moves={NAME.key: last})


def test_a_value_that_keeps_bouncing_is_frozen_and_asked_about_and_the_next_field_goes_on() -> None:
    values: tuple[dict[str, Any], dict[str, Any]] = ({"NAME": "b", "CITY": "x"}, {"FNAME": "a", "TOWN": None})
    few, many = (paired(*values, bouncing(n), **BOTH) for n in (0, 20))

    assert [dict(i.after) for i in few.intents] == [{"FNAME": "b", "TOWN": "x"}]
    assert few.questions == ()
    assert [dict(i.after) for i in many.intents] == [{"TOWN": "x"}]
    assert many.questions == (
        replace(
            CONFLICT,
            kind="oscillation",
            message="this value keeps bouncing between two forms: something on each side takes the other's back; it "
            "is frozen until both sides show the same",
            values={"crm": "b", "esp": "a"},
        ),
    )
    assert [k.frozen for k in many.settled] == [frozenset({NAME.key})]
    assert [sorted(k.moves) for k in many.settled] == [[CITY.key, NAME.key]]


def test_what_is_frozen_is_left_alone_until_both_show_the_same() -> None:
    frozen = replace(bouncing(20), frozen=frozenset({NAME.key, "OLD=OLD"}))
    still = paired({"NAME": "b", "CITY": "x"}, {"FNAME": "a", "TOWN": None}, frozen, **BOTH)
    thawed = paired({"NAME": "b"}, {"FNAME": "b"}, frozen)

    assert [dict(i.after) for i in still.intents] == [{"TOWN": "x"}]
    assert thawed.settled == (
        replace(frozen, frozen=frozenset({"OLD=OLD"}), moves={}, agreed={NAME.key: Agreed("b", "b")}),
    )
    unmoved = paired({"NAME": "b"}, {"FNAME": "b"}, replace(frozen, moves={}))
    assert unmoved.settled[0].moves == {}


def test_what_is_frozen_thaws_too_when_an_undo_has_forgotten_its_moves_and_agreed_on_the_same() -> None:
    frozen = replace(JOINED, agreed={NAME.key: SAME}, frozen=frozenset({NAME.key}))

    assert paired({"NAME": "a"}, {"FNAME": "a"}, frozen).settled == (replace(frozen, frozen=frozenset()),)
