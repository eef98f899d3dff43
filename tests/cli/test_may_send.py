import csv
import io
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from optsync.clock import SystemClock
from tests.cli.desk import ESP, Desk

SCOPE = "acme/marketing"
OBJECTING = {"kind": "commercial", "basis": "legitimate_interest"}


def grant(desk: Desk, email: str, scope: str = SCOPE) -> None:
    desk.optsync("opt-in", email, "--scope", scope, "--actor", "Eve", "--evidence", "a signed form")


def test_a_single_answer_has_the_form_of_the_contract(lonely: Desk) -> None:
    document = lonely.optsync("may-send", "Ann@Example.com", "--scope", SCOPE, "--json").json
    assert document == {
        "email": "ann@example.com",
        "scope": SCOPE,
        "may_send": False,
        "reason": "no consent known",
    }


def test_the_exit_code_is_an_answer_only_on_request(lonely: Desk) -> None:
    grant(lonely, "ann@example.com")
    asked = ("may-send", "--scope", SCOPE)
    assert lonely.optsync(*asked, "bob@example.com").code == 0
    assert lonely.optsync(*asked, "bob@example.com", "--exit-code").code == 1
    assert lonely.optsync(*asked, "ann@example.com", "--exit-code").code == 0


def test_a_mapped_topic_needs_a_grant_of_its_own(lonely: Desk) -> None:
    grant(lonely, "ann@example.com")
    topic = f"{SCOPE}/news"
    assert lonely.optsync("may-send", "ann@example.com", "--scope", topic, "--exit-code").code == 1
    grant(lonely, "ann@example.com", topic)
    assert lonely.optsync("may-send", "ann@example.com", "--scope", topic, "--exit-code").code == 0


def test_no_wish_blocks_transactional_mail_and_a_dead_mailbox_blocks_all(desk: Desk) -> None:
    desk.optsync("sync")
    desk.optsync("opt-out", "ann1@example.com", "--actor", "Eve")
    desk.act(ESP, "bounce", email="ann2@example.com")
    desk.optsync("sync")
    asked = ("may-send", "--scope", "acme/service", "--json")
    assert desk.optsync(*asked, "ann1@example.com").json["may_send"] is True
    assert desk.optsync(*asked, "ann2@example.com").json["reason"].startswith("undeliverable")


def test_a_list_of_lines_is_answered_in_its_order_and_a_bad_line_stops_nothing(lonely: Desk, tmp_path: Path) -> None:
    grant(lonely, "ann@example.com")
    file = tmp_path / "list.txt"
    file.write_text("bob@example.com\n\nnot an address\n  ANN@example.com \nann@example.com\n", encoding="utf-8")
    answer = lonely.optsync("may-send", "--file", str(file), "--scope", SCOPE, "--json")
    assert answer.code == 0
    assert [(a["email"], a["may_send"]) for a in answer.json] == [
        ("bob@example.com", False),
        ("not an address", False),
        ("ann@example.com", True),
        ("ann@example.com", True),
    ]
    assert answer.json[1]["reason"].startswith("no e-mail address")


@pytest.mark.parametrize(
    "content",
    [
        b"name,Email,city\nAnn,ann@example.com,Riga\nBob,bob@example.com,\n",
        b'"email";"name"\r\n"ann@example.com";"Lee; Ann"\r\n"bob@example.com";""\r\n',
        b"\xef\xbb\xbfemail\nann@example.com\n\nbob@example.com",
        b"email\tname\nann@example.com\tAnn\nbob@example.com\n",
    ],
)
def test_a_table_is_read_by_its_column_email(lonely: Desk, tmp_path: Path, content: bytes) -> None:
    grant(lonely, "ann@example.com")
    file = tmp_path / "list.csv"
    file.write_bytes(content)
    answers = lonely.optsync("may-send", "--file", str(file), "--scope", SCOPE, "--json").json
    assert [(a["email"], a["may_send"]) for a in answers] == [("ann@example.com", True), ("bob@example.com", False)]


def test_bytes_that_are_no_text_spoil_only_their_line(lonely: Desk, tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_bytes(b"ann@example.com\n\xff\xfe@example.com \x00\nbob@example.com\n")
    answers = lonely.optsync("may-send", "--file", str(file), "--scope", SCOPE, "--json").json
    assert [a["email"] for a in answers][::2] == ["ann@example.com", "bob@example.com"]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_list_in_another_encoding_says_yes_to_nobody_who_opted_out(desk: Desk, encoding: str) -> None:
    desk.write(brands={"acme": {"purposes": {"marketing": {**OBJECTING, "topics": ["news", "offers", "events"]}}}})
    desk.optsync("sync")
    desk.optsync("opt-out", "jürgen@example.com", "--actor", "Eve")
    file = desk.folder / "list.txt"
    file.write_bytes("jürgen@example.com\nbob@example.com\n".encode(encoding))
    answers = desk.optsync("may-send", "--file", str(file), "--scope", SCOPE, "--json").json
    assert [a["may_send"] for a in answers] == [False, True]
    assert encoding == "utf-16" or "UTF-8" in answers[0]["reason"]


def test_a_list_may_come_from_standard_input(lonely: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"ann@example.com\n")))
    answers = lonely.optsync("may-send", "--file", "-", "--scope", SCOPE, "--json").json
    assert [a["email"] for a in answers] == ["ann@example.com"]


def test_who_opted_out_is_known_in_an_export_that_protects_their_address_from_a_spreadsheet(desk: Desk) -> None:
    desk.write(brands={"acme": {"purposes": {"marketing": {**OBJECTING, "topics": ["news", "offers", "events"]}}}})
    desk.optsync("sync")
    desk.optsync("opt-out", "+ann@example.com", "--actor", "Eve")
    file = desk.folder / "export.csv"
    desk.optsync("ledger", "export", "--standing", "--scope", SCOPE, "--out", str(file))
    column = [row["email"] for row in csv.DictReader(io.StringIO(file.read_text(encoding="utf-8")))]
    assert "'+ann@example.com" in column
    lines = desk.folder / "lines.txt"
    lines.write_text("\n".join(column), encoding="utf-8")
    for each in (file, lines):
        answers = desk.optsync("may-send", "--file", str(each), "--scope", SCOPE, "--json").json
        assert {a["email"]: a["may_send"] for a in answers}["+ann@example.com"] is False


def test_an_empty_list_has_an_empty_answer(lonely: Desk, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("", encoding="utf-8")
    answer = lonely.optsync("may-send", "--file", str(tmp_path / "empty"), "--scope", SCOPE, "--json")
    assert (answer.code, answer.json) == (0, [])


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["ann@example.com", "--file", "list.txt"],
        ["--file", "no such file"],
        ["not an address"],
        ["ann@example.com", "--scope", "acme"],
        ["ann@example.com", "--scope", "acme/marketing/gossip"],
    ],
)
def test_a_question_that_cannot_be_answered_is_a_usage_error(lonely: Desk, arguments: list[str]) -> None:
    assert lonely.optsync("may-send", "--scope", SCOPE, *arguments).code == 2


@pytest.mark.parametrize("is_empty", [False, True])
def test_a_missing_or_unread_database_is_no_permission_for_everybody(desk: Desk, is_empty: bool) -> None:
    if is_empty:
        desk.database.touch()
    purposes = {"marketing": {"basis": "legitimate_interest", "topics": ["news", "offers", "events"]}}
    desk.write(brands={"acme": {"purposes": purposes}})
    asked = ("may-send", "ann@example.com", "--scope", SCOPE, "--json")
    assert desk.optsync(*asked).json["may_send"] is False
    assert desk.optsync("explain", "ann@example.com", "--json").json["scopes"][SCOPE]["may_send"] is False
    assert desk.optsync("check").code == 0
    assert desk.optsync(*asked).json["reason"] == "not known yet: crm contact was never read to its end"
    desk.optsync("opt-out", "bob@example.com", "--actor", "Eve")
    rows = list(csv.DictReader(io.StringIO(desk.optsync("ledger", "export", "--standing", "--scope", SCOPE).out)))
    assert [row["may_send"] for row in rows] == ["false"]
    desk.optsync("sync")
    assert desk.optsync(*asked).json["may_send"] is True


def test_nobody_who_only_asks_waits_for_somebody_who_writes(lonely: Desk) -> None:
    lonely.optsync("opt-out", "bob@example.com", "--actor", "Eve")
    with closing(sqlite3.connect(lonely.database, isolation_level=None)) as writing:
        writing.execute("BEGIN IMMEDIATE")
        for command in (("may-send", "bob@example.com", "--scope", SCOPE), ("explain", "bob@example.com"), ("status",)):
            clock = SystemClock()
            began = clock.monotonic()
            assert lonely.optsync(*command).code == 0
            assert clock.monotonic() - began < 8


def test_the_question_costs_no_call_and_leaves_nothing_behind(desk: Desk) -> None:
    before = sorted(desk.folder.iterdir())
    desk.optsync("may-send", "ann1@example.com", "--scope", SCOPE)
    assert desk.calls() == 0
    assert sorted(desk.folder.iterdir()) == before


def test_ten_thousand_addresses_take_seconds(lonely: Desk, tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text("\n".join(f"p{n}@example.com" for n in range(10_000)), encoding="utf-8")
    clock = SystemClock()
    started = clock.monotonic()
    answer = lonely.optsync("may-send", "--file", str(file), "--scope", SCOPE, "--json")
    assert len(answer.json) == 10_000
    assert clock.monotonic() - started < 15


def test_the_column_is_found_in_a_header_with_quotes_and_another_delimiter(lonely: Desk, tmp_path: Path) -> None:
    grant(lonely, "ann@example.com")
    file = tmp_path / "list.csv"
    for text in ('"Name, first",email\nAnn,ann@example.com\n', 'email;"Name, first"\nann@example.com;Ann\n'):
        file.write_text(text, encoding="utf-8")
        answer = lonely.optsync("may-send", "--file", str(file), "--scope", SCOPE, "--json")
        assert [(a["email"], a["may_send"]) for a in answer.json] == [("ann@example.com", True)]


@pytest.mark.parametrize("more", [2, 9000])
def test_a_quote_that_takes_other_rows_along_is_a_usage_error(lonely: Desk, tmp_path: Path, more: int) -> None:
    file = tmp_path / "list.csv"
    rows = "".join(f"{n},ann{n}@example.com\n" for n in range(more))
    file.write_text(f'name,email\n"Ann,ann@example.com\n{rows}', encoding="utf-8")
    answer = lonely.optsync("may-send", "--file", str(file), "--scope", SCOPE)
    assert answer.code == 2
    assert "lines 2 to" in answer.err


def test_a_header_that_is_quoted_wrongly_stops_nothing_unless_it_takes_rows_along(lonely: Desk, tmp_path: Path) -> None:
    grant(lonely, "ann@example.com")
    file = tmp_path / "list.csv"
    file.write_text('"name" ,email\nAnn,ann@example.com\n', encoding="utf-8")
    answer = lonely.optsync("may-send", "--file", str(file), "--scope", SCOPE, "--json")
    assert [a["may_send"] for a in answer.json] == [True]
    file.write_text('email,"name\nann@example.com,Ann\nbob@example.com,Bob\n', encoding="utf-8")
    answer = lonely.optsync("may-send", "--file", str(file), "--scope", SCOPE)
    assert answer.code == 2
    assert "lines 1 to" in answer.err


def test_a_row_that_is_quoted_wrongly_is_answered_with_no_and_stops_nothing(lonely: Desk, tmp_path: Path) -> None:
    grant(lonely, "ann@example.com")
    file = tmp_path / "list.csv"
    file.write_text('name,email\n"Bob"y,bob@example.com\nAnn,ann@example.com\n', encoding="utf-8")
    answer = lonely.optsync("may-send", "--file", str(file), "--scope", SCOPE, "--json")
    assert [a["may_send"] for a in answer.json] == [False, True]
