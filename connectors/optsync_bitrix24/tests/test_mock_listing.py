import pytest

from optsync_bitrix24.tests.mock_calls import Portal, nobody, person


def ids(rows: list[dict[str, str]]) -> list[int]:
    return [int(row["ID"]) for row in rows]


def test_a_typo_in_the_filter_returns_everything() -> None:
    portal = Portal(person(1), person(2))
    assert len(portal.result("crm.contact.list", filter={"TYPEID": "NOBODY"})) == 2
    assert portal.result("crm.contact.list", filter={"TYPE_ID": "NOBODY"}) == []


def test_a_contact_without_mail_has_no_email_key() -> None:
    portal = Portal(nobody(1), person(2))
    rows = portal.result("crm.contact.list", select=["EMAIL"], order={"ID": "ASC"})
    assert [sorted(row) for row in rows] == [["ID"], ["EMAIL", "ID"]]
    assert "EMAIL" not in portal.contact(1)
    assert portal.contact(2)["HAS_EMAIL"] == "Y"


def test_an_empty_email_condition_is_removed_and_an_array_counts_by_its_first_value() -> None:
    portal = Portal(person(1, "Ann@Example.com"), person(2))

    def found(condition: object, key: str = "EMAIL") -> list[int]:
        return sorted(ids(portal.result("crm.contact.list", filter={key: condition})))

    assert found("") == [1, 2]
    assert found("ann@example.COM") == [1]
    assert found(["p2@example.com", "ann@example.com"]) == [2]
    assert found("ann@example.com", "=EMAIL") == [1, 2]
    assert found(["ann@example.com"], "@EMAIL") == [1, 2]


@pytest.mark.parametrize(("mode", "expected"), [("exact", 0), ("prefix", 1)])
def test_the_email_filter_is_exact_or_a_prefix(mode: str, expected: int) -> None:
    portal = Portal(person(1, "ann@example.com.test"), email_filter=mode)
    assert len(portal.result("crm.contact.list", filter={"EMAIL": "ann@example.com"})) == expected


def test_pages_have_fifty_rows_and_next_only_while_there_is_more() -> None:
    portal = Portal(*(person(i) for i in range(1, 121)))
    _, first = portal.answer("crm.contact.list", order={"ID": "ASC"})
    assert (len(first["result"]), first["total"], first["next"]) == (50, 120, 50)
    _, last = portal.answer("crm.contact.list", order={"ID": "ASC"}, start=149, limit=500)
    assert (ids(last["result"])[0], last["total"]) == (101, 120)
    assert "next" not in last


@pytest.mark.parametrize(("answer", "expected"), [("first", 50), ("empty", 0)])
def test_a_page_beyond_the_end_repeats_the_first_or_is_empty(answer: str, expected: int) -> None:
    portal = Portal(*(person(i) for i in range(1, 61)), past_the_end=answer)
    assert len(portal.result("crm.contact.list", order={"ID": "ASC"}, start=100)) == expected


def test_counting_is_off_with_start_minus_one() -> None:
    portal = Portal(*(person(i) for i in range(1, 61)))
    _, body = portal.answer("crm.contact.list", order={"ID": "ASC"}, filter={">ID": 5}, start=-1)
    assert (ids(body["result"])[0], len(body["result"]), body["total"]) == (6, 50, 0)
    assert "next" not in body


def test_windows_of_ids_end_where_they_are_told() -> None:
    portal = Portal(*(person(i) for i in range(1, 61)))
    asked = {">ID": 10, "<=ID": 13}
    rows = portal.result("crm.contact.list", order={"ID": "DESC"}, filter=asked, select=["ID"], start=-1)
    assert rows == [{"ID": "13"}, {"ID": "12"}, {"ID": "11"}]
    assert ids(portal.result("crm.contact.list", order={"ID": "ASC"}, filter={"@ID": [9, 77, "4"]})) == [4, 9]


def test_without_an_order_the_rows_do_not_come_by_ascending_id() -> None:
    portal = Portal(person(1), person(2))
    assert ids(portal.result("crm.contact.list")) == [2, 1]


def test_a_delta_shows_what_was_modified_since_in_the_portals_offset() -> None:
    portal = Portal(*(person(i) for i in range(1, 61)))
    portal.clock.advance(60.9)
    portal.mock.act("set_field", email="p3@example.com", field="city", value="Oslo")
    for since in ("2026-11-21T10:27:40+02:00", "2026-11-21T08:27:40Z", "2026-11-21 10:27:40", "21.11.2026 10:27:40"):
        rows = portal.result("crm.contact.list", filter={">=DATE_MODIFY": since}, select=["ID", "DATE_MODIFY"])
        assert rows == [{"ID": "3", "DATE_MODIFY": "2026-11-21T10:27:40+02:00"}]
    assert len(portal.result("crm.contact.list", filter={">=DATE_MODIFY": "yesterday"})) == 50
    assert portal.result("crm.contact.list", filter={">DATE_MODIFY": "2026-11-21T10:27:40+02:00"}) == []


def test_select_masks_decide_what_a_row_shows() -> None:
    portal = Portal(person(1, city="Oslo"))

    def row(*select: str) -> dict[str, object]:
        found: dict[str, object] = portal.result("crm.contact.list", select=list(select))[0]
        return found

    assert row("NAME", "NONSENSE", "name") == {"NAME": "First1"}
    assert all(name.startswith("UF_") for name in row("UF_*"))
    assert not any(name.startswith("UF_") or name == "EMAIL" for name in row("*"))
    assert {"ID", "UF_CRM_CITY"} <= row().keys()
    assert "EMAIL" not in row()


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"UF_CRM_OPT_OUT": 1}, [2]),
        ({"UF_CRM_OPT_OUT": 0}, [3]),
        ({"UF_CRM_OPT_OUT": "Y"}, [3]),
        ({"UF_CRM_OPT_OUT": ""}, [1]),
        ({"!=UF_CRM_OPT_OUT": ""}, [2, 3]),
        ({"!UF_CRM_OPT_OUT": 1}, [1, 3]),
        ({"%NAME": "rst2"}, [2]),
        ({"=%NAME": "%3"}, [3]),
        ({"%TYPE_ID": "CLI"}, []),
        ({"@TYPE_ID": ["CLIENT", "PARTNER"], "NAME": "first1"}, [1]),
        ({"UF_CRM_PLAN": 46}, [2]),
    ],
)
def test_conditions_mean_what_the_documentation_says(condition: dict[str, object], expected: list[int]) -> None:
    portal = Portal(person(1), person(2, opt_out=True, plan="Silver"), person(3))
    portal.result("crm.contact.update", id=3, fields={"UF_CRM_OPT_OUT": "N"})
    rows = portal.result("crm.contact.list", filter=condition, order={"ID": "ASC"})
    assert ids(rows) == expected


def test_rows_that_the_owner_may_not_see_are_left_out_of_rows_and_total() -> None:
    portal = Portal(*(person(i) for i in range(1, 4)), can_see=lambda _, row_id: row_id != 2)
    _, body = portal.answer("crm.contact.list", order={"ID": "ASC"})
    assert (ids(body["result"]), body["total"]) == ([1, 3], 2)
    assert portal.error("crm.contact.get", id=2) == (400, "", "Access denied.")


def test_a_walk_over_a_hundred_thousand_contacts_looks_at_each_once() -> None:
    looked: list[int] = []

    def sees(_: str, row_id: int) -> bool:
        looked.append(row_id)
        return True

    portal = Portal(has_rate_limit=False, can_see=sees)
    portal.mock.populate(person(i) for i in range(1, 100_001))
    for last in (0, 50_000, 99_950):
        rows = portal.result("crm.contact.list", filter={">ID": last}, order={"ID": "ASC"}, start=-1, select=["ID"])
        assert ids(rows) == list(range(last + 1, last + 51))
    assert len(looked) == 150
