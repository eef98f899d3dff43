"""The state was lost, and the systems still show what an earlier one has written."""

from collections.abc import Callable

import pytest

from optsync.state.store import Store
from tests.scenarios.states import empty_state
from tests.scenarios.world import World, person

pytestmark = pytest.mark.rule("fields merge three ways")

Make = Callable[..., World]


def test_a_contact_that_an_earlier_state_has_made_is_nobody_elses(world: Make) -> None:
    ann = person(1, in_crm=False)
    w = world(ann, policy={"esp_only": "create_in_crm"})
    w.sync()
    assert w.crm_shows(ann.addresses[0])["fields"]["first_name"] == ann.first_name

    w.store = empty_state(w.clock, Store)
    w.engine = w.compose()
    w.sync()
    bob = person(2, in_crm=False, created_at=w.clock.now())
    w.esp.populate([bob])
    w.sync()
    w.sync()

    for each in (ann, bob):
        assert w.crm_shows(each.addresses[0])["fields"]["first_name"] == each.first_name
    w.settle()
