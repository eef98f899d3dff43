"""What syncs of one audience leave to each other."""

from dataclasses import replace
from typing import Any

import pytest

from optsync.model.change import WriteKind
from optsync.model.link import Link
from optsync.model.record import Status
from optsync.model.scope import Basis
from optsync.reconcile.plan import decide
from optsync.reconcile.policy import Leave
from optsync.reconcile.view import Fellows
from tests.reconcile.places import around, contact, grant, member, policy

JOINED = Link(crm=1, esp=2, point=1)


@pytest.mark.parametrize(
    ("fellows", "leaves"),
    [
        ({}, True),
        ({"listed": {1}}, False),
        ({"also_listed": {1}}, False),
        ({"listed": {9}, "also_listed": {9}}, True),
        ({"held": {1}, "archived": {2}, "tagged": {2}}, True),
    ],
)
def test_who_belongs_to_the_list_of_another_sync_is_left_there(fellows: dict[str, Any], leaves: bool) -> None:
    around_them = Fellows(**{name: frozenset(keys) for name, keys in fellows.items()})
    found = around(contact(1), member(2), links=[JOINED], fellows=around_them)
    decision = decide([1], found, policy(has_list_scope=True, leave=Leave.ARCHIVE))

    assert [i.left for i in decision.intents if i.left is not None] == ([True] if leaves else [])


@pytest.mark.parametrize(
    ("status", "fellows", "expected"),
    [
        (Status.ARCHIVED, {"archived": {2}}, [WriteKind.STATUS]),
        (Status.ARCHIVED, {"tagged": {2}}, []),
        (Status.IN, {"tagged": {2}}, [WriteKind.TAG]),
        (Status.IN, {"archived": {2}}, []),
        (Status.ARCHIVED, {"archived": {9}}, []),
    ],
)
def test_what_another_sync_took_is_given_back_to_who_enters_this_ones_list(
    status: Status, fellows: dict[str, Any], expected: list[WriteKind]
) -> None:
    around_them = Fellows(**{name: frozenset(keys) for name, keys in fellows.items()})
    said = {1: [grant(system="crm")]}
    found = around(contact(1, fields={"IN": True}), member(2, (1,), status), said=said, fellows=around_them)

    assert [i.write for i in decide([1], found, policy()).intents if i.left is not None] == expected


PUT_BACK = (replace(JOINED, left=False, is_kept=True),)


def test_whom_others_put_back_is_theirs_also_where_no_contact_has_the_address_any_more() -> None:
    found = around(member(2), links=[replace(JOINED, left=True)])

    assert decide([1], found, policy(leave=Leave.ARCHIVE)).settled == PUT_BACK


def test_whom_others_put_back_is_theirs_also_where_the_contact_has_another_address() -> None:
    found = around(contact(1, (5,)), member(2, (1,)), links=[replace(JOINED, left=True)])
    decision = decide([1, 5], found, policy(has_list_scope=True, leave=Leave.ARCHIVE))

    assert decision.settled == PUT_BACK


@pytest.mark.parametrize(("archived", "skipped"), [({2}, {}), (set(), {1: "removed_there"})])
def test_a_member_archived_by_another_sync_is_not_taken_away_by_people(
    archived: set[int], skipped: dict[int, str]
) -> None:
    found = around(
        contact(1, (5,)),
        member(2, (1,), Status.ARCHIVED),
        links=[JOINED],
        fellows=Fellows(archived=frozenset(archived)),
    )
    decision = decide([1, 5], found, policy(basis=Basis.LEGITIMATE_INTEREST))

    assert decision.skipped == skipped
    assert [i.write for i in decision.intents if i.write is WriteKind.CREATE] == ([] if skipped else [WriteKind.CREATE])
