"""Which list scopes a row tells by itself, and that it tells them as the portal would."""

from typing import Any

import pytest

from optsync_bitrix24 import belonging
from optsync_bitrix24.belonging import names_in
from optsync_bitrix24.mapping import Descriptor, Fields
from optsync_bitrix24.tests.world import contacts, people, world

_FIELDS: Fields = {
    name: Descriptor(name=name, type=kind, label=name, is_multiple=is_multiple)
    for name, kind, is_multiple in (
        ("TYPE_ID", "crm_status", False),
        ("OPENED", "char", False),
        ("ASSIGNED_BY_ID", "user", False),
        ("UF_CRM_PLAN", "enumeration", False),
        ("UF_CRM_PLANS", "enumeration", True),
        ("UF_CRM_YES", "boolean", False),
        ("NAME", "string", False),
        ("BIRTHDATE", "date", False),
    )
}


def _told(where: dict[str, Any], row: dict[str, Any]) -> bool | None:
    test = belonging.test_of(where, _FIELDS)
    assert test is not None
    return test(row)


@pytest.mark.parametrize(
    ("where", "row", "is_in"),
    [
        ({"TYPE_ID": "CLIENT"}, {"TYPE_ID": "CLIENT"}, True),
        ({"=TYPE_ID": "CLIENT"}, {"TYPE_ID": "PARTNER"}, False),
        ({"@TYPE_ID": ["CLIENT", "PARTNER"]}, {"TYPE_ID": "PARTNER"}, True),
        ({"TYPE_ID": "CLIENT"}, {"TYPE_ID": None}, False),
        ({"TYPE_ID": "CLIENT"}, {"TYPE_ID": ""}, False),
        ({"TYPE_ID": "CLIENT"}, {"TYPE_ID": "Client"}, None),
        ({"TYPE_ID": "CLIENT"}, {"TYPE_ID": "CLI\u00cbNT"}, None),
        ({"TYPE_ID": "CLIENT"}, {"TYPE_ID": 5}, None),
        ({"TYPE_ID": "CLIENT"}, {}, None),
        ({"OPENED": "Y"}, {"OPENED": "N"}, False),
        ({"ASSIGNED_BY_ID": 7}, {"ASSIGNED_BY_ID": "7"}, True),
        ({"ASSIGNED_BY_ID": "7"}, {"ASSIGNED_BY_ID": 70}, False),
        ({"ASSIGNED_BY_ID": "7"}, {"ASSIGNED_BY_ID": "seven"}, None),
        ({"ASSIGNED_BY_ID": "7"}, {}, None),
        ({"UF_CRM_PLAN": ["45", 46]}, {"UF_CRM_PLAN": 46}, True),
        ({"UF_CRM_PLAN": "45"}, {"UF_CRM_PLAN": False}, False),
        ({"UF_CRM_PLAN": "45"}, {"UF_CRM_PLAN": ["45"]}, None),
        ({"TYPE_ID": "CLIENT", "OPENED": "Y"}, {"TYPE_ID": "CLIENT", "OPENED": "Y"}, True),
        ({"TYPE_ID": "CLIENT", "OPENED": "Y"}, {"TYPE_ID": "client", "OPENED": "N"}, False),
        ({"TYPE_ID": "CLIENT", "OPENED": "Y"}, {"TYPE_ID": "client", "OPENED": "Y"}, None),
    ],
)
def test_a_row_tells_or_says_that_it_cannot(where: dict[str, Any], row: dict[str, Any], is_in: bool | None) -> None:
    assert _told(where, row) is is_in


@pytest.mark.parametrize(
    "where",
    [
        {},
        {"!TYPE_ID": "CLIENT"},
        {"%NAME": "ann"},
        {"NAME": "Ann"},
        {"TYPE_ID": ""},
        {"TYPE_ID": "KUNDE \u00e4"},
        {"TYPE_ID": 0},
        {"TYPE_ID": ["CLIENT", ""]},
        {"ASSIGNED_BY_ID": 0},
        {"ASSIGNED_BY_ID": "07"},
        {"ASSIGNED_BY_ID": True},
        {"UF_CRM_PLANS": "45"},
        {"UF_CRM_YES": True},
        {"BIRTHDATE": "2001-02-03"},
        {"TYPE_ID": "CLIENT", ">=BIRTHDATE": "2001-02-03"},
        {"NOWHERE": "x"},
    ],
)
def test_anything_else_only_the_portal_can_tell(where: dict[str, Any]) -> None:
    assert belonging.test_of(where, _FIELDS) is None


def test_the_fields_that_are_looked_at_are_asked_for() -> None:
    assert names_in({"TYPE_ID": "CLIENT", "@OPENED": ["Y"], "!=NAME": "", ">=BIRTHDATE": "2001-02-03"}) == [
        "TYPE_ID",
        "OPENED",
    ]


@pytest.mark.parametrize(
    "where",
    [{"TYPE_ID": "CLIENT"}, {"@TYPE_ID": ["SUPPLIER", "PARTNER"]}, {"OPENED": "Y"}, {"ASSIGNED_BY_ID": "1"}],
)
def test_a_portal_that_is_asked_says_the_same(where: dict[str, Any]) -> None:
    made = world(people(5))
    spec = contacts(told=where, asked={**where, "!NAME": "nobody of that name"})
    for record in made.records(spec).values():
        assert ("told" in record.lists) is ("asked" in record.lists)
