"""A copy of an SQLite state, to rehearse on without holding anybody up."""

import sqlite3
from contextlib import closing
from pathlib import Path


def copy(database: Path, target: Path) -> None:
    """Copies the database as it is at this moment, while others may be writing to it; the original stays untouched.
    Nobody works on the copy yet: leases are not taken along."""
    source = f"{database.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(source, uri=True)) as original, closing(sqlite3.connect(target)) as duplicate:
        original.backup(duplicate)
        if duplicate.execute("SELECT 1 FROM sqlite_master WHERE name = 'lease'").fetchone():
            duplicate.execute("DELETE FROM lease")
            duplicate.commit()
