"""Which ticks are a first sight of two records, where one of a contact point is joined with nobody."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from optsync.model.link import Link
from optsync.model.statement import Statement, StatementKind, Strength
from optsync.reconcile.plan import first_sight_statements
from tests.reconcile.places import EVENTS, NOW, OFFERS, around, before, contact, grant, member, out, policy


def tick(seen: float, *, scope: str = OFFERS) -> Statement:
    return grant(seen + 1, scope=scope, strength=Strength.NOTHING, seen_at=before(seen))


@pytest.mark.parametrize(
    ("said", "first_seen", "is_out"),
    [
        # both were there before it was ticked: somebody wants it
        ([tick(10)], {1: before(90), 2: before(60)}, False),
        ([tick(10)], {1: before(60), 2: before(90)}, False),
        ([tick(10)], {1: before(60)}, False),
        ([tick(10)], {2: before(60)}, False),
        ([tick(80), tick(10)], {1: before(90), 2: before(60)}, False),
        # it was ticked when the second came, or before
        ([tick(60)], {1: before(90), 2: before(60)}, True),
        ([tick(60)], {1: before(60), 2: before(90)}, True),
        ([tick(70)], {1: before(90), 2: before(60)}, True),
        ([], {1: before(90), 2: before(60)}, True),
        # it is not asked, or of others
        ([tick(10)], {}, True),
        ([tick(10)], {3: before(60)}, True),
        # what was said about another topic is none about this
        ([tick(10, scope=EVENTS)], {1: before(90), 2: before(60)}, True),
        # said already, whenever that was
        ([out(70, scope=OFFERS, seen_at=before(70))], {1: before(90), 2: before(60)}, False),
        ([grant(70, scope=OFFERS, seen_at=before(70))], {1: before(90), 2: before(60)}, False),
    ],
)
@pytest.mark.parametrize("is_ticked_there", [False, True])
def test_a_topic_that_is_ticked_after_both_records_were_there_is_no_disagreement(
    said: list[Statement], first_seen: Mapping[int, datetime], is_out: bool, is_ticked_there: bool
) -> None:
    found = around(
        contact(1, topics={"T_OFFERS": not is_ticked_there}),
        member(2, topics={"Offers": is_ticked_there}),
        said={1: said},
        first_seen=first_seen,
    )

    outs = [(key, s.kind, s.scope, s.seen_at) for key, s in first_sight_statements([1], found, policy())]
    assert outs == ([(1, StatementKind.OUT, OFFERS, NOW)] if is_out else [])


@pytest.mark.parametrize(
    ("said", "is_out"),
    [
        ([], True),
        ([tick(10)], True),
        ([grant(70, scope=OFFERS, strength=Strength.TRUSTED)], True),
        ([out(70, scope=OFFERS), grant(10, scope=OFFERS, strength=Strength.TRUSTED)], True),
        ([grant(70, scope=EVENTS)], True),
        # proven, or out already
        ([grant(70, scope=OFFERS)], False),
        ([out(70, scope=OFFERS)], False),
    ],
)
@pytest.mark.parametrize("first_seen", [{}, {1: before(90), 2: before(60)}])
@pytest.mark.parametrize("links", [[], [Link(crm=1, esp=2)]])
@pytest.mark.parametrize("anew", [{"newly_mapped": frozenset({OFFERS})}, {"late": frozenset({(1, OFFERS)})}])
def test_the_boxes_of_a_topic_that_was_just_mapped_are_a_first_sight_whoever_was_joined_before(
    said: list[Statement],
    is_out: bool,
    first_seen: Mapping[int, datetime],
    links: list[Link],
    anew: Mapping[str, Any],
) -> None:
    found = around(
        contact(1, topics={"T_OFFERS": True}),
        member(2, topics={"Offers": False}),
        said={1: said},
        first_seen=first_seen,
        links=links,
        **anew,
    )

    outs = [(key, s.kind, s.scope) for key, s in first_sight_statements([1], found, policy())]
    assert outs == ([(1, StatementKind.OUT, OFFERS)] if is_out else [])
