"""A held plan at the command line: shown, approved, rejected, and wrong words about it."""

import os
import socket
import sqlite3
from contextlib import closing

import pytest

from optsync.clock import SystemClock
from tests.cli.desk import CRM, ESP, Desk

GUARD = {kind: {"max": 1, "percent": 5, "cap": 100} for kind in ("opt_outs", "creates")}
PEOPLE = ("ann1@example.com", "ann2@example.com")


@pytest.fixture
def holding(desk: Desk) -> Desk:
    """The first sync is done, and two people's opt-out flags have just been ticked."""
    desk.write(guard=GUARD)
    assert desk.optsync("sync").code == 0
    for email in PEOPLE:
        desk.act(CRM, "opt_out", email=email)
    return desk


def _hold(desk: Desk) -> str:
    answer = desk.optsync("sync", "--json")
    assert answer.code == 4
    return str(answer.json["plan"])


def test_sync_says_what_is_held_and_what_to_do(holding: Desk) -> None:
    before = holding.writes()
    answer = holding.optsync("sync")

    assert answer.code == 4
    assert "newsletter: held" in answer.out
    assert "opt_outs" in answer.out
    assert "optsync approve P" in answer.out
    assert "optsync reject P" in answer.out
    assert holding.writes() == before


def test_a_held_sync_is_one_json_document(holding: Desk) -> None:
    document = holding.optsync("sync", "--json").json

    part = document["syncs"]["newsletter"]
    assert (document["state"], part["state"], part["plan"]) == ("held", "held", document["plan"])
    assert document["plan"].startswith("P")
    assert [(r["system"], r["kind"], r["count"]) for r in part["held_for"]] == [("mc", "opt_outs", 2)]


def test_plan_says_that_it_would_be_held(holding: Desk) -> None:
    answer = holding.optsync("plan")

    assert answer.code == 4
    assert "would hold it for approval" in answer.out
    assert holding.optsync("plan", "--json").json["state"] == "held"


def test_status_shows_the_plan_and_since_when(holding: Desk) -> None:
    uid = _hold(holding)

    document = holding.optsync("status", "--json").json["syncs"]["newsletter"]
    assert document["held_plan"] == uid
    assert document["held_since"] is not None
    assert uid in holding.optsync("status").out


def test_approve_answers_in_the_form_of_sync(holding: Desk) -> None:
    uid = _hold(holding)
    answer = holding.optsync("approve", uid, "--actor", "boss", "--json")

    assert answer.code == 0
    part = answer.json["syncs"]["newsletter"]
    assert {(c["email"], c["state"]) for c in part["changes"]} == {(email, "applied") for email in PEOPLE}
    assert holding.act(ESP, "view", email=PEOPLE[0])["status"] == "out"
    assert holding.optsync("status", "--json").json["syncs"]["newsletter"]["held_plan"] is None


def test_reject_takes_the_flags_back(holding: Desk) -> None:
    uid = _hold(holding)
    answer = holding.optsync("reject", uid, "--actor", "boss")

    assert answer.code == 0
    assert holding.act(CRM, "view", email=PEOPLE[0])["opt_out"] is False
    assert holding.act(ESP, "view", email=PEOPLE[0])["status"] == "in"


@pytest.mark.parametrize("command", ["approve", "reject"])
def test_a_plan_that_is_not_held_is_refused(holding: Desk, command: str) -> None:
    unknown = holding.optsync(command, "P0", "--actor", "boss", "--json")
    assert (unknown.code, unknown.json["error"]) == (1, "refused")
    assert "there is no plan P0" in unknown.json["reason"]

    uid = _hold(holding)
    holding.optsync("approve", uid, "--actor", "boss")
    decided = holding.optsync(command, uid, "--actor", "boss", "--json")
    assert decided.code == 1
    assert "approved already" in decided.json["reason"]


@pytest.mark.parametrize("command", ["approve", "reject"])
def test_somebody_has_to_answer_for_it(holding: Desk, command: str) -> None:
    uid = _hold(holding)

    assert holding.optsync(command, uid).code == 2
    assert holding.optsync(command, uid, "--actor", " ").code == 1


def test_reject_of_an_unknown_system_is_a_usage_error(holding: Desk) -> None:
    uid = _hold(holding)

    answer = holding.optsync("reject", uid, "--actor", "boss", "--system", "nowhere", "--json")
    assert answer.code == 2
    assert holding.optsync("status", "--json").json["syncs"]["newsletter"]["held_plan"] == uid


def test_an_approval_that_meets_another_mass_is_held(holding: Desk) -> None:
    holding.document["guard"] = {"opt_outs": {"max": 0, "percent": 5, "cap": 100}}
    holding.write()
    uid = _hold(holding)
    holding.act(CRM, "opt_out", email="ann3@example.com")
    answer = holding.optsync("approve", uid, "--actor", "boss", "--json")

    assert (answer.code, answer.json["error"]) == (4, "held")
    assert uid in answer.json["reason"]


def test_yes_approves_a_first_run(desk: Desk) -> None:
    desk.write(guard=GUARD)
    for email in PEOPLE:
        desk.act(CRM, "opt_out", email=email)

    assert desk.optsync("sync").code == 4
    assert desk.act(ESP, "view", email=PEOPLE[0])["status"] == "in"
    assert desk.optsync("sync", "--yes").code == 0
    assert desk.act(ESP, "view", email=PEOPLE[0])["status"] == "out"


def test_yes_approves_nothing_else(holding: Desk) -> None:
    assert holding.optsync("sync", "--yes").code == 4
    holding.optsync("sync", "--yes")
    assert holding.act(ESP, "view", email=PEOPLE[0])["status"] == "in"


def test_the_daemon_at_work_is_waited_for(holding: Desk) -> None:
    uid = _hold(holding)
    with closing(sqlite3.connect(holding.database)) as connection:
        now = int(SystemClock().now().timestamp() * 1_000_000)
        connection.execute(
            "UPDATE lease SET holder = 'daemon', host = ?, pid = ?, taken_at = ?, beat_at = ?",
            (socket.gethostname() + " elsewhere", os.getpid(), now, now),
        )
        connection.commit()
    answer = holding.optsync("approve", uid, "--actor", "boss", "--json")

    assert (answer.code, answer.json["error"]) == (1, "locked")


def test_a_run_beside_a_held_plan_does_not_say_that_both_sides_agree(holding: Desk) -> None:
    plan = _hold(holding)
    answer = holding.optsync("sync")
    assert answer.code == 0
    assert f"Plan {plan} still waits for a person: optsync approve {plan} --actor NAME" in answer.out
    assert "Nothing else to change." in answer.out
    assert "Nothing to change" not in answer.out


def test_reject_of_what_a_system_never_said_leaves_the_plan_held(holding: Desk) -> None:
    plan = _hold(holding)
    answer = holding.optsync("reject", plan, "--system", "mc", "--actor", "Kim")
    assert (answer.code, answer.err) == (1, f"nothing that plan {plan} holds was said in mc; it stays held\n")
    assert holding.optsync("status", "--json").json["syncs"]["newsletter"]["held_plan"] == plan
