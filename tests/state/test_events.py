"""Reading the whole ledger in order; many writers at once."""

import threading
from datetime import timedelta

from optsync.clock import ManualClock
from optsync.model.statement import Source, StatementKind, state
from optsync.state.events import Selection
from optsync.state.store import Store
from tests.state.rows import NOW, out


def test_events_come_as_recorded_with_their_place_and_what_voids_them(store: Store) -> None:
    with store.transaction() as unit:
        keys = unit.points.require(["a@example.com", "b@example.com"])
        a, b = keys["a@example.com"], keys["b@example.com"]
        said = out(evidence={"ip": "192.0.2.1"}, source=Source.CRM)
        personal = out(5, is_personal=True)
        unit.ledger.append([(a, said), (a, personal), (b, said)], run="r")
        retractions = [
            state(
                scope="acme/news",
                kind=StatementKind.RETRACT,
                at=NOW,
                clock="optsync",
                seen_at=NOW + timedelta(hours=1),
                source=Source.ADMIN,
                target=target.uid,
            )
            for target in (said, personal)
        ]
        unit.ledger.append([(a, r) for r in retractions], run=None)
    with store.reading() as unit:
        found = list(unit.events.read(Selection()))
        head = unit.ledger.head()
        later = list(unit.events.read(Selection(since=NOW + timedelta(hours=1))))

    first_block = [(e.point, e.said.uid, e.is_void, e.block, e.run) for e in found[:3]]
    assert sorted(first_block) == sorted(
        [(a, said.uid, True, 1, "r"), (a, personal.uid, False, 1, "r"), (b, said.uid, False, 1, "r")]
    )
    assert next(e.said for e in found if e.is_void) == said
    assert head is not None
    assert (found[-1].block, found[-1].block_hash) == (head.block, head.hash)
    assert [e.id for e in found] == sorted(e.id for e in found)
    assert {e.said.kind for e in later} == {StatementKind.RETRACT}
    assert len(later) == 2


def test_a_scope_is_read_with_what_contains_it_and_what_it_contains(store: Store) -> None:
    scopes = ["*", "acme", "acme/news", "acme/news/offers", "acme/news/tips", "acme/new_", "acme_", "other"]
    with store.transaction() as unit:
        (key,) = unit.points.require(["a@example.com"]).values()
        unit.ledger.append([(key, out(scope=scope)) for scope in scopes], run="r")

        def read(scope: str) -> set[str]:
            selection = Selection(scope=scope)
            found = {e.said.scope for e in unit.events.read(selection)}
            assert unit.events.count(selection) == len(found)
            return found

        assert read("acme/news") == {"*", "acme", "acme/news", "acme/news/offers", "acme/news/tips"}
        assert read("acme/news/tips") == {"*", "acme", "acme/news", "acme/news/tips"}
        assert read("acme") == set(scopes) - {"acme_", "other"}
        assert read("*") == set(scopes)


def test_an_import_is_found_by_its_id_and_not_by_a_pattern(store: Store) -> None:
    with store.transaction() as unit:
        keys = unit.points.require(["a@example.com", "b@example.com", "c@example.com"])
        a, b, c = keys.values()
        unit.ledger.append([(a, out(source=Source.LEGACY, evidence={"import": "x1", "file": "f"}))], run=None)
        unit.ledger.append([(b, out(source=Source.IMPORT, evidence={"import": "x1"}))], run=None)
        unit.ledger.append([(c, out(source=Source.CRM, evidence={"import": "x1"}))], run=None)
        assert unit.ledger.points_of_import("x1") == sorted([a, b])
        assert unit.ledger.points_of_import("x_") == []
        assert unit.ledger.points_of_import("%") == []


def test_everybody_is_listed_once(store: Store) -> None:
    with store.transaction() as unit:
        keys = unit.points.require([f"p{n}@example.com" for n in range(2100)])
        parts = list(unit.events.people())
        assert len(parts) == 3
        assert {p.key for part in parts for p in part} == set(keys.values())
        assert unit.events.count_people() == 2100


def test_writers_at_the_same_time_make_one_chain(url: str, clock: ManualClock) -> None:
    store = Store(url, clock)
    store.migrate()
    done: list[int] = []

    def write(writer: int) -> None:
        own = Store(url, clock)
        try:
            for n in range(12):
                with own.transaction() as unit:
                    (key,) = unit.points.require([f"w{writer}@example.com"]).values()
                    (both,) = unit.points.require(["both@example.com"]).values()
                    unit.ledger.append([(key, out(n)), (both, out(n))], run=str(writer))
            done.append(writer)
        finally:
            own.close()

    with store.transaction() as unit:
        unit.points.require(["both@example.com"])
    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    with store.reading() as unit:
        verdict = unit.ledger.verify(())
    store.close()

    assert len(done) == 4
    assert verdict.findings == []
    assert verdict.head is not None
    assert verdict.head.statements == 4 * 12 + 12
