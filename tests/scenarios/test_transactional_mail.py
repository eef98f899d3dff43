"""No wish keeps anybody from receipts: who said no to everything enters their list and goes on being updated there."""

from collections.abc import Callable
from typing import Any

import pytest

from optsync.connect import handlers
from optsync.model.record import Status
from optsync.sync.administer import opt_out
from tests.scenarios import own_handlers
from tests.scenarios.world import World, person

pytestmark = pytest.mark.rule("scopes don't leak")

Make = Callable[..., World]
ANN = "ann1@example.com"


def _of_receipts(world: Make, *people: Any) -> World:
    w = world(*people)

    def is_of_receipts(sync: dict[str, Any]) -> None:
        sync |= {"scope": "acme/service", "opt_out": {"crm_to_esp": False, "esp_to_crm": False}}
        sync["crm"] = {n: value for n, value in sync["crm"].items() if n not in {"opt_out", "opt_in", "topics"}}
        sync["esp"] = {n: value for n, value in sync["esp"].items() if n != "topics"}

    w.reconfigure(is_of_receipts)
    return w


def test_the_fields_of_somebody_who_said_no_to_everything_go_on_in_a_list_of_receipts(world: Make) -> None:
    w = _of_receipts(world, person(1), person(2))
    w.sync()
    opt_out(w.engine, ANN, scope="*", actor="Kim")
    w.crm.act("set_field", email=ANN, field="city", value="Tartu")
    w.sync()

    assert w.esp_shows(ANN)["fields"]["city"] == "Tartu"
    assert w.esp_shows(ANN)["status"] == Status.IN


@pytest.mark.parametrize("is_out", [True, False])
def test_a_list_of_receipts_takes_everybody_whatever_they_said(world: Make, is_out: bool) -> None:
    w = _of_receipts(world, person(1, in_esp=False), person(2))
    if is_out:
        opt_out(w.engine, ANN, scope="*", actor="Kim")
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.IN


def test_a_member_who_left_a_list_of_receipts_is_not_put_back_on_it(world: Make) -> None:
    w = _of_receipts(world, person(1), person(2))
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.crm.act("set_field", email=ANN, field="city", value="Tartu")
    w.settle()

    assert w.esp_shows(ANN)["status"] == Status.OUT


def test_a_member_of_a_list_of_receipts_follows_a_changed_address_whatever_they_said(world: Make) -> None:
    w = _of_receipts(world, person(1), person(2))
    w.sync()
    opt_out(w.engine, ANN, scope="*", actor="Kim")
    w.sync()
    w.crm.act("change_address", email=ANN, to="ann@example.org")
    w.sync()
    w.settle()

    assert w.esp.act("view", email=ANN) is None
    assert w.esp_shows("ann@example.org")["status"] == Status.IN


def test_no_handler_is_told_that_somebody_left_a_list_of_receipts_who_said_no_to_everything(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "installed", own_handlers.installed)
    own_handlers.CALLS.clear()
    w = _of_receipts(world, person(1), person(2))
    w.reconfigure(lambda sync: sync.update(handlers=["notify_sales"]))
    w.settle()
    opt_out(w.engine, ANN, scope="*", actor="Kim")
    w.esp.act("unsubscribe", email="ann2@example.com")
    w.sync()

    assert [(event.address, event.scope) for event in own_handlers.CALLS] == [("ann2@example.com", "acme/service")]
