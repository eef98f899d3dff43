from typing import Any

import pytest

from optsync_bitrix24.mocking.catalogue import Field
from optsync_bitrix24.mocking.names import item_names
from optsync_bitrix24.tests.mock_calls import Portal, person

CONTACT = {"entityTypeId": 3, "useOriginalUfNames": "Y"}


def item(portal: Portal, number: int = 1) -> Any:
    return portal.result("crm.item.get", id=number, **CONTACT)["item"]


def test_an_item_is_typed_and_shows_its_addresses_twice() -> None:
    shown = item(Portal(person(1, "a@example.com", "b@example.com", opt_out=True, plan="Gold")))
    assert (shown["id"], shown["name"], shown["companyId"], shown["entityTypeId"]) == (1, "First1", 0, 3)
    assert (shown["email"], shown["emailHome"], shown["emailMailing"]) == ("a@example.com", "b@example.com", "")
    assert [row["value"] for row in shown["fm"]] == ["a@example.com", "b@example.com"]
    assert (shown["UF_CRM_OPT_OUT"], shown["UF_CRM_OPT_IN"], shown["UF_CRM_PLAN"]) == ("Y", "N", 45)


@pytest.mark.parametrize(
    ("original", "expected"),
    [
        ("UF_CRM_OPT_OUT", "ufCrmOptOut"),
        ("UF_CRM_3_DIGIT", "ufCrm3Digit"),
        ("UF_CRM_1747309879", "ufCrm_1747309879"),
        ("UF_CRM_2_1639669411830", "ufCrm2_1639669411830"),
        ("UF_CRM_64A29A1CD5CC2", "ufCrm_64A29A1CD5CC2"),
    ],
)
def test_custom_names_become_camel_case_by_the_documented_examples(original: str, expected: str) -> None:
    fields = {original: Field(name=original, type="string")}
    assert item_names("contact", fields, keeps_originals=False) == {expected: original}


def test_of_two_fields_with_one_camel_name_the_second_keeps_its_original() -> None:
    fields = {name: Field(name=name, type="string") for name in ("UF_CRM_A_B", "UF_CRM_A__B")}
    assert list(item_names("contact", fields, keeps_originals=False)) == ["ufCrmAB", "UF_CRM_A__B"]


def test_the_fields_name_their_originals() -> None:
    fields = Portal().result("crm.item.fields", entityTypeId=3)["fields"]
    assert fields["ufCrmOptOut"]["upperName"] == "UF_CRM_OPT_OUT"
    assert fields["updatedTime"]["upperName"] == "DATE_MODIFY"
    assert "stageId" in Portal().result("crm.item.fields", entityTypeId=1)["fields"]


@pytest.mark.parametrize(
    "params",
    [
        {"filter": {"NAME": "x"}},
        {"filter": {"0": {"logic": "OR", "0": {"nonsense": 1}}}},
        {"filter": {"UF_CRM_OPT_OUT": "Y"}},
        {"order": {"nonsense": "ASC"}},
        {"order": {"id": "UP"}},
    ],
)
def test_filters_and_orders_are_strict(params: dict[str, Any]) -> None:
    assert Portal().error("crm.item.list", **CONTACT, **params)[:2] == (400, "INVALID_ARG_VALUE")


def test_lists_filter_nest_and_select() -> None:
    portal = Portal(*(person(i, opt_out=i == 2) for i in range(1, 61)))

    def found(**params: Any) -> list[Any]:
        rows: list[Any] = portal.result("crm.item.list", **CONTACT, order={"id": "ASC"}, **params)["items"]
        return rows

    assert [row["id"] for row in found(filter={"UF_CRM_OPT_OUT": 1})] == [2]
    nested = {"0": {"logic": "OR", "0": {">id": 59}, "1": {"name": "First3"}}, "opened": "Y"}
    assert [row["id"] for row in found(filter=nested)] == [3, 60]
    assert found(filter={"id": 4}, select=["name", "fm", "email"]) == [
        {"id": 4, "name": "First4", "email": "p4@example.com"}
    ]
    _, body = portal.answer("crm.item.list", **CONTACT)
    assert (body["total"], body["next"], len(body["result"]["items"])) == (60, 50, 50)
    _, body = portal.answer("crm.item.list", **CONTACT, start=-1)
    assert not {"total", "next"} & body.keys()


def test_an_update_without_a_difference_moves_no_stamp() -> None:
    portal = Portal(person(1))
    portal.clock.advance(5)
    portal.result("crm.item.update", id=1, fields={"name": "First1", "nonsense": 1}, **CONTACT)
    assert portal.contact()["MODIFY_BY_ID"] == "1"
    portal.result("crm.item.update", id=1, fields={"name": "Zoe"}, **CONTACT)
    assert (portal.contact()["MODIFY_BY_ID"], portal.contact()["DATE_MODIFY"]) == ("7", "2026-11-21T10:26:45+02:00")


@pytest.mark.parametrize(("written", "shown"), [("Y", "Y"), (True, "Y"), ("N", "N"), (1, "N"), ("1", "N"), (0, "N")])
def test_a_boolean_is_true_for_y_and_true_only(written: object, shown: str) -> None:
    portal = Portal(person(1))
    portal.result("crm.item.update", id=1, fields={"UF_CRM_OPT_OUT": written}, **CONTACT)
    assert item(portal)["UF_CRM_OPT_OUT"] == shown


def test_what_is_empty_becomes_null() -> None:
    portal = Portal(person(1, city="Oslo", plan="Gold"))
    portal.result("crm.item.update", id=1, fields={"UF_CRM_CITY": "0", "UF_CRM_PLAN": ""}, **CONTACT)
    assert (item(portal)["UF_CRM_CITY"], item(portal)["UF_CRM_PLAN"]) == (None, None)


def test_fm_deletes_changes_and_adds_by_its_keys() -> None:
    portal = Portal(person(1, "a@example.com", "b@example.com"))
    first, second = (row["id"] for row in item(portal)["fm"])
    mail = {"typeId": "EMAIL", "valueType": "WORK"}
    sent = {
        str(first): {**mail, "value": ""},
        str(second): {**mail, "value": "b2@example.com"},
        "n0": {**mail, "value": "c@example.com"},
        "n1": {"value": "ignored@example.com"},
        "n2": "ignored@example.com",
    }
    portal.result("crm.item.update", id=1, fields={"fm": sent}, **CONTACT)
    fm = item(portal)["fm"]
    assert [(row["value"], row["id"] == second) for row in fm] == [("b2@example.com", True), ("c@example.com", False)]


def test_items_are_added_and_deleted_and_what_is_gone_is_not_found() -> None:
    portal = Portal()
    fields = {"name": "Ann", "fm": [{"typeId": "EMAIL", "valueType": "HOME", "value": "ann@example.com"}]}
    made = portal.result("crm.item.add", fields=fields, **CONTACT)["item"]
    assert (made["id"], made["emailHome"]) == (1, "ann@example.com")
    assert portal.result("crm.item.delete", id=1, **CONTACT) == []
    assert portal.error("crm.item.get", id=1, **CONTACT)[:2] == (400, "NOT_FOUND")
    assert portal.error("crm.item.get", id=1, entityTypeId=999)[:2] == (400, "NOT_FOUND")
