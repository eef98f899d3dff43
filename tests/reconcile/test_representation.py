"""What a record shows, and what must be written so that it shows something else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsync.model.record import Record, Status, Value
from optsync.reconcile.policy import CustomHandling
from optsync.reconcile.representation import flags_for, overlay, shown, topic_shown, with_address
from tests.reconcile.places import CRM, ESP, EVENTS, OFFERS, SCOPE, policy

flags = st.sampled_from([None, False, True])


@given(flags, flags, st.sampled_from([Status.IN, Status.OUT]))
def test_the_flags_for_a_status_make_the_record_show_it_and_are_then_no_more_needed(
    out: Value, in_: Value, wanted: Status
) -> None:
    record = Record(id="1", fields={"OUT": out, "IN": in_})
    written = overlay(record, status=None, topics={}, fields=flags_for(wanted, record, CRM))

    assert shown(written, CRM).status is wanted
    assert flags_for(wanted, written, CRM) == {}


@given(st.sampled_from(Status))
def test_without_flags_a_record_shows_its_own_status(status: Status) -> None:
    assert shown(Record(id="1", status=status), ESP).status is status
    assert shown(Record(id="1"), ESP).status is Status.UNKNOWN


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (("old@example.com",), ("new@example.com",)),
        (("old@example.com", "b@example.com"), ("new@example.com", "b@example.com")),
        (("old@example.com", "New@Example.com", "b@example.com"), ("new@example.com", "b@example.com")),
        ((), ("new@example.com",)),
    ],
)
def test_an_address_takes_the_first_place_and_is_not_named_twice(
    addresses: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    record = Record(id="1", addresses=addresses, rank=3)

    assert with_address(record, "new@example.com") == Record(id="1", addresses=expected, rank=3)


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_only_yes_and_no_are_values_of_a_topic(value: object) -> None:
    record = Record(id="1", topics={"A": True, "B": False, "C": value})  # type: ignore[dict-item]

    assert [topic_shown(record, name) for name in "ABCD"] == [True, False, None, None]


def test_a_policy_handles_what_is_named_and_all_it_is_about_where_handlers_are() -> None:
    named = CustomHandling(on_opt_out={"b/x": {"F": 1}}, on_opt_in={"a/x": {"G": 2, "F": 3}})
    called = CustomHandling(on_opt_out={"b/x": {"F": 1}}, handlers={"tell": frozenset({"H"}), "more": frozenset()})

    assert policy(handling=named).handled_scopes == ("a/x", "b/x")
    assert policy(handling=called).handled_scopes == (SCOPE, EVENTS, OFFERS, "b/x")
    assert policy().handled_scopes == ()
    assert named.fields == named.all_fields == {"F", "G"}
    assert called.fields == {"F"}
    assert called.all_fields == {"F", "H"}
