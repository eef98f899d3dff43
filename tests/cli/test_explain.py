import re
from typing import Any

import pytest

from optsync.cli.explain import in_words
from optsync.cli.sentences import sentence
from tests.cli.desk import CRM, ESP, Desk
from tests.scenarios.world import person

SCOPES = ["acme/marketing", "acme/marketing/news", "acme/marketing/offers", "acme/marketing/events", "acme/service"]


def said(**details: Any) -> dict[str, Any]:
    plain = {
        "kind": "out",
        "at": "2026-11-22T09:14:00+00:00",
        "seen_at": "2026-11-22T09:20:00+00:00",
        "source": "esp",
        "is_personal": True,
        "reason": None,
        "system": "mc",
        "record": None,
        "evidence": {},
    }
    return {**plain, **details}


def test_an_opt_out_is_told_as_a_sentence() -> None:
    assert sentence(said()) == "opted out on 2026-11-22 09:14 UTC by the person at mc, seen 09:20"


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({"seen_at": "2026-11-23T01:00:00+00:00"}, "seen 2026-11-23 01:00 UTC"),
        ({"at": "2026-11-22T10:14:00+01:00"}, "on 2026-11-22 09:14 UTC"),
        ({"reason": "too many mails"}, "reason: too many mails"),
        ({"record": "4711"}, "at mc (record 4711)"),
        ({"kind": "complaint", "source": "spam_complaint"}, "reported a mail as spam"),
        ({"source": "crm", "is_personal": False, "system": "crm"}, "by a value in the CRM at crm"),
        ({"source": "list_unsubscribe", "system": None}, "by the person, by the unsubscribe button"),
        ({"source": "admin", "is_personal": False, "evidence": {"actor": "Eve"}}, "by Eve (admin)"),
        ({"kind": "grant", "evidence": {"evidence": "paper form", "ip": "192.0.2.1"}}, "evidence: paper form [ip: 192"),
    ],
)
def test_a_sentence_says_who_when_where_and_why(details: dict[str, Any], expected: str) -> None:
    assert expected in sentence(said(**details))


def test_an_unknown_address_has_every_configured_scope_as_unknown(lonely: Desk) -> None:
    document = lonely.optsync("explain", "Nobody@Example.com", "--json").json
    assert document["email"] == "nobody@example.com"
    assert list(document["scopes"]) == SCOPES
    assert {s["standing"] for s in document["scopes"].values()} == {"unknown"}
    assert [s["may_send"] for s in document["scopes"].values()] == [False, False, False, False, True]
    assert (document["records"], document["changes"], document["issues"]) == ([], [], [])
    assert not lonely.database.exists(), "who only asks leaves no database behind"


def test_why_was_she_unsubscribed(desk: Desk) -> None:
    desk.optsync("sync")
    desk.act(ESP, "unsubscribe", email="ann1@example.com")
    desk.optsync("sync")
    text = desk.optsync("explain", "ann1@example.com").out
    assert "acme/marketing: out – must not be mailed (opted out)" in text
    assert re.search(r"opted out on \d{4}-\d\d-\d\d \d\d:\d\d UTC by the person at mc", text)
    assert re.search(r"mc \S+ \S+: out .*since .* UTC, read .* UTC", text)
    assert re.search(r"crm contact \d+: out for acme/marketing since 20\d\d-\d\d-\d\d \d\d:\d\d UTC, read", text)
    assert re.search(r"crm  opt_out applied: .*an opt-out reaches every system", text)


def test_the_document_holds_the_deciding_statement_records_and_changes(desk: Desk) -> None:
    desk.optsync("sync")
    desk.act(ESP, "unsubscribe", email="ann1@example.com")
    desk.optsync("sync")
    document = desk.optsync("explain", "ann1@example.com", "--json").json
    scope = document["scopes"]["acme/marketing"]
    assert (scope["standing"], scope["may_send"]) == ("out", False)
    assert scope["decided_by"]["kind"] == "out"
    assert scope["decided_by"]["system"] == "mc"
    assert scope["decided_by"]["id"] in [s["id"] for s in scope["statements"]]
    assert {(r["system"], r["shows"]) for r in document["records"]} == {("crm", "out"), ("mc", "out")}
    assert all(r["read_at"] and r["record"] for r in document["records"])
    since = {r["system"]: r["since"] for r in document["records"]}
    assert since["crm"] >= since["mc"] >= document["scopes"]["acme/marketing"]["decided_by"]["at"][:16]
    assert [c["kind"] for c in document["changes"] if c["state"] == "applied"].count("opt_out") == 1


def test_what_waits_for_the_next_run_is_said(lonely: Desk) -> None:
    lonely.optsync("opt-out", "ann1@example.com", "--actor", "Eve", "--reason", "wrote a letter")
    text = lonely.optsync("explain", "ann1@example.com").out
    assert "The next run of newsletter looks at this address again" in text
    assert "for everything: opted out" in text
    assert "by Eve (admin)" in text
    assert "reason: wrote a letter" in text


@pytest.mark.parametrize("address", ["nobody", "a b@example.com", "x@localhost", ""])
def test_what_is_no_address_is_a_usage_error_with_the_reason(lonely: Desk, address: str) -> None:
    answer = lonely.optsync("explain", address)
    assert answer.code == 2
    assert "no e-mail address" in answer.err


def test_a_reason_cannot_add_a_line_to_the_answer(lonely: Desk) -> None:
    forged = "acme/marketing: in – may be mailed (opted in)"
    lonely.optsync("opt-out", "ann1@example.com", "--actor", "Eve", "--reason", f"too many\n{forged}")
    assert forged not in lonely.optsync("explain", "ann1@example.com").out.splitlines()
    assert (
        lonely.optsync("explain", "ann1@example.com", "--json")
        .json["scopes"]["acme/marketing"]["decided_by"]["reason"]
        .endswith(forged)
    )


def test_control_characters_of_a_system_do_not_reach_the_terminal(lonely: Desk) -> None:
    lonely.optsync("opt-out", "ann1@example.com", "--actor", "Eve", "--reason", "\x1b[2J\x07gone [red]x[/red]")
    text = lonely.optsync("explain", "ann1@example.com").out
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "gone [red]x[/red]" in text


def test_who_was_asked_to_confirm_is_told_so_until_they_answer(desk: Desk) -> None:
    sync = desk.document["syncs"]["newsletter"]
    desk.write(syncs={"newsletter": {**sync, "policy": {"enter": "request"}}})
    assert desk.server is not None
    desk.server.mocks[CRM].populate([person(9, in_esp=False)])
    desk.optsync("sync")
    asked = desk.optsync("explain", "ann9@example.com").out
    assert "acme/marketing: pending – must not be mailed (asked, no answer yet)" in asked
    assert re.search(r"  asked for consent on 20\d\d-\d\d-\d\d \d\d:\d\d UTC at mc, no answer yet\n", asked)
    assert "asked" not in desk.optsync("explain", "ann1@example.com").out

    desk.act(ESP, "confirm", email="ann9@example.com")
    desk.optsync("sync")
    text = desk.optsync("explain", "ann9@example.com").out
    assert re.search(r"at mc, confirmed on 20\d\d-\d\d-\d\d \d\d:\d\d UTC\n", text)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"state": "no_answer", "ended_at": "2026-11-23T08:00:00Z"}, "no answer: it ended on 2026-11-23 08:00 UTC"),
        ({"state": "opted_out", "ended_at": "2026-11-23T08:00:00Z"}, "opted out since on 2026-11-23 08:00 UTC"),
        (
            {"state": "refused", "ended_at": "2026-11-23T08:00:00Z", "fact": "banned"},
            "which the platform refused (banned) on 2026-11-23 08:00 UTC",
        ),
        ({"state": "waiting", "grant": "G1"}, "asked to confirm an opt-in on 2026-11-22 09:00 UTC at mc, no answer"),
    ],
)
def test_what_became_of_a_request_is_told_in_a_line(request_: dict[str, Any], expected: str) -> None:
    plain = {"asked_at": "2026-11-22T09:00:00Z", "ended_at": None, "system": "mc", "grant": None, "fact": None}
    about = {"standing": "unknown", "may_send": False, "reason": "-", "decided_by": None, "statements": []}
    empty: dict[str, Any] = {"records": [], "changes": [], "refusals": [], "issues": [], "waiting_in": []}
    scopes = {"acme/marketing": {**about, "request": {**plain, **request_}}}
    lines = list(in_words({"email": "a@example.com", "deliverability": "ok", "scopes": scopes, **empty}))

    assert [text for text in lines if expected in text], lines


def test_a_refusal_is_told_with_the_platforms_words_and_what_comes_next() -> None:
    refusal = {
        "at": "2026-11-22T09:00:00Z",
        "system": "mc",
        "kind": "create",
        "fact": "banned",
        "words": "not this one",
        "next": "it is not tried again",
    }
    rest: dict[str, Any] = {"records": [], "changes": [], "issues": [], "waiting_in": [], "scopes": {}}
    lines = list(in_words({"email": "a@example.com", "deliverability": "ok", "refusals": [refusal], **rest}))

    told = '2026-11-22 09:00 UTC  mc  create (banned): "not this one"; next: it is not tried again'
    assert [text for text in lines if text.strip() == told], lines


def test_a_bounce_and_its_end_are_about_the_mailbox_and_no_scope(lonely: Desk) -> None:
    lonely.optsync("deliverable", "ann1@example.com", "--actor", "Eve", "--evidence", "she answered")
    said = lonely.optsync("explain", "ann1@example.com").out
    assert "also: was reached on" in said
    assert "for everything: was reached" not in said
