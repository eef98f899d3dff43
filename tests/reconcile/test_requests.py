"""What became of a request, when it ends, and what keeps a valid opt-in from the platform."""

from dataclasses import replace
from typing import Any

import pytest

from optsync.model.change import ChangeKind, WriteKind
from optsync.model.record import Origin, Status
from optsync.model.statement import OUR_CLOCK, Source, Statement, StatementKind, Strength, state
from optsync.reconcile.asking import (
    Answer,
    Request,
    ask,
    enters_asked,
    expired,
    has_open,
    hindrance,
    kept_back,
    must_confirm,
    of_change,
    refused,
    request,
    sent,
    stated,
    to_confirm,
    why_not_ask,
)
from optsync.reconcile.policy import Enter
from optsync.reconcile.rules import Rule
from optsync.reconcile.view import Intent, Point, Question, Seen
from tests.reconcile.places import NOW, OFFERS, SCOPE, around, before, contact, grant, member, out, policy, say


def asked(minutes: float = 60, *, scope: str = SCOPE, change: int = 1, **parts: Any) -> Statement:
    usual: dict[str, Any] = {"system": "mc", "collection": "list", "grant": None}
    return stated(scope, change=change, at=before(minutes), **{**usual, **parts})


def ended(request_: Statement, minutes: float = 30) -> Statement:
    return say(StatementKind.REQUEST_EXPIRED, minutes, scope=request_.scope, target=request_.uid, system="mc")


def point(*said: Statement) -> Point:
    return Point(key=1, address="p1@example.com", statements=said)


ASKED, EARLIER = asked(), asked(120, change=2)
CLICK = grant(30, system="mc")
COMPLAINT = say(StatementKind.COMPLAINT, 30, system="mc", is_personal=True)
REFUSED = refused(ASKED, fact="banned", at=before(50))
LEFT = out(90, system="mc", clock="mc", is_personal=True)
AGAIN = grant(30, system="crm")


# what became of it


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([], Request(Answer.NEVER)),
        ([grant(), asked(scope=OFFERS), asked(scope="acme")], Request(Answer.NEVER)),
        ([ASKED], Request(Answer.WAITING, ASKED)),
        ([EARLIER, ASKED], Request(Answer.WAITING, ASKED)),
        ([ASKED, CLICK], Request(Answer.CONFIRMED, ASKED, CLICK)),
        ([ASKED, CLICK, grant(20, system="mc")], Request(Answer.CONFIRMED, ASKED, CLICK)),
        ([ASKED, ended(ASKED, 40), CLICK], Request(Answer.CONFIRMED, ASKED, CLICK)),
        ([ASKED, grant(30, system="crm")], Request(Answer.WAITING, ASKED)),
        ([ASKED, grant(30, system="mc", scope="beta")], Request(Answer.WAITING, ASKED)),
        ([ASKED, grant(70, system="mc", seen_at=before(61))], Request(Answer.WAITING, ASKED)),
        ([ASKED, ended(ASKED)], Request(Answer.NO_ANSWER, ASKED, ended(ASKED))),
        ([ASKED, ended(ASKED), out(20)], Request(Answer.NO_ANSWER, ASKED, ended(ASKED))),
        ([ASKED, ended(EARLIER)], Request(Answer.WAITING, ASKED)),
        ([ASKED, REFUSED], Request(Answer.REFUSED, ASKED, REFUSED)),
        ([ASKED, out(30)], Request(Answer.OPTED_OUT, ASKED, out(30))),
        ([ASKED, COMPLAINT], Request(Answer.OPTED_OUT, ASKED, COMPLAINT)),
        ([ASKED, out(30), out(20)], Request(Answer.OPTED_OUT, ASKED, out(30))),
        ([ASKED, out(30, scope="*")], Request(Answer.OPTED_OUT, ASKED, out(30, scope="*"))),
        ([ASKED, out(30, scope=OFFERS)], Request(Answer.WAITING, ASKED)),
        ([ASKED, out(90, seen_at=before(61))], Request(Answer.WAITING, ASKED)),
        ([ASKED, out(90, seen_at=before(60))], Request(Answer.OPTED_OUT, ASKED, out(90, seen_at=before(60)))),
    ],
)
def test_a_request_has_one_answer(said: list[Statement], expected: Request) -> None:
    assert request(said, SCOPE) == expected
    assert has_open(said, SCOPE) == (expected.asked if expected.answer is Answer.WAITING else None)


def test_only_a_refusal_has_a_fact() -> None:
    assert request([ASKED, REFUSED], SCOPE).fact == "banned"
    assert request([ASKED, ended(ASKED)], SCOPE).fact is None
    assert replace(request([ASKED, REFUSED], SCOPE), answer=Answer.NO_ANSWER).fact is None
    assert request([ASKED], SCOPE).fact is None


def test_what_certainly_never_left_was_not_sent() -> None:
    never_left = kept_back(EARLIER, at=before(119))

    assert sent([ASKED, EARLIER, grant(), asked(scope=OFFERS)], SCOPE) == (EARLIER, ASKED)
    assert sent([ASKED, EARLIER, never_left, ended(ASKED)], SCOPE) == (ASKED,)


def test_a_request_and_its_ends_are_stated_whole() -> None:
    usual: dict[str, Any] = {"scope": SCOPE, "clock": OUR_CLOCK, "source": Source.API, "system": "mc"}
    end: dict[str, Any] = {**usual, "kind": StatementKind.REQUEST_EXPIRED, "at": NOW, "seen_at": NOW}

    assert asked(grant="g", change=7) == state(
        kind=StatementKind.REQUEST,
        at=before(60),
        seen_at=before(60),
        target="g",
        evidence={"collection": "list", "change": "7"},
        **usual,
    )
    assert refused(ASKED, fact="banned", at=NOW) == state(
        reason="refused: banned", target=ASKED.uid, evidence={"fact": "banned"}, **end
    )
    assert kept_back(ASKED, at=NOW) == state(reason="not sent", target=ASKED.uid, evidence={"not_sent": "yes"}, **end)
    assert kept_back(ASKED, at=NOW, reason="closed").reason == "closed"
    found = around(said={1: [ASKED]})
    assert expired([1], found, policy())[0] == [(1, state(reason="no answer", target=ASKED.uid, **end))]


def test_a_change_finds_its_request() -> None:
    other = say(StatementKind.GRANT, evidence={"change": "1"})

    assert of_change([other, EARLIER, ASKED], 1) == ASKED
    assert of_change([other, EARLIER], 1) is None


@pytest.mark.parametrize(
    ("said", "seen", "outcome"),
    [
        ([ASKED], [], "ended"),
        ([ASKED], [contact(3)], "ended"),
        ([ASKED], [member(2, (1,), Status.OUT)], "ended"),
        ([ASKED], [member(2, (1,), Status.PENDING)], "stands"),
        ([ASKED], [member(2)], "stands"),
        ([ASKED], [member(2, is_gone=True)], "ended"),
        ([ASKED], [member(2, (5,))], "ended"),
        ([asked(10)], [], "ended"),
        ([asked(9.9)], [], "waits"),
        ([ASKED, ended(ASKED)], [], "stands"),
        ([ASKED, out(30)], [], "stands"),
        ([], [], "stands"),
        ([asked(system="other")], [], "stands"),
        ([asked(collection="other")], [], "stands"),
        ([say(StatementKind.REQUEST, system="mc")], [], "stands"),
    ],
)
def test_a_request_of_this_audience_ends_once_nobody_shows_it(
    said: list[Statement], seen: list[Seen], outcome: str
) -> None:
    # The points on either side of it are looked at as well.
    found = around(*seen, said={1: said, 7: [], 8: [ASKED], 9: [asked(1)]})
    ends, undecided = expired([7, 1, 8, 9], found, policy())

    assert [key for key, _ in ends] == ([1, 8] if outcome == "ended" else [8])
    assert undecided == ({1, 9} if outcome == "waits" else {9})


def test_a_request_that_is_shown_does_not_hide_the_next() -> None:
    found = around(member(2, (1,), Status.PENDING), said={1: [ASKED], 8: [ASKED]})

    assert [key for key, _ in expired([1, 8], found, policy())[0]] == [8]


# who comes back only by their own confirmation


@pytest.mark.parametrize(
    ("said", "told", "expected"),
    [
        ([], None, False),
        ([LEFT], None, True),
        ([out(90, system="mc")], None, False),
        ([out(90, system="crm", is_personal=True)], None, False),
        ([replace(LEFT, scope=OFFERS)], None, False),
        ([say(StatementKind.COMPLAINT, 90, scope="*", system="other")], None, True),
        ([say(StatementKind.COMPLAINT, 90, scope=OFFERS)], None, False),
        # back by a sign-up of their own there, later by the same clock or by more than clocks differ
        ([LEFT, grant(89.9, system="mc", clock="mc")], None, False),
        ([LEFT, grant(90, system="mc", clock="mc")], None, True),
        ([LEFT, grant(85, system="mc", clock=None)], None, False),
        ([LEFT, grant(85.1, system="mc", clock=None)], None, True),
        ([replace(LEFT, clock=None), grant(89, system="mc", clock=None)], None, True),
        ([LEFT, grant(30, system="crm")], None, True),
        ([LEFT, grant(30, system="mc", scope="acme")], None, True),
        ([LEFT, grant(30, system="mc", strength=Strength.TRUSTED)], None, True),
        ([LEFT, replace(LEFT, uid="x", at=before(20)), grant(30, system="mc")], None, True),
        # what the platform itself said last
        ([], 30, True),
        ([grant(60, system="mc", seen_at=before(29))], 30, False),
        ([grant(60, system="mc", seen_at=before(30))], 30, True),
        ([grant(60, system="crm", seen_at=before(29))], 30, True),
    ],
)
def test_who_left_there_by_themself_comes_back_only_by_themself(
    said: list[Statement], told: float | None, expected: bool
) -> None:
    when = None if told is None else before(told)

    assert must_confirm(point(*said), None, when, policy()) is expected
    assert must_confirm(point(*said), member(2, (1,), Status.IN, origin=Origin.PERSON).record, when, policy()) is (
        expected
    )


@pytest.mark.parametrize(
    ("origin", "takes_back", "expected"),
    [
        (Origin.PERSON, False, True),
        (Origin.PERSON, True, False),
        (Origin.COMPLAINT, False, True),
        (Origin.COMPLAINT, True, True),
        (Origin.ADMIN, False, False),
        (Origin.UNKNOWN, False, False),
    ],
)
def test_what_the_member_shows_tells_as_well(origin: Origin, takes_back: bool, expected: bool) -> None:
    shows = member(2, (1,), Status.OUT, origin=origin).record

    assert must_confirm(point(), shows, None, policy(takes_back=takes_back)) is expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([LEFT, AGAIN], AGAIN),
        ([LEFT], None),
        ([], None),
        ([LEFT, grant(50, system="crm"), AGAIN], AGAIN),
        ([LEFT, AGAIN, grant(20, strength=Strength.NOTHING)], AGAIN),
        ([LEFT, AGAIN, grant(20, scope=OFFERS)], AGAIN),
        ([LEFT, AGAIN, asked(20)], None),
        ([LEFT, AGAIN, asked(30)], None),
        ([LEFT, AGAIN, asked(40)], AGAIN),
        ([LEFT, AGAIN, asked(40, grant=AGAIN.uid)], None),
        ([LEFT, AGAIN, asked(20, system="other")], AGAIN),
        ([LEFT, AGAIN, asked(20, scope=OFFERS)], AGAIN),
        ([out(90), AGAIN, grant(20, strength=Strength.NOTHING)], grant(20, strength=Strength.NOTHING)),
    ],
)
def test_the_newest_grant_that_lifts_is_asked_for_once(said: list[Statement], expected: Statement | None) -> None:
    assert to_confirm(point(*said), policy()) == expected


@pytest.mark.parametrize(
    ("said", "parts", "how", "expected"),
    [
        ([grant()], {}, {}, False),
        ([LEFT, AGAIN], {}, {}, True),
        ([grant()], {"left_by_self": {1: before(30)}}, {}, True),
        ([grant()], {"left_by_self": {2: before(30)}}, {}, False),
        ([], {}, {}, True),
        ([], {}, {"basis": "legitimate_interest"}, False),
        ([], {}, {"basis": "legitimate_interest", "enter": Enter.REQUEST}, True),
    ],
)
def test_who_enters_by_a_request(
    said: list[Statement], parts: dict[str, Any], how: dict[str, Any], expected: bool
) -> None:
    here = point(*said)
    decided = here.standing(SCOPE, policy())

    assert enters_asked(here, decided, None, around(**parts), policy(**how)) is expected
    shows = member(2, (1,), Status.OUT, origin=Origin.PERSON).record
    assert enters_asked(here, decided, shows, around(**parts), policy(**how)) is (expected or bool(said))


@pytest.mark.parametrize(
    ("said", "how", "expected"),
    [
        ([LEFT, AGAIN], {}, None),
        ([LEFT, AGAIN, asked(20)], {}, "asked"),
        ([LEFT, AGAIN], {"can_ask": False}, "cannot_ask"),
        ([], {}, "no_consent"),
        ([], {"enter": Enter.REQUEST}, None),
        ([ASKED, ended(ASKED)], {"enter": Enter.REQUEST}, "asked"),
        ([], {"enter": Enter.REQUEST, "can_ask": False}, "cannot_ask"),
    ],
)
def test_why_somebody_is_not_asked_now(said: list[Statement], how: dict[str, Any], expected: str | None) -> None:
    here = point(*said)

    assert why_not_ask(here, here.standing(SCOPE, policy()), policy(**how)) == expected


@pytest.mark.parametrize(
    ("seen", "parts", "how", "is_asked"),
    [
        (member(2, (1,), Status.OUT), {}, {}, True),
        (member(2, (1,), Status.UNKNOWN), {}, {}, True),
        (member(2, (1,), Status.ABSENT), {}, {}, True),
        (replace(member(2), record=replace(member(2).record, status=None)), {}, {}, True),
        (member(2, (1,), Status.PENDING), {}, {}, False),
        (member(2, (1,), Status.ARCHIVED), {}, {}, False),
        (member(2, (1,), Status.UNKNOWN, is_word_known=False), {}, {}, False),
        (member(2, (1,), Status.OUT), {}, {"can_ask": False}, False),
        (member(2, (1,), Status.OUT), {"refused_for_good": frozenset({1})}, {}, False),
    ],
)
def test_a_member_is_asked_where_that_can_reach_them(
    seen: Seen, parts: dict[str, Any], how: dict[str, Any], is_asked: bool
) -> None:
    found = list(ask(seen, point(LEFT, AGAIN), around(seen, **parts), policy(**how)))
    status = seen.record.status or Status.UNKNOWN

    assert found == (
        [
            Intent(
                kind=ChangeKind.REQUEST,
                write=WriteKind.STATUS,
                system="mc",
                collection="list",
                record=2,
                point=1,
                rule=Rule.ASKED_FOR_GRANT,
                before={"status": status},
                after={"status": Status.PENDING},
                causes=(AGAIN.uid,),
                status=Status.PENDING,
                address="p1@example.com",
            )
        ]
        if is_asked
        else []
    )


def test_a_member_without_an_address_is_asked_by_its_id() -> None:
    nameless = replace(member(2), record=replace(member(2, (1,), Status.OUT).record, addresses=()))

    assert [i.address for i in ask(nameless, point(LEFT, AGAIN), around(), policy())] == [None]


# what keeps an opt-in out

BY_SELF = {"left_by_self": {1: before(20)}}
ARCHIVED_THERE = member(2, (1,), Status.ARCHIVED)
ONE_ASKED = asked(20, grant=AGAIN.uid)
MESSAGES = {
    "archived": "the person unsubscribed there and was archived since: neither an opt-in nor a request is sent; only "
    "the person can come back, by signing up with a form of the platform",
    "no_answer": "the person unsubscribed there by themself, and what came of the request to confirm a later opt-in is "
    "not known: it is not repeated; they come back by signing up there, or are asked for a newer opt-in",
    "cannot_ask": "the person unsubscribed there by themself, and this platform cannot be told to ask them: they come "
    "back by signing up there themself; send them its sign-up form",
}


@pytest.mark.parametrize(
    ("seen", "said", "parts", "how", "expected"),
    [
        (ARCHIVED_THERE, [LEFT, AGAIN], {}, {}, "archived"),
        (ARCHIVED_THERE, [AGAIN], BY_SELF, {}, "archived"),
        (ARCHIVED_THERE, [AGAIN], {"left_by_self": {2: before(20)}}, {}, None),
        (ARCHIVED_THERE, [AGAIN], {}, {}, None),
        (ARCHIVED_THERE, [LEFT], {}, {}, None),
        (ARCHIVED_THERE, [], {}, {}, None),
        (member(2, (1,), Status.OUT), [LEFT, AGAIN], {}, {}, None),
        (member(2, (1,), Status.OUT), [LEFT, AGAIN, ONE_ASKED], {}, {}, None),
        (member(2, (1,), Status.OUT), [LEFT, AGAIN, ONE_ASKED, ended(ONE_ASKED, 10)], {}, {}, "no_answer"),
        (
            member(2, (1,), Status.OUT),
            [LEFT, AGAIN, ONE_ASKED, ended(ONE_ASKED, 10), grant(5, system="crm")],
            {},
            {},
            None,
        ),
        (member(2, (1,), Status.OUT), [LEFT, AGAIN], {}, {"can_ask": False}, "cannot_ask"),
        (member(2, (1,), Status.OUT), [LEFT, AGAIN], BY_SELF, {"can_ask": False}, None),
        (member(2, (1,), Status.OUT, origin=Origin.PERSON), [AGAIN], {}, {"can_ask": False}, "cannot_ask"),
        (member(2, (1,), Status.OUT), [AGAIN], {}, {"can_ask": False}, None),
        (member(2, (1,), Status.PENDING), [LEFT, AGAIN], {}, {"can_ask": False}, None),
        (member(2, (1,), Status.BOUNCED), [LEFT, AGAIN], {}, {"can_ask": False}, None),
    ],
)
def test_a_person_is_told_what_keeps_an_opt_in_out(
    seen: Seen, said: list[Statement], parts: dict[str, Any], how: dict[str, Any], expected: str | None
) -> None:
    question = hindrance(point(*said), seen, around(seen, **parts), policy(**how))

    assert question == (
        Question(
            kind="needs_confirmation",
            system="mc",
            record=2,
            point=1,
            field=None,
            message=MESSAGES[expected],
            values={},
            about=AGAIN.uid,
        )
        if expected
        else None
    )


def test_without_a_member_nothing_is_kept_out() -> None:
    assert hindrance(point(LEFT, AGAIN), None, around(), policy()) is None
