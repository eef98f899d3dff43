"""Who gives no sign of life is tagged or taken off the list, and given back."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from optsync.model.change import ChangeKind, WriteKind
from optsync.model.link import Agreed, Link
from optsync.model.record import Status
from optsync.model.scope import Basis
from optsync.model.statement import Statement, StatementKind
from optsync.reconcile.plan import decide
from optsync.reconcile.policy import Inactive, Leave
from optsync.reconcile.rules import Rule
from optsync.reconcile.view import Decision, Intent, Neighbourhood, Seen
from tests.reconcile.places import OFFERS, around, before, contact, grant, member, out, policy, say

DAYS = 1_440
LONG_AGO = 40 * DAYS
EXCLUDE: dict[str, Any] = {"inactive": Inactive.EXCLUDE}
TAG: dict[str, Any] = {"inactive": Inactive.TAG}
CALLED = Link(crm=1, esp=2, inactive=True)
TAGGED = replace(CALLED, inactive_by_tag=True)
GONE: dict[str, Any] = {"has_list_scope": True, "leave": Leave.ARCHIVE}


def opted_in(days: float) -> list[Statement]:
    return [grant(days * DAYS, system="crm")]


def couple(
    *,
    said: list[Statement],
    link: Link | None = None,
    active: float | None = None,
    mailed: float | None = 1,
    shows: Seen | None = None,
    **parts: Any,
) -> Neighbourhood:
    """A contact and its member; times are days ago. The member was created long ago."""
    shows = shows or member(2, created_at=before(LONG_AGO))
    found = around(
        contact(1, fields={"IN": True, "OUT": False}),
        shows,
        said={1: said},
        links=[link or Link(crm=1, esp=2, point=1)],
        mailed_at=None if mailed is None else before(mailed * DAYS),
        **parts,
    )
    seen_alive = None if active is None else before(active * DAYS)
    return replace(found, points={1: replace(found.points[1], active_at=seen_alive)})


def decided(found: Neighbourhood, how: dict[str, Any]) -> Decision:
    return decide([1], found, policy(**{"inactive_after": timedelta(days=30), **how}))


def moves(decision: Decision) -> list[tuple[WriteKind, bool | None]]:
    return [(i.write, i.inactive) for i in decision.intents if i.inactive is not None]


@pytest.mark.parametrize(
    ("found", "how", "expected"),
    [
        (couple(said=opted_in(35)), EXCLUDE, WriteKind.ARCHIVE),
        (couple(said=opted_in(35)), TAG, WriteKind.TAG),
        (couple(said=opted_in(35)), {}, None),
        # lately alive, by whatever is the newest
        (couple(said=opted_in(30)), EXCLUDE, None),
        (couple(said=opted_in(30.01)), EXCLUDE, WriteKind.ARCHIVE),
        (couple(said=opted_in(35), active=30), EXCLUDE, None),
        (couple(said=opted_in(35), active=31), EXCLUDE, WriteKind.ARCHIVE),
        (couple(said=opted_in(35), shows=member(2, created_at=before(30 * DAYS))), EXCLUDE, None),
        (couple(said=opted_in(35), shows=member(2, opted_in_at=before(30 * DAYS))), EXCLUDE, None),
        # not mailed meanwhile
        (couple(said=opted_in(35), mailed=30), EXCLUDE, WriteKind.ARCHIVE),
        (couple(said=opted_in(35), mailed=31), EXCLUDE, None),
        (couple(said=opted_in(35), mailed=None), EXCLUDE, None),
        # nobody is called inactive who is off the list or never came in, none archived who could not come back
        (couple(said=[out(35 * DAYS)]), TAG, None),
        (couple(said=opted_in(35), shows=member(2, (1,), Status.PENDING, created_at=before(LONG_AGO))), TAG, None),
        (couple(said=[], shows=member(2, created_at=None)), TAG, None),
        (couple(said=[]), TAG, WriteKind.TAG),
        (couple(said=[say(StatementKind.REQUEST, DAYS)]), TAG, WriteKind.TAG),
        (couple(said=[*opted_in(35), grant(DAYS, scope=OFFERS)]), EXCLUDE, WriteKind.ARCHIVE),
        (couple(said=[]), {**EXCLUDE, "basis": Basis.LEGITIMATE_INTEREST}, None),
        # neither who is called so already, nor who leaves the list in the same breath, nor whom nobody joined
        (couple(said=opted_in(35), link=CALLED), EXCLUDE, None),
        (couple(said=opted_in(35)), {**EXCLUDE, "has_list_scope": True, "leave": Leave.TAG}, None),
        (couple(said=opted_in(35)), {**EXCLUDE, "has_list_scope": True}, WriteKind.ARCHIVE),
        (couple(said=opted_in(35), link=Link(crm=1, esp=9)), EXCLUDE, None),
        (couple(said=opted_in(35), shows=member(2, is_gone=True, created_at=before(LONG_AGO))), EXCLUDE, None),
    ],
)
def test_who_gives_no_sign_of_life_is_tagged_or_taken_off_the_list(
    found: Neighbourhood, how: dict[str, Any], expected: WriteKind | None
) -> None:
    assert moves(decided(found, how)) == ([(expected, True)] if expected else [])


ARCHIVED = member(2, (1,), Status.ARCHIVED, created_at=before(LONG_AGO))


@pytest.mark.parametrize(
    ("found", "how", "expected"),
    [
        (couple(said=opted_in(35), active=1, link=CALLED, shows=ARCHIVED), EXCLUDE, WriteKind.STATUS),
        (couple(said=opted_in(1), link=CALLED, shows=ARCHIVED), EXCLUDE, WriteKind.STATUS),
        (couple(said=opted_in(35), active=1, link=CALLED, shows=ARCHIVED), {}, WriteKind.STATUS),
        (couple(said=opted_in(35), active=1, link=CALLED), TAG, WriteKind.TAG),
        (couple(said=opted_in(35), active=1, link=CALLED), {}, WriteKind.TAG),
        (couple(said=opted_in(35), active=31, link=CALLED, shows=ARCHIVED), EXCLUDE, None),
        (
            couple(
                said=[*opted_in(35), say(StatementKind.SOFT_BOUNCE, 10, scope="*")],
                active=1,
                link=CALLED,
                shows=ARCHIVED,
            ),
            EXCLUDE,
            WriteKind.STATUS,
        ),
        (couple(said=[], active=1, link=CALLED, shows=ARCHIVED), EXCLUDE, None),
        (couple(said=[out(35 * DAYS)], active=1, link=CALLED, shows=ARCHIVED), EXCLUDE, None),
        (
            couple(
                said=[*opted_in(35), say(StatementKind.HARD_BOUNCE, scope="*")], active=1, link=CALLED, shows=ARCHIVED
            ),
            EXCLUDE,
            None,
        ),
        (couple(said=opted_in(35), active=1, link=TAGGED, shows=ARCHIVED), TAG, None),
        (
            couple(said=opted_in(35), active=1, link=replace(CALLED, left=True, left_by_tag=True), shows=ARCHIVED),
            EXCLUDE,
            WriteKind.STATUS,
        ),
        (couple(said=opted_in(35), active=1, link=CALLED, shows=ARCHIVED), {**EXCLUDE, **GONE}, None),
        (
            couple(said=opted_in(35), active=1, link=CALLED, shows=ARCHIVED),
            {**EXCLUDE, **GONE, "leave": Leave.TAG},
            WriteKind.STATUS,
        ),
        (couple(said=opted_in(35), active=1, link=TAGGED), {**TAG, **GONE}, WriteKind.TAG),
        # the platform refused to take them back: they left there by themself
        (
            couple(said=opted_in(35), active=1, link=CALLED, shows=ARCHIVED, left_by_self={1: before(DAYS)}),
            EXCLUDE,
            None,
        ),
    ],
)
def test_who_gives_a_sign_of_life_gets_back_what_was_taken(
    found: Neighbourhood, how: dict[str, Any], expected: WriteKind | None
) -> None:
    decision = decided(found, how)

    assert moves(decision) == ([(expected, False)] if expected else [])
    assert not [link for link in decision.settled if not link.inactive]


def test_who_is_back_by_other_hands_is_no_longer_remembered_as_inactive() -> None:
    link = replace(CALLED, point=1, is_kept=True)
    decision = decided(couple(said=opted_in(35), active=1, link=link), EXCLUDE)

    assert moves(decision) == []
    assert [(k.crm, k.esp, k.inactive, k.point) for k in decision.settled] == [(1, 2, False, 1)]


def test_a_link_that_nothing_else_settles_is_remembered_without_its_inactivity() -> None:
    link = replace(CALLED, point=1, agreed={"NAME=FNAME": Agreed(None, None)})
    decision = decided(couple(said=opted_in(35), active=1, link=link), EXCLUDE)

    assert decision.settled == (replace(link, inactive=False),)


def test_who_gets_another_change_meanwhile_is_inactive_all_the_same() -> None:
    found = couple(said=[*opted_in(35), grant(LONG_AGO, scope=OFFERS)])
    decision = decided(found, EXCLUDE)

    assert {i.kind for i in decision.intents if i.record == 2} == {ChangeKind.TOPIC, ChangeKind.ARCHIVE}
    named = replace(found.crm[0], record=replace(found.crm[0].record, fields={"IN": True, "OUT": False, "NAME": "a"}))
    both = decided(replace(found, crm=(named,)), EXCLUDE)
    assert {i.kind for i in both.intents if i.record == 2} == {
        ChangeKind.TOPIC,
        ChangeKind.FIELD,
        ChangeKind.ARCHIVE,
    }


def test_what_else_is_settled_about_the_pair_and_others_stays() -> None:
    """A link that is settled anew is not settled twice."""
    found = couple(said=opted_in(35), active=1, link=CALLED)
    decision = decided(found, EXCLUDE)

    assert [(k.crm, k.esp, k.inactive, k.point) for k in decision.settled] == [(1, 2, False, 1)]


def test_what_was_taken_is_given_back_whoever_owns_the_address_now() -> None:
    former = replace(CALLED, crm=9)
    found = couple(said=opted_in(35), active=1, link=former, shows=ARCHIVED)
    assert moves(decided(found, EXCLUDE)) == [(WriteKind.STATUS, False)]
    silent = couple(said=opted_in(35), link=former, shows=ARCHIVED)
    assert moves(decided(silent, EXCLUDE)) == []
    back = decided(couple(said=opted_in(35), active=1, link=former), EXCLUDE)
    assert [k.inactive for k in back.settled if k.crm == 9] == [False]


@pytest.mark.parametrize(("how", "shows"), [(EXCLUDE, ARCHIVED), (TAG, None)])
def test_a_refusal_is_not_tried_again(how: dict[str, Any], shows: Seen | None) -> None:
    taken = couple(said=opted_in(35))
    given = couple(said=opted_in(35), active=1, link=CALLED, shows=shows)
    for found in (taken, given):
        blocked = frozenset(i.fingerprint for i in decided(found, how).intents if i.inactive is not None)
        assert blocked
        assert moves(decided(replace(found, blocked=blocked), how)) == []


def test_a_return_and_a_tag_are_written_whole() -> None:
    given = couple(said=opted_in(35), active=1, link=CALLED, shows=ARCHIVED)
    usual: dict[str, Any] = {
        "system": "mc",
        "collection": "list",
        "record": 2,
        "point": 1,
        "address": "p1@example.com",
    }

    assert [i for i in decided(given, EXCLUDE).intents if i.inactive is not None] == [
        Intent(
            kind=ChangeKind.OPT_IN,
            write=WriteKind.STATUS,
            rule=Rule.SIGN_OF_LIFE,
            before={"status": Status.ARCHIVED},
            after={"status": Status.IN},
            status=Status.IN,
            inactive=False,
            **usual,
        )
    ]
    assert [i for i in decided(couple(said=opted_in(35)), TAG).intents if i.inactive is not None] == [
        Intent(
            kind=ChangeKind.ARCHIVE,
            write=WriteKind.TAG,
            rule=Rule.INACTIVE,
            after={"tag": "inactive"},
            tags={"inactive": True},
            inactive=True,
            **usual,
        )
    ]
