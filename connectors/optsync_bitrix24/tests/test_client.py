"""Errors are told apart by code first and status second; nothing that is said holds the webhook's secret."""

import pytest
from pydantic import ValidationError

from optsync.connect.http import Effect
from optsync.connect.mock import MockResponse
from optsync.errors import CredentialsRefused, OutcomeUnknown, RateLimited, SystemFailure, SystemUnavailable
from optsync_bitrix24.client import Command
from optsync_bitrix24.settings import Bitrix24Settings
from optsync_bitrix24.tests.world import BASE, RENAMED, SECRET, html_answer, json_answer, scripted

_OK = json_answer({"result": {"ID": "7"}, "time": {}})


def _error(code: object, text: str = "", status: int = 400) -> MockResponse:
    return json_answer({"error": code, "error_description": text}, status)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (_error("INVALID_CREDENTIALS", "Invalid request credentials", 401), CredentialsRefused),
        (_error("INVALID_CREDENTIALS", "Invalid request credentials", 403), CredentialsRefused),
        (_error("NO_AUTH_FOUND", "Wrong authorization data", 401), CredentialsRefused),
        (_error("insufficient_scope", "The request requires higher privileges", 401), CredentialsRefused),
        (_error("insufficient_scope", "The request requires higher privileges", 403), CredentialsRefused),
        (_error("authorization_error", "Unable to authorize user", 401), CredentialsRefused),
        (_error("ACCESS_DENIED", "REST is available only on commercial plans.", 403), CredentialsRefused),
        (_error("INVALID_REQUEST", "Https required."), CredentialsRefused),
        (_error("expired_token", "expired", 200), CredentialsRefused),
        (_error("", "Zugriff verweigert", 403), CredentialsRefused),
        (_error("OVERLOAD_LIMIT", "REST API is blocked due to overload", 503), SystemUnavailable),
        (_error("PORTAL_DELETED", "Portal was deleted", 410), SystemUnavailable),
        (_error("PORTAL_DELETED", "Portal was deleted", 403), SystemUnavailable),
        (_error("ERROR_METHOD_NOT_FOUND", "Method not found!", 404), SystemUnavailable),
        (html_answer(404), SystemUnavailable),
        (html_answer(401), CredentialsRefused),
    ],
)
def test_what_cannot_get_better_is_not_tried_again(answer: MockResponse, kind: type[SystemFailure]) -> None:
    client, mock, _ = scripted(answer)
    with pytest.raises(kind):
        client.call("profile", {}, effect=Effect.READ)
    assert len(mock.seen) == 1


@pytest.mark.parametrize(
    "answer",
    [
        _error("QUERY_LIMIT_EXCEEDED", "Too many requests", 503),
        _error("QUERY_LIMIT_EXCEEDED", "Too many requests", 200),
        _error("INTERNAL_SERVER_ERROR", "Internal server error", 500),
        _error("ERROR_UNEXPECTED_ANSWER", "Server returned an unexpected response", 500),
        _error("ERROR_CORE", "SQL query error!", 500),
        html_answer(429),
        html_answer(403),
        html_answer(502),
        html_answer(504),
        html_answer(200),
        json_answer([1, 2]),
        MockResponse(status=200, body=b'{"result": {"ID": "7"'),
    ],
)
def test_what_may_get_better_is_tried_again(answer: MockResponse) -> None:
    client, mock, clock = scripted(answer, _OK)
    assert client.call("profile", {}, effect=Effect.READ).result == {"ID": "7"}
    assert len(mock.seen) == 2
    assert clock.monotonic() > 0


def test_a_limit_that_stays_is_named_as_one() -> None:
    client, _, _ = scripted(_error("QUERY_LIMIT_EXCEEDED", "Too many requests", 503))
    with pytest.raises(RateLimited):
        client.call("profile", {}, effect=Effect.READ)


def test_an_sql_error_is_tried_once_more_only() -> None:
    client, mock, _ = scripted(_error("ERROR_CORE", "SQL query error!", 500))
    with pytest.raises(SystemUnavailable):
        client.call("profile", {}, effect=Effect.READ)
    assert len(mock.seen) == 2


@pytest.mark.parametrize("code", ["", 0, "100", "CRM_FIELD_ERROR_REQUIRED"])
@pytest.mark.parametrize("status", [200, 400])
def test_an_error_about_a_record_is_handed_back_whatever_its_code_and_status(code: object, status: int) -> None:
    client, mock, _ = scripted(_error(code, "Контакт не найден", status))
    reply = client.call("crm.contact.get", {"id": 5}, effect=Effect.READ)
    assert reply.error is not None
    assert (reply.error.code, reply.error.text) == (str(code), "Контакт не найден")
    assert len(mock.seen) == 1


def test_a_method_whose_run_time_is_used_up_waits_until_the_portal_says() -> None:
    start = 1795248000.0
    time = {"finish": start, "operating": 300.0, "operating_reset_at": int(start) + 240}
    used = json_answer({"result": True, "time": time})
    client, _, clock = scripted(used, _error("OPERATION_TIME_LIMIT", "Method is blocked", 429), _OK)
    client.call("crm.contact.update", {"id": 1}, effect=Effect.REPEATABLE)
    client.call("crm.contact.update", {"id": 1}, effect=Effect.REPEATABLE)
    assert 239 <= clock.monotonic() <= 245


def test_a_fifth_of_the_run_time_is_kept_for_what_restricts() -> None:
    start = 1795248000.0
    time = {"finish": start, "operating": 400.0, "operating_reset_at": int(start) + 100}
    used = json_answer({"result": True, "time": time})
    client, _, clock = scripted(used, _OK)
    client.call("crm.contact.update", {"id": 1}, effect=Effect.REPEATABLE)
    client.call("crm.contact.update", {"id": 1}, effect=Effect.REPEATABLE, restrictive=True)
    assert clock.monotonic() == 0
    client.call("crm.contact.update", {"id": 1}, effect=Effect.REPEATABLE)
    assert clock.monotonic() == pytest.approx(100, abs=1)


def test_a_write_that_must_not_be_repeated_is_unknown_after_a_fault_of_the_portal() -> None:
    client, mock, _ = scripted(_error("INTERNAL_SERVER_ERROR", "", 500), _OK)
    with pytest.raises(OutcomeUnknown):
        client.call("crm.contact.add", {"fields": {}}, effect=Effect.ONCE)
    assert len(mock.seen) == 1


def test_a_refusal_does_not_undo_an_earlier_attempt_whose_answer_was_lost() -> None:
    client, _, _ = scripted(html_answer(502), _error("OVERLOAD_LIMIT", "", 503))
    with pytest.raises(OutcomeUnknown):
        client.call("crm.contact.update", {"id": 1}, effect=Effect.REPEATABLE)


def test_a_renamed_portal_gets_the_same_post_at_its_new_host_from_then_on() -> None:
    moved = MockResponse(status=302, headers={"Location": f"{RENAMED}/elsewhere"})
    client, mock, _ = scripted(moved, _OK)
    for _ in range(2):
        assert client.call("profile", {"x": 1}, effect=Effect.READ).result == {"ID": "7"}
    assert [request.base_url for request in mock.seen] == [BASE, RENAMED, RENAMED]
    assert {(request.method, request.body) for request in mock.seen} == {("POST", b'{"x":1}')}


@pytest.mark.parametrize("location", ["https://evil.example/rest/", "", "ftp://127.0.0.1/"])
def test_a_redirect_to_a_foreign_host_is_not_followed(location: str) -> None:
    client, mock, _ = scripted(MockResponse(status=302, headers={"Location": location}))
    with pytest.raises(SystemUnavailable, match="webhook_url"):
        client.call("profile", {}, effect=Effect.READ)
    assert len(mock.seen) == 1


@pytest.mark.parametrize("empty", [[], {}])
def test_empty_maps_of_a_batch_may_be_lists(empty: object) -> None:
    body = {"result": empty, "result_error": empty, "result_total": empty, "result_next": empty, "result_time": empty}
    client, _, _ = scripted(json_answer({"result": body, "time": {}}))
    reply = client.batch({"a": Command(method="profile", params={})}, effect=Effect.READ)
    assert (dict(reply.results), dict(reply.errors), reply.started_at) == ({}, {}, None)


@pytest.mark.parametrize(
    "answer",
    [
        _error("INVALID_CREDENTIALS", f"no {SECRET} here", 401),
        _error("OVERLOAD_LIMIT", f"/rest/7/{SECRET}/batch", 503),
        _error("QUERY_LIMIT_EXCEEDED", SECRET, 503),
        html_answer(404, f"<h1>/rest/7/{SECRET}/profile.json was not found</h1>"),
        html_answer(502, f"upstream /rest/7/{SECRET}/profile.json failed"),
        MockResponse(status=302, headers={"Location": f"https://evil.example/rest/7/{SECRET}/"}),
    ],
)
def test_no_message_holds_the_secret(answer: MockResponse) -> None:
    client, _, _ = scripted(answer)
    with pytest.raises(SystemFailure) as caught:
        client.call("profile", {}, effect=Effect.READ)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"http://portal.example/rest/7/{SECRET}/",
        f"https://portal.example/{SECRET}",
        f"https://portal.example/rest/{SECRET}/",
        f"ftp://portal.example/rest/7/{SECRET}/",
    ],
)
def test_an_address_that_is_no_safe_webhook_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Bitrix24Settings.model_validate({"connector": "bitrix24", "webhook_url": url})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("tail", ["", "/", "/profile.json", "/crm.contact.list.json"])
def test_a_webhook_is_taken_as_people_copy_it(tail: str) -> None:
    settings = Bitrix24Settings.model_validate(
        {"connector": "bitrix24", "webhook_url": f"{BASE}/rest/7/{SECRET}{tail}"}
    )
    assert settings.webhook.base_url == f"{BASE}/rest/7/{SECRET}"
    assert settings.webhook.account == "127.0.0.1/b24"
    assert SECRET not in repr(settings)


@pytest.mark.parametrize("length", range(80, 220, 7))
@pytest.mark.parametrize("hidden", [SECRET, "ann@example.com"])
def test_no_part_of_a_secret_or_an_address_is_told_where_a_page_is_cut(length: int, hidden: str) -> None:
    client, _, _ = scripted(html_answer(404, f"<p>{'x' * length} {hidden} is not here</p>"))
    with pytest.raises(SystemUnavailable) as caught:
        client.call("profile", {}, effect=Effect.READ)
    assert hidden[:4] not in str(caught.value)
