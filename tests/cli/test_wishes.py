import os
import stat

import pytest

from tests.cli.desk import CRM, ESP, Desk

SCOPE = "acme/marketing"
EVE = ("--actor", "Eve")
PAPER = ("--evidence", "a signed form")


def standing(desk: Desk, scope: str = SCOPE, email: str = "ann1@example.com") -> str:
    return str(desk.optsync("explain", email, "--json").json["scopes"][scope]["standing"])


def test_an_administrators_out_reaches_both_systems_with_the_next_run(desk: Desk) -> None:
    desk.optsync("sync")
    assert desk.optsync("opt-out", "Ann1@Example.com", *EVE).code == 0
    assert desk.optsync("may-send", "ann1@example.com", "--scope", SCOPE, "--json").json["may_send"] is False
    assert desk.optsync("sync").code == 0
    assert desk.act(CRM, "view", email="ann1@example.com")["opt_out"] is True
    assert desk.act(ESP, "view", email="ann1@example.com")["status"] == "out"


def test_an_administrators_opt_in_lifts_an_out_in_both_systems(desk: Desk) -> None:
    desk.optsync("sync")
    desk.optsync("opt-out", "ann1@example.com", *EVE, "--scope", SCOPE)
    desk.optsync("sync")
    assert desk.optsync("opt-in", "ann1@example.com", "--scope", SCOPE, *EVE, *PAPER).code == 0
    assert desk.optsync("sync").code in {0, 1}
    assert standing(desk) == "in"
    assert desk.act(CRM, "view", email="ann1@example.com")["opt_out"] is False


def test_a_new_database_is_readable_for_its_owner_only_and_one_that_is_there_keeps_its_rights(lonely: Desk) -> None:
    before = os.umask(0o022)
    try:
        lonely.optsync("opt-out", "ann1@example.com", *EVE)
        made = {path: stat.S_IMODE(path.stat().st_mode) for path in lonely.folder.glob("optsync.db*")}
        lonely.database.chmod(0o640)
        lonely.optsync("opt-out", "ann2@example.com", *EVE)
    finally:
        os.umask(before)
    assert lonely.database in made
    assert set(made.values()) == {0o600}
    assert stat.S_IMODE(lonely.database.stat().st_mode) == 0o640


def test_the_answer_names_the_statement_and_the_standing(lonely: Desk) -> None:
    document = lonely.optsync("opt-out", "ann1@example.com", *EVE, "--reason", "by phone", "--json").json
    assert (document["email"], document["scope"], document["standing"]) == ("ann1@example.com", "*", "out")
    statement = document["statement"]
    assert (statement["source"], statement["is_personal"], statement["reason"]) == ("admin", False, "by phone")
    assert statement["evidence"] == {"actor": "Eve"}


@pytest.mark.parametrize("evidence", [(), ("--evidence", ""), ("--evidence", "  ")])
def test_an_opt_in_without_evidence_is_refused(lonely: Desk, evidence: tuple[str, ...]) -> None:
    answer = lonely.optsync("opt-in", "ann1@example.com", "--scope", SCOPE, *EVE, *evidence, "--json")
    assert answer.code == 1
    assert answer.json["error"] == "refused"
    assert "evidence" in answer.json["reason"]
    assert standing(lonely) == "unknown"


def test_nobody_speaks_in_the_name_of_nobody(lonely: Desk) -> None:
    assert lonely.optsync("opt-out", "ann1@example.com").code == 2
    assert lonely.optsync("opt-out", "ann1@example.com", "--actor", " ").code == 1
    assert standing(lonely) == "unknown"


@pytest.mark.parametrize("command", [("opt-out",), ("opt-in", *PAPER)])
@pytest.mark.parametrize("scope", ["acme/service", "acme/marketng", "globex", "acme/marketing/gossip", ""])
def test_a_transactional_or_unknown_scope_is_refused_with_those_that_can_be_used(
    lonely: Desk, command: tuple[str, ...], scope: str
) -> None:
    answer = lonely.optsync(command[0], "ann1@example.com", "--scope", scope, *EVE, *command[1:])
    assert answer.code == 2
    assert "*, acme, acme/marketing, acme/marketing/news" in answer.err
    assert standing(lonely) == "unknown"


def test_a_topic_may_be_left_without_leaving_its_purpose(lonely: Desk) -> None:
    lonely.optsync("opt-in", "ann1@example.com", "--scope", SCOPE, *EVE, *PAPER)
    lonely.optsync("opt-out", "ann1@example.com", "--scope", f"{SCOPE}/offers", *EVE)
    assert standing(lonely) == "in"
    assert standing(lonely, f"{SCOPE}/offers") == "out"


def test_an_opt_in_from_before_the_out_warns_that_it_changes_nothing(lonely: Desk) -> None:
    lonely.optsync("opt-out", "ann1@example.com", *EVE)
    answer = lonely.optsync("opt-in", "ann1@example.com", "--scope", SCOPE, *EVE, *PAPER, "--at", "2020-02-02")
    assert answer.code == 0
    assert f"warning: {SCOPE} stays out: opted out on" in answer.out
    assert standing(lonely) == "out"


def test_an_opt_in_names_the_topics_that_stay_out(lonely: Desk) -> None:
    lonely.optsync("opt-out", "ann1@example.com", "--scope", f"{SCOPE}/news", *EVE)
    document = lonely.optsync("opt-in", "ann1@example.com", "--scope", SCOPE, *EVE, *PAPER, "--json").json
    assert document["standing"] == "in"
    [warning] = document["warnings"]
    assert warning.startswith(f"{SCOPE}/news stays out")


def test_a_typed_time_belongs_to_no_clock_and_a_date_is_its_first_instant(lonely: Desk) -> None:
    document = lonely.optsync(
        "opt-in", "ann1@example.com", "--scope", SCOPE, *EVE, *PAPER, "--at", "2020-02-02", "--json"
    ).json
    assert document["statement"]["at"] == "2020-02-02T00:00:00+00:00"


@pytest.mark.parametrize("time", ["yesterday", "2026-13-01", "9:14", "2999-01-01", "0001-01-01T00:00+14:00", ""])
def test_a_time_that_is_none_or_lies_ahead_is_a_usage_error(lonely: Desk, time: str) -> None:
    answer = lonely.optsync("opt-in", "ann1@example.com", "--scope", SCOPE, *EVE, *PAPER, "--at", time)
    assert answer.code == 2
    assert "--at" in answer.err
    assert standing(lonely) == "unknown"


@pytest.mark.parametrize("spoilt", ["--actor", "--reason"])
def test_words_in_another_encoding_are_a_usage_error_and_no_fault(lonely: Desk, spoilt: str) -> None:
    words = {"--actor": "Eve", "--reason": "by letter", spoilt: "J\udcfcrgen"}
    answer = lonely.optsync(
        "opt-out", "ann@example.com", *(part for option in words.items() for part in option), "--json"
    )
    assert (answer.code, answer.json["error"]) == (2, "configuration")
    assert answer.json["reason"] == "'J?rgen' is no text in UTF-8; each ? stands for a byte that is none"
