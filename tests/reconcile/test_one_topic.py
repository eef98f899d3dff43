"""The audience of a single topic that another sync maps: a consent to the purpose around it is none for it."""

from dataclasses import replace
from typing import Any

import pytest

from optsync.model.scope import Basis
from optsync.model.statement import Statement
from optsync.reconcile.consent import Wish
from optsync.reconcile.handling import Past, turns
from optsync.reconcile.policy import SyncPolicy
from optsync.reconcile.view import Point
from tests.reconcile.places import CRM, ESP, EVENTS, OFFERS, SCOPE, around, before, contact, grant, out, policy

PURPOSE, TOPIC = grant(), grant(scope=OFFERS)


def sync(basis: Basis = Basis.CONSENT, **how: Any) -> SyncPolicy:
    """One whose scope is a topic, and which shows none below it."""
    usual: dict[str, Any] = {
        "scope": OFFERS,
        "is_mapped_topic": True,
        "crm": replace(CRM, topics=()),
        "esp": replace(ESP, topics=()),
    }
    return policy(basis=basis, **{**usual, **how})


@pytest.mark.parametrize(
    ("basis", "is_mapped_topic", "expected"),
    [
        (Basis.CONSENT, True, True),
        (Basis.CONSENT, False, False),
        (Basis.LEGITIMATE_INTEREST, True, False),
        (Basis.LEGITIMATE_INTEREST, False, False),
    ],
)
def test_a_topic_needs_a_grant_of_its_own_where_mail_needs_consent_and_somebody_maps_it(
    basis: Basis, is_mapped_topic: bool, expected: bool
) -> None:
    assert sync(basis, is_mapped_topic=is_mapped_topic).needs_own_grant(OFFERS) is expected


@pytest.mark.parametrize(
    ("said", "scope", "how", "expected"),
    [
        (PURPOSE, OFFERS, {}, Wish.UNKNOWN),
        (TOPIC, OFFERS, {}, Wish.IN),
        (out(), OFFERS, {}, Wish.OUT),
        # only the topic that the audience is for
        (PURPOSE, SCOPE, {}, Wish.IN),
        (PURPOSE, EVENTS, {}, Wish.IN),
        (PURPOSE, OFFERS, {"is_mapped_topic": False}, Wish.IN),
        (PURPOSE, OFFERS, {"basis": Basis.LEGITIMATE_INTEREST}, Wish.IN),
    ],
)
def test_a_grant_of_the_purpose_puts_nobody_into_the_audience_of_a_topic(
    said: Statement, scope: str, how: dict[str, Any], expected: Wish
) -> None:
    point = Point(key=1, address="ann@example.com", statements=(said,))
    seen, since = contact(1), before(900)
    past = Past(since={scope: since}, first_seen={1: since})
    turned = list(turns(seen, around(seen, said={1: [said]}), sync(**how), past))

    assert point.standing(scope, sync(**how)).wish is expected
    assert [turn.wish for turn in turned] == ([] if expected is Wish.UNKNOWN else [expected])


def test_a_topic_that_this_sync_shows_turns_by_its_own_grant() -> None:
    seen, since = contact(1), before(900)
    past = Past(since={OFFERS: since}, first_seen={1: since})
    shown = policy(esp=replace(ESP, topics=()))

    assert list(turns(seen, around(seen, said={1: [PURPOSE]}), shown, past)) == []
    assert [t.wish for t in turns(seen, around(seen, said={1: [TOPIC]}), shown, past)] == [Wish.IN]
