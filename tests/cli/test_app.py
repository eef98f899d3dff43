import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from optsync.cli import entry
from optsync.cli.app import run
from tests.cli.desk import Desk

COMMANDS = [
    "init", "schema", "connectors", "check", "fields", "plan", "sync", "status", "explain", "opt-out", "opt-in",
    "may-send", "issues", "runs", "db", "mock-server", "daemon", "demo",
]  # fmt: skip
PROGRAM = [sys.executable, "-m", "optsync.cli.app"]
AFTERWARDS = "-- that was one command --"
ONE_AFTER_THE_OTHER = f"""
import json, sys
from optsync.cli.app import main
codes = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["optsync", *arguments]
    try:
        main()
    except SystemExit as ended:
        codes.append(ended.code)
    print({AFTERWARDS!r}, end="")
sys.exit(max(codes))
"""
"""Commands that share a process and its streams: starting one takes longer than most commands."""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    assert f"optsync {command}" in capsys.readouterr().out


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    assert [c for c in COMMANDS if f"\n  {c} " not in out] == []


def test_the_version_is_that_of_the_installation(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("optsync 0.")


def test_the_configuration_may_be_named_by_the_environment(lonely: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTSYNC_CONFIG", str(lonely.path))
    assert run(["status", "--json"]) == 0


def test_a_first_file_is_written_and_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "config.yaml")
    assert run(["init", path]) == 0
    assert run(["init", path]) == 1
    assert "--force" in capsys.readouterr().err


def test_a_reader_that_stops_reading_gets_no_complaint(lonely: Desk) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [*PROGRAM, "schema"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


def test_the_process_ends_with_the_code_of_the_command(lonely: Desk) -> None:
    command = [*PROGRAM, "-c", str(lonely.path)]
    codes = [
        subprocess.run([*command, *arguments], capture_output=True, check=False, timeout=60).returncode
        for arguments in (["status"], ["runs", "show", "last"], ["plan", "nope"])
    ]
    assert codes == [0, 1, 2]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_terminal_of_any_encoding_gets_an_answer(lonely: Desk, encoding: str) -> None:
    email, config = "jürgen@example.com", ["-c", str(lonely.path)]
    commands = [["opt-out", email, "--actor", "Ægir →"], ["explain", email], ["explain", email, "--json"]]
    done = subprocess.run(
        [sys.executable, "-c", ONE_AFTER_THE_OTHER, json.dumps([[*config, *command] for command in commands])],
        capture_output=True, check=False, timeout=60, encoding=encoding, errors="strict",
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUNBUFFERED": ""},
    )  # fmt: skip
    out, explained, document, end = done.stdout.split(AFTERWARDS)
    assert (done.returncode, end) == (0, ""), (out, done.stderr)
    assert "by" in explained
    assert json.loads(document)["email"] == email


def test_a_ctrl_c_while_the_command_is_loaded_ends_in_silence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Pressed:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "optsync.cli.app":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "optsync.cli.app")
    monkeypatch.setattr(sys, "meta_path", [Pressed(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == ""
