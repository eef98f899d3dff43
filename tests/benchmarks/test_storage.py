"""What a state takes: room, and the time of its rows alone."""

import sqlite3
from contextlib import closing
from pathlib import Path

from benchmarks.storage import storing, tables_of


def test_every_row_of_a_state_is_stored_once_more_with_its_indexes(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    with closing(sqlite3.connect(file)) as state, state:
        state.execute("CREATE TABLE person (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT)")
        state.execute("CREATE UNIQUE INDEX by_name ON person (name)")
        state.execute("CREATE TABLE nobody (id INTEGER)")
        state.executemany("INSERT INTO person (name) VALUES (?)", [(f"n{n}",) for n in range(1200)])

    found = storing(file)
    assert found["rows"] == 1200
    assert found["cpu_s"] > 0
    # Where SQLite cannot tell sizes there is nothing to look at.
    sizes = {each["table"]: each["rows"] for each in tables_of(file)}
    assert sizes.get("person", 1200) == 1200
