"""The daemon as people run it: a process of its own that talks HTTP to vendors with bad days."""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from optsync.config.load import load
from optsync.daemon.main import daemon
from optsync.errors import ConfigError
from optsync_mock.faults import FaultKind, Only, Rule, weather
from optsync_mock.server import RunningServer
from tests.daemon.world import Pair, Process, all_of, applied_opt_outs, configuration, free_port, vendors, wait_for


def writes(server: RunningServer, pair: Pair) -> int:
    return sum(int(server.log(vendor)["writes"]) for vendor in (pair.crm, pair.esp))


@pytest.mark.slow
def test_changes_made_meanwhile_on_both_sides_arrive_although_requests_fail(tmp_path: Path) -> None:
    with vendors(30) as server:
        pair = Pair(server)
        path = configuration(tmp_path, systems=pair.systems(), syncs={"newsletter": pair.sync()})
        with Process(path) as process:
            wait_for(lambda: process.metric("optsync_runs_total", state="done") >= 1, "the first run")
            server.faults.replace(weather(0.08, delay=0.2))
            for number in range(1, 6):
                pair.crm_says_no(number)
                pair.person_unsubscribes(number + 10)
                pair.moves(number + 20, "Oslo")
            wait_for(all_of(pair.is_out_at_esp, range(1, 6)), "opt-outs of the CRM are at the other side", within=30)
            wait_for(all_of(pair.is_out_at_crm, range(11, 16)), "and those of people at the CRM", within=30)
            wait_for(all_of(lambda n: pair.city_at_esp(n) == "Oslo", range(21, 26)), "and the cities", within=30)
            assert process.get("/readyz") == 200
            # A lost answer leaves a change uncounted; the next look at the record finds it done.
            wait_for(lambda: process.metric("optsync_changes_applied_total") > 0, "changes are counted")
            assert process.end() == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_end_in_the_middle_of_a_write_loses_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with vendors(30) as server:
        pair = Pair(server)
        path = configuration(tmp_path, systems=pair.systems(), syncs={"newsletter": pair.sync()})
        with Process(path) as process:
            wait_for(lambda: process.metric("optsync_runs_total", state="done") >= 1, "the first run")
            for vendor in (pair.crm, pair.esp):
                server.clear_log(vendor)
            server.faults.replace([Rule(kind=FaultKind.TIMEOUT_AFTER, only=Only.WRITES, nth=1, delay=2)])
            for person in range(1, 11):
                pair.crm_says_no(person)
                pair.person_unsubscribes(person + 10)
            wait_for(lambda: writes(server, pair) >= 1, "a write is under way")
            assert process.end(number) == (0 if number is signal.SIGTERM else -signal.SIGKILL)
        server.faults.replace(())
        assert not (all_of(pair.is_out_at_esp, range(1, 11))() and all_of(pair.is_out_at_crm, range(11, 21))())
        with Process(path) as process:
            wait_for(all_of(pair.is_out_at_esp, range(1, 11)), "the rest is sent after the next start")
            wait_for(all_of(pair.is_out_at_crm, range(11, 21)), "on both sides")
            assert process.end() == 0


@pytest.mark.slow
def test_two_daemons_on_one_database_do_not_do_the_work_twice(tmp_path: Path) -> None:
    with vendors(30) as server:
        pair = Pair(server)
        systems, syncs = pair.systems(), {"newsletter": pair.sync()}
        one = configuration(tmp_path, systems=systems, syncs=syncs, port=free_port())
        other = configuration(tmp_path, systems=systems, syncs=syncs, port=free_port())
        # Slow answers make the runs long enough to meet.
        server.faults.replace([Rule(kind=FaultKind.TIMEOUT, only=Only.READS, probability=0.3, delay=0.3)])
        with Process(one) as first, Process(other) as second:
            for person in range(1, 11):
                pair.crm_says_no(person)
            wait_for(all_of(pair.is_out_at_esp, range(1, 11)), "the opt-outs arrive")

            def left_to_the_other() -> float:
                return sum(p.metric("optsync_runs_total", state="locked") for p in (first, second))

            wait_for(lambda: left_to_the_other() >= 1, "one finds the other at work", within=30)
            assert first.metric("optsync_runs_total", state="crashed") == 0
            assert second.metric("optsync_runs_total", state="crashed") == 0
            assert (first.end(), second.end()) == (0, 0)
    written = applied_opt_outs(tmp_path)
    assert len(written) == len(set(written)) == 10


@pytest.mark.slow
def test_a_system_that_is_down_does_not_stop_the_other_sync(tmp_path: Path) -> None:
    with vendors(10) as server, vendors(10) as gone:
        pair, dead = Pair(server), Pair(gone)
        systems = {**pair.systems(), **dead.systems("2")}
        path = configuration(tmp_path, systems=systems, syncs={"newsletter": pair.sync(), "other": dead.sync("2")})
        gone.__exit__(None, None, None)
        with Process(path) as process:
            pair.crm_says_no(3)
            wait_for(lambda: pair.is_out_at_esp(3), "the opt-out arrives")
            wait_for(lambda: process.metric("optsync_runs_total", sync="newsletter", state="done") >= 3, "and goes on")
            assert process.metric("optsync_runs_total", sync="other", state="done") == 0
            assert all(entry["run"] and entry["state"] == "done" for entry in process.entries("sync ended"))
            assert process.get("/readyz") == 200, "a restart would not bring the system back"


@pytest.mark.slow
def test_a_second_signal_ends_the_daemon_at_once(tmp_path: Path) -> None:
    with vendors(3) as server:
        pair = Pair(server)
        server.faults.replace([Rule(kind=FaultKind.TIMEOUT, delay=20)])
        path = configuration(tmp_path, systems=pair.systems(), syncs={"newsletter": pair.sync()})
        with Process(path) as process:
            wait_for(lambda: server.log(pair.crm)["calls"] + server.log(pair.esp)["calls"] >= 1, "a call hangs")
            process.popen.send_signal(signal.SIGTERM)
            wait_for(lambda: process.get("/healthz") == 0, "nothing is accepted any more")
            assert process.end(signal.SIGINT, within=5) == 128 + signal.SIGINT


@pytest.mark.slow
def test_a_run_that_does_not_end_in_time_is_cut_off_and_the_next_start_takes_its_lease_at_once(tmp_path: Path) -> None:
    with vendors(3) as server:
        pair = Pair(server)
        server.faults.replace([Rule(kind=FaultKind.TIMEOUT, delay=20)])
        path = configuration(tmp_path, systems=pair.systems(), syncs={"newsletter": pair.sync()})
        with Process(path, grace=0.5) as process:
            wait_for(lambda: server.log(pair.crm)["calls"] + server.log(pair.esp)["calls"] >= 1, "a call hangs")
            assert process.end(within=10) == 0
            assert len(process.entries("a run was cut off; the next start goes on from there")) == 1
        server.faults.replace(())
        with Process(path) as process:
            wait_for(lambda: process.metric("optsync_runs_total", state="done") >= 1, "a run")
            assert process.metric("optsync_runs_total", state="locked") == 0


def test_a_configuration_that_cannot_be_used_ends_the_command_with_two_and_a_sentence(tmp_path: Path) -> None:
    with vendors(1) as server, socket.create_server(("127.0.0.1", 0)) as taken:
        pair = Pair(server)
        port = taken.getsockname()[1]
        path = configuration(tmp_path, systems=pair.systems(), syncs={"newsletter": pair.sync()}, port=port)
        command = [sys.executable, "-m", "optsync.cli.app", "-c", str(path), "daemon"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert f"web.listen: 127.0.0.1:{port} cannot be used" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_configuration_is_read_once_so_that_it_may_come_from_a_pipe(tmp_path: Path) -> None:
    with vendors(1) as server, socket.create_server(("127.0.0.1", 0)) as taken:
        pair = Pair(server)
        port = taken.getsockname()[1]
        path = configuration(tmp_path, systems=pair.systems(), syncs={"newsletter": pair.sync()}, port=port)
        pipe = tmp_path / "pipe.yaml"
        os.mkfifo(pipe)
        writer = threading.Thread(target=lambda: pipe.write_text(path.read_text()))
        writer.start()
        command = [sys.executable, "-m", "optsync.cli.app", "-c", str(pipe), "daemon"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        writer.join()
    assert ended.returncode == 2
    assert f"web.listen: 127.0.0.1:{port} cannot be used" in ended.stderr


def test_a_taken_port_is_a_configuration_error_that_names_it(tmp_path: Path) -> None:
    with vendors(1) as server, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        pair = Pair(server)
        path = configuration(tmp_path, systems=pair.systems(), syncs={"newsletter": pair.sync()}, port=port)
        with pytest.raises(ConfigError, match=f"web.listen: 127.0.0.1:{port} cannot be used") as refused:
            daemon(load(path))
        assert refused.value.exit_code == 2
        assert not (tmp_path / "state.db").exists()


@pytest.mark.parametrize(
    ("url", "words"),
    [("sqlite://", "a database in memory"), ("sqlite:///missing/state.db", "cannot be opened")],
)
def test_a_state_database_that_cannot_keep_anything_is_refused(tmp_path: Path, url: str, words: str) -> None:
    with vendors(1) as server:
        pair = Pair(server)
        path = configuration(tmp_path, systems=pair.systems(), syncs={"newsletter": pair.sync()})
        path.write_text(path.read_text().replace("sqlite:///state.db", url))
        with pytest.raises(ConfigError, match=words):
            daemon(load(path))


def test_a_wrong_configuration_starts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("systems: {}\nsyncs: {}\n")
    with pytest.raises(ConfigError):
        daemon(load(path))
