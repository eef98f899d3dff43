"""Somebody deletes a field: what nobody shows any more is no wish and no blank, and nothing is written into it."""

from collections.abc import Callable

import pytest

from optsync.model.record import Status
from tests.scenarios.plans import may_send, part
from tests.scenarios.world import World, person

pytestmark = pytest.mark.rule("absence is no wish")

Make = Callable[..., World]
ANN, BEA = "ann1@example.com", "ann2@example.com"
OPT_OUT, OPT_IN = "UF_CRM_OPT_OUT", "UF_CRM_OPT_IN"


def _edited(w: World, email: str) -> None:
    w.crm.act("set_field", email=email, field="city", value="Oslo")


@pytest.mark.parametrize("field", [OPT_OUT, OPT_IN, "UF_CRM_CONSENT_DATE"])
def test_a_field_that_is_deleted_takes_nobodys_wish_with_it(world: Make, field: str) -> None:
    w = world(person(1), person(2))
    w.sync()
    w.crm.act("opt_in", email=ANN, at="2026-11-22T09:10:00+00:00")
    w.crm.act("opt_out", email=BEA)
    w.sync()
    w.settle()
    w.crm.act("delete_field", field=field)
    _edited(w, ANN)
    _edited(w, BEA)
    before = w.writes()
    report = w.sync()

    assert part(report).state == "failed"
    assert field in str(part(report).failures)
    assert w.writes() == before
    assert (may_send(w, ANN), may_send(w, BEA)) == (True, False)
    assert (w.esp_shows(ANN)["status"], w.esp_shows(BEA)["status"]) == (Status.IN, Status.OUT)


@pytest.mark.rule("no opt-out is lost")
def test_nothing_is_read_by_an_opt_out_field_that_never_was_there_whatever_it_is_called(world: Make) -> None:
    w = world(person(1), person(2))
    w.reconfigure(lambda sync: sync["crm"].update(opt_out="UFCRM_OPT_OUT"))
    report = w.sync()

    assert part(report).state == "failed"
    assert "UFCRM_OPT_OUT" in str(part(report).failures)
    assert w.writes() == 0


def test_an_opt_out_that_a_deleted_field_does_not_take_is_not_told_as_done(world: Make) -> None:
    w = world(person(1), person(2))
    w.sync()
    w.settle()
    w.crm.act("delete_field", field=OPT_OUT)
    w.esp.act("unsubscribe", email=ANN)
    report = w.sync()

    states = {(c.kind.value, c.state.value) for c in part(report).changes if c.system == "crm"}
    assert ("opt_out", "refused") in states
    assert may_send(w, ANN) is False
    w.crm.act("add_field", field=OPT_OUT)
    for _ in range(3):
        w.sync()
    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.crm_shows(BEA)["opt_out"] is False
    w.settle()


def test_a_field_that_is_deleted_at_the_platform_empties_nothing_in_the_crm(world: Make) -> None:
    fields = [{"crm": "UF_CRM_CITY", "esp": "CITY", "blank": "clear"}, {"crm": "LAST_NAME", "esp": "LNAME"}]
    w = world(person(1), person(2), changes={"fields": fields})
    w.settle()
    tags = w.esp.audience.merge_fields  # type: ignore[attr-defined]
    del tags[next(number for number, field in tags.items() if field.tag == "CITY")]
    w.engine = w.compose()
    w.esp.act("set_field", email=ANN, field="last_name", value="Larsen")
    w.sync(full=True)

    assert w.crm_shows(ANN)["fields"]["last_name"] == "Larsen"
    assert [w.crm_shows(email)["fields"]["city"] for email in (ANN, BEA)] == ["Riga", "Riga"]
    w.esp.act("unsubscribe", email=BEA)
    w.settle()
    assert w.crm_shows(BEA)["opt_out"] is True
    assert w.crm_shows(BEA)["fields"]["city"] == "Riga"
