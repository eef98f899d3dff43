"""Values to store, and what a database holds."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from optsync.model.change import ChangeKind
from optsync.model.record import Record, Status
from optsync.model.statement import Source, Statement, StatementKind, state
from optsync.state.changes import Change, NewChange
from optsync.state.schema import metadata
from optsync.state.store import Store
from optsync.state.unit import Unit

NOW = datetime(2026, 6, 1, 12, 0, 0, 123456, tzinfo=UTC)


def out(minutes: float = 60, **parts: Any) -> Statement:
    usual: dict[str, Any] = {"clock": "mc", "seen_at": NOW, "source": Source.ESP, "scope": "acme/news"}
    return state(kind=StatementKind.OUT, at=NOW - timedelta(minutes=minutes), **{**usual, **parts})


def stored(unit: Unit, records: Sequence[Record], *, collection: str = "list") -> tuple[int, list[int]]:
    """Stores the records with their addresses; the key of the source, and theirs."""
    source = unit.sources.require("mc", collection)
    keys = unit.records.insert(source.id, records, at=NOW)
    points = unit.points.require({a for r in records for a in r.addresses})
    unit.records.set_points({keys[r.id]: [points[a] for a in r.addresses] for r in records})
    return source.id, [keys[r.id] for r in records]


def member(number: int, *more: str, **parts: Any) -> Record:
    usual: dict[str, Any] = {"status": Status.IN, "addresses": (f"p{number}@example.com", *more)}
    return Record(id=f"m{number}", **{**usual, **parts})


def change(record: int | None, point: int, kind: ChangeKind = ChangeKind.FIELD, **parts: Any) -> NewChange:
    usual: dict[str, Any] = {
        "sync": "letter",
        "system": "mc",
        "collection": "list",
        "priority": 7,
        "rule": "one_side_changed",
        "before": {"FNAME": None},
        "after": {"FNAME": "Ada"},
        "causes": ["u1"],
        "write": {"kind": "fields", "fields": {"FNAME": "Ada"}},
        "fingerprint": f"{record}|{kind}",
    }
    return NewChange(record_id=record, point_id=point, kind=kind, **{**usual, **parts})


def ready_changes(unit: Unit, systems: Sequence[str]) -> list[Change]:
    """What would be sent now, in this order."""
    return unit.changes.still_ready(unit.changes.ready("letter", systems, limit=100))


def dump(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    found = {}
    with store._engine.connect() as connection:
        for table in metadata.sorted_tables:
            rows = connection.execute(sa.select(*table.columns))
            found[table.name] = sorted((tuple(row) for row in rows), key=repr)
    return found
