"""Issues close by themselves when their matter is over, and stay quiet once somebody dismissed them."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from optsync.model.record import Status
from optsync.state.issues import Issue
from optsync.sync.issues import dismiss, retry
from tests.scenarios.world import World, person

pytestmark = pytest.mark.rule("one bad record stands alone")

Make = Callable[..., World]
ANN, BOB = "ann1@example.com", "ann2@example.com"


def issues(w: World, *, state: str | None = "open") -> list[Issue]:
    with w.store.reading() as unit:
        return unit.issues.list(state=state)


def kinds(w: World) -> list[str]:
    return [issue.kind for issue in issues(w)]


def reasons(w: World) -> dict[str, str | None]:
    return {issue.kind: issue.reason for issue in issues(w, state="resolved")}


def flags(w: World, **values: object) -> None:
    """Sets fields of the first contact."""
    w.crm.act("edit", id=int(w.crm_id(ANN)), fields=values)


def test_contradictory_flags_close_when_they_agree_again(world: Make) -> None:
    w = world(person(1))
    w.sync()
    flags(w, UF_CRM_OPT_OUT=1, UF_CRM_OPT_IN=1)
    report = w.sync()
    assert report.exit_code == 1
    assert kinds(w) == ["contradictory_flags"]
    w.sync()

    assert kinds(w) == []
    assert reasons(w) == {"contradictory_flags": "the flags agree again"}
    assert w.esp_shows(ANN)["status"] == Status.OUT


def test_an_unusable_address_closes_when_it_is_repaired(world: Make) -> None:
    w = world(person(1, addresses=("ann at example",), in_esp=False), person(2))
    w.sync()
    assert kinds(w) == ["invalid_address"]
    w.sync()
    assert kinds(w) == ["invalid_address"]
    w.crm.act("change_address", email="ann at example", to=ANN)
    w.sync()

    assert kinds(w) == []
    assert reasons(w) == {"invalid_address": "every address of the record can be used"}


def test_an_unusable_address_closes_when_its_record_is_gone(world: Make) -> None:
    w = world(person(1, addresses=("ann at example",), in_esp=False), person(2), person(3))
    w.sync()
    w.crm.act("delete", email="ann at example")
    for _ in range(3):
        w.wait(hours=2)
        w.sync(full=True)

    assert reasons(w) == {"invalid_address": "the record is gone"}


def test_a_consent_date_in_the_future_closes_when_it_is_corrected_and_not_when_its_day_comes(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("admin_unsubscribe", email=ANN)
    w.sync()
    w.crm.act("opt_in", email=ANN, at=(w.clock.now() + timedelta(days=2)).isoformat())
    w.sync()
    w.wait(hours=72)
    w.sync()
    assert "future_evidence" in kinds(w)
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())
    w.sync()

    assert kinds(w) == []
    assert reasons(w) == {
        "future_evidence": "the date was corrected",
        "refused_opt_in": "the person has opted in since",
    }
    assert w.crm_shows(ANN)["opt_in"] is True


def test_a_refused_opt_in_closes_after_seven_days_in_which_the_record_stayed_out(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.crm.act("opt_out", email=ANN)
    w.sync()
    w.esp.act("flip_in", email=ANN)
    w.sync()
    w.wait(hours=6 * 24)
    w.sync()
    assert kinds(w) == ["refused_opt_in"]
    w.wait(hours=24)
    w.sync()

    assert kinds(w) == []
    assert reasons(w) == {"refused_opt_in": "out again, and left so for 7 days"}


def test_an_opt_in_that_only_the_person_can_give_there_closes_when_they_come_back(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    w.esp.act("archive", email=ANN)
    w.wait(hours=1)
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())
    w.sync()
    assert kinds(w) == ["needs_confirmation"]
    w.sync()
    assert kinds(w) == ["needs_confirmation"]
    w.wait(hours=1)
    w.esp.act("resubscribe", email=ANN)
    w.sync()

    assert kinds(w) == []
    assert reasons(w) == {"needs_confirmation": "nothing keeps the person out there any more"}


def test_a_conflict_left_for_review_closes_when_both_sides_are_made_equal(world: Make) -> None:
    w = reviewed(world)
    w.crm.act("set_field", email=ANN, field="city", value="Tartu")
    w.esp.act("set_field", email=ANN, field="city", value="Narva")
    w.sync()
    (asked,) = issues(w)
    assert (asked.kind, asked.values) == ("field_conflict", {"crm": "T…u (5)", "esp": "N…a (5)"})
    w.sync()
    assert kinds(w) == ["field_conflict"]
    w.crm.act("set_field", email=ANN, field="city", value="Narva")
    w.sync()

    assert kinds(w) == []
    assert reasons(w) == {"field_conflict": "both sides show the same"}


def reviewed(world: Make) -> World:
    w = world(person(1))
    fields = [{**rule, "conflict": "review"} for rule in w.document["syncs"]["newsletter"]["fields"]]
    w = world(person(1), changes={"fields": fields})
    w.sync()
    return w


def test_a_value_that_keeps_bouncing_closes_when_both_sides_show_the_same(world: Make) -> None:
    w = world(person(1))
    w.sync()
    for value in ("Tartu", "Riga", "Tartu", "Riga"):
        side = w.crm if value == "Tartu" else w.esp
        side.act("set_field", email=ANN, field="city", value=value)
        w.sync()
    assert kinds(w) == ["oscillation"]
    w.sync()
    assert kinds(w) == ["oscillation"]
    city = w.crm_shows(ANN)["fields"]["city"]
    w.esp.act("set_field", email=ANN, field="city", value=city)
    w.sync()

    assert kinds(w) == []
    assert reasons(w) == {"oscillation": "both sides show the same"}


def test_a_value_that_keeps_bouncing_is_copied_again_when_somebody_asks_for_it(world: Make) -> None:
    w = world(person(1))
    w.sync()
    for value in ("Tartu", "Riga", "Tartu", "Riga"):
        side = w.crm if value == "Tartu" else w.esp
        side.act("set_field", email=ANN, field="city", value=value)
        w.sync()
    (frozen,) = issues(w)
    retry(w.engine, [frozen.id])
    w.sync()

    assert w.crm_shows(ANN)["fields"]["city"] == w.esp_shows(ANN)["fields"]["city"]
    assert kinds(w) == []


def test_a_value_that_the_vendor_cuts_closes_when_it_fits(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.crm.act("set_field", email=ANN, field="city", value="Riga" * 100)
    w.sync()
    w.crm.act("set_field", email=ANN, field="city", value="Oslo")
    w.sync()
    w.sync()

    assert w.esp_shows(ANN)["fields"]["city"] == "Oslo"
    assert kinds(w) == []


def test_an_edit_beyond_what_the_vendor_has_room_for_is_no_value_that_it_did_not_store(world: Make) -> None:
    w = world(person(1))
    w.sync()
    for text in ("Riga" * 100, "Riga" * 101):
        w.crm.act("set_field", email=ANN, field="city", value=text)
        w.sync()

    assert kinds(w) == []
    assert w.crm_shows(ANN)["fields"]["city"] == "Riga" * 101


def test_a_conflict_that_was_dismissed_leaves_both_as_they_are_until_one_side_changes(world: Make) -> None:
    w = reviewed(world)
    w.crm.act("set_field", email=ANN, field="city", value="Tartu")
    w.esp.act("set_field", email=ANN, field="city", value="Narva")
    w.crm.act("set_field", email=ANN, field="last_name", value="Larsen")
    w.sync()
    (asked,) = issues(w)
    w.crm.act("set_field", email=ANN, field="first_name", value="Anna")
    dismiss(w.engine, [asked.id], actor="Eve")
    w.settle()
    assert (w.crm_shows(ANN)["fields"]["city"], w.esp_shows(ANN)["fields"]["city"]) == ("Tartu", "Narva")
    assert w.esp_shows(ANN)["fields"]["first_name"] == "Anna"

    w.esp.act("set_field", email=ANN, field="city", value="Oslo")
    w.settle()
    assert w.crm_shows(ANN)["fields"]["city"] == "Oslo"

    w.crm.act("set_field", email=ANN, field="city", value="Riga")
    w.esp.act("set_field", email=ANN, field="city", value="Parnu")
    w.settle()
    assert kinds(w) == ["field_conflict"]


def test_a_dismissed_issue_stays_quiet_and_keeps_who_said_so(world: Make) -> None:
    w = world(person(1), person(2))
    w.sync()
    w.crm.act("opt_out", email=ANN)
    w.sync()
    w.esp.act("flip_in", email=ANN)
    w.sync()
    (refused,) = issues(w)
    dismiss(w.engine, [refused.id], actor="Eve")
    w.wait(hours=1)
    w.esp.act("flip_in", email=ANN)
    report = w.sync()

    assert w.esp_shows(ANN)["status"] == Status.OUT
    assert kinds(w) == []
    assert report.syncs["newsletter"].issues == 0
    (known,) = issues(w, state="dismissed")
    assert (known.count, known.values["dismissed_by"], len(known.values["times"])) == (2, "Eve", 2)


def test_issues_survive_a_restart_and_close_afterwards(world: Make, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("state") / "optsync.db"
    w = world(person(1, addresses=("ann at example",), in_esp=False), person(2), state_url=f"sqlite:///{file}")
    w.sync()
    w.engine = w.compose()
    w.sync()
    assert kinds(w) == ["invalid_address"]
    w.crm.act("change_address", email="ann at example", to=ANN)
    w.engine = w.compose()
    w.sync()

    assert kinds(w) == []
