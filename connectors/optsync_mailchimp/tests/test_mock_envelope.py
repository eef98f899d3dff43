"""What all calls have in common: keys, problem documents, headers, account states, failures."""

import base64
import json
import uuid
from email.utils import parsedate_to_datetime

import pytest

from optsync.connect.mock import ConnectionLost, MockRequest
from optsync_mailchimp.tests.api import LIST, Api


@pytest.fixture
def api() -> Api:
    return Api()


def test_ping_answers_to_a_basic_key_with_any_user(api: Api) -> None:
    key = base64.b64encode(f"whoever:{api.mock.account.api_key}".encode()).decode()
    answer = api.raw("GET", "/3.0/ping", headers={"authorization": f"Basic {key}"})
    assert json.loads(answer.body) == {"health_status": "Everything's Chimpy!"}


@pytest.mark.parametrize(
    ("headers", "status", "title"),
    [
        ({}, 401, "API Key Missing"),
        ({"authorization": "Bearer 0123-us6"}, 401, "API Key Invalid"),
        ({"authorization": "Basic ???"}, 401, "API Key Invalid"),
    ],
)
def test_a_bad_key_is_refused(api: Api, headers: dict[str, str], status: int, title: str) -> None:
    answer = api.raw("GET", "/3.0/ping", headers=headers)
    assert (answer.status, json.loads(answer.body)["title"]) == (status, title)


def test_a_key_of_another_datacenter_is_told_apart(api: Api) -> None:
    key = api.mock.account.api_key.replace("-us6", "-us7")
    answer = api.raw("GET", "/3.0/ping", headers={"authorization": f"Bearer {key}"})
    assert (answer.status, json.loads(answer.body)["title"]) == (403, "Wrong Datacenter")


def test_a_problem_names_its_request(api: Api) -> None:
    answer = api.raw("GET", "/3.0/lists/nosuch")
    body = json.loads(answer.body)
    assert answer.headers["Content-Type"] == "application/problem+json; charset=utf-8"
    assert str(uuid.UUID(body["instance"])) == answer.headers["X-Request-Id"]
    assert (body["status"], body["title"]) == (404, "Resource Not Found")


def test_the_date_header_is_the_clocks(api: Api) -> None:
    answer = api.raw("GET", "/3.0/ping")
    assert parsedate_to_datetime(answer.headers["Date"]) == api.clock.now().replace(microsecond=0)


@pytest.mark.parametrize(("state", "status"), [("PaymentRequired", 402), ("UserDisabled", 403), ("Forbidden", 403)])
def test_a_troubled_account_refuses_everything_until_it_is_well(api: Api, state: str, status: int) -> None:
    api.act("account", state=state)
    assert api.call("GET", "/ping").status == status
    api.act("account", state="")
    assert api.call("GET", "/ping").status == 200


def test_an_error_can_be_ordered_by_header(api: Api) -> None:
    headers = {"authorization": f"Bearer {api.mock.account.api_key}", "x-trigger-error": "TooManyRequests"}
    assert api.raw("GET", "/3.0/ping", headers=headers).status == 429


def test_the_verb_can_be_overridden_in_a_post_only(api: Api) -> None:
    api.add("a@example.com")
    key = {"authorization": f"Bearer {api.mock.account.api_key}", "x-http-method-override": "DELETE"}
    path = f"/3.0{api.member('a@example.com')}"
    assert api.raw("PUT", path, headers=key).status == 422
    assert api.raw("POST", path, headers=key).status == 204


def test_a_body_that_is_no_json_object_is_refused(api: Api) -> None:
    assert json.loads(api.raw("POST", f"/3.0{LIST}/members", body=b"{").body)["title"] == "JSON Parse Error"
    errors = json.loads(api.raw("POST", f"/3.0{LIST}/members", body=b"null").body)["errors"]
    assert errors == [{"field": "", "message": "Schema describes object, NULL found"}]


def test_both_field_lists_at_once_are_refused(api: Api) -> None:
    assert api.call("GET", "/", fields="account_id", exclude_fields="role").status == 422
    assert api.call("GET", "/", fields="account_id,role").body.keys() == {"account_id", "role"}


def test_ordered_failures_come_once_each(api: Api) -> None:
    api.act("fail", kind="edge_403")
    api.act("fail", kind="gateway_502")
    api.act("fail", kind="InternalServerError")
    assert [api.raw("GET", "/3.0/ping").status for _ in range(4)] == [403, 502, 500, 200]


def test_a_lost_answer_belongs_to_a_request_that_was_carried_out(api: Api) -> None:
    api.act("fail", kind="lost_answer")
    with pytest.raises(ConnectionLost):
        api.add("a@example.com")
    assert api.call("GET", api.member("a@example.com")).status == 200


def test_the_login_service_answers_200_to_a_token_it_does_not_know(api: Api) -> None:
    answer = api.raw("GET", "/oauth2/metadata", headers={"authorization": "OAuth nonsense"})
    assert answer.status == 200
    assert "api_endpoint" not in json.loads(answer.body)
    good = {"authorization": f"OAuth {api.mock.account.access_token}"}
    assert json.loads(api.raw("GET", "/oauth2/metadata", headers=good).body)["dc"] == "us6"


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "/3.0/lists", b"", False),
        ("PATCH", "/3.0/lists/a/members/b", b"{}", True),
        ("POST", "/3.0/lists/a", b"{}", True),
        ("POST", "/3.0/batches", b'{"operations":[{"method":"GET","path":"/lists"}]}', False),
        ("POST", "/3.0/batches", b'{"operations":[{"method":"GET"},{"method":"PUT"}]}', True),
        ("POST", "/3.0/batches", b"nonsense", True),
    ],
)
def test_writes_are_told_from_reads(api: Api, method: str, path: str, body: bytes, expected: bool) -> None:
    assert api.mock.is_write(MockRequest(method=method, path=path, body=body)) is expected
