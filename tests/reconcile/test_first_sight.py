"""Which ticks are a first sight of two records, where one of a contact point is joined with nobody."""

from collections.abc import Mapping
from datetime import datetime

import pytest

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
