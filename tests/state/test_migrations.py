"""The schema grows by migrations, and says when it is too new."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext

from optsync.clock import ManualClock
from optsync.errors import CommandRefused, ConfigError
from optsync.state import revisions
from optsync.state.revisions import MIGRATIONS
from optsync.state.schema import metadata
from optsync.state.store import Store
from tests.migrated import remembering
from tests.state.databases import Databases
from tests.state.rows import dump, member, out, stored


@pytest.fixture(autouse=True)
def migrations() -> None:
    """Here they are what is tested: every database gets them anew."""


def move(store: Store, revision: str, *, is_down: bool = False) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with store.being_filled() as connection:
        config.attributes["connection"] = connection
        (command.downgrade if is_down or revision == "base" else command.upgrade)(config, revision)


def test_the_migrations_lead_to_the_schema_that_the_code_knows(store: Store) -> None:
    with store._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_migrations_make_the_same_partial_indexes(store: Store) -> None:
    with store._engine.connect() as connection:
        found = {
            str(index["name"])
            for table in metadata.sorted_tables
            for index in sa.inspect(connection).get_indexes(table.name)
        }
    assert {str(i.name) for table in metadata.sorted_tables for i in table.indexes} <= found


def test_what_other_tests_remember_of_the_migrations_makes_the_same_schema(
    url: str, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, databases, schemas = url.partition(":")[0].partition("+")[0], Databases(tmp_path), []
    for patched in (False, True, True):
        if patched:
            monkeypatch.setattr(revisions, "upgrade", remembering(revisions.upgrade))
        store = Store(databases.empty(kind), clock)
        store.migrate()
        with store._engine.connect() as connection:
            schemas.append(described(connection))
            assert revisions.revision_of(connection) == revisions.newest()
        store.close()
    assert schemas[0] == schemas[1] == schemas[2] != []


def described(connection: sa.Connection) -> list[str]:
    """Columns, keys and indexes of every table, in an order of their own."""
    looking = sa.inspect(connection)
    looks: tuple[Any, ...] = (
        looking.get_multi_columns,
        looking.get_multi_pk_constraint,
        looking.get_multi_foreign_keys,
    )
    looks += (looking.get_multi_indexes, looking.get_multi_unique_constraints)
    return sorted(f"{table} {_each(found)}" for look in looks for table, found in look().items())


def _each(found: Any) -> list[str]:
    return sorted(_in_words(one) for one in (found if isinstance(found, list) else [found]))


def _in_words(found: Any) -> str:
    if isinstance(found, dict):
        return str({key: _in_words(value) for key, value in found.items()})
    return str(found)


def test_migrating_again_keeps_all_data(store: Store) -> None:
    with store.transaction() as unit:
        _, keys = stored(unit, [member(1)])
        unit.ledger.append([(keys[0], out(evidence={"ip": "192.0.2.1"}))], run="r")
    before = dump(store)
    store.migrate()
    move(store, "head")

    assert dump(store) == before


def test_statements_from_before_the_seal_are_sealed_when_optsync_next_starts(url: str, clock: ManualClock) -> None:
    old = Store(url, clock, keys=lambda: (b"a key of the tests",))
    move(old, "0001")
    insert = sa.text(
        "INSERT INTO statement (point_id, uid, scope, kind, at, seen_at, source, strength, is_personal, reason) "
        "VALUES (1 + :n % 2, :uid, 'acme/news', 'out', :n, 99999, 'esp', 0, false, 'enough')"
    )
    with old._engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO contact_point (email) VALUES ('a@example.com'), ('b@example.com')"))
        connection.execute(insert, [{"n": n, "uid": f"{n:032x}"} for n in range(2002)])
        connection.execute(sa.text("INSERT INTO evidence (statement_id, data) VALUES (7, '{}')"))
    old.migrate()
    with old.reading() as unit:
        assert unit.ledger.verify(()).found
    with old.transaction() as unit:
        unit.ledger.catch_up()
    with old.transaction() as unit:
        unit.ledger.catch_up()
        unit.ledger.append([(1, out())], run="r")
    with old.reading() as unit:
        verdict = unit.ledger.verify((b"a key of the tests",))
    old.close()

    assert (verdict.findings, verdict.unsigned) == ([], 0)
    assert verdict.head is not None
    assert (verdict.head.block, verdict.head.statements) == (4, 2003)


def test_going_down_removes_every_table_and_up_again_makes_them(store: Store) -> None:
    with store.transaction() as unit:
        stored(unit, [member(1)])
    move(store, "base")
    with store._engine.connect() as connection:
        assert set(sa.inspect(connection).get_table_names()) <= {"alembic_version"}

    store.migrate()
    assert not any(dump(store).values())


def test_a_database_of_a_newer_schema_is_refused_and_left_alone(store: Store) -> None:
    with store._engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    before = dump(store)

    with pytest.raises(CommandRefused, match=r"9999.*newer"):
        store.migrate()
    assert dump(store) == before


@pytest.mark.parametrize("url", ["oracle://x", "no url", "mysql://localhost/x"])
def test_another_kind_of_database_is_refused_in_one_sentence(url: str, clock: ManualClock) -> None:
    with pytest.raises(ConfigError, match=r"state\.url"):
        Store(url, clock)
