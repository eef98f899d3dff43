"""An erasure empties every row, on either database."""

from pathlib import Path

import sqlalchemy as sa

from optsync.sync.forget import forget
from tests.postgresql import create_database, require_server, text_of
from tests.scenarios.world import World, person
from tests.state.rows import dump

ANN = "xenia.quillfeather@example.org"
TRACES = ("quillfeather", "xenobia", "ouagadougou", "eventide")


def test_no_row_tells_of_a_forgotten_person(url: str, tmp_path: Path) -> None:
    ann = person(1, first_name="Xenobia", last_name="Eventide", addresses=(ANN,), city="Ouagadougou")
    w = World(tmp_path, [ann, person(2), person(3)], state_url=url)
    w.sync()
    w.crm.act("set_field", email=ANN, field="city", value="Ouagadougou-2")
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    assert _traces(w) == set(TRACES)
    forget(w.engine, ANN, actor="the privacy officer")

    assert _traces(w) == set()
    w.sync(full=True)
    w.sync()
    assert _traces(w) == set()
    with w.store.reading() as unit:
        verdict = unit.ledger.verify([b"a secret of the tests"])
        assert [e.actor for e in unit.erasures.of(unit.points.find([ANN])[ANN])] == ["the privacy officer"]
    assert verdict.findings == []
    assert w.crm_shows(ANN)["opt_out"] is True
    w.store.close()


def test_on_postgresql_no_statistics_tell_of_a_forgotten_person(tmp_path: Path) -> None:
    require_server()
    w = World(tmp_path, [person(1, addresses=(ANN,)), person(2), person(3)], state_url=text_of(create_database()))
    w.sync()

    def samples() -> str:
        query = (
            "SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats WHERE schemaname = current_schema()"
        )
        with w.store._engine.begin() as connection:
            return str(connection.execute(sa.text(query)).all())

    with w.store._engine.begin() as connection:
        connection.execute(sa.text("ANALYZE"))
    assert ANN in samples()
    forget(w.engine, ANN, actor="the privacy officer")

    assert ANN not in samples()
    assert ANN.encode().hex() not in samples()
    w.store.close()


def test_the_holders_of_a_forgotten_address_are_known_without_it(url: str, tmp_path: Path) -> None:
    w = World(
        tmp_path, [person(1, addresses=(ANN,)), person(2), person(3, addresses=("bo@example.org", ANN))], state_url=url
    )
    w.sync()
    with w.store.reading() as unit:
        records = {o.key: o.record.addresses for o in unit.records.load(range(20))}
        assert unit.points.holders(records) == frozenset()
    forget(w.engine, ANN, actor="the privacy officer")

    with w.store.reading() as unit:
        assert unit.points.holders(records) == {key for key, addresses in records.items() if ANN in addresses}
    w.store.close()


def _traces(w: World) -> set[str]:
    text = repr(dump(w.store)).lower()
    return {trace for trace in TRACES if trace in text}
