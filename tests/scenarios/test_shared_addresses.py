"""Several contacts with one address, one contact with several: who is restricted, and whose fields count."""

import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from optsync.model.record import Status
from optsync.sync.administer import opt_in
from optsync.sync.explain import explain
from tests.scenarios.world import START, World, person

pytestmark = pytest.mark.rule("restrictions follow the person")

Make = Callable[..., World]
FAMILY, SECOND = "family@example.com", "second@example.com"


def test_the_same_address_twice_in_one_contact_is_one(world: Make) -> None:
    w = world(person(1, addresses=("ann1@example.com", "Ann1@Example.com", "ann1@example.com ")))
    w.sync()
    w.esp.act("unsubscribe", email="ann1@example.com")
    report = w.sync()

    assert sum(c.kind == "opt_out" for c in report.syncs["newsletter"].changes) == 1
    assert w.crm_shows("ann1@example.com")["opt_out"] is True


@pytest.mark.parametrize(("primary", "city"), [("oldest", "Riga"), ("newest", "Oslo")])
def test_the_fields_of_a_shared_address_follow_the_declared_owner(world: Make, primary: str, city: str) -> None:
    w = world(
        person(1, addresses=(FAMILY,), city="Riga"),
        person(2, addresses=(FAMILY,), city="Oslo", in_esp=False, created_at=START - timedelta(days=1)),
        policy={"primary": primary},
    )
    w.sync()
    w.sync()
    assert w.esp_shows(FAMILY)["fields"]["city"] == city

    before = w.writes()
    for _ in range(10):
        w.sync(full=True)
    assert w.writes() == before


def test_who_has_the_fields_of_a_shared_address_again_is_not_given_those_of_the_other(world: Make) -> None:
    w = world(
        person(1, addresses=(FAMILY,), city="Riga"),
        person(2, addresses=(FAMILY,), city="Oslo", in_esp=False, created_at=START - timedelta(days=1)),
    )
    w.sync()
    w.crm.act("edit", id=1, fields={"TYPE_ID": "SUPPLIER"})
    w.sync()
    assert w.esp_shows(FAMILY)["fields"]["city"] == "Oslo", "the list has the other one only"
    w.crm.act("edit", id=1, fields={"TYPE_ID": "CLIENT"})
    w.sync()

    assert w.crm.act("dump", id=1)["UF_CRM_CITY"] == "Riga"
    assert w.esp_shows(FAMILY)["fields"]["city"] == "Riga"
    assert w.crm.act("dump", id=2)["UF_CRM_CITY"] == "Oslo"


def test_an_opt_out_of_one_holder_reaches_every_other(world: Make) -> None:
    w = world(*(person(n, addresses=(FAMILY,), in_esp=n == 1) for n in range(1, 5)), person(9))
    w.sync()
    w.crm.act("opt_out", email=FAMILY)
    w.sync()

    assert all(view["opt_out"] is True for view in w.crm.act("view", email=FAMILY, all=True))
    assert w.esp_shows(FAMILY)["status"] == Status.OUT
    assert not w.crm_shows("ann9@example.com")["opt_out"]


def test_only_the_primary_address_of_a_contact_enters_the_list(world: Make) -> None:
    grant: dict[str, Any] = {"opt_in": True, "consent_at": START - timedelta(days=3)}
    w = world(person(1, addresses=("ann1@example.com", SECOND), in_esp=False, **grant))
    w.sync()

    assert w.esp_shows("ann1@example.com")["status"] == Status.IN
    assert w.esp.act("view", email=SECOND) is None


def test_a_further_address_that_is_a_member_and_out_shows_in_the_flag_and_speaks_for_itself(world: Make) -> None:
    w = world(
        person(1, addresses=("ann1@example.com", SECOND)),
        person(2, addresses=(SECOND,), in_crm=False),
    )
    w.sync()
    w.esp.act("unsubscribe", email=SECOND)
    w.sync()

    assert w.crm_shows("ann1@example.com")["opt_out"] is True
    assert w.esp_shows("ann1@example.com")["status"] == Status.IN
    w.crm.act("add_address", email="ann1@example.com", address="third@example.com")
    w.sync()
    with w.store.reading() as unit:
        key = unit.points.find(["third@example.com"])["third@example.com"]
        assert unit.ledger.about([key])[key] == ()


def test_a_flag_set_for_an_address_that_left_the_contact_stays_until_the_one_that_is_left_says_yes(world: Make) -> None:
    """Nobody knows what that one wants, and taking a restriction away takes a yes."""
    w = world(
        person(1, addresses=("ann1@example.com", SECOND)),
        person(2, addresses=(SECOND,), in_crm=False),
    )
    w.sync()
    w.esp.act("unsubscribe", email=SECOND)
    w.sync()
    _drop_address(w, "ann1@example.com", SECOND)
    w.sync()
    assert w.crm_shows("ann1@example.com")["opt_out"] is True
    assert w.esp_shows("ann1@example.com")["status"] == Status.IN
    opt_in(w.engine, "ann1@example.com", scope="acme/marketing", actor="Olga", evidence="a letter")
    w.sync()

    assert w.crm_shows("ann1@example.com")["opt_out"] is False
    assert w.esp_shows("ann1@example.com")["status"] == Status.IN
    assert w.esp_shows(SECOND)["status"] == Status.OUT


def test_a_flag_set_for_an_address_that_left_the_contact_goes_where_the_one_that_is_left_had_said_yes(
    world: Make,
) -> None:
    w = world(
        person(1, addresses=("ann1@example.com", SECOND)),
        person(2, addresses=(SECOND,), in_crm=False),
        policy={"existing": "legacy_grant"},
    )
    w.sync()
    w.esp.act("unsubscribe", email=SECOND)
    w.sync()
    assert w.crm_shows("ann1@example.com")["opt_out"] is True
    _drop_address(w, "ann1@example.com", SECOND)
    w.sync()

    assert w.crm_shows("ann1@example.com")["opt_out"] is False
    assert w.esp_shows(SECOND)["status"] == Status.OUT


def _drop_address(w: World, of: str, address: str) -> None:
    number = w.crm_id(of)
    row = next(row for row in w.crm.act("dump", id=number)["EMAIL"] if row["VALUE"] == address)
    w.crm.act("edit", id=number, fields={"EMAIL": [{"ID": row["ID"], "DELETE": "Y"}]})


def test_a_flag_set_by_a_person_speaks_for_all_addresses_and_those_added_later(world: Make) -> None:
    w = world(
        person(1, addresses=("ann1@example.com", SECOND)),
        person(2, addresses=(SECOND,), in_crm=False),
        person(3, addresses=("third@example.com",), in_crm=False),
    )
    w.sync()
    w.crm.act("opt_out", email="ann1@example.com")
    w.sync()
    assert w.esp_shows(SECOND)["status"] == Status.OUT
    w.crm.act("add_address", email="ann1@example.com", address="third@example.com")
    w.sync()

    assert w.esp_shows("third@example.com")["status"] == Status.OUT


def test_an_address_that_moves_up_to_first_place_is_followed_by_the_member(world: Make) -> None:
    w = world(person(1, addresses=("ann1@example.com", SECOND), opt_in=True), policy={"existing": "legacy_grant"})
    w.sync()
    _drop_address(w, "ann1@example.com", "ann1@example.com")
    w.crm.act("opt_in", email=SECOND, at=w.clock.now().isoformat())
    report = w.sync()

    assert [c.kind for c in report.syncs["newsletter"].changes if c.system == "esp"] == ["rename"]
    assert w.esp_shows(SECOND)["status"] == Status.IN
    with w.store.reading() as unit:
        assert not unit.changes.open_of("newsletter")


def test_a_contact_that_is_found_deleted_by_a_write_leaves_the_fields_to_the_other_holder(world: Make) -> None:
    w = world(
        person(1, addresses=(FAMILY,), status=Status.OUT),
        person(2, addresses=(FAMILY,), city="Oslo", in_esp=False, created_at=START - timedelta(days=1)),
    )
    w.sync()
    w.crm.act("delete", email=FAMILY)
    w.esp.act("resubscribe", email=FAMILY)
    report = w.sync()
    assert "gone" in [c.fact for c in report.syncs["newsletter"].changes]
    w.sync()

    assert w.esp_shows(FAMILY)["fields"]["city"] == "Oslo"


@pytest.mark.rule("order does not matter")
def test_a_new_consent_that_both_contacts_of_a_person_come_with_at_once_counts(world: Make) -> None:
    twice = {"addresses": (FAMILY,), "opt_out": True}
    w = world(person(1, **twice), person(2, in_esp=False, **twice), person(3))
    w.settle()
    w.wait(hours=1)
    w.crm.act("opt_in", email=FAMILY, at=w.clock.now().isoformat(), all=True)
    w.settle()

    assert w.crm_shows(FAMILY)["opt_out"] is False
    assert w.esp_shows(FAMILY)["status"] == Status.IN


@pytest.mark.rule("fields merge three ways")
def test_an_edit_by_somebody_who_leaves_under_two_addresses_travels(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written because of the second address takes the place of what the first one had brought."""
    monkeypatch.setattr("optsync.sync.decide.BATCH", 1)
    ann = "ann1@example.com"
    w = world(
        person(1, addresses=(ann, SECOND)),
        person(2, addresses=(SECOND,), in_crm=False),
        policy={"after_opt_out": "continue"},
    )
    w.settle()
    w.esp.act("set_field", email=ann, field="city", value="Oslo")
    for email in (ann, SECOND):
        w.esp.act("unsubscribe", email=email)
    w.sync()

    assert (w.crm_shows(ann)["opt_out"], w.crm_shows(ann)["fields"]["city"]) == (True, "Oslo")
    w.settle()


@pytest.mark.parametrize("number", [1, 2])
def test_whoever_is_looked_at_twice_because_of_a_second_address_gets_onto_the_list_once(
    world: Make, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr("optsync.sync.decide.BATCH", 1)
    addresses = ("ann1@example.com", "a.lee@example.com")[:: 1 if number == 1 else -1]
    given = {"opt_in": True, "consent_at": START - timedelta(days=9)}
    w = world(person(1, addresses=addresses, in_esp=False, **given))
    report = w.sync()

    creates = [c for c in report.syncs["newsletter"].changes if c.kind == "create"]
    assert [(c.email, c.state) for c in creates if c.state != "superseded"] == [(addresses[0], "applied")]
    assert w.esp.act("view", email=addresses[1]) is None


def _contact_and_lead_of_one_number(world: Make) -> World:
    w = world(
        person(1, addresses=(FAMILY,)),
        person(2, addresses=(FAMILY,), in_esp=False, crm_entity="lead"),
        person(3, addresses=(SECOND,), in_crm=False),
    )
    w.reconfigure(lambda sync: sync["crm"].update(entity=["contact", "lead"], where={}))
    w.sync()
    return w


def test_a_flag_set_by_a_person_at_a_lead_speaks_for_no_later_address_of_the_contact_of_its_number(
    world: Make,
) -> None:
    w = _contact_and_lead_of_one_number(world)
    w.crm.act("edit", id=1, entity="lead", fields={"UF_CRM_OPT_OUT": "Y"})
    w.sync()
    assert w.crm.act("dump", id=1)["UF_CRM_OPT_OUT"] in ("1", True)
    row = {"VALUE": SECOND, "VALUE_TYPE": "WORK"}
    w.crm.act("edit", id=1, fields={"EMAIL": [row]})
    w.sync()

    assert w.esp_shows(SECOND)["status"] == Status.IN


def test_since_when_a_contact_shows_out_is_not_told_by_the_lead_of_its_number(world: Make) -> None:
    w = _contact_and_lead_of_one_number(world)
    w.crm.act("edit", id=1, fields={"UF_CRM_OPT_OUT": "Y"})
    w.wait(hours=1)
    w.crm.act("edit", id=1, entity="lead", fields={"UF_CRM_OPT_OUT": "Y"})
    w.sync()

    since = {r["collection"]: r["since"] for r in explain(w.engine, FAMILY)["records"] if r["system"] == "crm"}
    assert since["contact"] < since["lead"]


LEAD, FORMER, NEW = {"crm_entity": "lead", "in_esp": False}, "shared@example.com", "new@example.com"


def _with_leads(w: World) -> None:
    """The leads are a sync of their own, for the same audience."""

    def add(sync: dict[str, Any]) -> None:
        leads = copy.deepcopy(sync)
        leads["crm"] |= {"entity": "lead", "where": {}}
        w.document["syncs"]["leads"] = leads

    w.reconfigure(add)


@pytest.mark.parametrize("existing", ["legacy_grant", "unknown"])
@pytest.mark.parametrize("says_yes", [True, False])
def test_an_address_that_a_record_of_another_sync_holds_keeps_its_member(
    world: Make, existing: str, says_yes: bool
) -> None:
    w = world(
        person(1, addresses=(FORMER,), first_name="Ann"),
        person(2, addresses=(FORMER,), first_name="Lea", **LEAD),
        policy={"existing": existing},
    )
    _with_leads(w)
    w.sync()
    w.sync()
    row = w.crm.act("dump", id=1)["EMAIL"][0]
    w.crm.act("edit", id=1, fields={"EMAIL": [{"ID": row["ID"], "VALUE": NEW}]})
    if says_yes:
        w.crm.act("opt_in", email=NEW, at=w.clock.now().isoformat())
    w.sync()
    w.sync()

    assert w.esp_shows(FORMER)["status"] == Status.IN
    assert (w.esp.act("view", email=NEW) is not None) is says_yes
    assert [row["VALUE"] for row in w.crm.act("dump", id=1, entity="lead")["EMAIL"]] == [FORMER]


def test_an_address_changed_on_the_platform_is_given_to_no_record_if_one_of_another_sync_has_the_former_one(
    world: Make,
) -> None:
    w = world(person(1, addresses=(FORMER,)), person(2, addresses=(FORMER,), **LEAD))
    _with_leads(w)
    w.sync()
    w.sync()
    w.esp.act("change_address", email=FORMER, to=NEW)
    w.sync()

    for entity in ("contact", "lead"):
        assert [row["VALUE"] for row in w.crm.act("dump", id=1, entity=entity)["EMAIL"]] == [FORMER]
    with w.store.reading() as unit:
        assert {issue.sync for issue in unit.issues.list(kind="ambiguous")} == {"newsletter", "leads"}


def test_a_member_follows_once_no_record_of_another_sync_has_the_former_address(world: Make) -> None:
    w = world(person(1, addresses=(FORMER,)), person(2, addresses=(FORMER,), **LEAD))
    _with_leads(w)
    w.sync()
    w.sync()
    w.esp.act("change_address", email=FORMER, to=NEW)
    w.sync()
    row = w.crm.act("dump", id=1, entity="lead")["EMAIL"][0]
    w.crm.act("edit", id=1, entity="lead", fields={"EMAIL": [{"ID": row["ID"], "VALUE": "lea@example.com"}]})
    w.sync()
    w.sync()

    assert [row["VALUE"] for row in w.crm.act("dump", id=1)["EMAIL"]] == [NEW]
