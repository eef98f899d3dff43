"""Nobody's mark is lost: a point that is marked while it is worked off stays on the backlog."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
import sqlalchemy as sa

from optsync.model.change import ChangeState
from optsync.model.statement import StatementKind
from optsync.state.store import Store
from optsync.state.unit import Unit
from tests.state.rows import change, out

ANN = "ann@example.com"


@pytest.fixture
def point(store: Store) -> int:
    """A point that is on the backlog."""
    with store.transaction() as unit:
        key = unit.points.require([ANN])[ANN]
        unit.points.mark(["letter"], [key])
    return key


def say(unit: Unit, point: int, minutes: int = 5) -> None:
    """What another process does: it notes an out, and marks the point."""
    unit.ledger.append([(point, out(minutes))], run="other")
    unit.points.mark(["letter"], [point])


def outs(unit: Unit, point: int) -> int:
    return sum(s.kind is StatementKind.OUT for s in unit.ledger.about([point])[point])


def is_waiting(store: Store, point: int) -> bool:
    with store.reading() as unit:
        return unit.points.waiting("letter") == [point]


def test_a_point_that_nobody_marked_meanwhile_is_taken_off(store: Store, point: int) -> None:
    with store.transaction() as unit:
        unit.points.done("letter", unit.points.marks("letter", [point]))

    assert not is_waiting(store, point)
    with store.transaction() as unit:
        unit.points.mark(["letter"], [point])
    assert is_waiting(store, point)


def test_a_mark_between_two_transactions_of_one_who_works_off_is_kept(store: Store, point: int) -> None:
    with store.transaction() as unit:
        seen = unit.points.marks("letter", [point])
    with store.transaction() as other:
        say(other, point)
    with store.transaction() as unit:
        unit.points.done("letter", seen)

    assert is_waiting(store, point)


def test_of_thousands_that_were_tried_in_vain_is_known_at_once_that_nobody_is_left(store: Store) -> None:
    """With so little memory as PostgreSQL has for millions, asking for each of them would take minutes."""
    with store.transaction() as unit:
        keys = sorted(unit.points.require([f"p{n}@example.com" for n in range(12_000)]).values())
        unit.points.mark(["letter", "other"], keys)
        unit.changes.plan("r1", [change(None, key, fingerprint=f"{key}") for key in keys])
        unit.changes.set_state((c.id for c in unit.changes.of_run("r1")), ChangeState.REFUSED)
    if not store.is_sqlite:
        with store._engine.connect() as connection:
            connection.execute(sa.text("ANALYZE"))
            connection.commit()
    with store.transaction() as unit:
        if not store.is_sqlite:
            for limit in ("work_mem = '64kB'", "statement_timeout = '1500ms'"):
                unit.points._connection.execute(sa.text(f"SET LOCAL {limit}"))
        assert not unit.points.is_any_untried("letter", "r1")
        assert unit.points.is_any_untried("letter", "r2")
        assert unit.points.is_any_untried("other", "r1")
        unit.points.mark(["letter"], unit.points.require([ANN]).values())
        assert unit.points.is_any_untried("letter", "r1")


def several_writers(store: Store) -> None:
    if store.is_sqlite:
        pytest.skip("SQLite has one writer at a time")


def test_a_mark_that_is_committed_while_the_point_is_looked_at_is_kept(store: Store, point: int) -> None:
    several_writers(store)
    with store.transaction() as unit:
        seen = unit.points.marks("letter", [point])
        assert outs(unit, point) == 0
        with store.transaction() as other:
            say(other, point)
        unit.points.done("letter", seen)

    assert is_waiting(store, point)


def test_a_mark_that_is_made_before_and_committed_after_is_kept_and_nobody_waits(store: Store, point: int) -> None:
    several_writers(store)
    with store.transaction() as other:
        say(other, point)
        with store.transaction() as unit:
            seen = unit.points.marks("letter", [point])
            assert outs(unit, point) == 0
            unit.points.done("letter", seen)

    assert is_waiting(store, point)


def test_a_mark_that_comes_when_the_point_is_already_taken_off_is_kept(store: Store, point: int) -> None:
    several_writers(store)
    taken_off = Event()

    def mark() -> None:
        assert taken_off.wait(timeout=60)
        with store.transaction() as other:
            say(other, point)

    with ThreadPoolExecutor(max_workers=1) as pool:
        with store.transaction() as unit:
            unit.points.done("letter", unit.points.marks("letter", [point]))
            marking = pool.submit(mark)
            taken_off.set()
        marking.result(timeout=60)

    assert is_waiting(store, point)


def test_two_who_work_off_their_own_backlog_and_mark_each_others_never_wait_for_each_other(
    store: Store, point: int
) -> None:
    several_writers(store)
    with store.transaction() as unit:
        unit.points.mark(["other"], [point])
    with store.transaction() as one, store.transaction() as two:
        mine, theirs = one.points.marks("letter", [point]), two.points.marks("other", [point])
        one.points.mark(["other"], [point])
        two.points.mark(["letter"], [point])
        one.points.done("letter", mine)
        two.points.done("other", theirs)

    with store.reading() as unit:
        assert unit.points.waiting("letter") == unit.points.waiting("other") == [point]
