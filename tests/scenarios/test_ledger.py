"""Whatever happens, the ledger only grows, and proves that nobody touched it."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from optsync.clock import ManualClock
from optsync.state.schema import statement
from optsync.state.store import Store
from optsync.state.verify import Verdict
from optsync.sync.consent_records import standings
from optsync.sync.progress import Silent
from tests.scenarios.world import World, person

pytestmark = pytest.mark.rule("the ledger proves itself")

ANN = "ann1@example.com"
KEYS = (b"a secret of the tests",)
Worlds = Callable[..., World]


class SigningStore(Store):
    """Signs with the key of the world's configuration."""

    def __init__(self, url: str, clock: ManualClock) -> None:
        super().__init__(url, clock, keys=lambda: KEYS)


def verified(w: World) -> Verdict:
    with w.store.reading() as unit:
        return unit.ledger.verify(KEYS)


def statements(w: World) -> set[tuple[int, str, str, str, datetime]]:
    with w.store._engine.connect() as connection:
        columns = (statement.c.id, statement.c.uid, statement.c.scope, statement.c.kind, statement.c.at)
        return {(a, b, c, d, e) for a, b, c, d, e in connection.execute(sa.select(*columns))}


def test_the_ledger_only_grows_and_verifies_after_every_cycle(world: Worlds) -> None:
    w = world(
        *(person(n, crm_topics={"news": True}, esp_topics={"news": True}) for n in range(1, 7)), store=SigningStore
    )
    rng = random.Random(7)
    before = statements(w)
    for _ in range(8):
        email = f"ann{rng.randint(1, 6)}@example.com"
        match rng.choice(["unsubscribe", "opt_out", "topic", "opt_in"]):
            case "unsubscribe":
                w.esp.act("unsubscribe", email=email)
            case "opt_out":
                w.crm.act("opt_out", email=email)
            case "topic":
                w.esp.act("set_topic", email=email, topic="news", wanted=rng.random() < 0.5)
            case "opt_in":
                w.crm.act("opt_in", email=email, at=w.clock.now().isoformat())
        w.sync()
        after = statements(w)
        assert before <= after
        before = after
        verdict = verified(w)
        assert (verdict.findings, verdict.unsigned) == ([], 0)
    assert len(before) > 6
    w.sync()


def test_every_run_notes_the_newest_block(world: Worlds) -> None:
    w = world(person(1), store=SigningStore)
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    report = w.sync()
    head = verified(w).head
    with w.store.reading() as unit:
        found = unit.runs.find(report.run)

    assert head is not None
    assert found is not None
    assert found.summary is not None
    assert found.summary["ledger_head"] == head.to_json()


def test_an_opt_out_that_somebody_erases_from_the_database_is_missed(world: Worlds) -> None:
    w = world(person(1), store=SigningStore)
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    with w.store._engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM evidence")
        connection.exec_driver_sql("DELETE FROM statement WHERE kind = 'out'")

    assert any("were sealed and" in finding.message for finding in verified(w).findings)


def test_a_plan_leaves_the_ledger_as_it_was(world: Worlds) -> None:
    w = world(person(1), store=SigningStore)
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    before = verified(w).head
    w.sync(is_rehearsal=True)

    assert verified(w).head == before
    w.sync()


def test_never_asked_and_asked_without_an_answer_are_told_apart(world: Worlds) -> None:
    w = world(person(1, in_esp=False), person(2), policy={"enter": "request"}, store=SigningStore)
    w.sync()
    with w.store.reading() as unit:
        found = {row["email"]: row for row in standings(w.engine, unit, "acme/marketing", Silent())}

    assert (found[ANN]["standing"], found[ANN]["request"]) == ("pending", "open")
    assert (found["ann2@example.com"]["standing"], found["ann2@example.com"]["request"]) == ("unknown", "never")
    w.sync()
    w.esp.act("confirm", email=ANN)
    w.sync()
    with w.store.reading() as unit:
        found = {row["email"]: row for row in standings(w.engine, unit, "acme/marketing", Silent())}
    assert (found[ANN]["standing"], found[ANN]["request"]) == ("in", "answered")


def test_after_months_without_news_one_run_a_day_is_remembered_and_every_one_in_which_something_happened(
    world: Worlds,
) -> None:
    w = world(person(1, opt_in=True), person(2, opt_in=True), store=SigningStore)
    told = []
    for day in range(50):
        if day % 10 == 3:
            w.esp.act("unsubscribe" if day % 20 == 3 else "resubscribe", email=ANN)
        reports = [w.sync() for _ in range(4)]
        told += [report.run for report in reports if report.syncs["newsletter"].outcome["changed"]]
        w.wait(hours=23, minutes=20)

    with w.store.reading() as unit:
        runs = unit.runs.list(limit=1000)
    old = [run for run in runs if run.started_at < w.clock.now() - timedelta(days=31)]
    assert len(told) >= 5
    assert set(told) <= {run.uid for run in runs}
    assert len({run.started_at.date() for run in runs}) == 50
    assert len(old) <= 19 * 2 + 2 * len(told)
    assert len(runs) - len(old) >= 30 * 4
    assert verified(w).findings == []
