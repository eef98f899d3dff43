from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from optsync.metrics import Metrics
from optsync.web.app import create_app
from optsync.web.service import Web
from tests.scenarios.world import World, person
from tests.web.client import Client


class FakeDispatcher:
    def __init__(self) -> None:
        self.alive = True
        self.forgotten: list[str] = []
        self.triggered: list[str] = []

    def is_alive(self) -> bool:
        return self.alive

    def neglected(self) -> list[str]:
        return self.forgotten

    def trigger(self, sync: str) -> None:
        self.triggered.append(sync)


@asynccontextmanager
async def nothing_beside(_: FastAPI) -> AsyncIterator[None]:
    yield


class Served:
    def __init__(self, folder: Path) -> None:
        self.world = World(folder, [person(1)], state_url=f"sqlite:///{folder / 'state.db'}")
        self.dispatcher = FakeDispatcher()
        config = self.world.config
        self.metrics = Metrics(self.world.store, self.world.clock, config.syncs, config.systems)
        self.stuck: list[str] = []
        web = Web(engine=self.world.engine, dispatcher=self.dispatcher, metrics=self.metrics, stuck=lambda: self.stuck)
        self.client = Client(create_app(web, lifespan=nothing_beside))

    def break_database(self, folder: Path) -> None:
        self.world.store.close()
        (folder / "state.db").write_bytes(b"no database" * 1000)
        for name in ("state.db-wal", "state.db-shm"):
            (folder / name).unlink(missing_ok=True)

    def samples(self) -> dict[str, float]:
        answer = self.client.get("/metrics")
        assert answer.status_code == 200
        return {s.name: s.value for f in text_string_to_metric_families(answer.text) for s in f.samples}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    served.world.engine.close()


def test_a_daemon_that_is_well_is_alive_and_ready(served: Served) -> None:
    for path in ("/healthz", "/readyz"):
        answer = served.client.get(path)
        assert (answer.status_code, answer.json()) == (200, {"ok": True, "reasons": []})


def test_without_its_scheduler_it_is_neither(served: Served) -> None:
    served.dispatcher.alive = False
    for path in ("/healthz", "/readyz"):
        answer = served.client.get(path)
        assert (answer.status_code, answer.json()["reasons"]) == (503, ["the scheduler does not run"])


def test_a_run_that_hangs_is_told_of_where_a_restart_is_decided(served: Served) -> None:
    served.stuck.append("newsletter")
    for path in ("/healthz", "/readyz"):
        answer = served.client.get(path)
        assert answer.status_code == 503
        assert answer.json()["reasons"] == ["sync newsletter hangs: its run has come no further for two hours"]
    served.stuck.clear()
    assert served.client.get("/healthz").status_code == 200


def test_a_sync_that_nobody_will_run_is_named(served: Served) -> None:
    served.dispatcher.forgotten = ["newsletter"]
    answer = served.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["sync newsletter is neither running nor scheduled"]
    assert served.client.get("/healthz").status_code == 200


def test_a_state_database_that_does_not_answer_makes_it_unready_and_is_told_in_the_metrics(
    served: Served, tmp_path: Path
) -> None:
    assert served.samples()["optsync_state_up"] == 1
    served.break_database(tmp_path)
    answer = served.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["the state database does not answer (DatabaseError)"]
    assert served.client.get("/healthz").status_code == 200
    samples = served.samples()
    assert samples["optsync_state_up"] == 0
    assert "optsync_issues_open" not in samples


def test_the_metrics_begin_at_zero_for_everything_that_is_configured(served: Served) -> None:
    text = served.client.get("/metrics").text
    assert 'optsync_runs_total{state="crashed",sync="newsletter"} 0.0' in text
    assert 'optsync_missed_runs_total{cause="running",sync="newsletter"} 0.0' in text
    assert text.count("optsync_missed_runs_total{") == 1, "no cause that can never be"
    assert 'optsync_calls_total{system="esp"} 0.0' in text
    assert served.samples()["optsync_issues_open"] == 0


def test_nobody_s_address_is_in_the_metrics(served: Served) -> None:
    served.world.sync()
    text = served.client.get("/metrics").text
    assert "example.com" not in text


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_these_pages_can_only_be_read(served: Served, path: str) -> None:
    assert served.client.request("POST", path).status_code == 405
    head = served.client.request("HEAD", path)
    assert (head.status_code, head.content) == (200, b"")
