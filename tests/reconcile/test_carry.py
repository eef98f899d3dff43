"""What follows a person to another address."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from optsync.model.statement import Source, Statement, StatementKind, Strength, state
from optsync.reconcile.carry import Moved, grants, missing, restrictions, root
from tests.reconcile.places import EVENTS, NOW, OFFERS, SCOPE, before, grant, out, retract, say

TOLERANCE = timedelta(minutes=5)
MOVED = Moved(at=before(5), clock="crm", seen_at=NOW, system="crm", record="r1")
NOTED = {"carried_at": "2026-06-01T11:55:00+00:00", "carried_by": "crm r1"}
COMPLAINT = say(StatementKind.COMPLAINT, source=Source.SPAM_COMPLAINT, is_personal=True)
SAID: dict[str, Any] = {"reason": "no", "system": "mc", "record": "r2", "source": Source.FORM, "is_personal": True}


def shortened(found: list[Statement]) -> list[tuple[str, str, str]]:
    return [(s.kind, s.scope, root(s)) for s in found]


def test_an_out_is_said_again_at_the_time_of_the_change_with_all_that_was_said_of_it() -> None:
    said = replace(out(**SAID), evidence={"ip": "192.0.2.1"})
    (found,) = restrictions([said], MOVED, tolerance=TOLERANCE)

    expected = state(
        scope=SCOPE,
        kind=StatementKind.OUT,
        at=before(5),
        clock="crm",
        seen_at=NOW,
        evidence={"ip": "192.0.2.1", **NOTED, "carried": said.uid},
        **SAID,
    )
    assert found == expected


@pytest.mark.parametrize(("minutes", "at", "clock"), [(5.1, 5, "crm"), (5, 5, "crm"), (4.9, 4.9, "mc")])
def test_what_was_said_after_the_change_keeps_its_time(minutes: float, at: float, clock: str) -> None:
    (found,) = restrictions([out(minutes, clock="mc")], MOVED, tolerance=TOLERANCE)

    assert (found.at, found.clock) == (before(at), clock)


@pytest.mark.parametrize(
    ("left", "said_now", "expected"),
    [
        ([out()], [], [out()]),
        ([COMPLAINT], [], [COMPLAINT]),
        ([out(scope="*"), out(scope=OFFERS)], [], [out(scope="*"), out(scope=OFFERS)]),
        ([out(90), grant(60)], [], []),
        ([out(90)], [grant(60)], []),
        ([out(90, clock="mc")], [grant(85, clock="crm")], []),
        ([out(90, clock="mc")], [grant(85.1, clock="crm")], [out(90, clock="mc")]),
        ([out(90), grant(60, strength=Strength.NOTHING)], [], [out(90)]),
        ([grant(), say(StatementKind.REQUEST), say(StatementKind.HARD_BOUNCE)], [], []),
        ([grant(60)], [out(30)], []),
        ([out(1)], [], [out(1)]),
        ([out(90), grant(5)], [], []),
        ([out(90), grant(4)], [], [out(90)]),
    ],
)
def test_only_restrictions_that_stand_are_inherited(
    left: list[Statement], said_now: list[Statement], expected: list[Statement]
) -> None:
    found = restrictions(iter(left), MOVED, tolerance=TOLERANCE, said_now=said_now)

    assert shortened(list(found)) == shortened(expected)


def test_a_grant_that_may_have_come_after_an_undated_change_lifts_nothing_at_the_new_address() -> None:
    undated = replace(MOVED, since=before(20))

    assert not [*restrictions([out(90), grant(20)], undated, tolerance=TOLERANCE)]
    assert [*map(root, restrictions([out(90), grant(19)], undated, tolerance=TOLERANCE))] == [out(90).uid]


def test_what_the_other_address_has_or_had_is_not_carried_again() -> None:
    first, second = out(90), out(80, scope=OFFERS)
    (once,) = missing([first], [], MOVED, tolerance=TOLERANCE)

    assert shortened(missing([first, second], [once, grant(1)], MOVED, tolerance=TOLERANCE)) == shortened([second])
    assert missing([once], [first, grant(1)], MOVED, tolerance=TOLERANCE) == []
    assert missing([first], [first], MOVED, tolerance=TOLERANCE) == []
    assert missing([out(90, clock="mc"), grant(85, clock="crm")], [], MOVED, tolerance=TOLERANCE) == []
    assert missing([first], [], MOVED, tolerance=TOLERANCE, said_now=[grant(60)]) == []


BY_RECORD: dict[str, Any] = {"system": "crm", "record": "r1", "source": Source.CRM}
LATER = replace(MOVED, at=NOW, clock="optsync")


def test_what_one_speaker_said_twice_is_carried_once() -> None:
    first, again = out(90, **BY_RECORD), out(80, **BY_RECORD)
    found = missing([first, again], [], MOVED, tolerance=TOLERANCE)

    assert len({s.uid for s in found}) == 1
    assert missing([first, again], found[:1], LATER, tolerance=TOLERANCE) == []
    assert missing([first, again], found[1:], LATER, tolerance=TOLERANCE) == []
    assert missing([first, out(5, **BY_RECORD)], found[:1], LATER, tolerance=TOLERANCE) == []


@pytest.mark.parametrize(
    "said",
    [
        out(80, **{**BY_RECORD, "record": "r2"}),
        out(80, **{**BY_RECORD, "system": "mc"}),
        out(80, **{**BY_RECORD, "source": Source.ESP}),
        out(80, **BY_RECORD, is_personal=True),
        out(80, **BY_RECORD, scope=OFFERS),
        say(StatementKind.COMPLAINT, 80, **BY_RECORD),
        out(4, **BY_RECORD),
        out(80, **BY_RECORD, seen_at=NOW + timedelta(seconds=1)),
    ],
    ids=["record", "system", "source", "person", "scope", "kind", "said later", "heard later"],
)
def test_what_was_said_otherwise_or_since_is_carried_besides(said: Statement) -> None:
    first = out(90, **BY_RECORD)
    (carried,) = missing([first], [], MOVED, tolerance=TOLERANCE)

    assert shortened(missing([first, said], [carried], LATER, tolerance=TOLERANCE)) == shortened([said])


def test_what_was_carried_and_voided_stands_for_nothing_else() -> None:
    first, again = out(90, **BY_RECORD), out(80, **BY_RECORD)
    (carried,) = missing([first], [], MOVED, tolerance=TOLERANCE)
    told = [carried, retract(carried)]

    assert shortened(missing([first, again], told, LATER, tolerance=TOLERANCE)) == shortened([again])
    assert shortened(missing([first, again], [first, again], LATER, tolerance=TOLERANCE)) == []
    assert shortened(missing([first, again], [first], LATER, tolerance=TOLERANCE)) == shortened([again])


@pytest.mark.parametrize(
    ("left", "how", "expected"),
    [
        ([grant()], {}, [(SCOPE, grant())]),
        ([grant(scope=OFFERS), grant()], {}, [(OFFERS, grant(scope=OFFERS)), (SCOPE, grant())]),
        ([grant(90), out(30)], {}, []),
        ([out(90, clock="mc"), grant(85, clock="crm")], {}, [(SCOPE, grant(85, clock="crm"))]),
        ([out(90, clock="mc"), grant(85.1, clock="crm")], {}, []),
        ([out(30), grant(90), grant(90, scope="beta")], {}, [("beta", grant(90, scope="beta"))]),
        ([out(90), say(StatementKind.REQUEST)], {}, []),
        ([grant()], {"within": SCOPE}, [(SCOPE, grant())]),
        ([grant(scope=OFFERS)], {"within": SCOPE}, [(OFFERS, grant(scope=OFFERS))]),
        ([grant(scope="acme")], {"within": SCOPE}, [(SCOPE, grant(scope="acme"))]),
        ([grant(scope="beta"), grant()], {"within": SCOPE}, [(SCOPE, grant())]),
        ([grant()], {"but": [SCOPE]}, []),
        ([grant(scope=OFFERS), grant(scope="beta")], {"but": [SCOPE]}, [("beta", grant(scope="beta"))]),
        ([grant(scope="acme")], {"but": [SCOPE]}, []),
        ([grant(scope=OFFERS)], {"but": ["beta", EVENTS]}, [(OFFERS, grant(scope=OFFERS))]),
    ],
)
def test_grants_that_stand_follow_within_what_they_name(
    left: list[Statement], how: dict[str, Any], expected: list[tuple[str, Statement]]
) -> None:
    found = grants(left, MOVED, tolerance=TOLERANCE, **how)

    assert [(s.scope, root(s)) for s in found] == [(scope, said.uid) for scope, said in expected]


@pytest.mark.parametrize("narrowed", [False, True])
def test_a_grant_keeps_its_time_strength_and_proof(narrowed: bool) -> None:
    evidence = {"consent_date": "2026-05-30"}
    said = replace(grant(strength=Strength.ADMINISTRATOR, clock="mc", scope="acme", **SAID), evidence=evidence)
    (found,) = grants([said], MOVED, tolerance=TOLERANCE, within=SCOPE if narrowed else None)

    own = state(
        scope=SCOPE if narrowed else "acme",
        kind=StatementKind.GRANT,
        at=before(60),
        clock="mc",
        seen_at=NOW,
        strength=Strength.ADMINISTRATOR,
        **SAID,
    )
    assert found == replace(own, evidence={**evidence, **NOTED, "carried": said.uid})
