"""A database named on the command line."""

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from optsync.config.database_url import parse_database, secrets_of, shown
from optsync.errors import ConfigError


def test_a_server_is_given_ten_seconds_and_the_driver_that_is_installed() -> None:
    state = parse_database("postgresql://anna:hem%2Flig@h/db?sslmode=require", option="--to")
    url = make_url(state.url)
    assert (url.drivername, url.password) == ("postgresql+psycopg", "hem/lig")
    assert url.query == {"sslmode": "require", "connect_timeout": "10"}
    assert shown(state) == "postgresql+psycopg://anna:***@h/db"


def test_whoever_gives_a_timeout_keeps_it() -> None:
    state = parse_database("postgresql+psycopg://h/db?connect_timeout=60", option="--to")
    assert make_url(state.url).query == {"connect_timeout": "60"}


def test_a_relative_file_becomes_an_absolute_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    state = parse_database("sqlite:///with space.db", option="--to")
    assert state.file == tmp_path / "with space.db"


def test_a_password_is_hidden_as_it_was_typed_and_as_it_is_meant() -> None:
    assert secrets_of("postgresql://anna:hem%2Flig@h/db") == ["hem%2Flig", "hem/lig"]
    assert secrets_of("postgresql://anna:one@two@h/db") == ["one@two", "one@two"]
    assert secrets_of("sqlite:///state.db") == ["", ""]


def test_a_message_names_the_option() -> None:
    with pytest.raises(ConfigError, match=r"^--from: this is no database URL"):
        parse_database("state.db", option="--from")
