"""Consent records at a terminal: complete, safe in a spreadsheet, and good enough to move on with."""

import csv
import io
import json
import os
import stat
import threading
from typing import Any

import pytest

from tests.cli.desk import ESP, Desk

SCOPE = "acme/marketing"
EVE = ("--actor", "Eve")


def rows(desk: Desk, *options: str) -> list[dict[str, str]]:
    answer = desk.optsync("ledger", "export", *options)
    assert answer.code == 0, answer.err
    return list(csv.DictReader(io.StringIO(answer.out, newline="")))


def lines(desk: Desk, *options: str) -> list[dict[str, Any]]:
    answer = desk.optsync("ledger", "export", "--format", "jsonl", *options)
    assert answer.code == 0, answer.err
    return [json.loads(line) for line in answer.out.splitlines()]


def fill(desk: Desk) -> None:
    paper = ("--evidence", "signed, on paper", "--at", "2026-01-02T03:04")
    desk.optsync("opt-in", "ann1@example.com", "--scope", SCOPE, *EVE, *paper)
    desk.optsync("opt-out", "ann2@example.com", "--scope", f"{SCOPE}/news", *EVE, "--reason", '=HYPERLINK("http://x")')
    desk.optsync("opt-out", "ann3@example.com", *EVE, "--reason", 'two\nlines, "quoted"; and ünïcode')


def test_an_empty_ledger_exports_its_header(lonely: Desk) -> None:
    assert lonely.optsync("ledger", "export").out.startswith("email,status,at,reason,source,evidence,scope,brand,")
    assert rows(lonely) == []
    assert lines(lonely, "--standing") == []
    assert not lonely.database.exists()


def test_a_consent_record_has_its_parts(lonely: Desk) -> None:
    fill(lonely)
    (grant,) = lines(lonely, "--kind", "grant")
    head = lonely.optsync("ledger", "verify", "--json").json["head"]

    expected = {
        "email": "ann1@example.com",
        "status": "grant",
        "at": "2026-01-02T03:04:00+00:00",
        "source": "admin",
        "evidence": {"actor": "Eve", "evidence": "signed, on paper"},
        "scope": SCOPE,
        "brand": "acme",
        "purpose": "marketing",
        "topic": None,
        "lawful_basis": "consent",
        "purpose_kind": "commercial",
        "event_state": "given",
        "event_type": "explicitly expressed",
        "is_void": False,
        "actor": "administrator",
        "actor_name": "Eve",
        "method": "administrator's note",
        "strength": "administrator",
        "email_ref": None,
        "block": 1,
    }
    assert {key: grant[key] for key in expected} == expected
    assert grant["recorded_at"] > grant["at"]
    assert len(grant["block_hash"]) == len(grant["proof"]) == 64
    (newest,) = lines(lonely, "--kind", "out", "--scope", "*")[-1:]
    assert (newest["block"], newest["block_hash"]) == (head["block"], head["hash"])


def test_no_cell_is_a_formula_and_none_is_torn(lonely: Desk) -> None:
    fill(lonely)
    found = rows(lonely)
    assert [row["reason"] for row in found] == [
        "",
        '\'=HYPERLINK("http://x")',
        'two\nlines, "quoted"; and ünïcode',
    ]
    assert not any(cell[:1] in tuple("=+-@\t\r") for row in found for cell in row.values() if cell)


def test_what_was_exported_can_be_imported(lonely: Desk) -> None:
    fill(lonely)
    file = str(lonely.folder / "out.csv")
    assert lonely.optsync("ledger", "export", "--out", file).err == f"{file}: 3 rows\n"
    assert stat.S_IMODE((lonely.folder / "out.csv").stat().st_mode) == 0o600
    lonely.database.unlink()
    answer = lonely.optsync("import", file, "--scope", SCOPE, "--source", "import", *EVE, "--json")

    assert answer.code == 0
    assert answer.json["added"] == {"out": 2, "grant": 1}
    again = lines(lonely)
    assert [row["reason"] for row in again] == [None, '=HYPERLINK("http://x")', 'two\nlines, "quoted"; and ünïcode']
    assert again[0]["at"] == "2026-01-02T03:04:00+00:00"
    assert "signed, on paper" in again[0]["evidence"]["evidence"]


def test_only_what_was_asked_for(lonely: Desk) -> None:
    fill(lonely)

    def emails(*options: str) -> list[str]:
        return [row["email"][:4] for row in lines(lonely, *options)]

    assert emails() == ["ann1", "ann2", "ann3"]
    assert emails("--kind", "out") == ["ann2", "ann3"]
    assert emails("--kind", "out", "--kind", "grant") == ["ann1", "ann2", "ann3"]
    assert emails("--scope", SCOPE) == ["ann1", "ann2", "ann3"]
    assert emails("--scope", f"{SCOPE}/offers") == ["ann1", "ann3"]
    assert emails("--until", "2026-01-03") == []
    assert emails("--since", "2026-01-03") == ["ann1", "ann2", "ann3"]


def test_what_was_retracted_is_marked_and_names_it(lonely: Desk) -> None:
    path = lonely.folder / "wishes.csv"
    path.write_text("email,status\nann1@example.com,out\n", encoding="utf-8")
    uid = lonely.optsync("import", str(path), "--scope", SCOPE, *EVE, "--json").json["import"]
    lonely.optsync("import", "--retract", uid, *EVE, "--reason", "the wrong file")
    out, retract = lines(lonely)

    assert (out["is_void"], out["source"], out["method"]) == (True, "legacy", "held before optsync")
    assert (retract["event_state"], retract["target_record_id"]) == ("invalidated", out["record_id"])


def test_a_forgotten_person_has_a_reference_and_no_address(lonely: Desk) -> None:
    fill(lonely)
    before = {row["statement"]: row["record_id"] for row in lines(lonely)}
    assert lonely.optsync("forget", "ann1@example.com", *EVE).code == 0
    found = lines(lonely)
    assert (found[0]["email"], len(found[0]["email_ref"]), found[0]["evidence"]) == (None, 64, None)
    assert {row["statement"]: row["record_id"] for row in found}.items() >= before.items()
    checked = lonely.optsync("ledger", "verify", "--json")
    assert (checked.code, checked.json["erased"]) == (0, 1)


def test_who_was_forgotten_and_came_back_has_one_standing(lonely: Desk) -> None:
    lonely.optsync("opt-out", "ann1@example.com", *EVE)
    lonely.optsync("forget", "ann1@example.com", *EVE)
    (forgotten,) = rows(lonely, "--standing", "--scope", SCOPE)
    assert (forgotten["email"], forgotten["standing"], len(forgotten["email_ref"])) == ("", "out", 64)
    lonely.optsync("opt-in", "ann1@example.com", "--scope", SCOPE, *EVE, "--evidence", "a form")
    (back,) = rows(lonely, "--standing", "--scope", SCOPE)
    assert (back["email"], back["email_ref"]) == ("ann1@example.com", "")


def test_everybody_has_a_standing_and_never_asked_is_no_answer_of_its_own(desk: Desk) -> None:
    desk.optsync("sync")
    desk.act(ESP, "unsubscribe", email="ann2@example.com")
    desk.optsync("sync")
    desk.optsync("opt-in", "ann1@example.com", "--scope", SCOPE, *EVE, "--evidence", "a form")
    found = {row["email"]: row for row in rows(desk, "--standing", "--scope", SCOPE)}

    assert {email[:4]: (row["standing"], row["may_send"], row["request"]) for email, row in found.items()} == {
        "ann1": ("in", "true", "never"),
        "ann2": ("out", "false", "never"),
        "ann3": ("unknown", "false", "never"),
    }
    assert found["ann2@example.com"]["decided_source"] == "esp"
    (out,) = [
        row for row in lines(desk, "--kind", "out") if row["email"] == "ann2@example.com" and row["scope"] == SCOPE
    ]
    assert found["ann2@example.com"]["decided_record_id"] == out["record_id"]
    assert out["actor"] == "recipient"
    assert {row["scope"] for row in lines(desk, "--standing")} == {
        SCOPE,
        f"{SCOPE}/news",
        f"{SCOPE}/offers",
        f"{SCOPE}/events",
    }


def test_what_is_no_file_takes_the_rows_itself_and_stays_what_it_is(lonely: Desk) -> None:
    fill(lonely)
    pipe, real = lonely.folder / "pipe", lonely.folder / "real.csv"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text(encoding="utf-8")))
    reader.start()
    assert lonely.optsync("ledger", "export", "--out", str(pipe)).code == 0
    if pipe.is_fifo():
        reader.join()
    assert pipe.is_fifo()
    assert read[0].count("example.com") == 3

    real.touch()
    link = lonely.folder / "link.csv"
    link.symlink_to(real)
    assert lonely.optsync("ledger", "export", "--out", str(link)).code == 0
    assert link.is_symlink()
    assert real.read_text(encoding="utf-8").count("example.com") == 3

    link.unlink()
    link.symlink_to(link)
    assert lonely.optsync("ledger", "export", "--out", str(link)).code == 0
    assert link.read_text(encoding="utf-8").count("example.com") == 3


def test_a_file_that_somebody_else_put_in_the_way_does_not_get_the_rows(lonely: Desk) -> None:
    fill(lonely)
    foreseen, theirs = lonely.folder / f".all.csv.{os.getpid()}", lonely.folder / "theirs"
    theirs.touch(mode=0o666)
    foreseen.symlink_to(theirs)
    out = lonely.folder / "all.csv"
    assert lonely.optsync("ledger", "export", "--out", str(out)).code == 0
    assert out.read_text(encoding="utf-8").count("example.com") == 3
    assert not out.is_symlink()
    assert theirs.read_text(encoding="utf-8") == ""


def test_a_draft_that_is_there_already_is_not_written_into(lonely: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(lonely)
    monkeypatch.setattr("secrets.token_hex", lambda _: "1234")
    taken = lonely.folder / ".all.csv.1234"
    taken.touch()
    answer = lonely.optsync("ledger", "export", "--out", str(lonely.folder / "all.csv"))
    assert answer.code == 2
    assert "all.csv: file exists" in answer.err
    assert taken.read_text(encoding="utf-8") == "", "and it is not ours to remove"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--kind", "outs"), "expected one of out, complaint, grant"),
        (("--format", "xml"), "expected csv or jsonl"),
        (("--since", "soon"), "--since"),
        (("--scope", "globex"), "no scope 'globex'"),
        (("--standing", "--kind", "out"), "--standing"),
        (("--standing", "--scope", "acme"), "no purpose or topic 'acme'"),
        (("--standing", "--scope", "acme/service"), "transactional"),
        (("--out", "/nowhere/at/all.csv"), "no such file"),
        (("--out", ""), "is a directory"),
    ],
)
def test_a_wrong_call_is_refused(lonely: Desk, options: tuple[str, ...], words: str) -> None:
    answer = lonely.optsync("ledger", "export", *options)
    assert answer.code == 2
    assert words in answer.err
    assert answer.out == ""
