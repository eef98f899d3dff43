"""Pairs whose addresses came apart: who follows whom, and laws that hold whatever was said at either address."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optsync.model.change import ChangeKind, WriteKind
from optsync.model.link import Link
from optsync.model.record import Status
from optsync.model.scope import Basis
from optsync.model.statement import OUR_CLOCK, Statement, StatementKind, Strength, state
from optsync.reconcile.consent import Wish
from optsync.reconcile.identity import Resolution, resolve, shared_restrictions, together
from optsync.reconcile.plan import decide, first_sight_statements
from optsync.reconcile.policy import Leave
from optsync.reconcile.rules import Rule
from optsync.reconcile.view import Intent, Neighbourhood, Question, Seen
from tests.reconcile.places import NOW, SCOPE, around, before, contact, grant, member, out, policy, retract, say

_said = st.lists(
    st.one_of(
        st.builds(out, st.integers(1, 500)),
        st.builds(grant, st.integers(1, 500), strength=st.sampled_from(Strength)),
    ),
    max_size=4,
)


@settings(deadline=None)
@given(
    said_at_former=_said,
    said_at_new=_said,
    joined_at=st.sampled_from([1, 5, 7, None]),
    status=st.sampled_from(Status),
    basis=st.sampled_from(Basis),
)
def test_no_member_is_given_an_address_that_is_out_and_no_restriction_stays_behind(
    said_at_former: list[Statement],
    said_at_new: list[Statement],
    joined_at: int | None,
    status: Status,
    basis: Basis,
) -> None:
    how = policy(basis=basis, renames_members=True, archives_members=True, renames_records=True)
    pair = (contact(1, (5,)), member(2, (1,), status))
    link = Link(crm=1, esp=2, point=joined_at)
    said = {1: said_at_former, 5: said_at_new}
    shared = first_sight_statements([1, 5], around(*pair, said=said, links=[link]), how)
    full = {key: [*said[key], *(s for k, s in shared if k == key)] for key in said}
    found = around(*pair, said=full, links=[link])
    renames = [i for i in decide([1, 5], found, how).intents if i.kind is ChangeKind.RENAME]
    is_out = found.points[5].standing(SCOPE, how).wish is Wish.OUT

    assert len(renames) <= 1
    assert not [i for i in renames if i.record == 2 and (is_out or status is not Status.IN)]
    was_out = around(said=said).points[1].standing(SCOPE, how).wish is Wish.OUT
    # A restriction follows once: what the new address was told before, a grant there may have lifted since.
    is_news = not {s.uid for s in said_at_new}.intersection(s.uid for s in said_at_former)
    if joined_at != 5 and was_out and is_news and status is Status.IN:
        assert is_out
    assert first_sight_statements([1, 5], found, how) == []


# who follows whom: the contact 1 is at p5 and the member 2 at p1, where they were joined unless it is said otherwise

MEMBER_FOLLOWS: dict[str, Any] = {"intents": [("rename", 2, "p5@example.com")], "following": [1], "engaged": {1, 2}}
RECORD_FOLLOWS: dict[str, Any] = {"intents": [("rename", 1, "p1@example.com")], "following": [1], "engaged": {1, 2}}
LET_GO: dict[str, Any] = {"intents": [("archive", 2, "p1@example.com")], "engaged": {2}}
LEFT_THERE: dict[str, Any] = {"engaged": {2}}
ANEW: dict[str, Any] = {"dropped": {(1, 2)}}
AMBIGUOUS: dict[str, Any] = {"questions": [1], "engaged": {1, 2}}
OUT_OF_LIST: dict[str, Any] = {"leaving": [1], "engaged": {1, 2}}
REMOVED: dict[str, Any] = {"removed": {1}}
RECORD, MEMBER = contact(1, (5,)), member(2)
LISTED = contact(1, (5,), lists=frozenset({"letter"}))
UNUSABLE = replace(RECORD, record=replace(RECORD.record, addresses=("none", "p5@example.com")))
ASKS_TO_STAY = {"renames_members": False}
"""The platform cannot give a member another address."""


def pair(*others: Seen, record: Seen = RECORD, of: Seen = MEMBER, at: int | None = 1, **parts: Any) -> Neighbourhood:
    said = {5: [grant()], **parts.pop("said", {})}
    link = Link(crm=1, esp=2, point=at, **parts.pop("link", {}))
    return around(record, of, *others, said=said, links=[link], **parts)


def able(**changes: Any) -> Any:
    return policy(**{"renames_members": True, "archives_members": True, "renames_records": True, **changes})


def blocked(key: int) -> frozenset[str]:
    """The fingerprint of the rename of this record, which a vendor has refused."""
    at = 1 if key == 2 else 5
    (rename,) = resolve([1], pair(at=at), able()).intents
    return frozenset({rename.fingerprint})


def told(found: Resolution) -> dict[str, Any]:
    """What is not empty."""
    parts = {
        "intents": [(i.kind.value, i.record, i.address) for i in found.intents],
        "questions": [q.record for q in found.questions],
        "dropped": set(found.dropped),
        "following": [p.record.key for p in found.following],
        "leaving": [p.record.key for p in found.leaving],
        "engaged": set(found.engaged),
        "removed": set(found.removed),
    }
    return {name: value for name, value in parts.items() if value}


@pytest.mark.parametrize(
    ("found", "how", "expected"),
    [
        # the CRM gave its record another address
        (pair(), {}, MEMBER_FOLLOWS),
        (pair(record=LISTED), {"has_list_scope": True}, MEMBER_FOLLOWS),
        (pair(contact(3, (1,))), {}, ANEW),
        (pair(contact(3, (7, 1))), {}, ANEW),
        (pair(contact(3, (1,), is_gone=True)), {}, MEMBER_FOLLOWS),
        (pair(record=contact(1, (5, 1))), {}, MEMBER_FOLLOWS),
        (pair(), {"has_list_scope": True}, OUT_OF_LIST),
        (pair(), ASKS_TO_STAY, LET_GO),
        (pair(record=LISTED), {**ASKS_TO_STAY, "has_list_scope": True}, LET_GO),
        (pair(), {**ASKS_TO_STAY, "archives_members": False}, LEFT_THERE),
        (pair(link={"is_kept": True}), ASKS_TO_STAY, LEFT_THERE),
        (pair(record=contact(1, (5, 1))), ASKS_TO_STAY, ANEW),
        (pair(of=member(2, status=Status.OUT)), {}, ANEW),
        (pair(of=member(2, status=Status.PENDING)), {}, ANEW),
        (pair(said={1: [out()]}), {}, MEMBER_FOLLOWS),
        (pair(said={1: [out()]}), ASKS_TO_STAY, ANEW),
        (pair(said={5: [out()]}), {}, LET_GO),
        (pair(said={5: []}), {}, LET_GO),
        (pair(said={5: []}), {"basis": Basis.LEGITIMATE_INTEREST}, MEMBER_FOLLOWS),
        (pair(said={5: [out()]}), {"basis": Basis.LEGITIMATE_INTEREST}, LET_GO),
        (pair(member(3, (5,))), {}, LET_GO),
        (pair(member(3, (5,), Status.ABSENT, is_gone=True)), {}, LET_GO),
        (pair(blocked=blocked(2)), {}, LET_GO),
        (pair(contact(3, (7,)), member(4, (8,))), {}, MEMBER_FOLLOWS),
        # the platform gave its member another address
        (pair(at=5), {}, RECORD_FOLLOWS),
        (pair(at=5), {"renames_records": False}, AMBIGUOUS),
        (pair(at=5), {"has_list_scope": True}, OUT_OF_LIST),
        (pair(contact(3, (1,)), at=5), {}, AMBIGUOUS),
        (pair(contact(3, (5,)), at=5), {}, AMBIGUOUS),
        (pair(contact(3, (5,), is_gone=True), at=5), {}, RECORD_FOLLOWS),
        (pair(member(3, (5,)), at=5), {}, AMBIGUOUS),
        (pair(at=5, blocked=blocked(1)), {}, AMBIGUOUS),
        (pair(record=UNUSABLE, at=5), {}, AMBIGUOUS),
        # both did, or it was not noted where they were joined
        (pair(at=7), {}, AMBIGUOUS),
        (pair(at=None), {}, AMBIGUOUS),
        (pair(at=None), {"has_list_scope": True}, AMBIGUOUS),
        # there is nobody who could follow
        (pair(of=member(2, status=Status.ARCHIVED)), {}, REMOVED),
        (pair(of=member(2, status=Status.ABSENT)), {}, REMOVED),
        (pair(of=member(2, is_gone=True)), {}, REMOVED),
        (pair(of=member(2, status=Status.ARCHIVED), link={"left": True}), {}, {}),
        (pair(of=member(2, status=Status.ARCHIVED), link={"inactive": True}), {}, {}),
        (pair(of=member(2, status=Status.ARCHIVED), link={"left": True, "left_by_tag": True}), {}, REMOVED),
        (pair(of=member(2, status=Status.ARCHIVED), link={"inactive": True, "inactive_by_tag": True}), {}, REMOVED),
        (pair(of=member(2, status=Status.ARCHIVED), link={"left": True, "inactive_by_tag": True}), {}, {}),
        (pair(link={"left": True}), {}, MEMBER_FOLLOWS),
        (pair(record=contact(1, (5,), is_gone=True)), {}, {}),
        (pair(record=contact(1, ())), {}, {}),
        (pair(of=member(2, ())), {}, {}),
        (pair(record=contact(1, (1,))), {}, {}),
    ],
)
def test_a_pair_that_came_apart_goes_on_in_one_way(
    found: Neighbourhood, how: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert told(resolve([1], found, able(**how))) == expected
    assert told(resolve([5], found, able(**how))) == expected
    assert told(resolve([8], found, able(**how))) == {}


def forgotten(found: Neighbourhood, key: int) -> Neighbourhood:
    return replace(found, points={**found.points, key: replace(found.points[key], is_forgotten=True)})


@pytest.mark.parametrize("erased", [1, 5])
def test_of_who_was_forgotten_nothing_goes_anywhere(erased: int) -> None:
    assert resolve([1], forgotten(pair(), erased), able()) == Resolution()


def test_whoever_came_apart_from_two_is_followed_by_neither() -> None:
    links = [Link(crm=1, esp=2, point=1), Link(crm=1, esp=3, point=7)]
    found = around(RECORD, MEMBER, member(3, (7,)), said={5: [grant()]}, links=links)

    keys = together([1], found)

    assert keys == [1, 5, 7]
    assert told(resolve(keys, found, able())) == {
        "intents": [("archive", 2, "p1@example.com"), ("archive", 3, "p7@example.com")],
        "engaged": {2, 3},
    }


def test_a_record_that_is_not_loaded_does_not_hide_the_next() -> None:
    links = [Link(crm=8, esp=9, point=1), Link(crm=8, esp=2, point=1), Link(crm=1, esp=2, point=1)]
    found = around(RECORD, MEMBER, said={5: [grant()]}, links=links)

    assert told(resolve([1], found, able())) == MEMBER_FOLLOWS


def test_whoever_comes_apart_from_others_besides_does_not_stop_a_pair() -> None:
    links = [Link(crm=1, esp=2, point=1), Link(crm=3, esp=4, point=6)]
    found = around(RECORD, MEMBER, contact(3, (7,)), member(4, (6,)), said={5: [grant()], 7: [grant()]}, links=links)

    assert told(resolve([1, 6], found, able())) == {
        "intents": [("rename", 2, "p5@example.com"), ("rename", 4, "p7@example.com")],
        "following": [1, 3],
        "engaged": {1, 2, 3, 4},
    }


def test_an_address_that_bounces_is_given_to_no_member() -> None:
    bounced = say(StatementKind.HARD_BOUNCE, 10, scope="*")
    soft = [say(StatementKind.SOFT_BOUNCE, n, scope="*") for n in range(10, 15)]

    assert told(resolve([1], pair(said={5: [grant(), bounced]}), able())) == LET_GO
    assert told(resolve([1], pair(said={5: [grant(), *soft]}), able())) == LET_GO
    assert told(resolve([1], pair(said={5: [grant()]}), able(has_list_scope=True))) == OUT_OF_LIST


def test_a_pair_at_rest_does_not_hide_the_restrictions_of_the_next() -> None:
    away = member(4, (6,), Status.ARCHIVED)
    links = [Link(crm=0, esp=4, point=6), Link(crm=1, esp=2, point=1)]
    said = {1: [out(90), grant(88.9, clock="x"), out(60, scope="*")], 5: []}
    found = around(contact(0, (7,)), away, RECORD, MEMBER, said=said, links=links)

    assert [key for key, _ in shared_restrictions([1, 6], found, able())] == [5, 5]
    assert [key for key, _ in shared_restrictions([1], found, able())] == [5, 5]


def test_a_refused_archive_is_not_tried_again() -> None:
    (intent,) = resolve([1], pair(), able(**ASKS_TO_STAY)).intents

    assert told(resolve([1], pair(blocked=frozenset({intent.fingerprint})), able(**ASKS_TO_STAY))) == LEFT_THERE


def test_a_record_that_follows_is_given_the_members_address_as_it_is_spelled_there() -> None:
    spelled = replace(MEMBER, record=replace(MEMBER.record, addresses=("P1@Example.com",)))

    assert list(resolve([1], pair(at=5, of=spelled), able()).intents) == [
        Intent(
            kind=ChangeKind.RENAME,
            write=WriteKind.RENAME,
            system="crm",
            collection="contact",
            record=1,
            point=1,
            rule=Rule.ADDRESS_CHANGED,
            before={"address": "p5@example.com"},
            after={"address": "P1@Example.com"},
            address="P1@Example.com",
            counterpart=2,
        )
    ]


def test_a_person_is_asked_where_nobody_knows_who_changed_what() -> None:
    assert resolve([1], pair(at=None), able()).questions == (
        Question(
            kind="ambiguous",
            record=1,
            point=5,
            field="address",
            message="crm contact r1 and mc member r2 were one person and now have different addresses, and both sides "
            "changed or somebody else holds one of them; nothing was overwritten, and an opt-out of either counts for "
            "both: give both the same address in one of the systems",
            values={"crm": "p5@example.com", "esp": "p1@example.com"},
        ),
    )


def test_what_came_apart_is_decided_in_one_go() -> None:
    found = pair(contact(3, (8,)))

    assert (together([1], found), together([5], found), together([8], found)) == ([1, 5], [1, 5], [8])


def test_whoever_is_met_by_another_address_is_decided_with_their_first_one() -> None:
    found = around(contact(3, (1, 2)), contact(4, (5, 1)), member(5, (2,)), contact(6, ()))
    assert [together([key], found) for key in (1, 2, 5, 9)] == [[1, 5], [1, 2, 5], [5], [9]]


def test_a_chain_of_what_came_apart_is_decided_in_one_go_wherever_it_begins() -> None:
    links = [Link(crm=4, esp=5, point=7), Link(crm=6, esp=7, point=1)]
    found = around(contact(4, (5,)), member(5, (1,)), contact(6, (1,)), member(7, (8,)), links=links)

    assert [together([key], found) for key in (1, 5, 8)] == [[1, 5, 8]] * 3


OWN = out(system="mc", record="r2", clock="mc")
BY_RECORD, BY_MEMBER = grant(60, system="crm", record="r1"), grant(60, system="mc", record="r2")


@pytest.mark.parametrize(
    ("found", "how", "expected"),
    [
        (pair(said={1: [out()], 5: []}), {}, [5]),
        (pair(said={5: [out()]}), {}, []),
        (pair(said={5: [out()]}), {"archives_members": False}, [1]),
        (pair(said={5: [out()]}), {"has_list_scope": True}, [1]),
        (pair(said={5: [out()]}, at=5), {}, [1]),
        (pair(said={5: [out()]}, at=None), {}, [1]),
        (pair(said={1: [out()], 5: []}, at=None), {}, [5]),
        (pair(said={1: [out(90)], 5: [out(30)]}, at=None), {}, [5, 1]),
        (pair(said={1: [out()], 5: [out()]}, at=None), {}, []),
        (pair(said={1: [grant()], 5: []}), {}, []),
        # what the record itself says reaches the member wherever that is
        (pair(said={5: [out(system="crm", record="r1")]}), {}, [1]),
        (pair(said={5: [out(system="crm", record="r3"), out(50, system="mc", record="r1")]}), {}, []),
        # the record that was given another address has come with a consent of its own
        (pair(said={1: [out(90)], 5: [BY_RECORD]}), {}, []),
        (pair(said={1: [out(90)], 5: [BY_RECORD]}, at=None), {}, [5]),
        (pair(said={1: [out(90)], 5: [BY_RECORD]}, at=5), {}, [5]),
        (pair(said={1: [out(50)], 5: [BY_RECORD]}), {}, [5]),
        (pair(said={1: [out(90)], 5: [BY_RECORD, retract(BY_RECORD)]}), {}, [5]),
        (pair(said={1: [out(90)], 5: [grant(60, system="crm", record="r2")]}), {}, [5]),
        (pair(said={1: [out(90)], 5: [grant(60)]}), {}, [5]),
        (pair(said={1: [BY_MEMBER], 5: [out(90)]}, at=5), {}, []),
        (pair(said={1: [BY_MEMBER], 5: [out(90)]}, at=None), {}, [1]),
        (pair(said={1: [BY_MEMBER], 5: [out(90)]}), {"archives_members": False}, [1]),
        (pair(said={1: [BY_RECORD], 5: [out(90)]}, at=5), {}, [1]),
        # of who is off the list only what they said themselves
        (pair(said={1: [OWN], 5: []}, of=member(2, is_gone=True)), {}, [5]),
        (pair(said={1: [OWN], 5: []}, of=member(2, status=Status.ARCHIVED)), {}, [5]),
        (pair(said={1: [OWN], 5: []}, of=member(2, status=Status.ARCHIVED), link={"left": True}), {}, [5]),
        (pair(said={1: [OWN], 5: [OWN]}, of=member(2, status=Status.ARCHIVED)), {}, []),
        (pair(said={1: [OWN, grant(30)], 5: []}, of=member(2, status=Status.ARCHIVED)), {}, []),
        (pair(said={1: [out(system="mc", record="r3")]}, of=member(2, status=Status.ARCHIVED)), {}, []),
        (pair(said={1: [out(system="crm", record="r2")]}, of=member(2, status=Status.ARCHIVED)), {}, []),
        (pair(said={1: [out()]}, of=member(2, is_gone=True)), {}, []),
        (pair(said={1: [out()]}, of=member(2, status=Status.ARCHIVED)), {}, []),
    ],
)
def test_an_out_follows_from_the_former_address_and_back_while_both_may_stay_apart(
    found: Neighbourhood, how: dict[str, Any], expected: list[int]
) -> None:
    assert [key for key, _ in shared_restrictions([1], found, able(**how))] == expected
    assert [key for key, _ in shared_restrictions([5], found, able(**how))] == expected
    assert list(shared_restrictions([8], found, able(**how))) == []


@pytest.mark.parametrize("erased", [1, 5])
@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (pair(said={5: [out()]}), [1]),
        # the record still holds the former address itself
        (pair(said={5: [out()]}, record=contact(1, (5, 1))), [1]),
        (pair(contact(3, (1,), is_gone=True), said={5: [out()]}), [1]),
        (pair(contact(3, (8, 5)), said={5: [out()]}), [1]),
        # the member is somebody else's by now
        (pair(contact(3, (8, 1)), said={5: [out()]}), []),
    ],
)
def test_an_out_goes_back_where_an_address_was_forgotten_unless_the_member_is_somebody_elses(
    found: Neighbourhood, expected: list[int], erased: int
) -> None:
    told_back = shared_restrictions([1], forgotten(found, erased), able())

    assert [key for key, _ in told_back] == expected
    assert list(shared_restrictions([1], found, able())) == []


def test_what_a_member_that_is_off_the_list_has_said_counts_from_when_it_was_said() -> None:
    away = member(2, status=Status.ARCHIVED)
    ((key, found),) = shared_restrictions([1], pair(said={1: [OWN], 5: []}, of=away), able())

    assert (key, found.at, found.clock, found.seen_at) == (5, OWN.at, "mc", OWN.seen_at)
    assert (found.system, found.record) == ("mc", "r2")
    assert found.evidence == {"carried": OWN.uid, "carried_at": OWN.at.isoformat(), "carried_by": "crm r1"}


def test_a_shared_out_is_dated_now_and_names_the_record() -> None:
    said = out()
    ((key, found),) = shared_restrictions([1], pair(said={1: [said], 5: []}), able())

    assert key == 5
    assert found == state(
        scope=SCOPE,
        kind=StatementKind.OUT,
        at=NOW,
        clock=OUR_CLOCK,
        seen_at=NOW,
        source=said.source,
        evidence={"carried_at": NOW.isoformat(), "carried_by": "crm r1", "carried": said.uid},
    )


@pytest.mark.parametrize(
    ("leave", "status", "expected"),
    [
        (Leave.ARCHIVE, Status.IN, [(ChangeKind.ARCHIVE, 2, True)]),
        (Leave.KEEP, Status.IN, []),
        (Leave.ARCHIVE, Status.OUT, []),
    ],
)
def test_a_pair_out_of_the_list_leaves_it_and_nothing_is_renamed(
    leave: Leave, status: Status, expected: list[Any]
) -> None:
    decision = decide([1, 5], pair(of=member(2, status=status)), able(has_list_scope=True, leave=leave))

    assert [(i.kind, i.record, i.left) for i in decision.intents if i.record == 2] == expected
    assert decision.skipped == {1: "out_of_scope"}


def test_the_fields_of_a_pair_that_will_be_one_again_go_on() -> None:
    record = contact(1, (5,), fields={"NAME": "a", "IN": True})
    older = contact(3, (5,), fields={"NAME": "b", "IN": True}, created_at=before(20_000))

    def written(*others: Seen) -> list[tuple[ChangeKind, dict[str, Any]]]:
        intents = decide([1, 5], pair(*others, record=record), able()).intents
        return [(i.kind, dict(i.after)) for i in intents if i.record == 2]

    rename = (ChangeKind.RENAME, {"address": "p5@example.com"})
    assert written() == [(ChangeKind.FIELD, {"FNAME": "a"}), rename]
    assert written(older) == [rename]
