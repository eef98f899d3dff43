"""The changes of a run, as a report has them."""

import json
from collections.abc import Iterator

import pytest

from optsync.cli.output import print_json
from optsync.clock import ManualClock
from optsync.model.change import ChangeKind, ChangeState
from optsync.state.store import Store
from optsync.sync.journaled import Journaled, counted, journaled
from optsync.sync.report import SyncReport
from tests.state.rows import NOW, change, member, stored

COUNT = 1203


@pytest.fixture
def store() -> Iterator[Store]:
    opened = Store("sqlite://", ManualClock(NOW))
    opened.migrate()
    with opened.transaction() as unit:
        _, keys = stored(unit, [member(n) for n in range(COUNT)])
        (point,) = unit.points.find(["p0@example.com"]).values()
        planned = [change(key, point, ChangeKind.FIELD, priority=7 - n % 2) for n, key in enumerate(keys)]
        unit.changes.plan("r", planned)
        last = unit.changes.of_run("r")[-1]
        unit.changes.set_state([last.id], ChangeState.SUPERSEDED)
    yield opened
    opened.close()


def both(store: Store) -> tuple[list[int], Journaled]:
    """The ids of the changes that stand, in the journal's order, and the same read in parts."""
    with store.reading() as unit:
        standing = [c.id for c in unit.changes.of_run("r") if c.state is not ChangeState.SUPERSEDED]
        return standing, Journaled(store, "r", "letter", unit.changes.sums("r", "letter"))


def test_changes_that_are_read_in_parts_come_in_the_order_of_the_journal(store: Store) -> None:
    standing, parts = both(store)
    assert [c.id for c in parts] == standing
    assert len(parts) == len(standing) == COUNT - 1


def test_single_changes_and_ranges_are_found_in_place(store: Store) -> None:
    standing, parts = both(store)
    assert [parts[0].id, parts[1100].id, parts[-1].id] == [standing[0], standing[1100], standing[-1]]
    assert [c.id for c in parts[998:1003]] == standing[998:1003]
    with pytest.raises(IndexError):
        _ = parts[COUNT]


def test_those_of_a_rehearsal_are_kept_and_counted_alike(store: Store) -> None:
    _, parts = both(store)
    with store.reading() as unit:
        kept = journaled(store, unit, "r", "letter", is_rehearsal=True)
        assert isinstance(journaled(store, unit, "r", "letter", is_rehearsal=False), Journaled)
    assert isinstance(kept, list)
    assert counted(kept) == counted(parts)
    assert sum(counted(parts).values()) == COUNT - 1


def test_many_changes_are_printed_as_few_are(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    _, parts = both(store)
    print_json(SyncReport(changes=parts).to_json())
    many = capsys.readouterr().out
    print_json(SyncReport(changes=list(parts)).to_json())
    assert many == capsys.readouterr().out
    assert len(json.loads(many)["changes"]) == COUNT - 1
