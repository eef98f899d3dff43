from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsync.model.change import Fact, Result
from optsync.model.record import Origin, Status
from optsync_mailman3 import mapping


@pytest.mark.parametrize(
    ("word", "status", "origin"),
    [
        ("enabled", Status.IN, Origin.UNKNOWN),
        ("by_user", Status.OUT, Origin.PERSON),
        ("by_moderator", Status.OUT, Origin.ADMIN),
        ("by_bounces", Status.BOUNCED, Origin.UNKNOWN),
        ("unknown", Status.UNKNOWN, Origin.UNKNOWN),
    ],
)
def test_every_delivery_status_has_one_meaning(word: str, status: Status, origin: Origin) -> None:
    record = mapping.member("a@example.com", [word], "", ())
    assert (record.status, record.origin, record.word, record.is_word_known) == (status, origin, word, True)


@given(st.text().filter(lambda word: word not in mapping.STATUSES))
def test_a_word_nobody_mapped_is_unknown_and_kept(word: str) -> None:
    record = mapping.member("a@example.com", [word], "", ())
    assert (record.status, record.word, record.is_word_known) == (Status.UNKNOWN, word, False)


@given(st.lists(st.sampled_from(list(mapping.STATUSES)) | st.text(), min_size=1))
def test_of_several_memberships_the_most_restrictive_is_shown(words: list[str]) -> None:
    status = mapping.member("a@example.com", words, "", ()).status
    assert (status is Status.IN) == (set(words) == {"enabled"})
    assert (status is Status.OUT) == bool({"by_user", "by_moderator"} & set(words))


def test_the_id_is_the_address_without_case() -> None:
    assert mapping.member("Anna@Example.com", ["enabled"], "", ()).id == "anna@example.com"


def test_the_id_has_the_ascii_form_of_a_domain() -> None:
    assert mapping.record_id("Anna@Bücher.example") == "anna@xn--bcher-kva.example"
    assert mapping.record_id("no address at Bücher") == "no address at bücher"


def test_a_record_holds_exactly_the_fields_asked_for() -> None:
    record = mapping.member("a@example.com", ["enabled"], "Anna", ("display_name", "city"))
    assert record.fields == {"display_name": "Anna", "city": None}
    assert mapping.member("a@example.com", ["enabled"], "Anna", ()).fields == {}


def test_an_empty_name_is_no_value() -> None:
    assert mapping.fields("", ["display_name"]) == {"display_name": None}


def test_a_time_without_zone_is_utc_and_the_year_one_is_never() -> None:
    assert mapping.moment("2026-03-01T08:00:00") == datetime(2026, 3, 1, 8, tzinfo=UTC)
    assert mapping.moment("0001-01-01T00:00:00") is None
    assert mapping.moment("yesterday") is None


def test_a_waiting_request_names_whom_it_waits_for() -> None:
    request = {"email": "New@example.com", "token_owner": "moderator", "when": "2026-03-01T08:00:00"}
    record = mapping.pending(request, ())
    assert (record.id, record.status, record.word) == ("new@example.com", Status.PENDING, "moderator")


@pytest.mark.parametrize(
    ("description", "meaning"),
    [
        ("Membership is banned", (Result.REFUSED, Fact.BANNED, None)),
        ('Invalid Parameter "subscriber": .', (Result.INVALID, None, "email")),
        ("No such list", (Result.FAILED, None, None)),
        ("Something new", (Result.REFUSED, Fact.NOT_ALLOWED, None)),
    ],
)
def test_a_refused_subscription_is_told_apart_by_its_description(description: str, meaning: object) -> None:
    assert mapping.refusal(description) == meaning
