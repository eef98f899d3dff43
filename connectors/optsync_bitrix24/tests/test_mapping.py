"""Values, addresses, queries and filters, in both directions."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsync.errors import RecordInvalid
from optsync.model.page import ReadSpec
from optsync.model.record import Value
from optsync_bitrix24.mapping import (
    Descriptor,
    ValueRefused,
    address_rows,
    encoded,
    truth,
    value_of,
)
from optsync_bitrix24.php import as_list, as_map, command
from optsync_bitrix24.rows import Rows
from optsync_bitrix24.where import as_filter, faults


def _field(kind: str, name: str = "UF_CRM_X", **more: Any) -> Descriptor:
    return Descriptor(name=name, type=kind, label=more.pop("label", name), **more)


_PLAN = {"45": "Gold", "46": "Silver"}


@pytest.mark.parametrize("raw", [1, "1", "Y", "y", True, "true"])
def test_yes_has_many_words(raw: object) -> None:
    assert truth(raw) is True


@pytest.mark.parametrize("raw", [0, "0", "N", "n", False, "false"])
def test_no_has_many_words(raw: object) -> None:
    assert truth(raw) is False


@pytest.mark.parametrize("raw", [None, "", []])
def test_never_set_is_neither_yes_nor_no(raw: object) -> None:
    assert truth(raw) is None


@given(st.text(min_size=1).filter(lambda t: t.strip().lower() not in {"1", "0", "y", "n", "true", "false"}))
def test_an_unknown_word_is_never_guessed(word: str) -> None:
    with pytest.raises(ValueRefused):
        truth(word)


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("string", " kept as it is ", " kept as it is "),
        ("string", "", None),
        ("string", False, None),
        ("integer", "12", 12),
        ("double", "12.5", 12.5),
        ("integer", None, None),
        ("date", "2001-11-11T02:00:00+02:00", "2001-11-11"),
        ("date", "", None),
        ("datetime", "2026-11-21T10:26:40+02:00", "2026-11-21T08:26:40Z"),
        ("datetime", "2026-11-21 10:26:40", "2026-11-21T08:26:40Z"),
        ("enumeration", 45, "45"),
        ("enumeration", "45", "45"),
        ("enumeration", False, None),
        ("enumeration", 0, None),
        ("crm_company", "0", None),
        ("crm_status", "CLIENT", "CLIENT"),
        ("money", "300|EUR", "300|EUR"),
        ("char", "Y", True),
    ],
)
def test_values_are_read_by_the_type_of_their_field(kind: str, raw: object, value: Value) -> None:
    assert value_of(raw, _field(kind), timezone(timedelta(hours=2))) == value


@pytest.mark.parametrize(("raw", "value"), [([47, "45"], ("45", "47")), ([], None), (False, None), ({"0": 5}, ("5",))])
def test_multiple_values_are_sorted_texts(raw: object, value: Value) -> None:
    assert value_of(raw, _field("enumeration", is_multiple=True)) == value


@pytest.mark.parametrize(
    ("kind", "value", "sent"),
    [
        ("boolean", True, "1"),
        ("boolean", False, "0"),
        ("boolean", None, ""),
        ("char", True, "Y"),
        ("date", "2026-11-21", "2026-11-21"),
        ("datetime", "2026-11-21T08:26:40Z", "2026-11-21T08:26:40+00:00"),
        ("datetime", "2026-11-21", "2026-11-21T00:00:00+00:00"),
        ("integer", 12, "12"),
        ("integer", 12.0, "12.0"),
        ("double", "-1.5e3", "-1.5e3"),
        ("user", "12", "12"),
        ("crm", "C_12", "C_12"),
        ("date", "2026-11-21T08:26:40Z", "2026-11-21"),
        ("string", None, ""),
        ("enumeration", "45", "45"),
    ],
)
def test_values_are_written_by_the_type_of_their_field(kind: str, value: Value, sent: str) -> None:
    assert encoded(value, _field(kind, options=_PLAN)) == sent


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("boolean", "yes"),
        ("date", "21.11.2026"),
        ("datetime", "soon"),
        ("integer", "many"),
        ("integer", "12.5"),
        ("integer", 12.5),
        ("integer", "1_000"),
        ("integer", "\uff11\uff12"),
        ("double", "nan"),
        ("double", "inf"),
        ("double", "1e999"),
        ("date", "2026-02-30"),
        ("date", "2026-02-03 or so"),
        ("crm_company", "ACME"),
        ("user", "12 Ann"),
        ("enumeration", "Gold"),
        ("string", ("a", "b")),
        ("string", True),
    ],
)
def test_what_the_portal_would_drop_without_a_word_is_refused_before(kind: str, value: Value) -> None:
    with pytest.raises(ValueRefused):
        encoded(value, _field(kind, options=_PLAN))


def test_missing_and_read_only_fields_are_refused_as_the_portal_would_ignore_them() -> None:
    for field in (None, _field("string", is_read_only=True)):
        with pytest.raises(ValueRefused):
            encoded("x", field)


def test_the_primary_address_is_the_one_for_mailings_then_the_oldest() -> None:
    rows = [
        {"ID": "9", "VALUE": "home@example.com", "VALUE_TYPE": "HOME"},
        {"ID": "12", "VALUE": "late@example.com", "VALUE_TYPE": "WORK"},
        {"ID": "8", "VALUE": "early@example.com", "VALUE_TYPE": "WORK"},
        {"ID": "30", "VALUE": "list@example.com", "VALUE_TYPE": "MAILING"},
        {"ID": "2", "VALUE": "odd@example.com", "VALUE_TYPE": "PIGEON"},
    ]
    assert [row.value.split("@")[0] for row in address_rows(rows)] == ["list", "early", "late", "home", "odd"]
    assert address_rows(None) == []


def test_a_record_shows_exactly_what_was_asked_for() -> None:
    fields = {"NAME": _field("string", "NAME"), "UF_CRM_T": _field("boolean", "UF_CRM_T")}
    spec = ReadSpec(collection="lead", fields=frozenset({"NAME", "MISSING"}), topics=frozenset({"UF_CRM_T"}))
    row = {"ID": 5, "NAME": "Ann", "UF_CRM_T": "0", "DATE_MODIFY": "2026-11-21T10:00:00+02:00", "OTHER": "x"}
    record = Rows(spec, fields).record(row)
    assert (record.id, record.addresses, record.status, record.rank) == ("5", (), None, 1)
    assert record.fields == {"NAME": "Ann", "MISSING": None}
    assert record.topics == {"UF_CRM_T": False}
    assert record.modified_at == datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
    assert record.created_at is None


@pytest.mark.parametrize(
    ("kind", "raw"), [("double", "12 apples"), ("date", "soon"), ("datetime", "soon"), ("boolean", "perhaps")]
)
def test_a_plain_value_that_does_not_fit_is_shown_as_it_is(kind: str, raw: str) -> None:
    spec = ReadSpec(collection="contact", fields=frozenset({"UF_CRM_X"}))

    assert Rows(spec, {"UF_CRM_X": _field(kind)}).record({"ID": "5", "UF_CRM_X": raw}).fields == {"UF_CRM_X": raw}


def test_a_flag_that_does_not_fit_names_its_field() -> None:
    spec = ReadSpec(collection="contact", fields=frozenset({"UF_CRM_X"}), flags=frozenset({"UF_CRM_X"}))
    with pytest.raises(RecordInvalid) as caught:
        Rows(spec, {"UF_CRM_X": _field("boolean")}).record({"ID": "5", "UF_CRM_X": "perhaps"})
    assert caught.value.field == "UF_CRM_X"


def test_an_unknown_option_shows_that_the_descriptors_are_old() -> None:
    fields = {"UF_CRM_X": _field("enumeration", options=_PLAN)}
    rows = Rows(ReadSpec(collection="contact", fields=frozenset(fields)), fields)
    assert rows.holds_unknown_option({"UF_CRM_X": "47"})
    assert not rows.holds_unknown_option({"UF_CRM_X": 45})
    assert not rows.holds_unknown_option({"UF_CRM_X": False})


@given(st.text(min_size=1), st.text(min_size=1))
def test_any_text_survives_a_query(key: str, value: str) -> None:
    query = command("m", {"fields": {key: value}}).partition("?")[2]
    assert parse_qsl(query, keep_blank_values=True) == [(f"fields[{key}]", value)]


def test_lists_maps_and_clearing_have_their_php_form() -> None:
    query = command("m", {"fields": {"A": ["x", "y"], "B": [], "C": "", "E": [{"ID": 1}]}, "start": -1, "on": True})
    assert parse_qsl(query.partition("?")[2], keep_blank_values=True) == [
        ("fields[A][0]", "x"),
        ("fields[A][1]", "y"),
        ("fields[B][]", ""),
        ("fields[C]", ""),
        ("fields[E][0][ID]", "1"),
        ("start", "-1"),
        ("on", "1"),
    ]


def test_php_maps_and_lists_look_alike() -> None:
    assert as_map([]) == {}
    assert as_map(["a"]) == {"0": "a"}
    assert as_list({"1": "b", "0": "a"}) == ["a", "b"]
    assert as_list({"x": 1}) is None
    assert as_map("text") is None


_FIELDS = {
    one.name: one
    for one in (
        _field("crm_status", "TYPE_ID"),
        _field("crm_multifield", "EMAIL", is_multiple=True),
        _field("boolean", "UF_CRM_B"),
        _field("char", "OPENED"),
        _field("date", "BIRTHDATE"),
        _field("enumeration", "UF_CRM_P", options=_PLAN),
        _field("integer", "ID"),
        _field("user", "ASSIGNED_BY_ID"),
        _field("datetime", "DATE_MODIFY"),
    )
}


@pytest.mark.parametrize(
    "where",
    [
        {"TYPE_ID": "CLIENT"},
        {"@TYPE_ID": ["CLIENT", "PARTNER"]},
        {"!=TYPE_ID": ""},
        {"UF_CRM_B": True},
        {"UF_CRM_B": 0},
        {"OPENED": "Y"},
        {"!@OPENED": [True, "N"]},
        {"ASSIGNED_BY_ID": 7},
        {"@ASSIGNED_BY_ID": ["7", 8]},
        {"!=ASSIGNED_BY_ID": ""},
        {">=BIRTHDATE": "2000-01-01"},
        {">=BIRTHDATE": "2000-01-01 10:00:00"},
        {">=BIRTHDATE": "2000-01-01T10:00:00+02:00"},
        {">=BIRTHDATE": datetime(2000, 1, 1, tzinfo=UTC)},
        {"UF_CRM_P": "45"},
        {"EMAIL": "ann@example.com"},
    ],
)
def test_filters_that_the_portal_understands_pass(where: dict[str, Any]) -> None:
    assert faults(where, _FIELDS) == []


@pytest.mark.parametrize(
    "where",
    [
        {"TYP_ID": "CLIENT"},
        {"~TYPE_ID": "CLIENT"},
        {"TYPE_ID": None},
        {"TYPE_ID": {"a": 1}},
        {"TYPE_ID": "$result[p0][0][ID]"},
        {"%TYPE_ID": "CLI"},
        {"@TYPE_ID": "CLIENT"},
        {"@TYPE_ID": []},
        {">TYPE_ID": ["a"]},
        {"EMAIL": ""},
        {"=EMAIL": "ann@example.com"},
        {"EMAIL": ["ann@example.com"]},
        {"UF_CRM_B": "Y"},
        {"OPENED": "yes"},
        {"OPENED": 1},
        {"ASSIGNED_BY_ID": "Ann"},
        {">BIRTHDATE": "yesterday"},
        {">BIRTHDATE": "20000101"},
        {">BIRTHDATE": "2000-W01-1"},
        {">BIRTHDATE": "2000-01-01 10:00:00+02:00"},
        {">BIRTHDATE": "2000-02-30"},
        {"UF_CRM_P": "Gold"},
        {">ID": 5},
        {">=DATE_MODIFY": "2026-01-01"},
        {"": "x"},
    ],
)
def test_filters_that_would_be_dropped_or_misread_are_named(where: dict[str, Any]) -> None:
    (fault,) = faults(where, _FIELDS)
    assert fault[0] == next(iter(where))


def test_yes_and_no_are_filtered_as_their_field_wants() -> None:
    assert as_filter({"UF_CRM_B": True, "OPENED": True}, _FIELDS) == {"UF_CRM_B": True, "OPENED": "Y"}
    assert as_filter({"@OPENED": [True, "N"]}, _FIELDS) == {"@OPENED": ["Y", "N"]}
    assert command("m", as_filter({"UF_CRM_B": True}, _FIELDS)) == "m?UF_CRM_B=1"
