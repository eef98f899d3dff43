"""Vendor words and values."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsync.errors import RecordInvalid
from optsync.model.page import ReadSpec
from optsync.model.record import Origin, Status, Value
from optsync_mailchimp.mapping import (
    BY_ADMIN,
    STATUS_OF_WORD,
    Members,
    MergeField,
    cut,
    member_hash,
    origin_of,
    parse_time,
    read_value,
    write_value,
)

_SPEC = ReadSpec(collection="l", fields=frozenset({"FNAME", "LTV"}), topics=frozenset({"T/News", "T/Gone"}))
_MEMBER = {
    "id": "62eeb292278cc15f5817cb78f7790b08",
    "contact_id": "93b835cc104791040b356ff76030415d",
    "email_address": "Urist.McVankab@example.com",
    "status": "subscribed",
    "merge_fields": {"FNAME": "Urist", "LTV": 15.5, "OTHER": "x"},
    "interests": {"9143cf3bd1": True},
    "timestamp_opt": "2021-11-23T22:51:56+00:00",
    "timestamp_signup": "",
    "last_changed": "2021-11-23T22:52:01+00:00",
}


def _field(type_: str) -> MergeField:
    return MergeField(tag="TAG", name="Tag", type=type_)


def test_a_member_becomes_a_record_with_exactly_the_parts_asked_for() -> None:
    record = Members(_SPEC, {"T/News": "9143cf3bd1", "T/Gone": None}).record(_MEMBER)

    assert record.id == "93b835cc104791040b356ff76030415d"
    assert record.addresses == ("Urist.McVankab@example.com",)
    assert (record.status, record.origin, record.word) == (Status.IN, Origin.UNKNOWN, "subscribed")
    assert record.fields == {"FNAME": "Urist", "LTV": 15.5}
    assert record.topics == {"T/News": True, "T/Gone": None}
    assert record.opted_in_at == datetime(2021, 11, 23, 22, 51, 56, tzinfo=UTC)
    assert record.created_at is None
    assert record.modified_at == datetime(2021, 11, 23, 22, 52, 1, tzinfo=UTC)


def test_a_field_that_the_audience_does_not_have_is_not_told_and_an_empty_one_is() -> None:
    record = Members(_SPEC, {}).record({**_MEMBER, "merge_fields": {"FNAME": ""}})

    assert record.fields == {"FNAME": None}


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("subscribed", Status.IN),
        ("unsubscribed", Status.OUT),
        ("cleaned", Status.BOUNCED),
        ("pending", Status.PENDING),
        ("transactional", Status.UNKNOWN),
        ("archived", Status.ARCHIVED),
    ],
)
def test_every_status_word_has_its_meaning(word: str, status: Status) -> None:
    assert Members(_SPEC, {}).record(_MEMBER | {"status": word}).status is status


@given(st.text(min_size=1))
def test_a_word_that_nobody_mapped_is_unknown_and_never_subscribed(word: str) -> None:
    record = Members(_SPEC, {}).record(_MEMBER | {"status": word})

    assert record.word == word
    assert record.status is STATUS_OF_WORD.get(word, Status.UNKNOWN)
    assert record.is_word_known is (word in STATUS_OF_WORD)


@pytest.mark.parametrize(
    ("reason", "origin"),
    [
        (BY_ADMIN, Origin.ADMIN),
        ("N/A (Unsubscribed for abuse)", Origin.COMPLAINT),
        ("None given", Origin.PERSON),
        (None, Origin.PERSON),
    ],
)
def test_an_opt_out_is_the_persons_own_unless_the_reason_proves_otherwise(reason: str | None, origin: Origin) -> None:
    assert origin_of("unsubscribed", reason) is origin


@pytest.mark.parametrize("missing", ["contact_id", "status"])
def test_a_row_without_identity_or_status_is_invalid(missing: str) -> None:
    with pytest.raises(RecordInvalid) as caught:
        Members(_SPEC, {}).record(_MEMBER | {missing: ""})

    assert caught.value.field == missing


def test_a_member_without_an_address_is_a_record_without_one() -> None:
    assert Members(_SPEC, {}).record(_MEMBER | {"email_address": ""}).addresses == ()


def test_the_known_id_stands_in_for_one_that_the_answer_left_out() -> None:
    assert Members(_SPEC, {}).record(_MEMBER | {"contact_id": None}, known_id="c1").id == "c1"


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("", None),
        (None, None),
        ("text", "text"),
        (15, 15),
        (15.5, 15.5),
        (15.0, 15),
        ("1980-12-21", "1980-12-21"),
        ({"zip": "1", "addr1": "Ä 1"}, '{"addr1":"Ä 1","zip":"1"}'),
        ({"addr1": "", "city": ""}, None),
    ],
)
def test_a_merge_value_is_read_as_its_canonical_form(raw: object, value: Value) -> None:
    assert read_value(raw) == value
    assert type(read_value(raw)) is type(value)


@pytest.mark.parametrize(
    ("type_", "value", "sent"),
    [
        ("text", None, ""),
        ("number", None, ""),
        ("text", True, "true"),
        ("text", ("a", "b"), "a, b"),
        ("number", "15.50", 15.5),
        ("number", 3, 3),
        ("number", "7", 7),
        ("date", "2026-01-02", "2026-01-02"),
        ("date", "2026-01-02T03:04:05Z", "2026-01-02"),
        ("birthday", "1980-12-21", "12/21"),
        ("birthday", "12/21", "12/21"),
        ("phone", "+41 44 000 00 00", "+41 44 000 00 00"),
    ],
)
def test_a_value_is_sent_in_the_form_of_its_merge_type(type_: str, value: Value, sent: object) -> None:
    assert write_value(_field(type_), value) == sent
    assert type(write_value(_field(type_), value)) is type(sent)


@pytest.mark.parametrize("value", ["twelve", "nan", "inf", True])
def test_what_is_no_number_is_refused_before_it_is_sent(value: Value) -> None:
    with pytest.raises(RecordInvalid) as caught:
        write_value(_field("number"), value)

    assert caught.value.field == "TAG"


def test_an_address_is_sent_only_when_it_is_complete() -> None:
    complete = {"addr1": "Bahnhofstrasse 1", "city": "Zürich", "state": "ZH", "zip": "8001", "country": "CH"}

    assert write_value(_field("address"), json.dumps(complete)) == complete
    for key in ("addr1", "city", "state", "zip"):
        with pytest.raises(RecordInvalid):
            write_value(_field("address"), json.dumps(complete | {key: " "}))
    with pytest.raises(RecordInvalid):
        write_value(_field("address"), "Bahnhofstrasse 1, Zürich")


@given(st.text())
def test_text_is_cut_to_255_bytes_between_characters(text: str) -> None:
    short = cut(text)

    assert text.startswith(short)
    assert len(short.encode()) <= 255
    assert short == text or len(text[: len(short) + 1].encode()) > 255


def test_the_hash_knows_neither_case_nor_space() -> None:
    assert member_hash(" Ada.Lovelace@Example.com ") == "2b9150605ac374d671a306b5fcee60a0"


@pytest.mark.parametrize("text", ["", None, "soon", 5])
def test_what_is_no_time_is_none(text: object) -> None:
    assert parse_time(text) is None
