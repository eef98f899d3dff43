"""What a state database holds, seen from outside."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import make_url
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


def in_doubt(url: str) -> frozenset[str]:
    """The addresses of the records of which it is not known whether a write of ours has arrived there."""
    record, place, point = (metadata.tables[name] for name in ("system_record", "record_point", "contact_point"))
    tables = point.join(place, place.c.point_id == point.c.id).join(record, record.c.id == place.c.record_id)
    asked = sa.select(point.c.email).select_from(tables).where(record.c.unsure.is_not(None))
    with _as_it_was_left(url) as copy, sa.create_engine(copy, poolclass=NullPool).connect() as connection:
        return frozenset(connection.execute(asked).scalars())


@contextmanager
def _as_it_was_left(url: str) -> Iterator[str]:
    """What a killed process left in an SQLite file is for the next one to put in order: only a copy is opened."""
    if not url.startswith("sqlite"):
        yield url
        return
    file = Path(str(make_url(url).database))
    with TemporaryDirectory() as folder:
        for part in (file, file.with_name(f"{file.name}-wal")):
            if part.exists():
                shutil.copy(part, folder)
        yield f"sqlite:///{folder}/{file.name}"
