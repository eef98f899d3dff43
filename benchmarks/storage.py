"""What in an SQLite state takes how much room, by table, and how much time its rows take at least."""

import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.clock import START
from optsync.clock import ManualClock
from optsync.state.store import Store

_MADE = """
    SELECT type, name, sql FROM sqlite_master
    WHERE type IN ('table', 'index') AND sql IS NOT NULL AND name NOT LIKE 'sqlite_%'
    ORDER BY type DESC
"""
_PART = 500
_SYNCHRONOUS = ("off", "normal", "full", "extra")
_SIZES = """
    SELECT m.tbl_name, sum(CASE WHEN m.type = 'table' THEN s.pgsize ELSE 0 END),
           sum(CASE WHEN m.type = 'index' THEN s.pgsize ELSE 0 END)
    FROM dbstat s JOIN sqlite_master m ON m.name = s.name
    WHERE s.aggregate = 1
    GROUP BY m.tbl_name ORDER BY sum(s.pgsize) DESC, m.tbl_name
"""


def settings() -> dict[str, str]:
    """What the speed of commits depends on, in a state as optsync opens it."""
    with tempfile.TemporaryDirectory(prefix="optsync-benchmark-") as folder:
        store = Store(f"sqlite:///{folder}/state.db", ManualClock(START))
        with store.at_one_moment() as state:
            mode, level = (
                state.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("journal_mode", "synchronous")
            )
        store.close()
    return {"journal_mode": str(mode), "synchronous": _SYNCHRONOUS[int(level)]}


def tables_of(file: Path) -> list[dict[str, Any]]:
    """Rows and bytes of each table and of its indexes, the largest first; nothing where SQLite was built without the
    module that counts them."""
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            sizes = connection.execute(_SIZES).fetchall()
        except sqlite3.OperationalError:
            return []
        return [
            {
                "table": name,
                "rows": connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0],  # noqa: S608 - our own
                "bytes": of_rows,
                "index_bytes": of_indexes,
            }
            for name, of_rows, of_indexes in sizes
        ]


def storing(file: Path) -> dict[str, float]:
    """``rows`` of the state, and ``cpu_s`` that it takes to put them into an empty database with the same tables and
    indexes: in the order of their keys, half a thousand a transaction, with nothing to make or to look up."""
    spent, stored = 0.0, 0
    with (
        closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as source,
        tempfile.TemporaryDirectory(prefix="optsync-benchmark-") as folder,
        closing(sqlite3.connect(Path(folder) / "copy.db")) as copy,
    ):
        copy.execute("PRAGMA journal_mode=WAL")
        made = source.execute(_MADE).fetchall()
        for _, _, sql in made:
            copy.execute(sql)
        for name in [name for kind, name, _ in made if kind == "table"]:
            rows = source.execute(f'SELECT * FROM "{name}"')  # noqa: S608 - our own
            marks = ", ".join("?" for _ in rows.description)
            while part := rows.fetchmany(_PART):
                begun = time.process_time()
                with copy:
                    copy.executemany(f'INSERT INTO "{name}" VALUES ({marks})', part)  # noqa: S608 - our own
                spent += time.process_time() - begun
                stored += len(part)
    return {"rows": stored, "cpu_s": spent}
