"""Pages whose rows are made into records only where they are news, and pages of single records."""

from collections.abc import Iterable, Sequence

from optsync.model.page import Page, RowFault, Unmade, look_up
from optsync.model.record import Record


def record(number: str) -> Record:
    return Record(id=number, addresses=(f"p{number}@example.com",))


def fault(number: str) -> RowFault:
    return RowFault(record=number, field="BIRTHDAY", message="no date")


def make(ids: Iterable[str]) -> tuple[Sequence[Record], Sequence[RowFault]]:
    """Rows with even numbers are faulty."""
    asked = list(ids)
    return [record(n) for n in asked if int(n) % 2], [fault(n) for n in asked if not int(n) % 2]


UNMADE = Unmade(digests={"3": b"c", "4": b"d", "5": b"e"}, make=make)
MADE = Page(records=(record("1"),), faults=(fault("2"),), cursor="next", is_last=False, is_full=True)
PARTLY = Page(records=(record("1"),), faults=(fault("2"),), cursor="next", is_last=False, is_full=True, unmade=UNMADE)


def test_a_page_counts_the_rows_that_are_not_made_yet_too() -> None:
    assert (MADE.count, PARTLY.count) == (1, 4)


def test_a_whole_page_shows_what_was_there_and_what_is_made_of_the_other_rows() -> None:
    assert PARTLY.whole() == Page(
        records=(record("1"), record("3"), record("5")),
        faults=(fault("2"), fault("4")),
        cursor="next",
        is_last=False,
        is_full=True,
    )
    assert MADE.whole() is MADE


def test_looked_up_records_are_all_there_is_to_read_and_say_nothing_of_others() -> None:
    assert look_up([record("1")]) == Page(records=(record("1"),), cursor=None, is_last=True, is_full=False)
