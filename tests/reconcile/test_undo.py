"""What is taken back of a change, and what both sides agree on then."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsync.model.change import ChangeKind, WriteKind
from optsync.model.link import Agreed, Link, Move
from optsync.model.record import Origin, Side, Status, Value
from optsync.model.scope import EVERYTHING
from optsync.model.statement import StatementKind
from optsync.reconcile.fields import FieldRule, merge
from optsync.reconcile.membership import couple, join
from optsync.reconcile.policy import Leave
from optsync.reconcile.rules import Rule
from optsync.reconcile.transforms import same
from optsync.reconcile.undo import (
    INSTEAD,
    Done,
    TakenBack,
    Why,
    is_undoable,
    no_longer_kept,
    take_back,
    why_not_return,
)
from optsync.reconcile.view import Intent, Point, Seen
from tests.reconcile.places import NOW, around, before, contact, grant, member, out, policy, say

NAME = FieldRule(crm="NAME", esp="FNAME")
LINK = Link(crm=1, esp=2, agreed={NAME.key: Agreed("new", "new")})
ANN = Point(key=1, address="p1@example.com", statements=(grant(),))
NO_ONE_ASKED = Point(key=1, address="p1@example.com")
GONE_OUT = Point(key=1, address="p1@example.com", statements=(grant(), out(30)))
ARCHIVED = Done(kind=ChangeKind.ARCHIVE, write=WriteKind.ARCHIVE, left=True)
RETURNED = Done(kind=ChangeKind.OPT_IN, write=WriteKind.STATUS, is_undo=True, left=False)
TAGGED = Done(kind=ChangeKind.ARCHIVE, write=WriteKind.TAG, tags={"left list": True}, left=True)
UNTAGGED = Done(kind=ChangeKind.ARCHIVE, write=WriteKind.TAG, tags={"left list": False}, left=False)


def copied(old: Value = "old", new: Value = "new", *, name: str = "FNAME", by: int = 1, **parts: Any) -> Done:
    return Done(
        kind=ChangeKind.FIELD,
        write=WriteKind.FIELDS,
        written={name: (old, new)},
        agreed=frozenset({NAME.key}),
        counterpart=by,
        **parts,
    )


def back(done: Done, seen: Seen | None, link: Link = LINK, point: Point = ANN) -> TakenBack:
    return take_back(done, seen, [link], point, policy(), now=NOW)


def why(found: TakenBack) -> list[Why]:
    assert found.intent is None
    return [each.why for each in found.stays]


@pytest.mark.parametrize("side", list(Side))
def test_a_field_goes_back_and_the_other_side_keeps_what_it_agreed_to(side: Side) -> None:
    is_esp = side is Side.ESP
    seen = member(2, fields={"FNAME": "new"}) if is_esp else contact(1, fields={"NAME": "new"})
    found = back(copied() if is_esp else copied(name="NAME", by=2), seen)
    assert found.intent is not None
    assert found.settled is not None
    assert found.intent.rule is Rule.UNDONE
    assert dict(found.intent.fields) == {"FNAME" if is_esp else "NAME": "old"}
    assert found.intent.status is None
    assert found.settled.agreed[NAME.key] == (Agreed("new", "old") if is_esp else Agreed("old", "new"))


def test_what_was_touched_since_stays_and_what_is_back_already_is_not_written_again() -> None:
    found = back(copied(), member(2, fields={"FNAME": "other"}))
    assert why(found) == [Why.TOUCHED]
    assert found.stays[0].names == ("FNAME",)
    assert back(copied(), member(2, fields={"FNAME": "old"})) == TakenBack()


def test_each_field_is_judged_for_itself() -> None:
    done = replace(copied(), written={"FNAME": ("old", "new"), "CITY": ("Riga", "Oslo")})
    found = back(done, member(2, fields={"FNAME": "new", "CITY": "Paris"}))
    assert found.intent is not None
    assert dict(found.intent.after) == {"FNAME": "old"}
    assert found.stays[0].names == ("CITY",)


def test_a_record_that_is_gone_stays_gone() -> None:
    assert why(back(copied(), None)) == [Why.GONE]
    assert why(back(copied(), member(2, is_gone=True))) == [Why.GONE]


def test_a_value_taken_back_by_a_person_is_no_bounce() -> None:
    link = replace(LINK, moves={NAME.key: Move(old="old", new="new", target=Side.ESP, at=NOW, bounces=1)})
    found = back(copied(), member(2, fields={"FNAME": "new"}), link)
    assert found.settled is not None
    assert found.settled.moves == {}


VALUES = st.none() | st.sampled_from(["a", "b", "c"])


@given(old=VALUES, new=VALUES, crm=VALUES, agreed_crm=VALUES)
def test_after_an_undo_only_a_change_since_then_travels(old: Value, new: Value, crm: Value, agreed_crm: Value) -> None:
    link = replace(LINK, agreed={NAME.key: Agreed(agreed_crm, new)})
    found = back(copied(old, new), member(2, fields={"FNAME": new}), link)
    if found.intent is None or found.settled is None:
        assert same(old, new)
        return
    verdict = merge(NAME, {"NAME": crm}, {"FNAME": found.intent.fields["FNAME"]}, found.settled.agreed[NAME.key])
    assert verdict.target is not Side.CRM
    assert verdict.target is None or not same(crm, agreed_crm)


# the place on the list


def test_an_archived_member_returns_only_while_the_person_is_in() -> None:
    there, link = member(2, status=Status.ARCHIVED), replace(LINK, left=True)
    found = back(ARCHIVED, there, link)
    assert found.intent is not None
    assert (found.intent.kind, found.intent.status, found.intent.left) == (ChangeKind.OPT_IN, Status.IN, False)
    assert why(back(ARCHIVED, there, link, GONE_OUT)) == [Why.NOT_IN]
    assert why(back(ARCHIVED, there, link, NO_ONE_ASKED)) == [Why.NOT_IN]


@pytest.mark.parametrize("status", [Status.OUT, Status.BOUNCED, Status.PENDING])
def test_a_member_that_somebody_moved_elsewhere_is_left_alone(status: Status) -> None:
    assert why(back(ARCHIVED, member(2, status=status), replace(LINK, left=True))) == [Why.TOUCHED]
    assert why(back(RETURNED, member(2, status=status), replace(LINK, is_kept=True))) == [Why.TOUCHED]


def test_a_member_archived_by_somebody_else_since_is_left_alone() -> None:
    assert why(back(ARCHIVED, member(2, status=Status.ARCHIVED), LINK)) == [Why.TOUCHED]


def test_a_return_that_was_undone_archives_again() -> None:
    found = back(RETURNED, member(2), replace(LINK, is_kept=True))
    assert found.intent is not None
    assert (found.intent.write, found.intent.status, found.intent.left) == (WriteKind.ARCHIVE, None, True)
    assert back(RETURNED, member(2, status=Status.ARCHIVED), replace(LINK, left=True)) == TakenBack()


def test_tags_are_turned_round_while_they_are_the_runs() -> None:
    taken = back(TAGGED, member(2), replace(LINK, left=True)).intent
    given_back = back(UNTAGGED, member(2), LINK).intent
    once_more = back(replace(UNTAGGED, is_undo=True), member(2), replace(LINK, is_kept=True)).intent
    assert taken is not None
    assert given_back is not None
    assert once_more is not None
    assert (dict(taken.tags), taken.left) == ({"left list": False}, False)
    assert (dict(given_back.tags), given_back.left) == ({"left list": True}, None)
    assert (dict(once_more.tags), once_more.left) == ({"left list": True}, True)
    assert back(TAGGED, member(2), replace(LINK, is_kept=True)) == TakenBack()
    assert why(back(TAGGED, member(2), LINK)) == [Why.TOUCHED]


@pytest.mark.parametrize("leave", [Leave.TAG, Leave.ARCHIVE])
def test_what_was_undone_is_not_done_again_before_the_person_belonged_to_the_list(leave: Leave) -> None:
    how = policy(has_list_scope=True, leave=leave)
    kept = replace(LINK, is_kept=True)
    away = around(contact(1), member(2), links=[kept])
    assert join(couple(away.points[1], away, how), away, how).intents == ()
    here = around(contact(1, lists={"letter"}), member(2), links=[kept])
    decided = join(couple(here.points[1], here, how), here, how)
    assert decided.intents == ()
    assert [link.is_kept for link in decided.settled] == [False]


# whole


def kept(found: TakenBack) -> Intent:
    assert found.intent is not None
    return found.intent


PLACE: dict[str, Any] = {
    "system": "mc",
    "collection": "list",
    "record": 2,
    "point": 1,
    "rule": Rule.UNDONE,
    "address": "p1@example.com",
}
THERE = member(2, fields={"FNAME": "new"})
NAMELESS = replace(THERE, record=replace(THERE.record, addresses=()))


def test_a_field_that_is_taken_back_is_written_whole() -> None:
    expected = Intent(
        kind=ChangeKind.FIELD,
        write=WriteKind.FIELDS,
        before={"FNAME": "new"},
        after={"FNAME": "old"},
        fields={"FNAME": "old"},
        agreed={NAME.key: Agreed("new", "old")},
        counterpart=1,
        **PLACE,
    )

    assert kept(back(copied(), THERE)) == expected
    assert kept(back(copied(), NAMELESS)) == replace(expected, address=None)


@pytest.mark.parametrize(
    ("links", "done"),
    [
        ([], copied()),
        ([Link(crm=7, esp=2, agreed=LINK.agreed)], copied()),
        ([replace(LINK, agreed={})], copied()),
        ([LINK], replace(copied(), agreed=frozenset())),
    ],
)
def test_a_field_on_which_nobody_agreed_is_taken_back_alone(links: list[Link], done: Done) -> None:
    found = take_back(done, THERE, links, ANN, policy(), now=NOW)

    assert (kept(found).after, kept(found).agreed, kept(found).counterpart) == ({"FNAME": "old"}, {}, None)
    assert found.settled is None


def test_only_what_is_taken_back_is_agreed_anew() -> None:
    city = FieldRule(crm="CITY", esp="TOWN")
    agreed = {NAME.key: Agreed("new", "new"), city.key: Agreed("x", "x")}
    done = replace(copied(), agreed=frozenset({NAME.key, city.key}))
    found = take_back(done, THERE, [replace(LINK, agreed=agreed)], ANN, policy(fields=(NAME, city)), now=NOW)

    assert set(kept(found).agreed) == {NAME.key}
    assert found.settled == replace(LINK, agreed={**agreed, NAME.key: Agreed("new", "old")})
    unagreed = replace(done, agreed=frozenset({city.key}))
    assert kept(take_back(unagreed, THERE, [replace(LINK, agreed=agreed)], ANN, policy(), now=NOW)).agreed == {}


def test_a_write_that_changed_nothing_is_nothing_to_take_back() -> None:
    assert back(copied("new", "new "), THERE) == TakenBack()


def test_a_record_that_is_gone_names_what_stays() -> None:
    done = replace(copied(), written={"TOWN": ("a", "b"), "FNAME": ("a", "b")})

    assert back(done, None).stays[0].names == ("FNAME", "TOWN")


@pytest.mark.parametrize(
    ("done", "status", "link", "expected"),
    [
        (
            ARCHIVED,
            Status.ARCHIVED,
            replace(LINK, left=True),
            {
                "kind": ChangeKind.OPT_IN,
                "write": WriteKind.STATUS,
                "before": {"status": Status.ARCHIVED},
                "after": {"status": Status.IN},
                "status": Status.IN,
                "left": False,
            },
        ),
        (
            RETURNED,
            Status.IN,
            replace(LINK, is_kept=True),
            {
                "kind": ChangeKind.ARCHIVE,
                "write": WriteKind.ARCHIVE,
                "before": {"status": Status.IN},
                "after": {"status": Status.ARCHIVED},
                "left": True,
            },
        ),
        (
            TAGGED,
            Status.IN,
            replace(LINK, left=True),
            {
                "kind": ChangeKind.ARCHIVE,
                "write": WriteKind.TAG,
                "before": {"tag": "left list"},
                "after": {"tag": None},
                "tags": {"left list": False},
                "left": False,
            },
        ),
        (
            replace(UNTAGGED, tags={"left list": False, "inactive": False, "new": True}),
            Status.IN,
            LINK,
            {
                "kind": ChangeKind.ARCHIVE,
                "write": WriteKind.TAG,
                "before": {"tag": "new"},
                "after": {"tag": "inactive, left list"},
                "tags": {"left list": True, "inactive": True, "new": False},
            },
        ),
        (
            replace(TAGGED, tags={"left list": True, "inactive": True}),
            Status.IN,
            replace(LINK, left=True),
            {
                "kind": ChangeKind.ARCHIVE,
                "write": WriteKind.TAG,
                "before": {"tag": "inactive, left list"},
                "after": {"tag": None},
                "tags": {"left list": False, "inactive": False},
                "left": False,
            },
        ),
    ],
)
def test_a_place_on_the_list_is_taken_back_whole(
    done: Done, status: Status, link: Link, expected: dict[str, Any]
) -> None:
    shows = member(2, status=status)
    nameless = replace(shows, record=replace(shows.record, addresses=()))

    assert kept(back(done, shows, link)) == Intent(**{**PLACE, **expected})
    assert kept(back(done, nameless, link)) == Intent(**{**PLACE, "address": None, **expected})


def test_a_place_that_no_link_remembers_is_what_the_record_shows() -> None:
    """An archive for another reason than the list: the record alone tells."""
    done = replace(ARCHIVED, left=None)

    assert (kept(back(done, member(2, status=Status.ARCHIVED))).status, done.left) == (Status.IN, None)
    assert kept(back(replace(TAGGED, left=None), member(2))).tags == {"left list": False}
    assert back(replace(UNTAGGED, is_undo=True), member(2), replace(LINK, left=True)) == TakenBack()
    assert why(back(replace(UNTAGGED, is_undo=True), member(2), LINK)) == [Why.TOUCHED]
    assert why(back(UNTAGGED, member(2), replace(LINK, left=True))) == [Why.TOUCHED]


LEAVER = replace(ANN, statements=(out(90, system="mc", is_personal=True), grant(30, system="crm")))


def test_who_left_by_themself_is_not_put_back_on_the_list() -> None:
    shows, link = member(2, status=Status.ARCHIVED), replace(LINK, left=True)
    told = before(10)

    assert why(back(ARCHIVED, shows, link, LEAVER)) == [Why.NEEDS_CONFIRMATION]
    assert why(take_back(ARCHIVED, shows, [link], ANN, policy(), now=NOW, told=told)) == [Why.NEEDS_CONFIRMATION]
    assert kept(back(RETURNED, member(2), replace(LINK, is_kept=True), LEAVER)).left is True
    left_there = member(2, status=Status.OUT, origin=Origin.PERSON).record
    assert why_not_return(ANN, left_there, None, policy(), NOW) is Why.NEEDS_CONFIRMATION
    assert why_not_return(ANN, None, None, policy(), NOW) is None
    assert why_not_return(ANN, None, told, policy(), NOW) is Why.NEEDS_CONFIRMATION
    assert why_not_return(NO_ONE_ASKED, None, None, policy(), NOW) is Why.NOT_IN
    unreached = replace(ANN, statements=(grant(), say(StatementKind.HARD_BOUNCE, 30, scope=EVERYTHING)))
    assert why_not_return(unreached, None, None, policy(), NOW) is Why.UNDELIVERABLE


@pytest.mark.parametrize(("ages", "is_reached"), [((10, 20), False), ((10, 90_000), True), ((10,), True)])
def test_nobody_returns_to_the_list_whom_no_mail_has_reached_of_late(ages: tuple[float, ...], is_reached: bool) -> None:
    bounces = [say(StatementKind.SOFT_BOUNCE, at, scope=EVERYTHING) for at in ages]
    person, how = replace(ANN, statements=(grant(100_000), *bounces)), policy(soft_limit=2)
    shows, link = member(2, status=Status.ARCHIVED), replace(LINK, left=True)

    found = take_back(ARCHIVED, shows, [link], person, how, now=NOW)
    assert why_not_return(person, shows.record, None, how, NOW) is (None if is_reached else Why.UNDELIVERABLE)
    assert [each.why for each in found.stays] == ([] if is_reached else [Why.UNDELIVERABLE])
    assert (found.intent is not None) is is_reached


def test_only_links_of_this_member_that_were_kept_are_freed() -> None:
    links = [replace(LINK, is_kept=True), Link(crm=3, esp=2), Link(crm=3, esp=4, is_kept=True)]
    found = around(links=links)

    assert no_longer_kept([], member(2), found) == (LINK,)
    settled = Link(crm=5, esp=2, is_kept=True)
    assert no_longer_kept([settled, replace(LINK, point=1)], member(2), found) == (
        replace(LINK, point=1),
        replace(settled, is_kept=False),
    )
    assert no_longer_kept([settled], member(2), around()) == (replace(settled, is_kept=False),)


# what can be undone


@pytest.mark.parametrize(
    ("kind", "write", "is_undo", "expected"),
    [
        (ChangeKind.FIELD, WriteKind.FIELDS, False, True),
        (ChangeKind.ARCHIVE, WriteKind.TAG, False, True),
        (ChangeKind.ARCHIVE, WriteKind.ARCHIVE, False, True),
        (ChangeKind.OPT_IN, WriteKind.STATUS, True, True),
        (ChangeKind.OPT_IN, WriteKind.STATUS, False, False),
        (ChangeKind.TOPIC, WriteKind.TOPICS, True, False),
        (ChangeKind.OPT_OUT, WriteKind.STATUS, False, False),
    ],
)
def test_fields_and_places_on_the_list_can_be_undone(
    kind: ChangeKind, write: WriteKind, is_undo: bool, expected: bool
) -> None:
    assert is_undoable(kind, write, is_undo=is_undo) is expected


def test_whatever_cannot_be_undone_has_a_word_on_what_to_do_instead() -> None:
    roads = dict.fromkeys(ChangeKind, WriteKind.STATUS) | {ChangeKind.FIELD: WriteKind.FIELDS}
    for kind, write in roads.items():
        assert is_undoable(kind, write, is_undo=False) is (kind not in INSTEAD)
