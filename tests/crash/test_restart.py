"""The PostgreSQL of the state is stopped and started while optsync works."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.crash.checks import duplicates
from tests.crash.days import Days
from tests.crash.shared import Aim, Phase
from tests.crash.stage import KEY, Stage, people, staged
from tests.daemon.world import Pair, Process, all_of, configuration, vendors, wait_for
from tests.postgresql import Missing, OwnServer, require_server, text_of


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    """One that only these tests use. Its commits wait for the disk: a crash of it must lose none."""
    require_server()
    try:
        own = OwnServer(is_durable=True)
    except Missing as reason:
        tell = pytest.fail if os.environ.get("CI") else pytest.skip
        tell(f"a server of somebody else's can't be stopped: {reason}")
    with own:
        yield own


def assert_whole(stage: Stage, days: Days) -> None:
    assert days.has_arrived()
    assert duplicates(stage.url) == []
    store = stage.store()
    with store.reading() as unit:
        assert unit.ledger.verify((KEY.encode(),)).findings == []
    store.close()


@pytest.mark.slow
def test_a_run_in_which_the_server_is_restarted_ends_with_a_sentence_or_goes_on_and_nothing_is_lost(
    server: OwnServer, tmp_path: Path
) -> None:
    cases = [
        ("fast", Aim(14, Phase.COMMITTING, signal.SIGSTOP), 2),
        ("immediate", Aim(16, Phase.COMMITTING, signal.SIGSTOP), 2),
        ("fast", Aim(4, Phase.READING, signal.SIGSTOP), 0),
        ("immediate", Aim(1, Phase.AFTER_A_WRITE, signal.SIGSTOP), 0),
    ]
    with staged(tmp_path, text_of(server.url), people(40)) as stage:
        stage.sync()
        days = Days(stage)
        for mode, aim, code in cases:
            days.go_on()
            program = stage.program("sync")
            program.start(aim)
            assert program.wait_until_stopped(), program.printed
            server.stop(mode)
            server.start()
            ended = program.go_on()
            assert ended.code == code, (mode, aim, program.printed)
            if code:
                assert "nothing is lost, the next run goes on" in program.printed.splitlines()[-1]
            assert "Traceback" not in program.printed
            stage.wait(2)
            stage.sync()
            assert_whole(stage, days)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_run_from_which_the_server_is_taken_ends_with_a_sentence(
    server: OwnServer, tmp_path: Path, mode: str
) -> None:
    database = f"taken_{mode}"
    with staged(tmp_path, text_of(server.create(database)), people(40)) as stage:
        stage.sync()
        days = Days(stage)
        for phase in (Phase.READING, Phase.AFTER_A_WRITE):
            days.go_on()
            program = stage.program("sync")
            program.start(Aim(2, phase, signal.SIGSTOP))
            assert program.wait_until_stopped(), program.printed
            server.stop(mode)
            try:
                assert program.go_on().code == 2
                last = program.printed.splitlines()[-1]
                assert last.startswith("state.url: the state database postgresql")
                assert "cannot be used" in last
                assert "Traceback" not in program.printed
                before_it_starts = stage.program("sync")
                before_it_starts.start()
                assert before_it_starts.wait().code == 2
            finally:
                server.start()
            stage.wait(2)
            stage.sync()
            assert_whole(stage, days)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_the_daemon_waits_for_its_database_and_says_so(server: OwnServer, tmp_path: Path, mode: str) -> None:
    with vendors(30) as mocks:
        pair = Pair(mocks)
        path = configuration(tmp_path, systems=pair.systems(), syncs={"newsletter": pair.sync()})
        url = text_of(server.create(f"daemon_{mode}"))
        path.write_text(path.read_text().replace("sqlite:///state.db", url))
        with Process(path) as process:
            wait_for(lambda: process.metric("optsync_runs_total", state="done") >= 1, "the first run")
            pair.crm_says_no(1)
            server.stop(mode)
            try:
                wait_for(lambda: process.get("/readyz") == 503, "it is not ready")
                reasons = requests.get(f"{process.url}/readyz", timeout=15).json()["reasons"]
                assert any("the state database does not answer" in reason for reason in reasons)
                assert process.get("/healthz") == 200, "a restart would not help"
                assert process.metric("optsync_state_up") == 0
                for person in range(2, 6):
                    pair.crm_says_no(person)
                    pair.person_unsubscribes(person + 10)
                wait_for(lambda: process.metric("optsync_runs_total", state="crashed") >= 1, "a run without it")
            finally:
                server.start()
            wait_for(all_of(pair.is_out_at_esp, range(1, 6)), "opt-outs of the CRM arrive", within=40)
            wait_for(all_of(pair.is_out_at_crm, range(12, 16)), "and those of people", within=40)
            wait_for(lambda: process.get("/readyz") == 200, "it is ready again")
            assert process.end() == 0
    assert duplicates(url) == []
