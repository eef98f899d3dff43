from typing import Any

import pytest

from optsync_bitrix24.tests.mock_calls import FORM, Portal, nobody, person


def test_an_update_with_an_unknown_field_is_true_and_moves_only_the_stamps() -> None:
    portal = Portal(person(1))
    before = portal.contact()
    portal.clock.advance(5)
    assert portal.result("crm.contact.update", id=1, fields={"UF_CRM_NONSENSE": 1, "DATE_CREATE": "2020-01-01"}) is True
    after = portal.contact()
    assert {name for name in after if after[name] != before[name]} == {"DATE_MODIFY", "MODIFY_BY_ID"}
    assert (before["MODIFY_BY_ID"], after["MODIFY_BY_ID"]) == ("1", "7")


@pytest.mark.parametrize(
    ("method", "params", "expected"),
    [
        ("crm.contact.get", {"id": 99}, (400, "", "Not found")),
        ("crm.contact.get", {}, (400, "", "ID is not defined or invalid.")),
        ("crm.contact.update", {"id": 99, "fields": {}}, (400, "", "Contact is not found")),
        ("crm.contact.update", {"id": 1, "fields": "x"}, (400, "", "Parameter 'fields' must be array.")),
        ("crm.contact.delete", {"id": 99}, (400, "ERROR_CORE", "Element not found")),
        ("crm.lead.delete", {"id": 99}, (400, "", "Not found")),
    ],
)
def test_classic_refusals_have_their_empty_codes(
    method: str, params: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    assert Portal(person(1)).error(method, **params) == expected


def emails(portal: Portal, number: int = 1) -> list[tuple[str, str, str]]:
    return [(row["ID"], row["VALUE_TYPE"], row["VALUE"]) for row in portal.contact(number).get("EMAIL", [])]


def test_multifields_are_added_changed_and_deleted_by_their_own_ids() -> None:
    portal = Portal(person(1, "a@example.com", "b@example.com"))
    (first, _, _), (second, _, _) = emails(portal)

    def write(*rows: dict[str, Any]) -> list[tuple[str, str, str]]:
        portal.result("crm.contact.update", id=1, fields={"EMAIL": list(rows)})
        return emails(portal)

    assert write() == [(first, "WORK", "a@example.com"), (second, "HOME", "b@example.com")]
    assert len(write({"VALUE": "a@example.com", "VALUE_TYPE": "WORK"})) == 2
    assert write({"ID": first, "VALUE": "A2@example.com"})[0] == (first, "WORK", "A2@example.com")
    assert [row[2] for row in write({"VALUE": "c@example.com"})] == ["A2@example.com", "b@example.com", "c@example.com"]
    assert [row[2] for row in write({"ID": first, "DELETE": "Y"}, {"ID": second, "VALUE": ""})] == ["c@example.com"]


def test_an_invalid_address_rejects_the_whole_write() -> None:
    portal = Portal(person(1))
    before = portal.contact()
    portal.clock.advance(5)
    fields = {"NAME": "New", "EMAIL": [{"VALUE": "not an address"}]}
    status, code, text = portal.error("crm.contact.update", id=1, fields=fields)
    assert (status, code) == (400, "ERROR_CORE")
    assert "invalid address" in text
    assert portal.contact() == before


def test_an_added_contact_has_an_integer_id_and_shows_strings() -> None:
    portal = Portal()
    fields = {"NAME": "Ann", "EMAIL": [{"VALUE": "Ann@Example.com"}], "UF_CRM_OPT_OUT": 1, "UF_CRM_PLAN": "45"}
    assert portal.result("crm.contact.add", fields=fields) == 1
    made = portal.contact()
    assert (made["ID"], made["UF_CRM_OPT_OUT"], made["UF_CRM_PLAN"]) == ("1", "1", "45")
    assert made["EMAIL"][0]["VALUE"] == "Ann@Example.com"
    assert portal.error("crm.contact.add", fields={"POST": "x"})[:2] == (400, "")


def test_a_form_writes_as_json_does() -> None:
    portal = Portal(person(1))
    (row, _, _), *_ = emails(portal)
    body = f"id=1&fields[UF_CRM_OPT_OUT]=1&fields[EMAIL][0][ID]={row}&fields[EMAIL][0][VALUE]=new%40example.com"
    assert portal.send(portal.base + "crm.contact.update.json", body.encode(), headers=FORM).status == 200
    assert emails(portal) == [(row, "WORK", "new@example.com")]
    assert portal.contact()["UF_CRM_OPT_OUT"] == "1"


def test_json_that_cannot_be_read_is_no_parameters() -> None:
    portal = Portal(person(1))
    assert portal.send(portal.base + "crm.contact.get", b'{"id": 1').status == 400


@pytest.mark.parametrize(
    ("kind", "written", "shown"),
    [
        ("boolean", "Y", "1"),
        ("boolean", "", "0"),
        ("string", "", ""),
        ("integer", "12", "12"),
        ("double", 1.5, "1.5"),
        ("date", "2001-11-11", "2001-11-11T02:00:00+02:00"),
        ("date", "", ""),
        ("date", "nonsense", ""),
        ("datetime", "2026-11-21T08:00:00Z", "2026-11-21T10:00:00+02:00"),
        ("datetime", "2026-11-21T08:00:00.900", "2026-11-21T08:00:00+02:00"),
        ("datetime", "nonsense", None),
        ("money", "300|EUR", "300|EUR"),
        ("url", "https://example.com/", "https://example.com/"),
    ],
)
def test_a_custom_field_shows_what_was_written_in_its_own_form(kind: str, written: object, shown: object) -> None:
    portal = Portal(nobody())
    fields = {"USER_TYPE_ID": kind, "FIELD_NAME": "mine", "LABEL": "Mine"}
    assert portal.result("crm.contact.userfield.add", fields=fields) > 400
    portal.result("crm.contact.update", id=1, fields={"UF_CRM_MINE": written})
    assert portal.contact()["UF_CRM_MINE"] == shown


def test_options_are_known_by_id_and_lists_are_replaced_whole() -> None:
    portal = Portal(nobody())
    options = [{"VALUE": "Red"}, {"VALUE": "Blue"}]
    fields = {"USER_TYPE_ID": "enumeration", "FIELD_NAME": "UF_COLOURS", "MULTIPLE": "Y", "LIST": options}
    portal.result("crm.contact.userfield.add", fields=fields)
    described = portal.result("crm.contact.fields")["UF_CRM_COLOURS"]
    assert described["items"] == [{"ID": "47", "VALUE": "Red"}, {"ID": "48", "VALUE": "Blue"}]
    for written, shown in (([47, "48"], [47, 48]), (["Red"], []), (["48"], [48]), ([], []), ([""], [])):
        portal.result("crm.contact.update", id=1, fields={"UF_CRM_COLOURS": written})
        assert portal.contact()["UF_CRM_COLOURS"] == shown


@pytest.mark.parametrize(("booleans", "expected"), [("text", [None, "1", "0"]), ("json", [False, True, False])])
def test_booleans_are_text_or_json(booleans: str, expected: list[object]) -> None:
    portal = Portal(person(1), booleans=booleans)
    shown = [portal.contact()["UF_CRM_OPT_OUT"]]
    for value in (True, 0):
        portal.result("crm.contact.update", id=1, fields={"UF_CRM_OPT_OUT": value})
        shown.append(portal.contact()["UF_CRM_OPT_OUT"])
    assert shown == expected


def test_custom_fields_are_listed_changed_and_deleted_by_administrators_only() -> None:
    portal = Portal()
    rows = portal.result("crm.contact.userfield.list", filter={"FIELD_NAME": "UF_CRM_PLAN"})
    assert [option["VALUE"] for option in rows[0]["LIST"]] == ["Gold", "Silver"]
    assert rows[0]["SETTINGS"] == []
    changed = [{"ID": 45, "VALUE": "Platinum"}, {"ID": 46, "DEL": "Y"}, {"VALUE": "Bronze"}]
    portal.result("crm.contact.userfield.update", id=rows[0]["ID"], fields={"LIST": changed})
    items = portal.result("crm.contact.fields")["UF_CRM_PLAN"]["items"]
    assert [item["VALUE"] for item in items] == ["Platinum", "Bronze"]
    portal.result("crm.contact.userfield.delete", id=rows[0]["ID"])
    assert "UF_CRM_PLAN" not in portal.result("crm.contact.fields")
    assert portal.error("crm.contact.userfield.get", id=rows[0]["ID"])[1] == "ERROR_NOT_FOUND"
    assert Portal(is_admin=False).error("crm.contact.userfield.list") == (400, "", "Access denied.")


def test_a_converted_lead_stays_and_says_so() -> None:
    portal = Portal(person(1, crm_entity="lead"))
    portal.result("crm.lead.update", id=1, fields={"STATUS_ID": "CONVERTED"})
    assert portal.result("crm.lead.get", id=1)["STATUS_SEMANTIC_ID"] == "S"
