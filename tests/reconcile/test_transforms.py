"""Conversions between the two forms of a field, and when two values count as equal."""

import unicodedata
from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsync.model.record import Value
from optsync.reconcile.transforms import canonical, chain, same

Steps = list[tuple[str, Mapping[str, Any]]]
texts = st.text(alphabet=st.characters(codec="utf-8"), max_size=12)
numbers = st.one_of(st.integers(), st.floats(allow_nan=False))
options = st.lists(texts, max_size=4).map(tuple)
values: st.SearchStrategy[Value] = st.one_of(st.none(), st.booleans(), numbers, texts, options)


@given(values)
def test_the_canonical_form_of_a_canonical_form_is_itself(value: Value) -> None:
    assert canonical(canonical(value)) == canonical(value)


@given(values)
def test_every_value_is_the_same_as_itself_and_as_its_canonical_form(value: Value) -> None:
    assert same(value, value)
    assert same(value, canonical(value))


@given(values, values)
def test_sameness_has_no_direction(first: Value, second: Value) -> None:
    assert same(first, second) == same(second, first)


@pytest.mark.parametrize("kind", [texts, numbers, options], ids=["texts", "numbers", "options"])
def test_sameness_passes_on_among_values_of_one_type(kind: st.SearchStrategy[Value]) -> None:
    padded = kind.flatmap(lambda v: st.sampled_from([v, f" {v}\r\n", f"{v}\n"]) if isinstance(v, str) else st.just(v))

    @given(padded, padded, padded)
    def passes_on(first: Value, second: Value, third: Value) -> None:
        if same(first, second) and same(second, third):
            assert same(first, third)

    passes_on()


@given(texts)
def test_spaces_line_ends_and_composition_are_formatting(text: str) -> None:
    assert same(f"  {text}\n", text)
    assert same(unicodedata.normalize("NFD", text), unicodedata.normalize("NFC", text))
    assert same(f"a\r\n{text}", f"a\n{text}")


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("", None, True),
        ("   ", None, True),
        ((), None, True),
        (("b", "a"), ("a", "b"), True),
        (12, 12.0, True),
        (12, "12", True),
        ("12.0", 12, True),
        ("-3.50", -3.5, True),
        ("1e3", 1000, False),
        (True, "true", False),
        (True, 1, False),
        (False, 0, False),
        (False, None, False),
        (0, None, False),
        ("a", "A", False),
        (("a",), "a", False),
        ("1.10", "1.1", False),
    ],
)
def test_what_counts_as_equal(first: Value, second: Value, expected: bool) -> None:
    assert same(first, second) is expected


MAP: Mapping[str, Any] = {"pairs": {"45": "Gold", "46": "Silver"}}
DATE: Mapping[str, Any] = {"crm": "%d.%m.%Y", "esp": "%m/%d/%Y"}
YES: Mapping[str, Any] = {"true": "Ja", "false": "Nein"}


@given(st.sampled_from(["45", "46", "47", "Bronze", None]))
def test_a_map_can_be_taken_back_and_lets_unmapped_values_pass(value: Value) -> None:
    transform = chain([("map", MAP)])
    assert transform.back is not None
    assert same(transform.back(transform.forward(value, {})), value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("45", "Gold"),
        (45, "Gold"),
        (45.0, "Gold"),
        (" 45 ", "Gold"),
        (("45", "47"), ("Gold", "47")),
        ("None", "None"),
        (None, None),
        ("other", "other"),
    ],
)
def test_a_map_finds_its_pair_whatever_the_type_and_for_each_of_several_options(value: Value, expected: Value) -> None:
    assert chain([("map", MAP)]).forward(value, {}) == expected


def test_a_map_of_two_values_to_one_cannot_be_taken_back() -> None:
    assert chain([("map", {"pairs": {"1": "Yes", "2": "Yes"}})]).back is None


@given(st.dates(min_value=date(1000, 1, 1)))
def test_a_date_survives_both_ways(day: date) -> None:
    transform = chain([("date", DATE)])
    written = f"{day.day:02}.{day.month:02}.{day.year:04}"
    assert transform.back is not None
    assert transform.forward(written, {}) == f"{day.month:02}/{day.day:02}/{day.year:04}"
    assert transform.back(transform.forward(written, {})) == written


def test_a_date_format_without_the_year_cannot_be_taken_back() -> None:
    transform = chain([("date", {"crm": "%Y-%m-%d", "esp": "%m/%d"})])
    assert transform.forward("1980-05-17", {}) == "05/17"
    assert transform.back is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [("2026-05-17", "05/17/2026"), ("2026-05-17T10:00:00Z", "05/17/2026"), ("soon", "soon"), ("", None), (None, None)],
)
def test_a_date_takes_the_canonical_form_too_and_leaves_what_is_no_date(value: Value, expected: Value) -> None:
    assert chain([("date", DATE)]).forward(value, {}) == expected


def test_a_date_goes_back_in_the_form_of_the_crm() -> None:
    back = chain([("date", {"esp": "%d.%m.%Y"})]).back
    assert back is not None
    assert back("17.05.2026") == "2026-05-17"


@given(st.sampled_from([True, False, None]))
def test_a_boolean_survives_both_ways(value: bool | None) -> None:
    transform = chain([("boolean", YES)])
    assert transform.back is not None
    assert transform.back(transform.forward(value, {})) is value


@pytest.mark.parametrize(("parameters", "yes", "no"), [(YES, "Ja", "Nein"), ({}, "Yes", "No"), ({"true": 1}, 1, "No")])
def test_a_boolean_goes_back_from_its_own_words(parameters: Mapping[str, Any], yes: Value, no: Value) -> None:
    back = chain([("boolean", parameters)]).back
    assert back is not None
    assert (back(yes), back(no)) == (True, False)


def test_a_word_that_is_neither_yes_nor_no_has_no_boolean() -> None:
    back = chain([("boolean", YES)]).back
    assert back is not None
    assert back("vielleicht") is None


@given(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True))
def test_an_international_number_survives_both_ways(number: str) -> None:
    transform = chain([("phone_e164", {"country": "DE"})])
    assert transform.back is not None
    assert transform.forward(transform.back(number), {}) == number


@pytest.mark.parametrize(
    ("value", "country", "expected"),
    [
        ("030 123-456", "DE", "+4930123456"),
        ("+49 (30) 123456", "FR", "+4930123456"),
        ("0049 30 123456", "DE", "+4930123456"),
        ("030 123", "XX", "030 123"),
        ("ask her", "DE", "ask her"),
        ("", "DE", None),
    ],
)
def test_phone_numbers_become_international_where_the_country_is_known(
    value: Value, country: str, expected: Value
) -> None:
    assert chain([("phone_e164", {"country": country})]).forward(value, {}) == expected


CODES = "DE49 AT43 CH41 FR33 GB44 NL31 US1 CA1 IT39 ES34 PL48 BE32 SE46 DK45 NO47 FI358 CZ420 UA380 RU7 KZ7 BY375 TR90"


@pytest.mark.parametrize("code", CODES.split())
def test_each_country_has_its_calling_code(code: str) -> None:
    assert chain([("phone_e164", {"country": code[:2].lower()})]).forward("0301", {}) == f"+{code[2:]}301"


@pytest.mark.parametrize(
    "step",
    [("upper", {}), ("split_name", {"part": "first"}), ("join", {"with": ["LAST"]}), ("default", {"value": "x"})],
)
def test_what_loses_something_is_one_way_and_makes_its_chain_one_way(step: tuple[str, Mapping[str, Any]]) -> None:
    assert chain([step]).back is None
    assert chain([("map", MAP), step]).back is None


@pytest.mark.parametrize(
    ("steps", "value", "expected"),
    [
        ([("split_name", {"part": "first"})], "Ada King Noel", "Ada"),
        ([("split_name", {"part": "last"})], "Ada King Noel", "King Noel"),
        ([("split_name", {"part": "last"})], "Ada", None),
        ([("join", {"with": ["LAST"], "by": ", "})], "Ada", "Ada, King"),
        ([("join", {"with": ["LAST", "NONE"]})], None, "King"),
        ([("default", {"value": "de"}), ("upper", {})], " ", "DE"),
        ([("upper", {})], 5, 5),
        ([], " as it is ", " as it is "),
        # what is not named
        ([("date", {"esp": "%d.%m.%Y"})], "2026-05-17", "17.05.2026"),
        ([("date", {"crm": "%d.%m.%Y"})], "17.05.2026", "2026-05-17"),
        ([("boolean", {})], True, "Yes"),
        ([("boolean", {})], False, "No"),
        ([("split_name", {})], "Ada King Noel", "Ada"),
        ([("split_name", {})], None, None),
        ([("join", {})], " Ada ", "Ada"),
        ([("join", {"with": ["EMPTY", "LAST"]})], "Ada", "Ada King"),
        ([("phone_e164", {})], "030 123", "030 123"),
        ([("default", {"value": "x"})], "y", "y"),
        ([("default", {"value": "x"})], "", "x"),
    ],
)
def test_steps_are_applied_in_order(steps: Steps, value: Value, expected: Value) -> None:
    assert chain(steps).forward(value, {"LAST": "King", "EMPTY": ""}) == expected


@given(st.sampled_from(["45", "46", "47"]))
def test_a_chain_is_taken_back_in_the_opposite_order(value: str) -> None:
    transform = chain([("map", {"pairs": {"45": "a", "46": "b"}}), ("map", {"pairs": {"a": "Gold", "b": "Silver"}})])
    assert transform.back is not None
    assert transform.back(transform.forward(value, {})) == value


def test_only_a_joined_field_depends_on_others() -> None:
    assert chain([("join", {"with": ["LAST"]}), ("upper", {})]).reads_others
    assert not chain([("upper", {}), ("default", {"value": "x"})]).reads_others
