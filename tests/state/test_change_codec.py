"""A change as it is stored: names apart from values, and whole again."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsync.model.change import ChangeState
from optsync.state.change_codec import decode_deed, encode_deed
from optsync.state.store import Store
from tests.state.rows import change, member, stored

ANN = "ann@example.com"
_PLAIN = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9)
)
_VALUES = _PLAIN | st.lists(_PLAIN, max_size=3)
_FIELDS = st.dictionaries(st.sampled_from(["", "0", "A", "=", "@", "address", "fields", "kind"]), _VALUES, max_size=4)
_WRITES = st.fixed_dictionaries(
    {"kind": st.sampled_from(["status", "fields", "create"])},
    optional={
        "address": st.sampled_from([None, ANN, "Ann@Example.com", "=", "@"]),
        "fields": _FIELDS,
        "topics": _FIELDS,
        "evidence": st.none() | _FIELDS,
        "agreed": st.dictionaries(st.text(max_size=2), st.lists(_PLAIN, max_size=2), max_size=2),
        "kept": _FIELDS,
        "is_restrictive": st.booleans(),
        "left": st.none() | st.booleans(),
    },
)


@given(before=_FIELDS, after=_FIELDS, write=_WRITES, is_same=st.booleans(), email=st.sampled_from([None, ANN]))
def test_a_change_comes_back_as_it_was(
    before: dict[str, Any], after: dict[str, Any], write: dict[str, Any], is_same: bool, email: str | None
) -> None:
    if is_same:
        write["fields"] = dict(after)
    deed = decode_deed(*encode_deed(before, after, write, email), email)

    # As texts, in which 1 is neither 1.0 nor true.
    assert json.dumps([deed.before, deed.after], sort_keys=True) == json.dumps([before, after], sort_keys=True)
    said = {name: deed.write[name] for name in write}
    assert json.dumps(said, sort_keys=True) == json.dumps(write, sort_keys=True)
    assert not any(value for name, value in deed.write.items() if name not in write)


def test_the_shape_holds_names_and_no_value() -> None:
    secrets = {"before": "Old Name", "after": "New Name", "evidence": "192.0.2.1", "agreed": "Gold"}
    write = {
        "kind": "fields",
        "address": ANN,
        "status": "in",
        "evidence": {"ip": secrets["evidence"]},
        "agreed": {"NAME=FNAME": [secrets["agreed"], None]},
        "tags": {"vip": True},
    }
    shape, data = encode_deed({"NAME": secrets["before"]}, {"NAME": secrets["after"]}, write, "other@example.com")
    assert not any(value in shape for value in (*secrets.values(), ANN, "true"))
    assert all(value.encode() in data for value in (*secrets.values(), ANN))
    assert encode_deed({"NAME": "x"}, {"NAME": "y"}, {**write, "address": "b@example.com"}, "c@example.com")[0] == shape


def test_the_address_that_the_point_has_is_not_stored_twice() -> None:
    write = {"kind": "fields", "address": ANN}
    shape, data = encode_deed({}, {}, write, ANN)
    assert ANN.encode() not in shape.encode() + data
    assert decode_deed(shape, data, ANN).write["address"] == ANN
    assert decode_deed(shape, data, None).write["address"] is None


@pytest.mark.parametrize("number", [10**19, 2**64, -(2**63) - 1])
def test_numbers_of_any_size_are_kept(number: int) -> None:
    fields = {"SCORE": number, "MANY": [number, 1]}
    deed = decode_deed(*encode_deed({}, fields, {"kind": "fields", "agreed": {"S=S": [number, None]}}, None), None)
    assert (deed.after, deed.write["agreed"]) == (fields, {"S=S": [number, None]})


def test_what_is_noted_about_a_change_later_leaves_the_rest_of_it(store: Store) -> None:
    with store.transaction() as unit:
        _, (key,) = stored(unit, [member(1)])
        (point,) = unit.points.find(["p1@example.com"]).values()
        write = {"kind": "fields", "fields": {"FNAME": "Ada"}, "address": "p1@example.com"}
        unit.changes.plan("r", [change(key, point, write=write)])
    with store.transaction() as unit:
        (planned,) = unit.changes.of_run("r")
        unit.changes.note_kept([(planned, {"FNAME": "ADA"})])
        (noted,) = unit.changes.of_run("r")
        assert noted.write == {**planned.write, "kept": {"FNAME": "ADA"}}
        assert (noted.before, noted.after, noted.state) == (planned.before, planned.after, ChangeState.PLANNED)
        assert noted.write["address"] == "p1@example.com"
        unit.changes.send_again(noted, write={**write, "fields": {}}, after={})
        (again,) = unit.changes.of_run("r")
    assert (again.before, again.after, again.write["fields"]) == ({"FNAME": None}, {}, {})
    assert again.state is ChangeState.READY


def test_what_was_erased_meanwhile_does_not_come_back_with_what_is_noted(store: Store) -> None:
    with store.transaction() as unit:
        _, (key,) = stored(unit, [member(1)])
        (point,) = unit.points.find(["p1@example.com"]).values()
        unit.changes.plan("r", [change(key, point)])
        (planned,) = unit.changes.of_run("r")
        unit.erasures.blank_changes(point, {key}, (), {"p1@example.com"})
        unit.changes.note_kept([(planned, {"FNAME": "ADA"})])
        unit.changes.send_again(planned, write=planned.write, after=planned.after)
        (erased,) = unit.changes.of_run("r")
    assert (erased.before, erased.after, erased.write["fields"], "kept" in erased.write) == ({}, {}, {}, False)
