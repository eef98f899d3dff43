"""Joining two sides for the first time, and who enters the list."""

from typing import Any

import pytest

from optsync.model.link import Link
from optsync.model.record import Side, Status
from optsync.model.statement import Statement, StatementKind, Strength
from optsync.reconcile.plan import decide, first_sight_statements
from optsync.reconcile.policy import Enter
from tests.reconcile.places import OFFERS, SCOPE, around, contact, grant, member, out, policy, say

TICK = grant(scope=OFFERS, strength=Strength.NOTHING)


@pytest.mark.parametrize(
    ("crm", "esp", "said", "expected"),
    [
        (True, False, [TICK], "mc"),
        (False, True, [TICK], "crm"),
        (True, True, [TICK], None),
        (True, None, [TICK], None),
        (False, True, [grant(scope=OFFERS, strength=Strength.TRUSTED)], None),
        (False, True, [out(scope=OFFERS)], None),
    ],
)
def test_where_two_sides_disagree_when_first_joined_the_topic_is_out(
    crm: bool, esp: bool | None, said: list[Statement], expected: str | None
) -> None:
    found = around(contact(1, topics={"T_OFFERS": crm}), member(2, topics={"Offers": esp}), said={1: said})
    statements = [s for _, s in first_sight_statements([1], found, policy())]

    assert [(s.kind, s.scope, s.system) for s in statements] == (
        [(StatementKind.OUT, OFFERS, expected)] if expected else []
    )


@pytest.mark.parametrize(
    "parts", [{"links": [Link(crm=1, esp=2)]}, {"ticked": frozenset({(Side.CRM, "T_OFFERS")})}, {}]
)
def test_no_topic_is_out_that_was_joined_before_never_asked_or_united_by_policy(parts: dict[str, Any]) -> None:
    found = around(
        contact(1, topics={"T_OFFERS": True}), member(2, topics={"Offers": False}), said={1: [TICK]}, **parts
    )

    assert first_sight_statements([1], found, policy(topics_first_sight_union=not parts)) == []


@pytest.mark.parametrize(
    ("said", "how", "reason"),
    [
        ([out()], {}, "opted_out"),
        ([grant()], {"enter": Enter.SKIP}, "not_entered"),
        ([grant(), say(StatementKind.HARD_BOUNCE, scope="*")], {}, "undeliverable"),
        ([], {}, "no_consent"),
        ([say(StatementKind.REQUEST)], {"enter": Enter.REQUEST}, "asked"),
        ([grant()], {"has_list_scope": True}, "out_of_scope"),
    ],
)
def test_who_does_not_enter_is_counted_with_the_reason(said: list[Statement], how: dict[str, Any], reason: str) -> None:
    decision = decide([1], around(contact(1, fields={"IN": True}), said={1: said}), policy(**how))

    assert decision.skipped == {1: reason}
    assert not [i for i in decision.intents if i.system == "mc"]


def test_whom_people_removed_there_enters_only_with_a_newer_opt_in() -> None:
    removed = member(2, status=Status.IN, is_gone=True)
    old = around(contact(1, fields={"IN": True}), removed, said={1: [grant(9_500, scope=SCOPE)]})
    new = around(contact(1, fields={"IN": True}), removed, said={1: [grant(60, scope=SCOPE)]})

    assert decide([1], old, policy()).skipped == {1: "removed_there"}
    assert [i.kind for i in decide([1], new, policy()).intents if i.system == "mc"] == ["create"]
