from datetime import UTC, datetime

import pytest

from optsync.clock import SystemClock
from optsync.metrics import Metrics
from optsync.state.issues import NewIssue
from optsync.state.store import Store
from tests.cli.desk import ESP, Desk

ISSUE = {"id", "kind", "opened_at", "system", "record", "email", "field", "rule", "message", "values", "state"}


def refused_opt_in(desk: Desk) -> int:
    """Somebody who left is switched back on by a hand without evidence; returns the number of the issue."""
    desk.optsync("sync")
    desk.act(ESP, "admin_unsubscribe", email="ann1@example.com")
    desk.optsync("sync")
    assert desk.act(ESP, "flip_in", email="ann1@example.com") is True
    answer = desk.optsync("sync")
    assert answer.code == 1
    assert "optsync issues list" in answer.out
    [issue] = desk.optsync("issues", "--json").json
    assert issue.keys() >= ISSUE
    assert (issue["kind"], issue["email"], issue["state"]) == ("refused_opt_in", "ann1@example.com", "open")
    return int(issue["id"])


def test_an_issue_is_listed_shown_and_dismissed_by_somebody(desk: Desk) -> None:
    number = str(refused_opt_in(desk))
    assert "refused_opt_in" in desk.optsync("issues", "list").out
    assert "ann1@example.com" in desk.optsync("issues", "show", number).out
    assert desk.optsync("issues", "dismiss", number).code == 2
    assert desk.optsync("issues", "dismiss", number, "--actor", "Eve").code == 0
    assert desk.optsync("issues", "--json").json == []
    [dismissed] = desk.optsync("issues", "list", "--state", "dismissed", "--json").json
    assert dismissed["values"]["dismissed_by"] == "Eve"
    assert desk.optsync("issues", "dismiss", number, "--actor", "Eve", "--json").json["error"] == "refused"


def test_an_issue_that_is_retried_is_closed_and_its_person_looked_at_again(desk: Desk) -> None:
    number = str(refused_opt_in(desk))
    assert desk.optsync("issues", "retry", number, "--json").json["state"] == "resolved"
    assert desk.optsync("status", "--json").json["queues"]["backlog"]["newsletter"] == 1
    assert desk.optsync("sync").code == 0
    assert desk.optsync("issues", "retry", "--all", "--json").json == {"retried": 0}
    assert desk.optsync("issues", "retry", number).code == 1


def test_a_record_that_was_set_aside_is_read_again_with_everything_when_retried(desk: Desk) -> None:
    desk.optsync("sync")
    store = Store(f"sqlite:///{desk.database}", SystemClock())
    with store.transaction() as unit:
        unit.issues.open(
            NewIssue(kind="quarantined_record", message="unreadable", sync="newsletter", system="mc", record="9"),
            run=None,
        )
    assert desk.optsync("issues", "retry", "--all").code == 0
    with store.reading() as unit:
        is_read_in_full = {s.system: s.cursor is None for s in unit.sources.all()}
    store.close()
    assert is_read_in_full == {"crm": False, "mc": True}
    assert desk.optsync("sync", "--json").json["syncs"]["newsletter"]["seen"]["esp"] == 3


def with_issues(desk: Desk, *issues: NewIssue) -> None:
    desk.optsync("sync")
    store = Store(f"sqlite:///{desk.database}", SystemClock())
    with store.transaction() as unit:
        for issue in issues:
            unit.issues.open(issue, run=None)
    store.close()


def quarantined(number: int, *, system: str = "mc") -> NewIssue:
    return NewIssue(
        kind="quarantined_record", message=f"row {number}", sync="newsletter", system=system, record=str(number)
    )


def test_many_issues_are_counted_by_kind_and_listed_when_the_kind_is_asked_for(desk: Desk) -> None:
    odd = NewIssue(kind="clock_skew", message="unknown clock", sync="newsletter", system="crm", record="1")
    with_issues(desk, odd, *(quarantined(number) for number in range(1, 26)))
    grouped = desk.optsync("issues").out
    assert "26 issues" in grouped
    assert "row 1\n" not in grouped
    assert "clock_skew" in grouped
    listed = desk.optsync("issues", "list", "--kind", "quarantined_record", "--system", "mc").out
    assert listed.count("quarantined_record") == 25
    assert len(desk.optsync("issues", "--kind", "clock_skew", "--json").json) == 1
    assert desk.optsync("issues", "--kind", "oscillation", "--system", "crm", "--json").json == []
    assert (
        "No open issues of kind oscillation about crm."
        in desk.optsync("issues", "--kind", "oscillation", "--system", "crm").out
    )


def test_several_issues_are_answered_at_once_or_not_at_all(desk: Desk) -> None:
    with_issues(desk, *(quarantined(number) for number in (1, 2, 3)))
    numbers = [str(issue["id"]) for issue in desk.optsync("issues", "--json").json]
    assert desk.optsync("issues", "dismiss", numbers[0], "99", "--actor", "Eve").code == 1
    assert len(desk.optsync("issues", "--json").json) == 3
    dismissed = desk.optsync("issues", "dismiss", *numbers[:2], "--actor", "Eve", "--json").json
    assert [issue["state"] for issue in dismissed] == ["dismissed", "dismissed"]
    retried = desk.optsync("issues", "retry", numbers[2], numbers[1], "--json").json
    assert [issue["values"]["resolved"] for issue in retried] == ["tried again by hand", "tried again by hand"]


def test_an_issue_says_since_when_and_how_often(desk: Desk) -> None:
    with_issues(desk, quarantined(1), quarantined(1))
    (issue,) = desk.optsync("issues", "--json").json
    assert (issue["count"], issue["opened_at"] <= issue["last_at"]) == (2, True)
    assert "times" in desk.optsync("issues").out


@pytest.mark.parametrize("arguments", [["retry"], ["retry", "1", "--all"], ["list", "--state", "new"]])
def test_an_unclear_answer_to_issues_is_a_usage_error(lonely: Desk, arguments: list[str]) -> None:
    assert lonely.optsync("issues", *arguments).code == 2


def test_what_is_narrowed_down_before_an_answer_is_not_answered_for_all(desk: Desk) -> None:
    with_issues(desk, quarantined(1, system="crm"), quarantined(2))
    refused = desk.optsync("issues", "--system", "crm", "--json", "retry", "--all")
    assert (refused.code, refused.json["error"]) == (2, "configuration")
    assert "--system, --json: belongs behind retry" in refused.json["reason"]
    assert len(desk.optsync("issues", "--json").json) == 2


@pytest.mark.parametrize("arguments", [["runs", "--limit", "3", "list"], ["runs", "--json", "show", "last"]])
def test_an_option_before_the_command_that_it_is_meant_for_is_refused(lonely: Desk, arguments: list[str]) -> None:
    assert lonely.optsync(*arguments).code == 2


@pytest.mark.parametrize("arguments", [["show", "7"], ["retry", "7"], ["dismiss", "7", "--actor", "Eve"]])
def test_an_issue_that_does_not_exist_is_refused(lonely: Desk, arguments: list[str]) -> None:
    answer = lonely.optsync("issues", *arguments, "--json")
    assert answer.code == 1
    assert "there is no issue 7" in answer.json["reason"]


def test_runs_are_listed_newest_first_and_shown_with_their_changes(desk: Desk) -> None:
    first = desk.optsync("sync", "--json").json["run"]
    desk.act(ESP, "unsubscribe", email="ann1@example.com")
    second = desk.optsync("sync", "--json").json["run"]
    runs = desk.optsync("runs", "--json").json
    assert [r["run"] for r in runs] == [second, first]
    assert runs[0].keys() >= {"run", "started_at", "ended_at", "state", "syncs"}
    assert runs[0]["syncs"] == ["newsletter"]
    document = desk.optsync("runs", "show", second, "--json").json
    assert [c["kind"] for c in document["changes"]].count("opt_out") == 1
    assert "ann1@example.com  crm  opt_out applied" in desk.optsync("runs", "show", "last").out
    assert first in desk.optsync("runs", "list").out


def test_a_run_that_does_not_exist_is_refused(lonely: Desk) -> None:
    assert lonely.optsync("runs", "show", "01XYZ", "--json").json["error"] == "refused"
    assert lonely.optsync("runs", "show", "last").code == 1


def test_the_status_before_the_first_run_knows_nothing_and_asks_nobody(desk: Desk) -> None:
    document = desk.optsync("status", "--json").json
    assert set(document) == {"systems", "syncs", "queues", "issues_open"}
    assert document["systems"]["crm"]["ok"] is None
    assert document["syncs"]["newsletter"]["last_run"] is None
    assert desk.calls() == 0


def test_the_status_after_a_run_counts_calls_and_says_when_the_next_is_due(desk: Desk) -> None:
    report = desk.optsync("sync", "--json").json
    document = desk.optsync("status", "--json").json
    calls = report["syncs"]["newsletter"]["calls"]
    assert {name: s["calls_today"] for name, s in document["systems"].items()} == calls
    assert all(s["ok"] and s["clock_offset_s"] is not None for s in document["systems"].values())
    sync = document["syncs"]["newsletter"]
    assert sync["last_run"] == report["run"]
    assert (datetime.fromisoformat(sync["next_at"]) - datetime.now(UTC)).total_seconds() < 300  # noqa: TID251
    assert sync["oldest_unpropagated_s"] is None
    assert "open issues: 0" in desk.optsync("status").out


def test_the_status_finds_the_last_run_of_a_sync_that_runs_seldom_beside_one_that_runs_often(desk: Desk) -> None:
    report = desk.optsync("sync", "--json").json
    other = {"often": {"plan": None, "state": "done", "calls": {"mc": 1}}}
    store = Store(f"sqlite:///{desk.database}", SystemClock())
    with store.transaction() as unit:
        for number in range(2100):
            unit.runs.begin(f"R{number}", ["often"])
            unit.runs.end(f"R{number}", "done", {"syncs": other})
    metrics = Metrics(store, SystemClock(), ["newsletter"], ["crm", "mc"])
    with store.reading() as unit:
        metrics.remember(unit.runs)
    store.close()
    document = desk.optsync("status", "--json").json
    assert document["syncs"]["newsletter"]["last_run"] == report["run"]
    assert document["syncs"]["newsletter"]["last_ok_at"] is not None
    assert document["systems"]["crm"]["ok"] is True
    assert document["systems"]["mc"]["calls_today"] == report["syncs"]["newsletter"]["calls"]["mc"] + 2100
    labels = {"sync": "newsletter"}
    assert metrics.registry.get_sample_value("optsync_last_success_timestamp_seconds", labels)


def test_a_journal_without_a_run_says_what_to_do_next(lonely: Desk) -> None:
    assert lonely.optsync("runs").out == "No runs yet. Next: optsync plan\n"
    assert lonely.optsync("runs", "--json").json == []


def test_issues_about_a_name_that_is_nowhere_say_which_there_are(desk: Desk) -> None:
    refused_opt_in(desk)
    answer = desk.optsync("issues", "--kind", "refused")
    assert (answer.code, answer.out) == (0, "No open issues of kind refused. There are: refused_opt_in.\n")
    refused = desk.optsync("issues", "list", "--system", "nowhere")
    assert (refused.code, refused.err) == (2, "there is no system 'nowhere'; configured: crm, mc\n")
    assert desk.optsync("issues", "--system", "crm").out == "No open issues about crm.\n"


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        (("sync",), "[SYNC]..."),
        (("report",), "[SYNC]..."),
        (("issues", "retry"), "[ID]..."),
        (("may-send",), "[EMAIL]"),
    ],
)
def test_arguments_are_written_the_same_way_in_every_help(lonely: Desk, command: tuple[str, ...], usage: str) -> None:
    shown = lonely.optsync(*command, "--help").out
    assert f"[OPTIONS] {usage}\n" in shown


@pytest.mark.parametrize(
    "arguments",
    [["issues", "show", "9" * 20], ["issues", "retry", "9" * 20], ["runs", "--limit", "9" * 20]],
)
def test_a_number_beyond_what_a_database_counts_is_a_usage_error(lonely: Desk, arguments: list[str]) -> None:
    answer = lonely.optsync(*arguments)
    assert answer.code == 2
