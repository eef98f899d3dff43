"""Merge fields and interest groups: what is stored, what is refused, in which words."""

from typing import Any

import pytest

from optsync_mailchimp.tests.api import LIST, Api

ANN = "ann@example.com"
FIELDS: dict[str, dict[str, Any]] = {
    "number": {},
    "date": {},
    "birthday": {},
    "address": {},
    "zip": {},
    "url": {},
    "radio": {"choices": ["A", "B"]},
    "phone": {"phone_format": "US"},
}


@pytest.fixture
def api() -> Api:
    """With one field of each type, named after it, beside those of the population."""
    return furnished()


def furnished(**switches: Any) -> Api:
    api = Api(**switches)
    for kind, options in FIELDS.items():
        tag = "USPHONE" if kind == "phone" else kind
        body = {"name": kind, "tag": tag, "type": kind, "options": options}
        assert api.call("POST", f"{LIST}/merge-fields", body).status == 200
    api.add(ANN)
    return api


def write(api: Api, tag: str, value: Any) -> Any:
    return api.call("PATCH", api.member(ANN), {"merge_fields": {tag: value}})


HOME = {"addr1": "1 Main St", "city": "Springfield", "state": "IL", "zip": "62701"}


@pytest.mark.parametrize(
    ("tag", "sent", "stored"),
    [
        ("NUMBER", 15.5, 15.5),
        ("NUMBER", "12", 12),
        ("DATE", "1980-12-21", "1980-12-21"),
        ("DATE", "1980/12/21", "1980-12-21"),
        ("DATE", "21-12-1980", "1980-12-21"),
        ("DATE", "12/21/1980", "1980-12-21"),
        ("BIRTHDAY", "02/29", "02/29"),
        ("ADDRESS", HOME, {**HOME, "addr2": "", "country": ""}),
        ("ZIP", "62701", "62701"),
        ("URL", "https://example.com/a", "https://example.com/a"),
        ("RADIO", "A", "A"),
        ("PHONE", "anything goes", "anything goes"),
        ("USPHONE", "(217) 555-0100", "(217) 555-0100"),
        ("CITY", "Z" * 300, "Z" * 255),
        ("CITY", "ü" * 200, "ü" * 127),
    ],
)
def test_a_fitting_value_is_stored_in_the_fields_form_and_cleared_by_an_empty_text(
    api: Api, tag: str, sent: Any, stored: Any
) -> None:
    assert write(api, tag, sent).body["merge_fields"][tag] == stored
    assert write(api, tag, "").body["merge_fields"][tag] == ""


MISFITS = [
    ("NUMBER", "many", "Please enter a number", "Bitte gib eine Zahl ein"),
    ("NUMBER", "nan", "Please enter a number", "Bitte gib eine Zahl ein"),
    ("DATE", "21.12.1980", "Please enter the date", "Bitte gib das Datum ein"),
    ("BIRTHDAY", "13/01", "Please enter a month (01-12) and a day (01-31)", None),
    ("ADDRESS", {"addr1": "1 Main St"}, "Please enter a complete address", None),
    ("ZIP", "ABC", "Please enter a zip code (5 digits)", None),
    ("URL", "no url", "Please enter a valid URL", None),
    ("USPHONE", "+41 44 000 00 00", "Please enter a phone number", "Bitte gib eine Telefonnummer ein"),
    ("RADIO", "C", "Please select a value", "Bitte wähle einen Wert aus"),
    ("PLAN", "Lead", "Please select a value", "Bitte wähle einen Wert aus"),
]


@pytest.mark.parametrize(("tag", "value", "english", "german"), MISFITS)
def test_a_value_that_does_not_fit_is_refused_in_the_accounts_language(
    api: Api, tag: str, value: Any, english: str, german: str | None
) -> None:
    reply = write(api, tag, value)
    assert (reply.status, reply.body["detail"]) == (400, "Your merge fields were invalid.")
    assert reply.body["errors"] == [{"field": tag, "message": english}]
    if german:
        message = write(furnished(language="de"), tag, value).body["errors"][0]["message"]
        assert message == german


@pytest.mark.parametrize("value", [None, True, ["x"]])
def test_a_value_of_a_wrong_json_type_is_a_schema_error(api: Api, value: Any) -> None:
    errors = write(api, "CITY", value).body["errors"]
    assert errors == [
        {"field": "merge_fields.CITY", "message": "Data did not match any of the schemas described in anyOf."}
    ]


def test_a_refused_field_leaves_the_rest_unwritten(api: Api) -> None:
    body = {"status": "unsubscribed", "merge_fields": {"CITY": "Rome", "NUMBER": "many"}}
    assert api.call("PATCH", api.member(ANN), body).status == 400
    shown = api.call("GET", api.member(ANN)).body
    assert (shown["status"], shown["merge_fields"]["CITY"]) == ("subscribed", "")


def test_a_required_field_is_demanded_unless_the_check_is_skipped(api: Api) -> None:
    field = api.call("POST", f"{LIST}/merge-fields", {"name": "Must", "tag": "MUST", "type": "text", "required": True})
    body = {"email_address": "new@example.com", "status": "subscribed", "merge_fields": {}}
    reply = api.call("POST", f"{LIST}/members", body)
    assert reply.body["errors"] == [{"field": "MUST", "message": "Please enter a value"}]
    wrong = {**body, "merge_fields": {"NUMBER": "many"}}
    assert api.call("POST", f"{LIST}/members", wrong, skip_merge_validation="true").status == 400
    assert api.call("POST", f"{LIST}/members", body, skip_merge_validation="true").status == 200
    assert api.call("DELETE", f"{LIST}/merge-fields/{field.body['merge_id']}").status == 204


def test_tags_are_cut_to_ten_capitals_and_made_up_when_missing(api: Api) -> None:
    made = api.call("POST", f"{LIST}/merge-fields", {"name": "x", "tag": "company_size", "type": "text"})
    assert made.body["tag"] == "COMPANY_SI"
    nameless = api.call("POST", f"{LIST}/merge-fields", {"name": "y", "type": "text"}).body
    assert nameless["tag"] == f"MMERGE{nameless['merge_id']}"


def test_an_audience_has_thirty_fields_at_most(api: Api) -> None:
    statuses = [
        api.call("POST", f"{LIST}/merge-fields", {"name": "n", "tag": f"N{n}", "type": "text"}).status
        for n in range(30)
    ]
    assert statuses.count(200) == 30 - 5 - len(FIELDS)
    body = api.call("GET", f"{LIST}/merge-fields", count=1000).body
    assert body["total_items"] == 30
    tags = [field["tag"] for field in body["merge_fields"]]
    assert tags == sorted(tags)


def test_groups_are_listed_by_category(api: Api) -> None:
    (category,) = api.call("GET", f"{LIST}/interest-categories").body["categories"]
    assert category["title"] == "Topics"
    path = f"{LIST}/interest-categories/{category['id']}/interests"
    news = api.call("GET", path).body["interests"][0]
    assert (news["name"], news["subscriber_count"]) == ("News", "0")
    api.call("PATCH", api.member(ANN), {"interests": {news["id"]: True}})
    assert api.call("GET", path).body["interests"][0]["subscriber_count"] == "1"


def test_an_unknown_interest_and_a_wrong_type_are_refused(api: Api) -> None:
    (news, *_) = api.mock.audience.interests()
    assert api.call("PATCH", api.member(ANN), {"interests": {"feedbeef00": True}}).status == 400
    assert api.call("PATCH", api.member(ANN), {"interests": {news: "yes"}}).status == 400


def test_without_groups_a_contact_has_no_interests_key(api: Api) -> None:
    api.mock.audience.categories.clear()
    assert "interests" not in api.call("GET", api.member(ANN)).body


def test_marketing_permissions_are_written_one_by_one_but_not_in_bulk(api: Api) -> None:
    api.mock.audience.permissions.update({"caa8dcb11e": "E-mail", "caa8dcb12f": "Post"})
    choice = [{"marketing_permission_id": "caa8dcb11e", "enabled": True}]
    api.call(
        "POST", LIST, {"members": [{"email_address": ANN, "marketing_permissions": choice}], "update_existing": True}
    )
    shown = api.call("GET", api.member(ANN)).body["marketing_permissions"]
    assert [entry["enabled"] for entry in shown] == [False, False]
    shown = api.call("PATCH", api.member(ANN), {"marketing_permissions": choice}).body["marketing_permissions"]
    assert [entry["enabled"] for entry in shown] == [True, False]
