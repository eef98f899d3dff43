"""What in an SQLite state takes how much room, by table."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

_SIZES = """
    SELECT m.tbl_name, sum(CASE WHEN m.type = 'table' THEN s.pgsize ELSE 0 END),
           sum(CASE WHEN m.type = 'index' THEN s.pgsize ELSE 0 END)
    FROM dbstat s JOIN sqlite_master m ON m.name = s.name
    WHERE s.aggregate = 1
    GROUP BY m.tbl_name ORDER BY sum(s.pgsize) DESC, m.tbl_name
"""


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
