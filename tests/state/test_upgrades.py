"""A database of every released schema, with data that its release wrote, is brought up to date without a loss."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import sqlalchemy as sa

from optsync.clock import ManualClock
from optsync.model.record import Status
from optsync.model.statement import StatementKind
from optsync.state.events import Selection
from optsync.state.store import Store
from optsync.state.unasked import Ticket
from tests.scenarios.world import START
from tests.state.ledgers import LAST
from tests.state.released.story import told
from tests.state.rows import change, member, out
from tests.state.rows import stored as stored_records
from tests.state.test_migrations import move

RELEASED = sorted(Path(__file__).with_name("released").glob("*.json"))
KEY = b"a secret of the tests"
Rows: TypeAlias = dict[str, list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def migrations() -> None:
    """Here they are what is tested: every database gets them anew."""


def load(store: Store, rows: Rows) -> None:
    """Puts them in as they were, and makes the database count on from there."""
    known = sa.MetaData()
    with store._engine.begin() as connection:
        known.reflect(connection)
        for table in known.sorted_tables:
            if found := rows.get(table.name):
                connection.execute(table.insert(), [{k: plain(v) for k, v in row.items()} for row in found])
            if not store.is_sqlite and "id" in table.c:
                sequence = sa.func.pg_get_serial_sequence(table.name, "id")
                connection.execute(sa.select(sa.func.setval(sequence, sa.func.max(table.c.id))))


def plain(value: Any) -> Any:
    return bytes.fromhex(value["hex"]) if isinstance(value, dict) else value


def text_of(value: Any) -> Any:
    """Of a column that holds texts, or digests as bytes."""
    return value["hex"] if isinstance(value, dict) else value


def stored(store: Store, rows: Rows) -> dict[str, list[tuple[Any, ...]]]:
    """What the database holds now in those tables and columns."""
    known = sa.MetaData()
    with store._engine.connect() as connection:
        known.reflect(connection)
        return {
            name: in_order(connection.execute(sa.select(*(known.tables[name].c[column] for column in found[0]))))
            for name, found in rows.items()
            if found
        }


def in_order(rows: Any) -> list[tuple[Any, ...]]:
    return sorted((tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in rows), key=repr)


@pytest.fixture(params=RELEASED, ids=lambda path: path.stem)
def rows(request: pytest.FixtureRequest) -> Rows:
    found: Rows = json.loads(request.param.read_text())
    return found


@pytest.fixture
def released(request: pytest.FixtureRequest, url: str, rows: Rows) -> Iterator[Store]:
    """The database as that release left it."""
    store = Store(url, ManualClock(START), keys=lambda: (KEY,))
    move(store, request.node.callspec.params["rows"].stem)
    load(store, rows)
    yield store
    store.close()


def test_every_released_schema_has_its_data() -> None:
    from alembic.script import ScriptDirectory

    from optsync.state.revisions import MIGRATIONS

    revisions = {r.revision for r in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}
    assert {path.stem for path in RELEASED} == revisions


def test_an_upgrade_keeps_every_value_of_every_row(released: Store, rows: Rows, request: pytest.FixtureRequest) -> None:
    before = {n: in_order(tuple(map(plain, row.values())) for row in found) for n, found in rows.items() if found}
    assert stored(released, rows) == before
    assert sum(map(len, before.values())) > 150

    released.migrate()
    revision = request.node.callspec.params["rows"].stem
    if revision < "0005":
        # There and back: some of it is stored in another form since.
        move(released, max(revision, "0003"), is_down=True)
    after = stored(released, rows)
    if revision < "0004":
        lost = {"change": ["fingerprint"], "issue": ["blocks"]}
        if revision == "0001":
            # Its writes did not say yet that they had nothing of something.
            lost["change"].append("write")
        before, after = without(lost, rows, before), without(lost, rows, after)
    assert after == before


def without(
    lost: dict[str, list[str]], rows: Rows, found: dict[str, list[tuple[Any, ...]]]
) -> dict[str, list[tuple[Any, ...]]]:
    """Without those columns, of which not everything is kept."""
    kept = {
        table: [n for n, column in enumerate(each[0]) if column not in lost.get(table, ())]
        for table, each in rows.items()
        if each
    }
    return {table: in_order(tuple(row[n] for n in kept[table]) for row in each) for table, each in found.items()}


def test_after_an_upgrade_every_row_can_be_read_and_the_ledger_is_proven(released: Store, rows: Rows) -> None:
    released.migrate()
    with released.transaction() as unit:
        unit.ledger.catch_up()
    with released.reading() as unit:
        verdict = unit.ledger.verify((KEY,))
        assert (verdict.findings, verdict.unsigned) == ([], 0)
        assert verdict.head is not None
        assert verdict.head.statements == len(rows["statement"])
        records = unit.records.load(row["id"] for row in rows["system_record"])
        assert {o.key: o.points for o in records} == {
            row["id"]: tuple(p["point_id"] for p in rows["record_point"] if p["record_id"] == row["id"])
            for row in rows["system_record"]
        }
        points = {row["id"] for row in rows["contact_point"]}
        assert {c.id for c in unit.changes.of_points(points)} == {row["id"] for row in rows["change"]}
        assert {r.uid for r in unit.runs.list()} == {row["uid"] for row in rows["run"]}
        assert {i.id for i in unit.issues.list(state=None)} == {row["id"] for row in rows["issue"]}
        esp = {row["esp_record"] for row in rows["link"]}
        assert len(unit.links.of("newsletter", esp)) == len(rows["link"])
        said = unit.ledger.about(points)
    assert sum(map(len, said.values())) == len(rows["statement"])
    outs = {(s["point_id"], text_of(s["uid"])) for s in rows["statement"] if s["kind"] == "out"}
    assert {(p, s.uid) for p, each in said.items() for s in each if s.kind is StatementKind.OUT} == outs


def test_work_goes_on_where_the_release_was_killed(released: Store, rows: Rows, tmp_path: Path) -> None:
    w = told(tmp_path)
    w.store, released._clock = released, w.clock
    w._transport = None
    w.engine = w.compose()
    for _ in range(2):
        assert w.sync().state == "done"
    w.rest()
    names = {row["id"]: row["email"] for row in rows["contact_point"]}
    words = {row["id"]: row["text"] for row in rows.get("word", ())}
    outs = [row for row in rows["standing"] if row["wish"] == "out"]
    out = {names[row["point_id"]] for row in outs if "/news" not in str(words.get(row["scope"], row["scope"]))}
    assert {"ann5@example.com", "ann11@example.com"} <= out
    out -= {names[row["point_id"]] for row in rows["change"] if row["state"] == "held"}
    with released.reading() as unit:
        held = [plan.uid for plan in unit.plans.held("newsletter")]
    assert held == [row["uid"] for row in rows.get("plan", ()) if row["state"] == "held"]
    shown = {email: w.esp.act("view", email=email) for email in (*filter(None, out), "ann7@example.com")}
    assert {email for email, view in shown.items() if view and view["status"] == Status.IN} == set()
    for number in (7, 8):
        assert w.esp_shows(f"ann{number}@example.com")["status"] == Status.OUT
    if rows.get("unasked"):
        assert w.crm_shows("ann1@example.com")["opt_out"]


def test_after_an_upgrade_the_ledger_goes_on_and_people_can_be_forgotten(released: Store, rows: Rows) -> None:
    released.migrate()
    ann = "ann5@example.com"
    with released.transaction() as unit:
        unit.ledger.catch_up()
        (point,) = unit.points.find([ann]).values()
        unit.ledger.append([(point, out(1, evidence={"ip": "192.0.2.1"}))], run="r")
    with released.transaction() as unit:
        before = unit.ledger.verify((KEY,))
        mine = len(unit.ledger.about([point])[point])
        unit.ledger.forget(point, LAST)
        unit.points.forget(ann, at=LAST.at)
        unit.erasures.note(point, actor="Nora", systems=[])
    with released.reading() as unit:
        after = unit.ledger.verify((KEY,))
    assert (before.findings, after.findings) == ([], [])
    assert after.erased == before.erased + mine > before.erased + 1


def test_the_way_down_gives_every_statement_a_salt_and_the_whole_proof(url: str, clock: ManualClock) -> None:
    store = Store(url, clock, keys=lambda: (KEY,))
    store.migrate()
    with store.transaction() as unit:
        _, keys = stored_records(unit, [member(1), member(2)])
        points = list(unit.points.find(["p1@example.com", "p2@example.com"]).values())
        unit.ledger.append([(points[0], out(1, reason="enough", evidence={"ip": "192.0.2.1"}))], run="r")
        unit.ledger.append([(point, out(2, record="a" * 32, system="mc")) for point in points], run=None)
        shown = {event.id: event.proof for event in unit.events.read(Selection())}
        unit.changes.plan("r", [change(keys[0], points[0])])
        (planned,) = unit.changes.of_run("r")
    move(store, "0004", is_down=True)
    with store._engine.connect() as connection:
        found = connection.execute(sa.text("SELECT id, salt, proof FROM statement")).all()
        texts = connection.execute(sa.text("SELECT before, after, write FROM change")).one()
        proofs = connection.execute(sa.text("SELECT data FROM evidence")).scalars().all()
    assert {key: bytes(proof) for key, _, proof in found} == shown
    assert {len(salt) for _, salt, _ in found} == {16}
    assert texts == ('{"FNAME":null}', '{"FNAME":"Ada"}', '{"fields":"=","kind":"fields"}')
    assert proofs == ['{"ip":"192.0.2.1"}']

    store.migrate()
    with store.reading() as unit:
        assert unit.ledger.verify((KEY,)).findings == []
        assert unit.changes.of_run("r") == [planned]
    store.close()


def test_the_way_down_leaves_no_question_and_no_ticket(url: str, clock: ManualClock) -> None:
    store = Store(url, clock)
    store.migrate()
    with store.transaction() as unit:
        source, keys = stored_records(unit, [member(1)])
        unit.unasked.note(source, {keys[0]: None}, at=clock.now())
        unit.unasked.set_ticket(source, Ticket("a1", clock.now()))
    move(store, "0004", is_down=True)
    with store._engine.connect() as connection:
        looking = sa.inspect(connection)
        assert not looking.has_table("unasked")
        assert {"ticket", "asked_at"}.isdisjoint(column["name"] for column in looking.get_columns("source"))

    store.migrate()
    with store.reading() as unit:
        assert (unit.unasked.open(source, limit=9), unit.unasked.ticket(source)) == ([], None)
        assert [observed.key for observed in unit.records.load(keys)] == keys
    store.close()


def test_evidence_that_was_spelled_in_another_way_stays_as_it_was_sealed(url: str) -> None:
    found: Rows = json.loads(next(path for path in RELEASED if path.stem == "0001").read_text())
    first = found["statement"][0]["id"]
    found["evidence"] = [{"statement_id": first, "data": '{"b": "1", "a": "2"}'}]
    store = Store(url, ManualClock(START), keys=lambda: (KEY,))
    move(store, "0001")
    load(store, found)
    store.migrate()
    with store.transaction() as unit:
        unit.ledger.catch_up()
    with store.reading() as unit:
        assert unit.ledger.verify((KEY,)).findings == []
        (event,) = (event for event in unit.events.read(Selection()) if event.id == first)
        assert event.said.evidence == {"a": "2", "b": "1"}
    store.close()


@pytest.mark.parametrize("number", [10**19, 2**64, -(2**63) - 1])
def test_numbers_of_any_size_come_through_an_upgrade_and_back(url: str, number: int) -> None:
    found: Rows = json.loads(next(path for path in RELEASED if path.stem == "0003").read_text())
    record, linked = found["system_record"][0], found["link"][0]
    data = json.loads(bytes.fromhex(record["data"]["hex"]))
    data.setdefault("f", {})["SCORE"] = number
    record["data"] = {"hex": json.dumps(data).encode().hex()}
    linked["agreed"] = json.dumps({"SCORE": [number, number]})
    store = Store(url, ManualClock(START))
    move(store, "0003")
    load(store, found)
    store.migrate()

    with store.reading() as unit:
        assert next(iter(unit.records.load([record["id"]]))).record.fields["SCORE"] == number
        link = unit.links.of(linked["sync"], [linked["esp_record"]])[linked["crm_record"], linked["esp_record"]]
        assert (link.agreed["SCORE"].crm, link.agreed["SCORE"].esp) == (number, number)
    move(store, "0003", is_down=True)
    with store._engine.connect() as connection:
        query = sa.text("SELECT data FROM system_record WHERE id = :key")
        back = connection.execute(query, {"key": record["id"]}).scalar_one()
        assert json.loads(bytes(back))["f"]["SCORE"] == number
    store.close()


def test_of_several_that_start_at_once_one_upgrades_and_the_others_wait(url: str, clock: ManualClock) -> None:
    stores = [Store(url, clock) for _ in range(3)]
    at_once = threading.Barrier(len(stores), timeout=20)

    def start(store: Store) -> str | None:
        at_once.wait()
        store.migrate()
        with store.reading() as unit:
            return unit.meta.get("anything")

    with ThreadPoolExecutor(len(stores)) as processes:
        assert list(processes.map(start, stores)) == [None] * len(stores)
    for store in stores:
        store.close()
