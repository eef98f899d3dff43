from pathlib import Path

from requests.adapters import BaseAdapter
from structlog.testing import capture_logs

from optsync.connect.mock import MockTransport
from optsync.daemon.runner import Runner
from optsync.metrics import Metrics
from optsync.sync.administer import opt_out
from optsync.sync.plans import approve
from optsync.sync.run import run_cycle
from optsync.sync.status import status
from optsync_mock.faults import FaultInjector, FaultKind, FaultyMock, Rule
from tests.scenarios.world import CRM, ESP, World, person


def metrics_of(world: World) -> Metrics:
    return Metrics(world.store, world.clock, world.config.syncs, world.config.systems)


def count(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


def broken_esp(world: World) -> BaseAdapter:
    faults = FaultInjector(world.engine.rng, [Rule(kind=FaultKind.DROP)])
    return MockTransport({CRM: world.crm, ESP: FaultyMock(world.esp, faults)})


def test_a_run_is_counted_with_what_it_did(tmp_path: Path) -> None:
    world = World(tmp_path, [person(1)])
    metrics = metrics_of(world)
    runner = Runner(world.engine, metrics, lambda: False)
    runner.run("newsletter")
    world.wait(minutes=10)
    world.crm.act("opt_out", email="ann1@example.com")
    runner.run("newsletter")
    assert count(metrics, "optsync_runs_total", sync="newsletter", state="done") == 2
    assert count(metrics, "optsync_changes_applied_total", system="esp", kind="opt_out") == 1
    assert count(metrics, "optsync_calls_total", system="crm") > 0
    assert count(metrics, "optsync_run_seconds_count", sync="newsletter") == 2
    now = world.clock.now().timestamp()
    assert count(metrics, "optsync_last_success_timestamp_seconds", sync="newsletter") == now


def test_a_run_with_a_system_out_of_reach_counts_as_failed_and_not_as_a_success(tmp_path: Path) -> None:
    world = World(tmp_path, [person(1)])
    world._transport = broken_esp(world)
    metrics = metrics_of(world)
    with capture_logs() as logs:
        Runner(world.compose(), metrics, lambda: False).run("newsletter")
    warnings = [entry for entry in logs if entry["log_level"] == "warning"]
    assert [(w["event"], w["sync"], len(w["reasons"])) for w in warnings] == [("sync failed", "newsletter", 1)]
    assert warnings[0]["reasons"][0].startswith("esp: ")
    assert count(metrics, "optsync_runs_total", sync="newsletter", state="failed") == 1
    assert count(metrics, "optsync_last_success_timestamp_seconds", sync="newsletter") == 0


def test_a_sync_that_never_had_a_good_run_has_a_last_one_at_zero_on_which_an_alert_fires(tmp_path: Path) -> None:
    labels = {"sync": "newsletter"}
    metrics = metrics_of(World(tmp_path, [person(1)]))
    assert metrics.registry.get_sample_value("optsync_last_success_timestamp_seconds", labels) == 0


def test_a_sync_that_another_process_works_on_is_left_to_it(tmp_path: Path) -> None:
    world = World(tmp_path, [person(1)])
    metrics = metrics_of(world)
    with world.store.transaction() as unit:
        unit.leases.take("sync newsletter", holder="somebody else")
    with capture_logs() as logs:
        again = Runner(world.engine, metrics, lambda: False).run("newsletter")
    assert again == 60, "as soon as that may be over, whatever the schedule says"
    assert {entry["log_level"] for entry in logs} == {"info"}, "no alarm"
    assert count(metrics, "optsync_runs_total", sync="newsletter", state="locked") == 1
    assert count(metrics, "optsync_runs_total", sync="newsletter", state="failed") == 0
    assert world.transport.requests == []


def test_a_state_that_another_optsync_has_upgraded_meanwhile_is_left_alone(tmp_path: Path) -> None:
    world = World(tmp_path, [person(1)])
    metrics = metrics_of(world)
    with world.store._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with capture_logs() as logs:
        assert Runner(world.engine, metrics, lambda: False).run("newsletter") is None
    (refusal,) = (entry["reason"] for entry in logs if entry["event"] == "sync refused")
    assert "schema 9999" in refusal
    assert count(metrics, "optsync_runs_total", sync="newsletter", state="crashed") == 1
    assert world.transport.requests == []
    with world.store.reading() as unit:
        assert unit.runs.list() == [], "nothing is written into a schema that is not known"


def test_an_opt_out_that_waits_for_a_system_shows_its_age(tmp_path: Path) -> None:
    world = World(tmp_path, [person(1)])
    metrics = metrics_of(world)
    run_cycle(world.engine)
    world.wait(minutes=10)
    world.crm.act("opt_out", email="ann1@example.com")
    world._transport = broken_esp(world)
    Runner(world.compose(), metrics, lambda: False).run("newsletter")
    world.wait(hours=2)
    age = count(metrics, "optsync_oldest_unpropagated_opt_out_seconds", sync="newsletter")
    assert 7200 <= age < 7800
    Runner(world.compose(), metrics, lambda: False).run("newsletter")
    assert count(metrics, "optsync_oldest_unpropagated_opt_out_seconds", sync="newsletter") > age
    run_cycle(world.engine)
    assert count(metrics, "optsync_oldest_unpropagated_opt_out_seconds", sync="newsletter") == 0


def test_a_run_that_a_signal_cut_off_is_no_last_good_one(tmp_path: Path) -> None:
    world = World(tmp_path, [person(1)])
    run_cycle(world.engine)
    good_at = world.clock.now().timestamp()
    world.wait(minutes=4)
    opt_out(world.engine, "ann1@example.com", scope="*", actor="Kim")
    world.wait(minutes=1)
    metrics = metrics_of(world)
    Runner(world.engine, metrics, lambda: True).run("newsletter")
    assert count(metrics, "optsync_last_success_timestamp_seconds", sync="newsletter") == 0
    world._transport = broken_esp(world)
    world.wait(minutes=5)
    run_cycle(world.compose())
    world.wait(hours=2)

    again = metrics_of(world)
    with world.store.reading() as unit:
        again.remember(unit.runs)
    assert count(again, "optsync_last_success_timestamp_seconds", sync="newsletter") == good_at
    for one in (metrics, again):
        assert count(one, "optsync_oldest_unpropagated_opt_out_seconds", sync="newsletter") >= 7200
    shown = status(world.engine)["syncs"]["newsletter"]
    assert shown["oldest_unpropagated_s"] >= 7200


def test_a_run_that_was_stopped_before_all_was_written_says_so_and_the_next_one_goes_on(tmp_path: Path) -> None:
    world = World(tmp_path, [person(1)])
    run_cycle(world.engine)
    world.wait(minutes=10)
    world.crm.act("opt_out", email="ann1@example.com")
    stopped = run_cycle(world.engine, stopping=lambda: True)
    assert (stopped.state, stopped.exit_code) == ("done", 1)
    assert stopped.syncs["newsletter"].to_json()["stopped"] is True
    world.wait(minutes=10)
    report = run_cycle(world.engine)
    assert report.exit_code == 0
    assert "stopped" not in report.syncs["newsletter"].to_json()
    assert world.esp_shows("ann1@example.com")["status"] == "out"


def test_a_run_that_was_stopped_with_nothing_left_is_as_good_as_any(tmp_path: Path) -> None:
    world = World(tmp_path, [person(1)])
    metrics = metrics_of(world)
    Runner(world.engine, metrics, lambda: True).run("newsletter")
    now = world.clock.now().timestamp()
    assert count(metrics, "optsync_last_success_timestamp_seconds", sync="newsletter") == now


def test_a_held_plan_shows_its_age_until_somebody_decides(tmp_path: Path) -> None:
    people = [person(n) for n in (1, 2, 3)]
    world = World(tmp_path, people, guard={"opt_outs": {"max": 1, "percent": 5, "cap": 100}})
    metrics = metrics_of(world)
    run_cycle(world.engine)
    for one in people[:2]:
        world.wait(minutes=1)
        world.crm.act("opt_out", email=one.addresses[0])
    with capture_logs() as logs:
        Runner(world.engine, metrics, lambda: False).run("newsletter")
    assert {"plan is held", "sync held"} <= {entry["event"] for entry in logs if entry["log_level"] == "warning"}
    assert count(metrics, "optsync_runs_total", sync="newsletter", state="held") == 1
    assert count(metrics, "optsync_oldest_held_plan_seconds", sync="newsletter") == 0
    world.wait(hours=2)
    assert count(metrics, "optsync_oldest_held_plan_seconds", sync="newsletter") == 7200
    with world.store.reading() as unit:
        (plan,) = unit.plans.held("newsletter")
    approve(world.engine, plan.uid, actor="boss")
    assert count(metrics, "optsync_oldest_held_plan_seconds", sync="newsletter") == 0
    assert count(metrics, "optsync_oldest_unpropagated_opt_out_seconds", sync="newsletter") == 0


def test_the_next_process_knows_when_the_last_good_run_was(tmp_path: Path) -> None:
    world = World(tmp_path, [person(1)])
    run_cycle(world.engine)
    ended = world.clock.now().timestamp()
    world.wait(hours=1)
    world._transport = broken_esp(world)
    run_cycle(world.compose())
    metrics = metrics_of(world)
    with world.store.reading() as unit:
        metrics.remember(unit.runs)
    assert count(metrics, "optsync_last_success_timestamp_seconds", sync="newsletter") == ended


def test_a_run_that_comes_no_further_is_known_to_be_stuck(tmp_path: Path) -> None:
    world = World(tmp_path, [person(1)])
    stuck: list[list[str]] = []
    runner = Runner(world.engine, metrics_of(world), lambda: False)

    class Hanging(MockTransport):
        def send(self, *args: object, **options: object) -> object:  # type: ignore[override]
            stuck.append(runner.stuck())
            world.wait(hours=3)
            stuck.append(runner.stuck())
            return super().send(*args, **options)  # type: ignore[arg-type]

    world._transport = Hanging({CRM: world.crm, ESP: world.esp})
    runner = Runner(world.compose(), metrics_of(world), lambda: False)
    runner.run("newsletter")
    assert stuck[:2] == [[], ["newsletter"]]
    assert runner.stuck() == []
