"""Where answers go, and files that the machine does not hand out: a sentence each time, never a trace."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.desk import CRM, ESP, Desk

FULL = Path("/dev/full")


def started(desk: Desk, *arguments: str, before: Callable[[], object] | None = None, **streams: Any) -> tuple[int, str]:
    """A process of its own: exit code, and what it printed on the streams that were not given."""
    command = [sys.executable, "-m", "optsync.cli.app", "-c", str(desk.path), *arguments]
    # A process that finds no room would leave half a compiled module behind, for all that come after it.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    done = subprocess.run(command, env=environment, check=False, text=True, timeout=60, preexec_fn=before, **given)
    return done.returncode, (done.stdout or "") + (done.stderr or "")


@pytest.fixture(params=["", "1"], ids=["buffered", "unbuffered"])
def _buffering(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container has it off; most shells have it on, and the interpreter writes what is left once more at its end."""
    monkeypatch.setenv("PYTHONUNBUFFERED", request.param)


@pytest.mark.usefixtures("_buffering")
@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_an_answer_that_finds_no_room_is_one_sentence(lonely: Desk, options: list[str]) -> None:
    with FULL.open("w") as full:
        code, said = started(lonely, "status", *options, stdout=full)
    assert code == 1
    assert said == "the answer cannot be written: no space left on device; what the command did stays done\n"


@pytest.mark.usefixtures("_buffering")
@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
def test_a_log_that_finds_no_room_keeps_no_opt_out_from_travelling(desk: Desk) -> None:
    desk.act(CRM, "opt_out", email="ann1@example.com")
    with FULL.open("w") as full:
        code, said = started(desk, "sync", "--yes", "--json", stderr=full)
    assert (code, json.loads(said)["state"]) == (0, "done")
    assert desk.act(ESP, "view", email="ann1@example.com")["status"] == "out"


@pytest.mark.usefixtures("_buffering")
def test_a_log_whose_reader_is_gone_keeps_no_opt_out_from_travelling(desk: Desk) -> None:
    desk.act(CRM, "opt_out", email="ann1@example.com")
    reading, writing = os.pipe()
    os.close(reading)
    code, said = started(desk, "sync", "--yes", "--json", stderr=writing)
    os.close(writing)
    assert (code, json.loads(said)["state"]) == (0, "done")
    assert desk.act(ESP, "view", email="ann1@example.com")["status"] == "out"


@pytest.mark.parametrize("closed", [1, 2])
def test_a_stream_that_is_closed_takes_no_answer_and_stops_nothing(lonely: Desk, closed: int) -> None:
    wish = ("opt-out", "ann1@example.com", "--actor", "Eve", "--json")
    code, said = started(lonely, *wish, before=lambda: os.close(closed))
    assert code == 0
    assert "Traceback" not in said
    assert lonely.optsync("explain", "ann1@example.com", "--json").json["scopes"]["acme/marketing"]["standing"] == "out"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("schema",), 0),
        (("ledger", "export"), 0),
        (("may-send", "ann1@example.com", "--scope", "acme/marketing", "--exit-code"), 1),
        (("runs", "show", "none", "--json"), 1),
        (("plan", "--json"), 3),
    ],
)
def test_a_reader_that_has_read_enough_is_no_fault(lonely: Desk, command: tuple[str, ...], expected: int) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    code, said = started(lonely, *command, stdout=writing)
    os.close(writing)
    assert code == expected
    assert "Traceback" not in said
    assert "roken" not in said


def test_a_wish_is_noted_though_nobody_reads_the_answer(lonely: Desk) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    code, said = started(lonely, "opt-out", "ann1@example.com", "--actor", "Eve", stdout=writing)
    os.close(writing)
    assert (code, said) == (0, "")
    assert lonely.optsync("explain", "ann1@example.com", "--json").json["scopes"]["acme/marketing"]["standing"] == "out"


def test_a_long_answer_of_which_only_the_first_line_is_read_ends_well(lonely: Desk) -> None:
    command = [sys.executable, "-m", "optsync.cli.app", "-c", str(lonely.path), "schema"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as done:
        assert done.stdout is not None
        assert done.stdout.readline() == "{\n"
        done.stdout.close()
        assert done.stderr is not None
        assert done.stderr.read() == ""
    assert done.returncode == 0


def test_a_backup_that_finds_no_room_leaves_nothing_behind(lonely: Desk) -> None:
    del lonely.document["secret_keys"]
    lonely.write()
    lonely.optsync("opt-out", "ann1@example.com", "--actor", "Eve")
    folder = lonely.folder / "backups"
    folder.mkdir()

    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))

    code, said = started(lonely, "db", "backup", str(folder), before=no_room)
    assert code == 2
    assert "file too large" in said.lower()
    assert list(folder.iterdir()) == []


def test_a_configuration_that_finds_no_room_costs_none_that_was_there(lonely: Desk) -> None:
    before = lonely.path.read_bytes()

    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))

    for path in (lonely.path, lonely.folder / "new.yaml"):
        code, said = started(lonely, "init", "--force", str(path), before=no_room)
        assert code == 1
        assert "cannot be written: File too large" in said
    assert [each.name for each in lonely.folder.iterdir()] == [lonely.path.name]
    assert lonely.path.read_bytes() == before


def test_a_rehearsal_that_finds_no_room_says_where_and_what_to_do(lonely: Desk) -> None:
    lonely.optsync("opt-out", "ann1@example.com", "--actor", "Eve")

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_960, 40_960))

    code, said = started(lonely, "plan", before=little_room)
    assert code == 1
    assert "a copy of the state finds no place (disk I/O error); set TMPDIR" in said


def test_a_rehearsal_without_a_temporary_folder_is_refused_in_words_and_in_json(
    lonely: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr("tempfile.mkdtemp", none)
    text, document = lonely.optsync("plan"), lonely.optsync("plan", "--json")
    assert (text.code, document.code) == (1, 1)
    assert "a copy of the state finds no place" in text.err
    assert document.json == {"error": "refused", "reason": text.err.rstrip()}


class Forbidden:
    """Makes reading one file fail, as it does for another user (tests may run as root, who may read everything)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
        read = Path.read_bytes

        def refused(path: Path) -> bytes:
            if path == file:
                raise PermissionError(13, "Permission denied", str(path))
            return read(path)

        monkeypatch.setattr(Path, "read_bytes", refused)


@pytest.mark.parametrize(
    "command", [("status",), ("sync",), ("may-send", "a@example.com", "--scope", "acme/marketing")]
)
def test_a_key_that_may_not_be_read_is_named_with_the_way_out(
    lonely: Desk, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    del lonely.document["secret_keys"]
    lonely.write()
    lonely.optsync("opt-out", "ann1@example.com", "--actor", "Eve")
    key = lonely.folder / "optsync.db.key"
    Forbidden(monkeypatch, key)
    answer = lonely.optsync(*command)
    assert answer.code == 2
    assert answer.err.startswith(f"{key}: the secret key cannot be read (permission denied)")


@pytest.mark.parametrize(("content", "words"), [(b"A=\xff\n", "no UTF-8"), (None, "permission denied")])
def test_variables_that_cannot_be_read_are_a_fault_of_the_configuration(
    lonely: Desk, monkeypatch: pytest.MonkeyPatch, content: bytes | None, words: str
) -> None:
    (lonely.folder / ".env").write_bytes(content or b"A=1\n")
    if content is None:

        def refused(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied", ".env")

        monkeypatch.setattr("optsync.config.variables.dotenv_values", refused)
    answer = lonely.optsync("status", "--json")
    assert answer.code == 2
    (fault,) = answer.json["faults"]
    assert fault["file"].endswith(".env")
    assert words in fault["found"]


def test_a_database_that_cannot_be_used_is_named_and_so_is_what_ails_it(lonely: Desk) -> None:
    lonely.database.write_bytes(b"this is a letter to my aunt" * 100)
    for command in ("status", "plan", "sync"):
        answer = lonely.optsync(command)
        assert answer.code == 2
        assert f"{lonely.database} cannot be used (file is not a database); it is damaged, or no database" in answer.err
