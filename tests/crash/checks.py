"""What a state database holds, seen from outside."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from optsync.state.schema import metadata


def contents(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table but the journal of runs, in which a process also notes that it did nothing, and what
    it measured of the systems' clocks, to be shown."""
    engine = sa.create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return {
            table.name: sorted(
                (tuple(r) for r in connection.execute(sa.select(*table.columns)) if "clock_offset:" not in str(r[0])),
                key=repr,
            )
            for table in metadata.sorted_tables
            if table.name != "run"
        }


def duplicates(url: str) -> Sequence[tuple[Any, ...]]:
    """Ledger statements that say the same of the same person at the same time, from the same source."""
    said = metadata.tables["statement"].c
    same = (said.point_id, said.scope, said.kind, said.at, said.source)
    engine = sa.create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        found = connection.execute(sa.select(*same).group_by(*same).having(sa.func.count() > 1))
        return [tuple(row) for row in found]


def damage(url: str) -> Sequence[str]:
    """What SQLite finds wrong with its own file; PostgreSQL has no such check, but reads every row."""
    engine = sa.create_engine(url, poolclass=NullPool)
    if engine.dialect.name != "sqlite":
        contents(url)
        return []
    with engine.connect() as connection:
        found = connection.execute(sa.text("PRAGMA quick_check")).scalars().all()
        orphans = connection.execute(sa.text("PRAGMA foreign_key_check")).all()
    return [line for line in found if line != "ok"] + [f"no such row: {row}" for row in orphans]
