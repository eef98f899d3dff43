"""Prepared statements do what SQLAlchemy's own do, on both databases."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from optsync.state.columns import digest_of, word
from optsync.state.prepared import Prepared, any_of
from optsync.state.schema import run, source, system_record
from optsync.state.store import Store
from tests.state.rows import NOW

NAMES = ("system", "collection", "spec", "read_at", "is_known")
ADD = Prepared(sa.insert(source).values({name: bindparam(name) for name in NAMES}))
OF = Prepared(
    sa.select(source.c.system, source.c.read_at, source.c.is_known)
    .where(source.c.system.in_(any_of("systems")), source.c.spec == "spec")
    .order_by(source.c.id)
    .limit(bindparam("limit"))
)
EVERYTHING = sa.select(source.c.system, source.c.read_at, source.c.is_known).order_by(source.c.id)


@pytest.fixture
def connection(store: Store) -> Iterator[Connection]:
    with store._engine.connect() as opened, opened.begin():
        yield opened


def rows(*systems: str) -> list[dict[str, object]]:
    return [
        {"system": s, "collection": "c", "spec": "spec", "read_at": NOW + timedelta(seconds=n), "is_known": n % 2 == 0}
        for n, s in enumerate(systems)
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9])
def test_lists_of_any_length_find_what_they_name(connection: Connection, count: int) -> None:
    systems = [f"s{n}" for n in range(count)]
    ADD.run_each(connection, rows(*systems, "another"))
    expected = [tuple(row) for row in connection.execute(EVERYTHING)][:count]
    assert OF.all(connection, systems=systems, limit=100) == expected
    assert expected[0] == ("s0", NOW, True)
    assert OF.all(connection, systems=systems, limit=1) == expected[:1]
    assert OF.all(connection, systems=[], limit=100) == []


def test_a_list_can_be_part_of_the_statement(connection: Connection) -> None:
    ADD.run_each(connection, rows("one", "two", "three"))
    moments = [NOW, NOW + timedelta(seconds=2)]
    of = Prepared(
        sa.select(source.c.system)
        .where(source.c.read_at.in_(moments), source.c.system.in_(any_of("systems")))
        .order_by(source.c.id)
    )
    assert of.scalars(connection, systems=["one", "two", "three"]) == ["one", "three"]
    assert of.scalars(connection, systems=["three"]) == ["three"]


def test_rows_come_as_they_are_asked_for(connection: Connection) -> None:
    ADD.run_each(connection, rows("one", "two"))
    given = {"systems": ["one", "two"], "limit": 9}
    assert OF.scalars(connection, **given) == ["one", "two"]
    assert OF.scalar(connection, **given) == "one"
    assert OF.scalar(connection, systems=["three"], limit=9) is None
    assert OF.dicts(connection, **given)[1] == {
        "system": "two",
        "read_at": NOW + timedelta(seconds=1),
        "is_known": False,
    }


@pytest.mark.parametrize("count", [0, 1, 3])
def test_writing_many_rows_counts_what_it_met(connection: Connection, count: int) -> None:
    assert ADD.run_each(connection, rows(*(f"s{n}" for n in range(count)))) == count
    change = Prepared(sa.update(source).where(source.c.system == bindparam("of")).values(spec=bindparam("new")))
    assert (
        change.run_each(connection, [{"of": name, "new": "x"} for name in ("s0", "s1", "s2", "s0")])
        == {
            0: 0,
            1: 2,
            3: 4,
        }[count]
    )


def test_a_change_says_how_many_rows_it_met(connection: Connection) -> None:
    ADD.run_each(connection, rows("one", "two", "three"))
    change = Prepared(
        sa.update(source).where(source.c.system.in_(any_of("systems"))).values(cursor=bindparam("place"), spec="new")
    )
    assert change.run(connection, systems=["one", "three", "four"], place="50%") == 2
    asked = sa.select(source.c.cursor, source.c.spec).order_by(source.c.id)
    assert [tuple(r) for r in connection.execute(asked)] == [("50%", "new"), (None, "spec"), ("50%", "new")]


def test_what_a_block_wrote_goes_with_its_transaction(store: Store) -> None:
    with store._engine.connect() as opened, opened.begin() as transaction:
        ADD.run_each(opened, rows("one"))
        transaction.rollback()
    with store._engine.connect() as opened:
        assert opened.execute(EVERYTHING).all() == []


def test_errors_are_sqlalchemys(store: Store) -> None:
    with pytest.raises(IntegrityError), store._engine.connect() as opened, opened.begin():
        ADD.run_each(opened, rows("one", "one"))
    with store._engine.connect() as opened, opened.begin() as transaction:
        ADD.run(opened, **rows("one")[0])
        with pytest.raises(IntegrityError, match="source"):
            ADD.run(opened, **rows("one")[0])
        transaction.rollback()
    nothing = Prepared(sa.select(sa.table("nowhere", sa.column("a")).c.a))
    with pytest.raises((OperationalError, ProgrammingError)), store._engine.connect() as opened, opened.begin():
        nothing.all(opened)
    with store._engine.connect() as opened:
        assert opened.execute(EVERYTHING).all() == []


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_connection_that_the_server_has_ended_is_not_used_again(store: Store) -> None:
    with store._engine.connect() as opened, opened.begin() as transaction:
        number = opened.connection.driver_connection.info.backend_pid  # type: ignore[union-attr]
        with store._engine.connect() as other:
            other.execute(sa.select(sa.func.pg_terminate_backend(number)))
        with pytest.raises(OperationalError):
            OF.all(opened, systems=["one"], limit=1)
        assert opened.invalidated
        transaction.rollback()
    with store._engine.connect() as opened:
        assert OF.all(opened, systems=["one"], limit=1) == []


def test_a_default_in_python_is_refused_because_nobody_fills_it_in(connection: Connection) -> None:
    statement = Prepared(sa.insert(source).values(system=bindparam("system"), collection=bindparam("collection")))
    with pytest.raises(ValueError, match="default"):
        statement.run(connection, system="one", collection="c")


def test_an_argument_that_is_missing_is_no_null(connection: Connection) -> None:
    change = Prepared(sa.update(run).where(run.c.uid == bindparam("of")).values(summary=bindparam("text")))
    with pytest.raises(KeyError):
        change.run(connection, of="one")


def test_bytes_come_as_bytes(connection: Connection) -> None:
    ADD.run_each(connection, rows("one"))
    key = connection.execute(sa.select(source.c.id)).scalar_one()
    connection.execute(sa.insert(word).values(id=1, digest=digest_of("[]"), text="[]"))
    values = {
        "source_id": key,
        "rid": "r",
        "shape": "[]",
        "data": b"\0x",
        "fp": b"f" * 16,
        "first_seen_at": NOW,
        "read_at": NOW,
    }
    connection.execute(sa.insert(system_record).values(**values))
    found = Prepared(sa.select(system_record.c.fp, system_record.c.data)).all(connection)
    assert found == [(b"f" * 16, b"\0x")]
    assert {type(value) for value in found[0]} == {bytes}
