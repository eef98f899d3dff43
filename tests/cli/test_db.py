"""Backing up and moving the state at a terminal."""

import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from optsync.clock import SystemClock
from optsync.state.store import Store
from tests.cli.desk import Desk
from tests.postgresql import create_database, require_server, text_of
from tests.scenarios.world import BRANDS
from tests.state.databases import rows_of, tables_of

EVE = ("--actor", "Eve")
WORD = "t0p-hemlig"


@pytest.fixture
def server() -> str:
    """The URL of an empty database on PostgreSQL, with a password that the server does not ask for."""
    require_server()
    return text_of(create_database().set(password=WORD))


def fill(desk: Desk) -> None:
    """With a key that optsync keeps itself; one person was forgotten."""
    desk.write(secret_keys=[], brands=BRANDS)
    for number in (1, 2, 3):
        assert desk.optsync("opt-out", f"ann{number}@example.com", *EVE, "--reason", "enough").code == 0
    assert desk.optsync("forget", "ann3@example.com", *EVE).code == 0


def rows(url: str) -> object:
    with closing(Store(url, SystemClock())) as store:
        return rows_of(store)


def state(desk: Desk) -> str:
    return f"sqlite:///{desk.database}"


def files(desk: Desk) -> list[str]:
    """Without what SQLite puts beside a database that is in use."""
    return sorted(p.name for p in desk.folder.iterdir() if not p.name.endswith(("-wal", "-shm")))


@pytest.fixture
def filled(lonely: Desk) -> Desk:
    fill(lonely)
    return lonely


# backup


def test_a_backup_lies_beside_the_database_with_the_time_and_the_key(filled: Desk) -> None:
    answer = filled.optsync("db", "backup", "--json")
    done = answer.json
    file, key = Path(done["file"]), Path(done["key_file"])

    assert answer.code == 0
    assert file.parent == filled.folder
    assert (file.name[:10], file.name[-4:], key.name) == ("optsync-20", "Z.db", f"{file.name}.key")
    assert {stat.S_IMODE(path.stat().st_mode) for path in (file, key)} == {0o600}
    assert key.read_bytes() == (filled.folder / "optsync.db.key").read_bytes()
    assert done["bytes"] == file.stat().st_size
    assert {t["table"]: t["rows"] for t in done["tables"]}["statement"] == 4
    assert done["rows"] == sum(t["rows"] for t in done["tables"])
    ledger = filled.optsync("ledger", "verify", "--json").json
    assert done["ledger"] == ledger
    assert (ledger["ok"], ledger["signed_blocks_by_key"]) == (True, {"1": 4})
    assert rows(f"sqlite:///{file}") == rows(state(filled))


def test_a_backup_says_what_it_holds(filled: Desk) -> None:
    file = filled.folder / "copy.db"
    answer = filled.optsync("db", "backup", str(file))
    assert answer.code == 0
    assert f"{file}: " in answer.out
    assert "4 statements in 4 blocks; the newest has the hash " in answer.out
    assert "copy.db.key: the secret key" in answer.out
    assert "@" not in answer.out


def test_a_backup_is_a_state_to_start_from(filled: Desk) -> None:
    file = filled.folder / "elsewhere.db"
    filled.optsync("db", "backup", str(file))
    before = filled.optsync("explain", "ann1@example.com", "--json").json
    filled.write(state={"url": f"sqlite:///{file}"})
    for path in filled.folder.glob("optsync.db*"):
        path.unlink()
    assert filled.optsync("explain", "ann1@example.com", "--json").json == before
    assert filled.optsync("ledger", "verify", "--json").json["signed_blocks_by_key"] == {"1": 4}
    assert filled.optsync("explain", "ann3@example.com", "--json").json["email"] == "(forgotten)"


def test_keys_that_are_in_the_configuration_are_not_put_beside_a_backup(lonely: Desk) -> None:
    lonely.optsync("opt-out", "ann1@example.com", *EVE)
    assert lonely.optsync("db", "backup", str(lonely.folder / "copy.db"), "--json").json["key_file"] is None
    assert files(lonely) == ["config.yaml", "copy.db", "optsync.db"]


def test_a_backup_goes_into_a_folder_that_is_named(filled: Desk) -> None:
    (filled.folder / "backups").mkdir()
    done = filled.optsync("db", "backup", str(filled.folder / "backups"), "--json").json
    assert Path(done["file"]).parent == filled.folder / "backups"


@pytest.mark.parametrize("name", ["copy.db", "copy.db.key"])
def test_a_backup_never_takes_the_place_of_a_file(filled: Desk, name: str) -> None:
    (filled.folder / name).write_text("mine", encoding="utf-8")
    before = files(filled)
    answer = filled.optsync("db", "backup", str(filled.folder / "copy.db"))
    assert (answer.code, answer.out) == (1, "")
    assert f"{name}: " in answer.err
    assert "nothing was overwritten" in answer.err
    assert (filled.folder / name).read_text(encoding="utf-8") == "mine"
    assert files(filled) == before


def test_a_backup_is_not_a_link_to_nowhere_either(filled: Desk) -> None:
    (filled.folder / "copy.db").symlink_to(filled.folder / "gone.db")
    assert filled.optsync("db", "backup", str(filled.folder / "copy.db")).code == 1
    assert not (filled.folder / "gone.db").exists()


def test_a_folder_that_is_not_there_is_told(filled: Desk) -> None:
    answer = filled.optsync("db", "backup", str(filled.folder / "no" / "copy.db"), "--json")
    assert (answer.code, answer.json["error"]) == (2, "configuration")
    assert "no/copy.db: the backup cannot be written (No such file or directory)" in answer.json["reason"]


def test_without_a_state_there_is_nothing_to_back_up_and_none_is_made(lonely: Desk) -> None:
    answer = lonely.optsync("db", "backup", "--json")
    assert (answer.code, answer.json["error"]) == (1, "refused")
    assert files(lonely) == ["config.yaml"]


def test_a_ledger_that_was_edited_is_told_and_the_backup_kept(filled: Desk) -> None:
    with closing(sqlite3.connect(filled.database)) as connection:
        connection.execute("UPDATE statement SET kind = 'grant' WHERE id = 2")
        connection.commit()
    answer = filled.optsync("db", "backup", str(filled.folder / "copy.db"))
    assert answer.code == 1
    assert "NOT as it was noted" in answer.out
    assert (filled.folder / "copy.db").exists()


def test_a_backup_of_postgresql_is_a_file_that_is_restored_by_copying(filled: Desk, server: str) -> None:
    assert filled.optsync("db", "copy", "--to", server).code == 0
    key = (filled.folder / "optsync.db.key").read_text(encoding="utf-8").strip()
    filled.write(state={"url": server}, secret_keys=[key])
    done = filled.optsync("db", "backup", "--json").json
    assert Path(done["file"]).parent == filled.folder
    assert done["key_file"] is None

    another = text_of(create_database())
    restored = filled.optsync("db", "copy", "--from", f"sqlite:///{done['file']}", "--to", another, "--json")
    assert (restored.code, restored.json["ledger"]) == (0, done["ledger"])
    assert rows(another) == rows(server)


# copy


def test_moving_to_postgresql_and_back_keeps_everything_and_says_what_to_do(filled: Desk, server: str) -> None:
    answer = filled.optsync("db", "copy", "--to", server)
    assert answer.code == 0
    assert "every table has as many as in sqlite:///" in answer.out
    key = filled.folder / "optsync.db.key"
    assert f"put what {key} holds into secret_keys" in answer.out
    before = rows(state(filled))
    assert rows(server) == before

    filled.write(state={"url": server}, secret_keys=[key.read_text(encoding="utf-8").strip()])
    verdict = filled.optsync("ledger", "verify", "--json").json
    assert (verdict["ok"], verdict["signed_blocks_by_key"]) == (True, {"1": 4})
    assert filled.optsync("explain", "ann3@example.com", "--json").json["email"] == "(forgotten)"
    assert filled.optsync("opt-out", "ann9@example.com", *EVE).code == 0

    back = f"sqlite:///{filled.folder}/back.db"
    document = filled.optsync("db", "copy", "--to", back, "--json").json
    assert document["to"] == back
    assert (document["ledger"]["ok"], document["ledger"]["head"]["statements"]) == (True, 5)
    assert document["key_file"] is None
    assert "keep secret_keys as they are" in document["next"]
    assert rows(back) == rows(server)


def test_the_key_goes_along_with_a_file(filled: Desk) -> None:
    target = filled.folder / "new.db"
    document = filled.optsync("db", "copy", "--to", f"sqlite:///{target}", "--json").json
    twin = filled.folder / "new.db.key"
    assert document["key_file"] == str(twin)
    assert twin.read_bytes() == (filled.folder / "optsync.db.key").read_bytes()
    assert {stat.S_IMODE(path.stat().st_mode) for path in (target, twin)} == {0o600}
    filled.write(state={"url": f"sqlite:///{target}"})
    assert filled.optsync("explain", "ann3@example.com", "--json").json["email"] == "(forgotten)"


def test_another_key_beside_the_target_is_not_overwritten(filled: Desk) -> None:
    (filled.folder / "new.db.key").write_text("f" * 64, encoding="ascii")
    before = files(filled)
    answer = filled.optsync("db", "copy", "--to", f"sqlite:///{filled.folder}/new.db")
    assert answer.code == 1
    assert "another secret key is there already" in answer.err
    assert files(filled) == before


def test_a_relative_file_is_taken_from_where_the_command_was_started(
    filled: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    (filled.folder / "here").mkdir()
    monkeypatch.chdir(filled.folder / "here")
    document = filled.optsync("db", "copy", "--to", "sqlite:///new.db", "--json").json
    assert document["to"] == f"sqlite:///{filled.folder}/here/new.db"


# what people type


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "this is no database URL"),
        ("new.db", "this is no database URL"),
        (f"mysql://u:{WORD}@h/db", "found mysql://…, expected sqlite:///FILE"),
        (f"postgresql+psycopg2://u:{WORD}@h/db", "found postgresql+psycopg2://…"),
        (f"postgresql://u:{WORD}/x@127.0.0.1/db", "written as %2F"),
        (f"postgresql://u:a@{WORD}@127.0.0.1/db", "written as %2F"),
        (f"postgresql://u:{WORD}@127.0.0.1", "names no database"),
        (f"postgresql://u:{WORD}@127.0.0.1:port/db", "expected sqlite:///FILE"),
        (f"postgresql://u:{WORD}@127.0.0.1:1/db", "u:***@127.0.0.1:1/db cannot be used"),
        (f"postgresql://u@127.0.0.1:1/db?password={WORD}", "u@127.0.0.1:1/db cannot be used"),
        (f"postgresql://u:{WORD}@nobody.invalid/db", "u:***@nobody.invalid/db cannot be used"),
        ("sqlite://", "expected a file"),
        ("sqlite:///:memory:", "expected a file"),
        ("sqlite:///no/such/folder/x.db", "its folder is not there"),
        ("sqlite:///{folder}", "is a folder"),
        ("sqlite:///{folder}/config.yaml", "file is not a database"),
    ],
)
def test_a_target_that_cannot_be_is_told_without_its_password(filled: Desk, url: str, words: str) -> None:
    before = files(filled)
    for option in ((), ("--json",)):
        answer = filled.optsync("db", "copy", "--to", url.format(folder=filled.folder), *option, verbose=True)
        assert answer.code == 2
        assert words in answer.out + answer.err
        assert WORD not in answer.out + answer.err
    assert files(filled) == before


@pytest.mark.parametrize("url", ["sqlite:///{folder}/optsync.db", "sqlite:///{folder}/../{name}/optsync.db"])
def test_the_state_itself_is_no_target(filled: Desk, url: str) -> None:
    answer = filled.optsync("db", "copy", "--to", url.format(folder=filled.folder, name=filled.folder.name))
    assert answer.code == 1
    assert "is the state itself" in answer.err


def test_a_target_that_holds_something_is_refused_and_shown_without_its_password(filled: Desk, server: str) -> None:
    assert filled.optsync("db", "copy", "--to", server).code == 0
    before = rows(server)
    answer = filled.optsync("db", "copy", "--to", server, "--json")
    assert (answer.code, answer.json["error"]) == (1, "refused")
    assert ":***@" in answer.json["reason"]
    assert "is not empty: it holds a state already (rows in backlog, block, contact_point" in answer.json["reason"]
    assert WORD not in answer.out + answer.err
    assert rows(server) == before


def test_a_file_of_another_program_stays_as_it_is(filled: Desk) -> None:
    other = filled.folder / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE invoices (id INTEGER)")
        connection.commit()
    before = other.read_bytes()
    answer = filled.optsync("db", "copy", "--to", f"sqlite:///{other}")
    assert answer.code == 1
    assert "tables that are not optsync's (invoices)" in answer.err
    assert other.read_bytes() == before


def test_a_source_that_cannot_be_is_told_by_its_option(filled: Desk) -> None:
    to = ("--to", f"sqlite:///{filled.folder}/new.db")
    before = files(filled)
    gone = filled.optsync("db", "copy", "--from", f"sqlite:///{filled.folder}/gone.db", *to)
    assert (gone.code, "gone.db is not there" in gone.err) == (1, True)
    away = filled.optsync("db", "copy", "--from", f"postgresql://u:{WORD}@127.0.0.1:1/db", *to)
    assert (away.code, "--from: " in away.err, WORD in away.err) == (2, True, False)
    assert files(filled) == before


def test_a_url_in_the_wrong_place_is_not_repeated_with_its_password(filled: Desk) -> None:
    url = f"postgresql://u:{WORD}@h/db"
    for arguments in ((url,), ("--to", "sqlite:///new.db", url)):
        answer = filled.optsync("db", "copy", *arguments)
        assert answer.code == 2
        assert WORD not in answer.out + answer.err


def test_while_the_lease_of_a_sync_is_held_the_holder_is_named(filled: Desk, server: str) -> None:
    with closing(Store(state(filled), SystemClock())) as store, store.transaction() as unit:
        unit.leases.take("sync newsletter", holder="optsync")
    answer = filled.optsync("db", "copy", "--to", server, "--json")
    assert (answer.code, answer.json["error"]) == (1, "locked")
    assert f"newsletter is being worked on by optsync on {socket.gethostname()} (process {os.getpid()})" in answer.out
    assert tables_of(server) == []
    assert filled.optsync("db", "backup").code == 0, "a backup keeps nobody from working"


def test_a_copy_that_is_ended_leaves_no_file(filled: Desk) -> None:
    with closing(sqlite3.connect(filled.database)) as connection:
        connection.executemany(
            "INSERT INTO inbox (system, received_at, body) VALUES ('mc', 1, ?)", [(bytes(4000),)] * 40_000
        )
        connection.commit()
    before = files(filled)
    target = filled.folder / "new.db"
    for arguments in (("copy", "--to", f"sqlite:///{target}"), ("backup", str(target))):
        command = [sys.executable, "-m", "optsync.cli.app", "-c", str(filled.path), "db", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for _ in range(2000):
            if any(path.stat().st_size > 1_000_000 for path in filled.folder.glob("new.db*")):
                break
            time.sleep(0.01)  # noqa: TID251 - another process's time
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=60)
        assert process.returncode == 130, told
        assert files(filled) == before


def test_a_row_that_postgresql_does_not_take_is_named_and_nothing_kept(filled: Desk, server: str) -> None:
    with closing(sqlite3.connect(filled.database)) as connection:
        connection.execute("UPDATE issue SET message = 'x'")
        connection.execute("UPDATE statement SET reason = 'a' || char(0) || 'nna@example.com' WHERE id = 1")
        connection.commit()
    answer = filled.optsync("db", "copy", "--to", server)
    assert answer.code == 1
    assert answer.err.startswith("statement: ")
    assert "nothing was kept" in answer.err
    assert "@" not in answer.err
    assert tables_of(server) == []


def test_the_server_is_waited_for_a_little_while_only(filled: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as silent:
        url = make_url("postgresql://u@127.0.0.1/db?connect_timeout=2").set(port=silent.getsockname()[1])
        answer = filled.optsync("db", "copy", "--to", url.render_as_string())
    assert answer.code == 2
    assert "cannot be used" in answer.err


def test_the_schema_of_a_copy_is_as_the_migrations_make_it(filled: Desk, server: str) -> None:
    filled.optsync("db", "copy", "--to", server)
    with closing(Store(server, SystemClock())) as store:
        store.migrate()
        with store._engine.connect() as connection:
            assert sa.inspect(connection).get_pk_constraint("statement")["constrained_columns"] == ["id"]
