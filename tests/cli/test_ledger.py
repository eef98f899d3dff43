"""The ledger and imports at a terminal."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.desk import ESP, Desk

SCOPE = "acme/marketing"
EVE = ("--actor", "Eve")


def fill(desk: Desk) -> None:
    for number in (1, 2, 3):
        desk.optsync("opt-out", f"ann{number}@example.com", *EVE, "--reason", "=1+1")


def edit(desk: Desk, order: str) -> None:
    with closing(sqlite3.connect(desk.database)) as connection:
        connection.execute(order)
        connection.commit()


def table(desk: Desk, *rows: str) -> str:
    path = desk.folder / "wishes.csv"
    path.write_text("\n".join(("Email;Status;At;Evidence;Town", *rows)), encoding="utf-8")
    return str(path)


# verify


def test_an_empty_ledger_is_fine_and_looking_at_it_makes_no_file(lonely: Desk) -> None:
    lonely.write(secret_keys=[])
    answer = lonely.optsync("ledger", "verify")
    assert (answer.code, answer.out) == (0, "The ledger is empty.\n")
    assert sorted(p.name for p in lonely.folder.iterdir()) == ["config.yaml"]


def test_what_optsync_wrote_verifies_and_the_newest_hash_can_be_written_down(lonely: Desk) -> None:
    fill(lonely)
    document = lonely.optsync("ledger", "verify", "--json").json
    head = document["head"]
    assert (document["ok"], document["findings"], document["signed_blocks_by_key"]) == (True, [], {"1": 3})
    assert (head["block"], head["statements"], len(head["hash"])) == (3, 3, 64)
    assert lonely.optsync("ledger", "verify", "--head", head["hash"]).code == 0
    answer = lonely.optsync("ledger", "verify", "--head", "0" * 16)
    assert answer.code == 1
    assert "written down" in answer.out


@pytest.mark.parametrize("head", ["xyz", "abcd", "0" * 66, ""])
def test_a_hash_that_is_none_is_refused(lonely: Desk, head: str) -> None:
    answer = lonely.optsync("ledger", "verify", "--head", head)
    assert answer.code == 2
    assert "hexadecimal" in answer.err


def test_an_edit_is_named_without_the_address(lonely: Desk) -> None:
    fill(lonely)
    edit(lonely, "UPDATE statement SET kind = 'grant' WHERE id = 2")
    answer = lonely.optsync("ledger", "verify")
    assert answer.code == 1
    assert "block 2: statement 2: " in answer.out
    assert "NOT as it was noted" in answer.out
    assert "@" not in answer.out


def test_a_key_that_is_no_longer_listed_is_said(lonely: Desk) -> None:
    fill(lonely)
    lonely.write(secret_keys=["a new secret of the tests", "a secret of the tests"])
    assert "3 blocks are signed with an older key" in lonely.optsync("ledger", "verify").out
    lonely.write(secret_keys=["a new secret of the tests"])
    answer = lonely.optsync("ledger", "verify")
    assert answer.code == 1
    assert "signed with a key that is not configured" in answer.out


def test_the_key_that_optsync_made_signs(lonely: Desk) -> None:
    lonely.write(secret_keys=[])
    fill(lonely)
    assert (lonely.folder / "optsync.db.key").exists()
    assert lonely.optsync("ledger", "verify", "--json").json["signed_blocks_by_key"] == {"1": 3}


def test_every_run_notes_the_newest_block_and_a_shorter_ledger_is_found(desk: Desk) -> None:
    desk.optsync("sync")
    fill(desk)
    desk.optsync("sync")
    summary = desk.optsync("runs", "show", "last", "--json").json["summary"]
    assert summary["ledger_head"] == desk.optsync("ledger", "verify", "--json").json["head"]


# import


def test_an_import_tells_what_went_in_and_what_did_not(desk: Desk) -> None:
    desk.optsync("sync")
    file = table(
        desk,
        "ann1@example.com;out;2026-01-02;;Riga",
        "ann2@example.com;OUT;soon;;",
        "ann3@example.com;grant;2026-01-02;;",
    )
    dry = desk.optsync("import", file, "--scope", SCOPE, *EVE, "--dry-run", "--json")
    answer = desk.optsync("import", file, "--scope", SCOPE, *EVE, "--json")
    again = desk.optsync("import", file, "--scope", SCOPE, *EVE)

    assert {**dry.json, "dry_run": False} == answer.json
    assert (dry.code, answer.code, again.code) == (1, 1, 1)
    counts = {key: answer.json[key] for key in ("rows", "added", "known", "refused", "ignored_columns")}
    assert counts == {
        "rows": 3,
        "added": {"out": 1, "grant": 0},
        "known": 0,
        "refused": 2,
        "ignored_columns": ["Town"],
    }
    assert [(r["line"], r["column"]) for r in answer.json["refusals"]] == [(3, "at"), (4, "evidence")]
    assert "line 3, column at: found 'soon'" in again.out
    assert "0 opt-outs and 0 grants added, 1 known already" in again.out
    desk.optsync("sync")
    assert desk.act(ESP, "view", email="ann1@example.com")["status"] == "out"


def test_a_dry_run_makes_no_database(lonely: Desk) -> None:
    answer = lonely.optsync("import", table(lonely, "a@example.com;out"), "--scope", "*", *EVE, "--dry-run", "--json")
    assert (answer.code, answer.json["added"]["out"]) == (0, 1)
    assert not lonely.database.exists()


def test_a_pipe_is_refused_before_somebody_waits_for_it(lonely: Desk, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "wishes")
    answer = lonely.optsync("import", str(tmp_path / "wishes"), "--scope", "*", *EVE)
    assert answer.code == 2
    assert "is a pipe" in answer.err


def test_an_import_can_be_taken_back_once(lonely: Desk) -> None:
    uid = lonely.optsync("import", table(lonely, "a@example.com;out"), "--scope", "*", *EVE, "--json").json["import"]
    why = ("--reason", "the wrong file")
    assert lonely.optsync("import", "--retract", uid, *EVE).code == 1
    assert lonely.optsync("import", "--retract", uid, *EVE, *why, "--dry-run").code == 2
    assert lonely.optsync("import", "--retract", uid, *EVE, *why, "--json").json["retracted"] == 1
    assert (
        "0 statements retracted; 1 were retracted before" in lonely.optsync("import", "--retract", uid, *EVE, *why).out
    )
    unknown = lonely.optsync("import", "--retract", "%", *EVE, *why, "--json")
    assert (unknown.code, unknown.json["error"]) == (1, "refused")
    assert lonely.optsync("ledger", "verify").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "FILE or --retract"),
        (("FILE",), 2, "--scope"),
        (("FILE", "--scope", "acme/service"), 2, "transactional"),
        (("FILE", "--scope", "globex"), 2, "no scope 'globex'"),
        (("FILE", "--scope", SCOPE, "--source", "crm"), 2, "expected legacy or import"),
        (("none.csv", "--scope", SCOPE), 2, "no such file"),
        (("FILE", "--scope", SCOPE, "--actor", " "), 1, "--actor"),
        (("FILE", "--retract", "x"), 2, "exactly one"),
        (("--retract", "x", "--reason", "wrong", "--dry-run"), 2, "go with FILE"),
        (("--retract", "x", "--reason", "wrong", "--scope", SCOPE), 2, "go with FILE"),
    ],
)
def test_a_wrong_call_is_refused_and_nothing_goes_in(
    lonely: Desk, arguments: tuple[str, ...], code: int, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    file = table(lonely, "a@example.com;out")
    actor = () if "--actor" in arguments else EVE
    answer = lonely.optsync("import", *(file if a == "FILE" else a for a in arguments), *actor)
    assert answer.code == code
    assert words in answer.err
    assert lonely.optsync("explain", "a@example.com", "--json").json["scopes"][SCOPE]["standing"] == "unknown"
