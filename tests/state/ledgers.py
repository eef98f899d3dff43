"""A ledger of three blocks, and what somebody does to it who has a database client."""

from typing import Any

import sqlalchemy as sa

from optsync.model.statement import Source, StatementKind, state
from optsync.state.store import Store
from optsync.state.verify import Verdict
from tests.state.rows import NOW, out

KEYS = (b"the first key of the tests", b"an older key of the tests")
ANN, BEN, CAT = "ann@example.com", "ben@example.com", "cat@example.com"
LAST = out(0, scope="*", source=Source.ADMIN, is_personal=True, clock="optsync", reason="forgotten")
"""What is said of somebody who is forgotten."""


def said(store: Store, email: str, *minutes: int, **parts: Any) -> int:
    """One append with an out for each number; the key of the point."""
    with store.transaction() as unit:
        key = unit.points.require([email])[email]
        details = {"reason": "enough", "system": "mc", "record": "m1", "evidence": {"ip": "192.0.2.1"}, **parts}
        unit.ledger.append([(key, out(n, **details)) for n in minutes], run="r")
    return key


def fill(store: Store) -> dict[str, int]:
    """Three blocks: ids 1 and 2, then 3 and 4, then 5; a retraction among them."""
    keys = {ANN: said(store, ANN, 60, 50), BEN: said(store, BEN, 60, 50)}
    with store.transaction() as unit:
        target = unit.ledger.about([keys[ANN]])[keys[ANN]][0].uid
        keys[CAT] = unit.points.require([CAT])[CAT]
        retract = state(
            scope="acme/news",
            kind=StatementKind.RETRACT,
            at=NOW,
            clock="optsync",
            seen_at=NOW,
            source=Source.ADMIN,
            target=target,
        )
        unit.ledger.append([(keys[CAT], retract)], run=None)
    return keys


def verify(store: Store, *, keys: tuple[bytes, ...] = KEYS, head: str | None = None) -> Verdict:
    with store.reading() as unit:
        return unit.ledger.verify(keys, written_down=None if head is None else bytes.fromhex(head))


def tamper(store: Store, *orders: sa.Executable) -> None:
    """As somebody with a database client does it, without keeping to the rules of foreign keys."""
    with store._engine.connect() as connection:
        if store.is_sqlite:
            # Not within a transaction, where SQLite ignores it.
            connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
        with connection.begin():
            if not store.is_sqlite:
                connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            for order in orders:
                connection.execute(order)
        if store.is_sqlite:
            connection.connection.cursor().execute("PRAGMA foreign_keys=ON")


def places(verdict: Verdict) -> set[tuple[int | None, int | None]]:
    return {(f.block, f.statement) for f in verdict.findings}
