import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from optsync.cli.signals import ending_in_order
from optsync.cli.sync import stoppable
from optsync.clock import SystemClock
from optsync.state.store import Store
from tests.cli.desk import CRM, ESP, Desk, hurry

KEYS = {"system", "record", "email", "kind", "before", "after", "rule", "state"}


def test_an_unsubscribe_reaches_the_crm_and_is_told_in_words(desk: Desk) -> None:
    assert desk.optsync("sync").code == 0
    desk.act(ESP, "unsubscribe", email="ann1@example.com")
    answer = desk.optsync("sync")
    assert answer.code == 0
    assert desk.act(CRM, "view", email="ann1@example.com")["opt_out"] is True
    assert "an opt-out reaches every system that knows the address" in answer.out
    assert "read: crm" in answer.out
    assert "calls: crm" in answer.out


def test_a_sync_answers_with_the_document_of_the_contract(desk: Desk) -> None:
    desk.optsync("sync")
    desk.act(CRM, "opt_out", email="ann2@example.com")
    document = desk.optsync("sync", "newsletter", "--json").json
    assert {"run", "plan", "state", "syncs"} <= document.keys()
    sync = document["syncs"]["newsletter"]
    assert {"plan", "state", "seen", "outcome", "changes", "issues", "calls"} <= sync.keys()
    assert sync["state"] == document["state"] == "done"
    [change] = [c for c in sync["changes"] if c["kind"] == "opt_out"]
    assert change.keys() >= KEYS
    assert (change["system"], change["email"], change["state"]) == ("mc", "ann2@example.com", "applied")


def test_nothing_to_do_is_said_and_costs_no_write(desk: Desk) -> None:
    desk.optsync("sync")
    desk.optsync("sync")
    before, calls = desk.writes(), desk.calls()
    answer = desk.optsync("sync")
    assert answer.out.endswith("\nNothing to change.\n")
    assert desk.writes() == before
    reported = desk.optsync("sync", "--json").json["syncs"]["newsletter"]["calls"]
    assert desk.calls() - calls == 2 * sum(reported.values()), "a cycle makes no calls that it does not report"


def test_a_run_does_not_say_that_both_sides_agree_where_an_opt_out_stays(desk: Desk) -> None:
    newsletter = {**desk.document["syncs"]["newsletter"], "opt_out": {"crm_to_esp": False}}
    desk.write(syncs={"newsletter": newsletter})
    desk.optsync("sync")
    desk.act(CRM, "opt_out", email="ann1@example.com")
    desk.optsync("sync")
    assert desk.optsync("report", "--json").json["syncs"]["newsletter"]["mismatches_total"] == 1
    assert desk.optsync("sync").out.endswith("\nNothing to change.\n")


def test_a_plan_changes_neither_the_systems_nor_the_state(desk: Desk) -> None:
    desk.optsync("sync")
    desk.act(ESP, "unsubscribe", email="ann1@example.com")
    desk.act(CRM, "set_field", email="ann2@example.com", field="first_name", value="Beate")
    state, writes = desk.dump(), desk.writes()
    answer = desk.optsync("plan")
    document = desk.optsync("plan", "--full", "--json").json
    assert answer.code == 0
    assert desk.dump() == state
    assert desk.writes() == writes
    assert "ann1@example.com  crm  opt_out" in answer.out
    assert "Ann2 → Beate" in answer.out
    assert document["state"] == "planned"
    assert {c["state"] for c in document["syncs"]["newsletter"]["changes"]} == {"planned"}


def test_a_rehearsal_without_a_system_has_failed_as_a_run_has(lonely: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    answer = lonely.optsync("plan", "--json")
    assert (answer.code, answer.json["state"], answer.json["syncs"]["newsletter"]["state"]) == (3, "failed", "failed")
    assert lonely.optsync("plan").out.startswith("newsletter: 0 changes planned\n")


def test_a_sync_does_what_the_plan_said(desk: Desk) -> None:
    desk.optsync("sync")
    desk.act(ESP, "unsubscribe", email="ann3@example.com")
    desk.act(CRM, "set_field", email="ann1@example.com", field="last_name", value="Meier")

    def told(*command: str) -> list[str]:
        changes = desk.optsync(*command, "--json").json["syncs"]["newsletter"]["changes"]
        return sorted(json.dumps({**c, "state": ""}) for c in changes)

    planned = told("plan")
    assert len(planned) >= 2
    assert told("sync") == planned


def test_a_plan_before_the_first_sync_makes_no_database(desk: Desk) -> None:
    before = sorted(desk.folder.iterdir())
    assert desk.optsync("plan").code == 0
    assert sorted(desk.folder.iterdir()) == before
    assert desk.writes() == 0


def test_a_plan_prints_at_most_as_many_changes_as_asked_for(desk: Desk) -> None:
    desk.optsync("sync")
    for n in (1, 2, 3):
        desk.act(ESP, "unsubscribe", email=f"ann{n}@example.com")
    total = len(desk.optsync("plan", "--json").json["syncs"]["newsletter"]["changes"])
    assert f"… and {total - 1} more, --json shows all" in desk.optsync("plan", "--limit", "1").out


@pytest.mark.parametrize("command", ["sync", "plan"])
def test_an_unknown_sync_is_a_usage_error_that_lists_the_known_ones(lonely: Desk, command: str) -> None:
    answer = lonely.optsync(command, "newsleter")
    assert answer.code == 2
    assert "newsleter" in answer.err
    assert "newsletter" in answer.err
    assert answer.out == ""


def test_logs_go_to_standard_error_and_name_nobody(desk: Desk) -> None:
    desk.optsync("sync")
    desk.act(ESP, "unsubscribe", email="ann1@example.com")
    answer = desk.optsync("sync", "--json", verbose=True)
    assert answer.json["state"] == "done"
    assert '"event": "sync ended"' in answer.err
    assert "@example.com" not in answer.err


def test_another_account_under_the_same_name_is_refused_until_rebased(desk: Desk) -> None:
    assert desk.optsync("sync").code == 0
    systems = desk.document["systems"]
    moved = {**systems["crm"], "webhook_url": systems["crm"]["webhook_url"].replace("127.0.0.1", "localhost")}
    desk.write(systems={**systems, "crm": moved})
    state, writes = desk.dump(), desk.writes()
    answer = desk.optsync("sync", "--json")
    assert answer.code == 2
    assert "--rebase crm" in answer.json["reason"]
    assert (desk.dump(), desk.writes()) == (state, writes)
    assert desk.optsync("plan").code == 2
    assert desk.optsync("check").code == 2
    assert desk.optsync("sync", "--rebase", "crm").code == 0
    assert desk.optsync("sync").code == 0


def test_nobody_of_the_former_account_is_taken_for_somebody_of_the_new_one(desk: Desk) -> None:
    desk.optsync("sync")
    desk.act(CRM, "opt_out", email="ann1@example.com")
    desk.optsync("sync")
    for n in (1, 2, 3):
        desk.act(CRM, "change_address", email=f"ann{n}@example.com", to=f"new{n}@example.com")
        desk.act(CRM, "set_field", email=f"new{n}@example.com", field="first_name", value=f"New{n}")
    desk.act(CRM, "opt_in", email="new1@example.com", at=None)
    changes = desk.optsync("sync", "--rebase", "crm", "--json").json["syncs"]["newsletter"]["changes"]
    standings = [desk.optsync("explain", f"new{n}@example.com", "--json").json["scopes"] for n in (1, 2, 3)]
    assert [s["acme/marketing"]["standing"] for s in standings] == ["unknown"] * 3
    assert [c for c in changes if c["system"] == "mc"] == []
    assert desk.act(ESP, "view", email="ann2@example.com")["fields"]["first_name"] == "Ann2"


def test_a_plan_does_not_wait_for_a_run_under_way(desk: Desk) -> None:
    desk.optsync("sync")
    store = Store(f"sqlite:///{desk.database}", SystemClock())
    with store.transaction() as unit:
        unit.leases.take("sync newsletter", holder="daemon")
    assert desk.optsync("sync").code == 1
    assert desk.optsync("plan").code == 0
    store.close()


@pytest.mark.parametrize("name", ["what?", "100%25", "a#b", "%C3%A4 b"])
def test_a_rehearsal_works_on_its_copy_whatever_the_folder_for_temporary_files_is_called(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    desk.optsync("sync")
    desk.optsync("opt-out", "ann1@example.com", "--actor", "Eve")
    folder = desk.folder / "temporary" / name
    folder.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    changes = desk.optsync("plan", "--json").json["syncs"]["newsletter"]["changes"]
    assert ("ann1@example.com", "opt_out") in {(c["email"], c["kind"]) for c in changes}
    assert list((desk.folder / "temporary").rglob("*")) == [folder]


def test_the_first_signal_lets_the_batch_end_and_the_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stoppable() as stopping:
        assert not stopping()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopping()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_rehearsal_that_is_ended_leaves_no_copy_of_the_state(lonely: Desk, number: signal.Signals) -> None:
    lonely.optsync("opt-out", "ann1@example.com", "--actor", "Eve")
    folder = lonely.folder / "temporary"
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        text = lonely.path.read_text(encoding="utf-8")
        lonely.path.write_text(text.replace("127.0.0.1:9/", f"127.0.0.1:{silent.getsockname()[1]}/"), encoding="utf-8")
        before = signal.signal(number, signal.SIG_DFL)  # a parent that ignores it would hand that on
        process = subprocess.Popen(
            [sys.executable, "-m", "optsync.cli.app", "-c", str(lonely.path), "plan"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        signal.signal(number, before)
        with silent.accept()[0]:
            assert list(folder.iterdir()) != [], "it rehearses on a copy"
            process.send_signal(number)
            _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert list(folder.iterdir()) == []


def test_what_is_ignored_stays_ignored_while_a_command_cleans_up() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ending_in_order():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


def test_new_credentials_of_the_same_account_are_fine(desk: Desk) -> None:
    desk.optsync("sync")
    systems = desk.document["systems"]
    desk.write(systems={**systems, "crm": {**systems["crm"], "requests_per_second": 5}})
    assert desk.optsync("sync").code == 0


def test_rebasing_an_unknown_system_is_a_usage_error(lonely: Desk) -> None:
    answer = lonely.optsync("sync", "--rebase", "erp")
    assert answer.code == 2
    assert "crm, mc" in answer.err


def test_no_command_writes_into_the_folder_it_was_started_in(
    desk: Desk, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    desk.optsync("sync")
    assert list(Path(elsewhere).iterdir()) == []
    assert desk.database.exists()
