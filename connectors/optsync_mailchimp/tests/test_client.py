"""What every kind of answer leads to, over real HTTP plumbing."""

import random
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
import responses
from pydantic import ValidationError

from optsync.clock import ManualClock
from optsync.connect.contract import Context
from optsync.connect.http import Effect
from optsync.errors import CredentialsRefused, OptsyncError, OutcomeUnknown, RateLimited, SystemUnavailable
from optsync_mailchimp.client import MailchimpClient
from optsync_mailchimp.settings import MailchimpSettings

_KEY = "0123456789abcdef0123456789abcdef-us6"
_ROOT = "https://us6.api.mailchimp.com/3.0"
_MEMBER = f"{_ROOT}/lists/l/members/c1"
_JSON_403 = {"title": "Forbidden", "status": 403, "detail": "ada@example.com may not do this"}


def _settings(**parts: Any) -> MailchimpSettings:
    return MailchimpSettings(**{"connector": "mailchimp", "api_key": _KEY, **parts})


def _client(clock: ManualClock | None = None) -> MailchimpClient:
    clock = clock or ManualClock(datetime(2026, 11, 1, tzinfo=UTC))
    return MailchimpClient(_settings(), Context(system="mc", clock=clock, rng=random.Random(1)))


def _failure(**answer: Any) -> OptsyncError:
    with responses.RequestsMock() as mocked:
        mocked.get(_MEMBER, **answer)
        with pytest.raises(OptsyncError) as caught:
            _client().get("/lists/l/members/c1")
    return caught.value


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        (None, _ROOT),
        ("https://api.mailchimp.com", "https://api.mailchimp.com/3.0"),
        ("https://api.mailchimp.com/3.0/", "https://api.mailchimp.com/3.0"),
        ("http://127.0.0.1:8000/mailchimp", "http://127.0.0.1:8000/mailchimp/3.0"),
    ],
)
def test_the_endpoint_follows_from_the_key_unless_it_is_set(url: str | None, endpoint: str) -> None:
    assert _settings(base_url=url).endpoint == endpoint


@pytest.mark.parametrize("url", ["http://api.mailchimp.com", "ftp://127.0.0.1", "https://u:p@api.mailchimp.com", "x"])
def test_an_endpoint_without_encryption_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        _settings(base_url=url)


def test_a_mistyped_key_is_refused_without_being_shown() -> None:
    with pytest.raises(ValidationError) as caught:
        _settings(api_key="0123456789abcdef-us6x")

    assert "0123456789abcdef" not in str(caught.value)


def test_a_problem_about_a_record_is_returned() -> None:
    with responses.RequestsMock() as mocked:
        mocked.get(_MEMBER, status=404, json={"title": "Resource Not Found", "status": 404})
        assert _client().get("/lists/l/members/c1").status == 404


def test_a_problem_inside_a_200_counts_as_the_problem() -> None:
    with responses.RequestsMock() as mocked:
        mocked.get(_MEMBER, status=200, json={"title": "Resource Not Found", "status": 404, "detail": ""})
        assert _client().get("/lists/l/members/c1").status == 404

    assert isinstance(_failure(status=200, json={"title": "API Key Invalid", "status": 401}), CredentialsRefused)


def test_a_members_own_status_is_no_problem() -> None:
    with responses.RequestsMock() as mocked:
        mocked.get(_MEMBER, json={"title": "Dr", "status": "subscribed"})
        assert _client().get("/lists/l/members/c1").is_ok


@pytest.mark.parametrize("status", [200, 400, 404])
def test_html_is_no_answer_about_a_record(status: int) -> None:
    failure = _failure(status=status, body="<html>Welcome to the guest network</html>", content_type="text/html")

    assert type(failure) is SystemUnavailable


@pytest.mark.parametrize(
    ("status", "title", "advice"),
    [
        (401, "API Key Missing", "new key"),
        (401, "APIKeyInvalid", "another data centre"),
        (401, "Unbekannt", "new key"),
        (402, "Payment Required", "unpaid"),
        (403, "Forbidden", "lacks the right"),
        (403, "User Disabled", "deactivated"),
        (403, "Wrong Datacenter", "base_url"),
        (403, "Authorization Failure", "disabled"),
        (503, "Compliance Related", "support"),
    ],
)
def test_refused_credentials_come_with_advice(status: int, title: str, advice: str) -> None:
    failure = _failure(status=status, json={"title": title, "status": status, "detail": "x"})

    assert isinstance(failure, CredentialsRefused)
    assert advice in str(failure)


@pytest.mark.parametrize("answer", [{"status": 403, "body": "<html>denied</html>"}, {"status": 429, "body": "slow"}])
def test_a_refusal_of_the_edge_is_waited_out(answer: dict[str, Any]) -> None:
    with responses.RequestsMock() as mocked:
        mocked.get(_MEMBER, **answer)
        mocked.get(_MEMBER, json={"status": "subscribed"})
        client = _client()
        assert client.get("/lists/l/members/c1").is_ok
    assert client.calls == 2


def test_an_edge_that_wants_us_away_for_a_day_does_not_stop_us_for_a_day() -> None:
    clock = ManualClock(datetime(2026, 11, 1, tzinfo=UTC))
    with responses.RequestsMock() as mocked:
        mocked.get(_MEMBER, status=429, headers={"Retry-After": "86400"})
        mocked.get(_MEMBER, json={"status": "subscribed"})
        assert _client(clock).get("/lists/l/members/c1").is_ok
    assert clock.monotonic() < 1000


def test_a_limit_that_stays_in_force_is_named_so() -> None:
    assert isinstance(_failure(status=429, json={"title": "Too Many Requests", "status": 429}), RateLimited)


def test_a_redirect_is_not_followed() -> None:
    assert "base_url" in str(_failure(status=302, headers={"Location": "https://elsewhere.example/"}))


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 500, "json": {"title": "Internal Server Error", "status": 500}},
        {"status": 502, "body": "<html>Bad Gateway</html>"},
        {"status": 503, "json": {"type": "akamai_error_message", "title": "akamai_503", "status": 503}},
        {"status": 504, "body": ""},
        {"status": 200, "body": "<html>ok</html>"},
        {"body": requests.ReadTimeout()},
    ],
)
def test_a_write_that_may_have_been_applied_is_not_repeated_when_it_must_not_be(answer: dict[str, Any]) -> None:
    with responses.RequestsMock() as mocked:
        mocked.patch(_MEMBER, **answer)
        client = _client()
        with pytest.raises(OutcomeUnknown):
            client.send("PATCH", "/lists/l/members/c1", {"status": "subscribed"}, effect=Effect.ONCE)
    assert client.calls == 1


@pytest.mark.parametrize("answer", [{"status": 403, "json": _JSON_403}, {"status": 502, "body": "ada@example.com"}])
def test_no_failure_holds_the_key_or_an_address(answer: dict[str, Any]) -> None:
    text = str(_failure(**answer))

    assert _KEY not in text
    assert "ada@example.com" not in text
    assert text.startswith("mc: ")
