import msgspec
import pytest
import requests

from optsync.connect.mock import MockRequest, MockTransport
from optsync_bitrix24.mocking.php import parse_str, php_int, php_json
from optsync_bitrix24.tests.mock_calls import FORM, Portal, person


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1&a=2", {"a": "2"}),
        ("k[]=x&k[]=y", {"k": ["x", "y"]}),
        ("k[5]=x&k[]=y", {"k": {"5": "x", "6": "y"}}),
        ("a[b][0]=x&a[b][1]=y", {"a": {"b": ["x", "y"]}}),
        ("a.b c=1+2%2B3", {"a_b_c": "1 2+3"}),
        ("filter[>%3DDATE_MODIFY]=2026", {"filter": {">=DATE_MODIFY": "2026"}}),
        ("filter[>=DATE_MODIFY]=2026", {"filter_>": "DATE_MODIFY]=2026"}),
        ("a[x=1", {"a_x": "1"}),
        ("a=scalar&a[b]=1", {"a": {"b": "1"}}),
        ("lonely&&=nameless", {"lonely": ""}),
    ],
)
def test_queries_are_decoded_as_php_does(text: str, expected: object) -> None:
    assert parse_str(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({}, []),
        ({"0": "a", "1": "b"}, ["a", "b"]),
        ({"1": "a"}, {"1": "a"}),
        ({"x": {}, "y": [{}]}, {"x": [], "y": [[]]}),
    ],
)
def test_arrays_become_lists_or_maps_by_their_keys(value: object, expected: object) -> None:
    assert php_json(value) == expected


def test_casts_to_int_take_leading_digits() -> None:
    assert [php_int(value) for value in ("5abc", "abc", "", None, " 7", [1], [], True)] == [5, 0, 0, 0, 7, 1, 0, 1]


@pytest.mark.parametrize("name", ["filter", "FILTER", "Filter", "arFilter"])
def test_classic_methods_know_their_parameters_by_several_casings(name: str) -> None:
    portal = Portal(person(1), person(2))
    assert len(portal.result("crm.contact.list", **{name: {"ID": 2}})) == 1


def test_query_json_and_multipart_say_the_same() -> None:
    portal = Portal(person(1), person(2))
    session = requests.Session()
    session.mount("http://", MockTransport({"http://b.example": portal.mock}))
    url = f"http://b.example{portal.base}crm.contact.list"
    answers = [
        session.get(f"{url}?filter[%3EID]=1&select[]=NAME"),
        session.post(f"{url}?filter[%3EID]=1", json={"select": ["NAME"]}),
        session.post(url, data={"filter[>ID]": "1", "select[]": "NAME"}),
        session.post(url, files={"filter[>ID]": (None, "1"), "select[]": (None, "NAME")}),
    ]
    assert [answer.json()["result"] for answer in answers] == [[{"NAME": "First2"}]] * 4


def test_the_body_wins_over_the_query() -> None:
    portal = Portal(person(1), person(2))
    answer = portal.mock.handle(
        MockRequest(method="POST", path=portal.base + "crm.contact.get", query="id=1", headers=FORM, body=b"id=2")
    )
    assert msgspec.json.decode(answer.body)["result"]["ID"] == "2"


def test_a_plus_that_was_not_encoded_spoils_an_offset_and_the_condition_is_dropped() -> None:
    portal = Portal(person(1))
    asked = "filter[>DATE_MODIFY]=2030-01-01T00:00:00"
    for offset, expected in (("%2B02:00", 0), ("+02:00", 1)):
        answer = portal.send(portal.base + "crm.contact.list", query=asked + offset)
        assert len(msgspec.json.decode(answer.body)["result"]) == expected
