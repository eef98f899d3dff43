"""A value that optsync wrote is news to whatever else reads it: another audience, another rule of the same sync."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optsync.sync.run import run_cycle
from tests.scenarios.test_crashes import Killed
from tests.scenarios.test_lost_answers import Deaf
from tests.scenarios.two_audiences import TwoAudiences
from tests.scenarios.world import World, person

pytestmark = pytest.mark.rule("fields merge three ways")

Make = Callable[..., World]
ANN = "ann1@example.com"
CITY = {"crm": "UF_CRM_CITY", "esp": "CITY"}


@pytest.mark.parametrize("is_first", [True, False])
def test_a_field_changed_in_one_audience_reaches_the_other_through_the_crm(tmp_path: Path, is_first: bool) -> None:
    two = TwoAudiences(tmp_path, [person(1)], [person(1)], second={"fields": [CITY]})
    two.settle()
    changed, other = (two.w.esp, two.other) if is_first else (two.other, two.w.esp)
    changed.act("set_field", email=ANN, field="city", value="Tartu")
    two.settle()

    assert two.w.crm_shows(ANN)["fields"]["city"] == "Tartu"
    assert other.act("view", email=ANN)["fields"]["city"] == "Tartu"


@pytest.mark.parametrize("is_edited_first", [True, False])
def test_a_value_that_arrived_as_its_sync_was_killed_is_in_no_conflict_whichever_sync_reads_first(
    tmp_path: Path, is_edited_first: bool
) -> None:
    two = TwoAudiences(tmp_path, [person(1)], [person(1)], second={"fields": [CITY]})
    two.settle()
    two.w.wait(hours=1)
    two.w.esp.act("set_field", email=ANN, field="city", value="Turin")
    two.start(Deaf(two.w, lambda: None, sign="UF_CRM_CITY]=Turin", error=Killed))
    with pytest.raises(Killed):
        run_cycle(two.engine, ["newsletter"])
    two.start()
    if is_edited_first:
        two.w.esp.act("set_field", email=ANN, field="city", value="Graz")
    two.w.wait(minutes=10)
    run_cycle(two.engine, ["second"])
    if not is_edited_first:
        two.w.esp.act("set_field", email=ANN, field="city", value="Graz")
    two.settle()

    assert two.w.crm_shows(ANN)["fields"]["city"] == "Graz"
    assert two.w.esp_shows(ANN)["fields"]["city"] == "Graz"
    assert two.other.act("view", email=ANN)["fields"]["city"] == "Graz"


def test_a_name_changed_at_the_platform_changes_the_full_name_that_is_made_of_it(world: Make) -> None:
    full = {"crm": "NAME", "esp": "CITY", "direction": "to_esp", "transform": {"join": {"with": ["LAST_NAME"]}}}
    w = world(person(1), changes={"fields": [{"crm": "LAST_NAME", "esp": "LNAME"}, full]})
    w.settle()
    assert w.esp_shows(ANN)["fields"]["city"] == "Ann1 Lee1"
    w.esp.act("set_field", email=ANN, field="last_name", value="Larsen")
    w.sync()
    w.settle()

    assert w.esp_shows(ANN)["fields"]["city"] == "Ann1 Larsen"


def test_a_proof_of_consent_that_goes_to_the_crm_goes_on_to_the_field_that_shows_it(world: Make) -> None:
    shown: dict[str, Any] = {"crm": "UF_CRM_CONSENT_SOURCE", "esp": "CITY", "direction": "to_esp"}
    w = world(person(1), changes={"fields": [shown]})
    w.settle()
    w.esp.act("unsubscribe", email=ANN)
    w.settle()
    w.wait(hours=1)
    w.esp.act("resubscribe", email=ANN)
    w.sync()
    w.settle()

    assert w.esp_shows(ANN)["fields"]["city"] == "esp"
