"""A value that a vendor refuses is set aside alone, masked, and comes back by itself when it is repaired."""

from collections.abc import Callable
from typing import Any

import pytest

from optsync.model.record import Status
from optsync.state.issues import Issue
from optsync.sync.issues import retry
from tests.scenarios.world import World, person

pytestmark = pytest.mark.rule("one bad record stands alone")

Make = Callable[..., World]
ANN = "ann1@example.com"
CITY, LAST_NAME = "CITY", "LNAME"


def takes(w: World, kind: str, *tags: str) -> None:
    """Somebody changes the type of these fields in the audience."""
    esp: Any = w.esp
    for field in esp.audience.merge_fields.values():
        if field.tag in tags:
            field.type = kind


def open_issues(w: World) -> list[Issue]:
    with w.store.reading() as unit:
        return unit.issues.list()


def refused_city(world: Make) -> World:
    """The audience takes numbers only where the CRM says Tartu; the last name goes on."""
    w = world(person(1))
    w.sync()
    takes(w, "number", CITY)
    w.crm.act("set_field", email=ANN, field="city", value="Tartu")
    w.crm.act("set_field", email=ANN, field="last_name", value="Larsen")
    w.sync()
    return w


def test_a_refused_field_stands_alone_and_the_rest_of_the_record_goes_on(world: Make) -> None:
    w = refused_city(world)

    assert w.esp_shows(ANN)["fields"]["last_name"] == "Larsen"
    assert w.esp_shows(ANN)["fields"]["city"] == "Riga"
    (issue,) = open_issues(w)
    assert (issue.kind, issue.system, issue.field, issue.email) == ("quarantined_field", "esp", CITY, ANN)
    assert issue.values == {"change": "field", "value": "T…u (5)"}
    assert "number" in issue.message
    assert "Tartu" not in issue.message
    w.sync()
    assert [i.id for i in open_issues(w)] == [issue.id]


def test_a_refused_field_that_is_fixed_in_the_crm_closes(world: Make) -> None:
    w = refused_city(world)
    w.crm.act("set_field", email=ANN, field="city", value="7")
    w.sync()

    assert str(w.esp_shows(ANN)["fields"]["city"]) == "7"
    assert open_issues(w) == []


def test_a_refused_field_that_is_answered_on_the_other_side_closes(world: Make) -> None:
    w = refused_city(world)
    w.esp.act("set_field", email=ANN, field="city", value="8")
    w.sync()

    assert w.crm_shows(ANN)["fields"]["city"] == "8"
    assert open_issues(w) == []


def test_a_refused_field_is_sent_again_when_somebody_asks_for_it_after_the_vendor_takes_it(world: Make) -> None:
    w = refused_city(world)
    takes(w, "text", CITY)
    w.sync()
    assert w.esp_shows(ANN)["fields"]["city"] == "Riga"
    retry(w.engine, [open_issues(w)[0].id])
    w.wait(hours=7)  # the connector asks for the types of the fields every six hours
    w.sync()

    assert w.esp_shows(ANN)["fields"]["city"] == "Tartu"
    assert w.crm_shows(ANN)["fields"]["city"] == "Tartu"
    assert open_issues(w) == []


def test_asking_again_while_the_vendor_still_refuses_opens_the_issue_anew(world: Make) -> None:
    w = refused_city(world)
    (first,) = open_issues(w)
    retry(w.engine, [first.id])
    w.sync()

    (second,) = open_issues(w)
    assert second.id != first.id
    assert w.crm_shows(ANN)["fields"]["city"] == "Tartu"


def test_two_refused_fields_of_one_record_are_two_issues_and_close_one_by_one(world: Make) -> None:
    w = world(person(1))
    w.sync()
    takes(w, "number", CITY, LAST_NAME)
    for field, value in (("city", "Tartu"), ("last_name", "Larsen"), ("first_name", "Anna")):
        w.crm.act("set_field", email=ANN, field=field, value=value)
    w.sync()
    assert sorted(str(i.field) for i in open_issues(w)) == [CITY, LAST_NAME]
    assert w.esp_shows(ANN)["fields"]["first_name"] == "Anna"
    w.crm.act("set_field", email=ANN, field="city", value="7")
    w.sync()
    assert [i.field for i in open_issues(w)] == [LAST_NAME]
    w.crm.act("set_field", email=ANN, field="last_name", value="9")
    w.sync()

    assert open_issues(w) == []


def test_a_field_that_is_refused_when_somebody_is_added_does_not_keep_them_out(world: Make) -> None:
    w = world(person(1, in_esp=False, opt_in=True, consent_at=None), person(2))
    takes(w, "number", CITY)
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())
    w.sync()
    assert w.esp_shows(ANN)["status"] == Status.IN
    assert w.esp_shows(ANN)["fields"]["first_name"] == "Ann1"
    (issue,) = open_issues(w)
    assert (issue.kind, issue.field, issue.email) == ("quarantined_field", CITY, ANN)
    w.sync()
    assert w.crm_shows(ANN)["fields"]["city"] == "Riga"
    assert len(open_issues(w)) == 1
    w.crm.act("set_field", email=ANN, field="city", value="7")
    w.sync()

    assert str(w.esp_shows(ANN)["fields"]["city"]) == "7"
    assert open_issues(w) == []


def test_a_refused_field_never_delays_the_persons_opt_out(world: Make) -> None:
    w = refused_city(world)
    w.crm.act("opt_out", email=ANN)
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.OUT


def test_an_open_quarantine_survives_a_restart(world: Make, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("state") / "optsync.db"
    w = world(person(1), state_url=f"sqlite:///{file}")
    w.sync()
    takes(w, "number", CITY)
    w.crm.act("set_field", email=ANN, field="city", value="Tartu")
    w.sync()
    w.engine = w.compose()
    w.sync()
    assert [i.kind for i in open_issues(w)] == ["quarantined_field"]
    w.crm.act("set_field", email=ANN, field="city", value="7")
    w.engine = w.compose()
    w.sync()

    assert open_issues(w) == []
