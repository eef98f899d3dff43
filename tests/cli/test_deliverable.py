from datetime import timedelta

import pytest

from optsync.clock import SystemClock
from tests.cli.desk import ESP, Desk

ANN, SCOPE = "ann1@example.com", "acme/marketing"
EVE, PAPER = ("--actor", "Eve"), ("--evidence", "they answered by telephone")


def test_a_repaired_mailbox_may_be_mailed_again_and_the_answer_says_who_still_shows_the_bounce(desk: Desk) -> None:
    desk.optsync("sync")
    desk.act(ESP, "bounce", email=ANN)
    desk.optsync("sync")
    assert desk.optsync("explain", ANN, "--json").json["deliverability"] == "hard"

    answer = desk.optsync("deliverable", "Ann1@Example.com", *EVE, *PAPER, "--json").json
    assert (answer["email"], answer["deliverability"]) == (ANN, "ok")
    assert (answer["statement"]["kind"], answer["statement"]["source"]) == ("delivered", "admin")
    assert answer["statement"]["evidence"] == {"actor": "Eve", "evidence": "they answered by telephone"}
    assert "mc still shows it as bounced" in answer["warnings"][0]

    report = desk.optsync("sync", "--json").json["syncs"]["newsletter"]
    assert [(c["kind"], c["rule"]) for c in report["changes"]] == [("bounce", "bounce_cleared")]


def test_a_bounce_that_a_clock_ahead_has_noted_stands_and_the_answer_says_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.optsync("sync")
    desk.act(ESP, "bounce", email=ANN)
    desk.optsync("sync")
    now = SystemClock.now
    monkeypatch.setattr(SystemClock, "now", lambda clock: now(clock) - timedelta(days=1))
    answer = desk.optsync("deliverable", ANN, *EVE, *PAPER, "--json").json
    assert answer["deliverability"] == "hard"
    assert "counts as undeliverable all the same" in answer["warnings"][0]


def test_an_address_that_never_bounced_is_noted_with_a_warning(lonely: Desk) -> None:
    answer = lonely.optsync("deliverable", ANN, *EVE, *PAPER)
    assert answer.code == 0
    assert f"Noted: mail reaches {ANN} again" in answer.out
    assert "nothing said that the address is undeliverable" in answer.out


@pytest.mark.parametrize("evidence", [(), ("--evidence", " ")])
def test_without_evidence_nothing_is_noted(lonely: Desk, evidence: tuple[str, ...]) -> None:
    answer = lonely.optsync("deliverable", ANN, *EVE, *evidence, "--json")
    assert (answer.code, answer.json["error"]) == (1, "refused")
    assert "evidence" in answer.json["reason"]


def test_somebody_has_to_answer_for_it(lonely: Desk) -> None:
    assert lonely.optsync("deliverable", ANN, *PAPER).code == 2
    assert lonely.optsync("deliverable", ANN, "--actor", " ", *PAPER).code == 1
    assert lonely.optsync("deliverable", "no address", *EVE, *PAPER).code == 2
    said = lonely.optsync("explain", ANN, "--json").json
    assert said["deliverability"] == "ok"
