"""What a record shows, and what must be written so that it shows something else."""

from hypothesis import given
from hypothesis import strategies as st

from optsync.model.record import Record, Status, Value
from optsync.reconcile.representation import flags_for, overlay, shown
from tests.reconcile.places import CRM, ESP

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
