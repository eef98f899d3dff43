from datetime import timedelta
from email.utils import format_datetime

import pytest
import requests
from requests.auth import HTTPBasicAuth

from optsync.connect.http import Answer, Effect, TryAgain, is_loopback
from optsync.errors import CredentialsRefused, OutcomeUnknown, RateLimited, SystemUnavailable
from tests.connect.scripted import NOON, ok, session

LOST = requests.ConnectionError("Connection aborted.")
UNREACHED = requests.ConnectTimeout()
REFUSED = requests.ConnectionError("HTTPSConnectionPool: NewConnectionError: refused")
FOREIGN = requests.exceptions.SSLError("HTTPSConnectionPool: SSLCertVerificationError: self-signed certificate")
GARBLED = requests.exceptions.SSLError("HTTPSConnectionPool: SSLError: bad record type")
"""Seen when encryption breaks after the request was sent, while its answer comes in."""


def test_an_answer_is_parsed_and_counted_and_every_request_has_a_time_limit() -> None:
    http, script = session(ok(b'{"id": 7}'))
    answer = http.send("GET", "/contacts", effect=Effect.READ, params={"page": 2})
    assert (answer.status, answer.body, answer.is_json) == (200, {"id": 7}, True)
    assert script.sent[0].url == "https://crm.example/api/contacts?page=2"
    assert [options["timeout"] for options in script.options] == [(5.0, 65.0)]
    assert http.calls == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"cut": ', b"\xff\xfe"])
def test_what_is_no_json_is_shown_as_text(body: bytes) -> None:
    answer = session(ok(body))[0].send("GET", "x", effect=Effect.READ)
    assert (answer.body, answer.is_json) == (None, False)
    assert answer.content == body


@pytest.mark.parametrize("broken", [b"\\ud83d", b"\\ude00", b"\xf0\x9f", b"\xff"])
def test_a_broken_character_spoils_no_more_than_itself(broken: bytes) -> None:
    body = b'[{"city": "Oslo ' + broken + b'!"}, {"city": "\\ud83d\\ude00", "n": 12345678901234567890.5}]'
    answer = session(ok(body))[0].send("GET", "x", effect=Effect.READ)

    first, second = answer.body
    assert first["city"].strip("\ufffd") in {"Oslo \ufffd!", "Oslo \ufffd\ufffd!"}
    assert second == {"city": "😀", "n": 12345678901234567890.5}
    assert answer.is_json


_DEEP = b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize(
    "body", [b'{"a": "\xff"', b'{"a": NaN, "b": "\xff"}', b'{"a": "\xff' + b"[" * 100_000, _DEEP], ids=range(4)
)
def test_what_is_cut_off_nested_without_end_or_no_json_is_not_mended(body: bytes) -> None:
    answer = session(ok(body))[0].send("GET", "x", effect=Effect.READ)
    assert (answer.body, answer.is_json) == (None, False)


def test_json_goes_out_as_utf8_and_an_absolute_address_is_taken_as_it_is() -> None:
    http, script = session(ok())
    http.send("POST", "https://other.example/x", effect=Effect.ONCE, json={"name": "Jürgen"})
    assert script.sent[0].url == "https://other.example/x"
    assert script.sent[0].body == '{"name":"Jürgen"}'.encode()
    assert script.sent[0].headers["Content-Type"] == "application/json; charset=utf-8"


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    http, script = session(ok(b"", 302, Location="https://elsewhere.example/"))
    assert http.send("GET", "x", effect=Effect.READ).status == 302
    assert len(script.sent) == 1


@pytest.mark.parametrize("effect", [Effect.READ, Effect.REPEATABLE])
@pytest.mark.parametrize("failure", [LOST, UNREACHED, requests.ReadTimeout(), ok(b"", 500), ok(b"", 503)])
def test_reads_and_repeatable_writes_are_sent_again(effect: Effect, failure: Exception) -> None:
    http, script = session(failure, failure, ok(b"1"))
    assert http.send("PUT", "x", effect=effect).body == 1
    assert len(script.sent) == 3 == http.calls


@pytest.mark.parametrize("failure", [LOST, GARBLED, requests.ReadTimeout(), ok(b"", 500)])
def test_a_write_that_may_have_been_applied_is_not_sent_twice(failure: Exception) -> None:
    http, script = session(failure, ok())
    with pytest.raises(OutcomeUnknown):
        http.send("POST", "x", effect=Effect.ONCE)
    assert len(script.sent) == 1


@pytest.mark.parametrize("failure", [UNREACHED, REFUSED, FOREIGN, ok(b"", 429), ok(b"", 503)])
def test_a_write_that_was_certainly_not_applied_is_sent_again(failure: Exception) -> None:
    http, script = session(failure, ok(b"1"))
    assert http.send("POST", "x", effect=Effect.ONCE).body == 1
    assert len(script.sent) == 2


def test_a_repeatable_write_whose_first_answer_was_lost_stays_unknown_even_if_later_attempts_never_arrive() -> None:
    http, _ = session(LOST, UNREACHED)
    with pytest.raises(OutcomeUnknown):
        http.send("PUT", "x", effect=Effect.REPEATABLE)


def test_a_read_that_keeps_failing_ends_after_its_attempts_and_names_the_system() -> None:
    http, script = session(LOST)
    with pytest.raises(SystemUnavailable, match=r"^crm: connection failed .*gave up after 4 attempts"):
        http.send("GET", "x", effect=Effect.READ)
    assert len(script.sent) == 4


def test_a_limit_that_stays_in_force_is_told_apart_from_a_broken_system() -> None:
    http, _ = session(ok(b"", 429))
    with pytest.raises(RateLimited):
        http.send("POST", "x", effect=Effect.ONCE)


def test_refused_credentials_are_not_tried_again() -> None:
    http, script = session(ok(b"", 401))
    with pytest.raises(CredentialsRefused):
        http.send("GET", "x", effect=Effect.READ)
    assert len(script.sent) == 1


@pytest.mark.parametrize(
    "value", ["30", format_datetime(NOON + timedelta(seconds=30), usegmt=True)], ids=["seconds", "date"]
)
def test_a_vendors_retry_after_is_waited_for_in_either_form(value: str) -> None:
    http, script = session(ok(b"", 429, Retry_After=value), ok())
    http.send("GET", "x", effect=Effect.READ)
    assert 30 <= script.sent_at[1] - script.sent_at[0] <= 31


@pytest.mark.parametrize("value", ["86400", "Thu, 01 Jan 2099 00:00:00 GMT"])
def test_a_vendor_that_asks_for_a_day_is_asked_again_before(value: str) -> None:
    assert Answer(429, {"Retry-After": value}, None, False, "", b"").retry_after(NOON) == 900


@pytest.mark.parametrize("value", ["", "soon", "-5", "²", "Wed, 99 Foo"])
def test_an_unreadable_retry_after_counts_as_none(value: str) -> None:
    answer = Answer(429, {"Retry-After": value}, None, False, "", b"")
    assert answer.retry_after(NOON) is None


def test_without_retry_after_the_waits_grow() -> None:
    http, script = session(ok(b"", 503))
    with pytest.raises(SystemUnavailable):
        http.send("GET", "x", effect=Effect.READ)
    waits = [later - earlier for earlier, later in zip(script.sent_at, script.sent_at[1:], strict=False)]
    assert all(0.5 * 2**n <= wait <= 2**n for n, wait in enumerate(waits))


def test_messages_hold_neither_secrets_nor_addresses() -> None:
    hidden = requests.ConnectionError("https://crm.example/rest/1/s3cret-key/?email=anna@example.com")
    http, _ = session(hidden, secrets=["s3cret-key"])
    with pytest.raises(SystemUnavailable) as failure:
        http.send("GET", "rest/1/s3cret-key/?email=anna@example.com", effect=Effect.READ)
    shown = f"{failure.value!s} {failure.value!r}"
    assert "s3cret-key" not in shown
    assert "anna@example.com" not in shown
    assert failure.value.__cause__ is None
    assert failure.value.__suppress_context__


def test_an_address_in_a_vendors_words_becomes_no_hash_that_others_could_make(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(_: Answer) -> None:
        raise TryAgain("no room for anna@example.com")

    http, _ = session(*[ok()] * 6)
    monkeypatch.setattr(http, "_judge", busy)
    with pytest.raises(SystemUnavailable, match=r"no room for a…m \(16\); gave up"):
        http.send("GET", "x", effect=Effect.READ)


def test_the_vendors_clock_is_measured_from_its_answers() -> None:
    http, _ = session(
        ok(Date=format_datetime(NOON + timedelta(seconds=90), usegmt=True)),
        ok(Date="yesterday"),
        ok(Date="Fri, 31 Dec 9999 23:59:59 -1400"),
    )
    assert http.clock_offset is None
    http.send("GET", "x", effect=Effect.READ)
    assert http.clock_offset == 90
    for _ in range(2):
        http.send("GET", "x", effect=Effect.READ)
        assert http.clock_offset == 90


def test_a_dry_run_cannot_write() -> None:
    http, script = session(ok(), is_read_only=True)
    http.send("POST", "search", effect=Effect.READ)
    with pytest.raises(AssertionError, match="dry run"):
        http.send("POST", "x", effect=Effect.REPEATABLE)
    assert len(script.sent) == 1


def test_credentials_stay_at_home_when_a_request_goes_elsewhere() -> None:
    http, script = session(ok(), auth=HTTPBasicAuth("user", "key"))
    http.send("GET", "x", effect=Effect.READ)
    http.send("GET", "https://storage.example/file", effect=Effect.READ, use_auth=False)
    assert ["Authorization" in request.headers for request in script.sent] == [True, False]


def test_the_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "a-bundle.pem")
    http, script = session(ok())
    http.send("GET", "x", effect=Effect.READ)
    assert [(options["proxies"], options["verify"]) for options in script.options] == [({}, True)]


def test_a_cookie_that_a_vendor_sets_goes_back_to_it() -> None:
    http, script = session(ok(Set_Cookie="portal=7; Path=/"), ok())
    for path in ("x", "y", "https://elsewhere.example/z"):
        http.send("POST", path, effect=Effect.REPEATABLE, json={})
    assert [request.headers.get("Cookie") for request in script.sent] == [None, "portal=7", None]


def test_a_request_is_the_one_that_requests_itself_would_make() -> None:
    http, script = session(ok(), auth=HTTPBasicAuth("user", "key"))
    params: dict[str, str | int] = {
        "fields": "members.id,total_items",
        "since": "2026-03-01T12:00:00+00:00",
        "of": "anna@example.com",
        "n": 2,
    }
    for method, body in (("GET", None), ("POST", {"name": "Jürgen"}), ("DELETE", None)):
        http.send(method, "a b/x?q=1", effect=Effect.REPEATABLE, params=params, json=body)
        sent = script.sent[-1]
        usual = requests.Request(
            method,
            "https://crm.example/api/a b/x?q=1",
            params=params,
            data=sent.body,
            headers={"Content-Type": "application/json; charset=utf-8"} if body else {},
            auth=HTTPBasicAuth("user", "key"),
        )
        made = requests.Session()
        made.headers["User-Agent"] = "optsync"
        expected = made.prepare_request(usual)
        assert (sent.method, sent.url, sent.body) == (expected.method, expected.url, expected.body)
        assert dict(sent.headers) == dict(expected.headers)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("LOCALHOST", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("localhost.example", False),
        (None, False),
    ],
)
def test_only_loopback_counts_as_local(host: str | None, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_a_write_whose_first_answer_was_lost_stays_unknown_where_its_repetition_is_refused() -> None:
    http, _ = session(LOST, ok(b"", 401))
    with pytest.raises(OutcomeUnknown):
        http.send("PUT", "x", effect=Effect.REPEATABLE)
