"""Laws and cases of asking for a confirmation."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsync.model.change import ChangeKind
from optsync.model.record import Origin, Status
from optsync.model.statement import OUR_CLOCK, Source, Statement, StatementKind, Strength, state
from optsync.reconcile.asking import (
    Answer,
    kept_back,
    must_confirm,
    refused,
    request,
    sent,
    stated,
    to_confirm,
    why_not_ask,
)
from optsync.reconcile.consent import Wish
from optsync.reconcile.plan import decide
from optsync.reconcile.policy import Enter
from optsync.reconcile.view import Intent, Point
from tests.reconcile.places import NOW, SCOPE, around, before, contact, grant, member, out, policy, say

POLICY = policy(enter=Enter.REQUEST)
CLOCKS = st.sampled_from(["crm", "mc", OUR_CLOCK, None])
TIMES = st.integers(1, 40).map(lambda tens: tens * 10)
SCOPES = st.sampled_from(["*", "acme", SCOPE])
LEFT = out(100, is_personal=True, system="mc", clock="mc", source=Source.ESP)

outs = st.builds(
    lambda at, scope, clock, system, own: out(at, scope=scope, clock=clock, system=system, is_personal=own),
    TIMES,
    SCOPES,
    CLOCKS,
    st.sampled_from(["mc", "crm", None]),
    st.booleans(),
)
complaints = st.builds(lambda at: say(StatementKind.COMPLAINT, at, system="mc", is_personal=True), TIMES)
grants = st.builds(
    lambda at, scope, clock, system, strength: grant(at, scope=scope, clock=clock, system=system, strength=strength),
    TIMES,
    SCOPES,
    CLOCKS,
    st.sampled_from(["mc", "crm", None]),
    st.sampled_from(Strength),
)


def asked(minutes: float, cause: Statement | None = None, change: int = 1) -> Statement:
    return stated(
        SCOPE,
        system="mc",
        collection="list",
        change=change,
        grant=cause.uid if cause else None,
        at=before(minutes),
    )


requests = st.builds(asked, TIMES)
saids = st.lists(st.one_of(outs, complaints, grants, requests), max_size=7)


def point(*said: Statement) -> Point:
    return Point(key=1, address="p1@example.com", statements=tuple(said))


def decided(said: Sequence[Statement], *, status: Status | None = Status.OUT) -> list[Intent]:
    """What is asked for: of a member with this status, or of nobody's."""
    members = [member(2, status=status, origin=Origin.PERSON)] if status else []
    found = around(contact(1, lists=frozenset({"letter"})), *members, said={1: said})
    return [i for i in decide([1], found, POLICY).intents if i.kind is ChangeKind.REQUEST]


def noted(intents: Sequence[Intent]) -> list[Statement]:
    """The requests in the ledger, as the step that sends them states them."""
    return [
        stated(
            SCOPE,
            system=i.system,
            collection=i.collection,
            change=n,
            grant=i.causes[0] if i.causes else None,
            at=NOW,
        )
        for n, i in enumerate(intents, 100)
    ]


# laws


@given(saids, st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(said: list[Statement], rng: object) -> None:
    shuffled = [*said, *said]
    rng.shuffle(shuffled)  # type: ignore[attr-defined]

    assert request(shuffled, SCOPE) == request(said, SCOPE)
    assert sent(shuffled, SCOPE) == sent(said, SCOPE)
    assert to_confirm(point(*shuffled), POLICY) == to_confirm(point(*said), POLICY)


@given(saids, st.sampled_from([Status.OUT, Status.UNKNOWN, None]))
def test_what_was_asked_is_not_asked_a_second_time(said: list[Statement], status: Status | None) -> None:
    first = decided(said, status=status)
    assert len(first) <= 1
    assert decided([*said, *noted(first)], status=status) == []


@given(saids, st.sampled_from([Status.OUT, Status.UNKNOWN, None]), st.sampled_from(["banned", "no reason given"]))
def test_a_refusal_or_an_end_is_no_reason_to_ask_again(said: list[Statement], status: Status | None, fact: str) -> None:
    stated_ = noted(decided(said, status=status))
    ended = [refused(each, fact=fact, at=NOW) for each in stated_]

    assert decided([*said, *stated_, *ended], status=status) == []


@given(saids, st.sampled_from([Status.OUT, None]))
def test_what_certainly_never_left_is_asked_as_if_nothing_had_been(
    said: list[Statement], status: Status | None
) -> None:
    first = decided(said, status=status)
    stated_ = noted(first)
    again = decided([*said, *stated_, *(kept_back(each, at=NOW) for each in stated_)], status=status)

    assert [i.causes for i in again] == [i.causes for i in first]


@given(saids, st.sampled_from([Status.OUT, Status.UNKNOWN, None]))
def test_nobody_who_is_out_is_ever_asked(said: list[Statement], status: Status | None) -> None:
    if point(*said).standing(SCOPE, POLICY).wish is Wish.OUT:
        assert decided(said, status=status) == []


@given(saids, outs)
def test_an_out_is_never_a_reason_to_ask(said: list[Statement], no: Statement) -> None:
    if not decided(said):
        asked_now = decided([*said, no])
        assert all(i.causes for i in asked_now), "only for a grant that lifts it"
        assert to_confirm(point(*said), POLICY) is None or asked_now == []


@given(saids)
def test_an_out_after_an_open_request_ends_it(said: list[Statement]) -> None:
    newest = request(said, SCOPE)
    later = state(
        scope=SCOPE,
        kind=StatementKind.OUT,
        at=NOW,
        clock=OUR_CLOCK,
        seen_at=NOW,
        source=Source.ESP,
        system="mc",
        is_personal=True,
    )
    if newest.answer is Answer.WAITING:
        assert request([*said, later], SCOPE).answer is Answer.OPTED_OUT


@given(saids)
def test_a_request_is_only_for_a_grant_that_there_is(said: list[Statement]) -> None:
    found = to_confirm(point(*said), POLICY)
    assert found is None or (found in said and found.kind is StatementKind.GRANT)


# cases


def test_a_leaver_must_confirm_until_they_signed_up_there_again() -> None:
    elsewhere = grant(50, system="crm", clock="crm")
    there = grant(40, system="mc", clock="mc")

    assert must_confirm(point(LEFT), None, None, POLICY)
    assert must_confirm(point(LEFT, elsewhere), None, None, POLICY)
    assert not must_confirm(point(LEFT, elsewhere, there), None, None, POLICY)


def test_a_platform_that_takes_leavers_back_wants_no_confirmation_but_after_a_complaint() -> None:
    takes_back = policy(takes_back=True)
    complaint = say(StatementKind.COMPLAINT, 100, system="mc", is_personal=True)

    assert not must_confirm(point(LEFT), member(2, status=Status.OUT, origin=Origin.PERSON).record, None, takes_back)
    assert must_confirm(point(complaint), None, None, takes_back)
    assert must_confirm(point(), member(2, status=Status.OUT, origin=Origin.COMPLAINT).record, None, takes_back)


def test_what_the_platform_said_of_a_leaver_stands_until_they_signed_up_after_it() -> None:
    told = before(30)
    later = grant(20, system="mc", seen_at=before(20))
    earlier = grant(40, system="mc", seen_at=before(40))

    assert must_confirm(point(earlier), None, told, POLICY)
    assert not must_confirm(point(later), None, told, POLICY)


@pytest.mark.parametrize(
    ("enter", "can_ask", "said", "why"),
    [
        (Enter.REQUEST, True, (), None),
        (Enter.REQUEST, False, (), "cannot_ask"),
        (Enter.REQUEST, True, (asked(50),), "asked"),
        (Enter.SUBSCRIBE, True, (), "no_consent"),
        (Enter.SUBSCRIBE, True, (LEFT, grant(50, system="crm", clock="crm")), None),
        (Enter.SUBSCRIBE, False, (LEFT, grant(50, system="crm", clock="crm")), "cannot_ask"),
    ],
)
def test_why_somebody_is_not_asked(enter: Enter, can_ask: bool, said: Sequence[Statement], why: str | None) -> None:
    its = policy(enter=enter, can_ask=can_ask)
    assert why_not_ask(point(*said), point(*said).standing(SCOPE, its), its) == why


def test_a_newer_grant_is_asked_for_and_the_same_one_is_not() -> None:
    first, newer = grant(80, system="crm", clock="crm"), grant(20, system="crm", clock="crm")

    assert to_confirm(point(LEFT, first), POLICY) == first
    assert to_confirm(point(LEFT, first, asked(70, first)), POLICY) is None
    assert to_confirm(point(LEFT, first, asked(70, first), newer), POLICY) == newer
    assert timedelta(minutes=100 - 80) > POLICY.clock_tolerance
