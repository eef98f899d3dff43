"""Secret keys: given, or made once and kept."""

from collections.abc import Callable
from pathlib import Path

import pytest

from optsync.config.keys import key_beside, key_file, secret_keys
from optsync.config.schema import Config
from optsync.errors import CommandRefused, ConfigError

Loaded = Callable[..., Config]


def test_given_keys_are_used_in_their_order(loaded: Loaded, smallest: str, tmp_path: Path) -> None:
    config = loaded(smallest + "secret_keys: [new-secret, old-secret]\n")
    assert secret_keys(config) == (b"new-secret", b"old-secret")
    assert not (tmp_path / "optsync.db.key").exists()


def test_a_key_is_made_once_beside_the_database_for_its_owner_only(
    loaded: Loaded, smallest: str, tmp_path: Path
) -> None:
    config = loaded(smallest)
    made = secret_keys(config)
    file = tmp_path / "optsync.db.key"
    assert len(made[0]) == 64
    assert file.stat().st_mode & 0o777 == 0o600
    assert secret_keys(config) == made
    assert [path.name for path in tmp_path.glob("*.key*")] == ["optsync.db.key"]


def test_two_databases_have_two_keys(loaded: Loaded, smallest: str) -> None:
    first = secret_keys(loaded(smallest))
    assert secret_keys(loaded(smallest + 'state: {url: "sqlite:///other.db"}\n')) != first


def test_an_emptied_key_file_is_refused_and_not_replaced(loaded: Loaded, smallest: str, tmp_path: Path) -> None:
    (tmp_path / "optsync.db.key").write_text("", encoding="ascii")
    with pytest.raises(ConfigError, match="backup"):
        secret_keys(loaded(smallest))
    assert (tmp_path / "optsync.db.key").read_bytes() == b""


def test_a_place_that_cannot_be_written_is_a_configuration_error(loaded: Loaded, smallest: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="ascii")
    with pytest.raises(ConfigError, match="secret_keys"):
        secret_keys(loaded(smallest + 'state: {url: "sqlite:///file/optsync.db"}\n'))


def test_a_key_file_is_carried_along_and_taken_away_again_when_that_fails(
    loaded: Loaded, smallest: str, tmp_path: Path
) -> None:
    config = loaded(smallest)
    twin = tmp_path / "copy.db.key"
    with key_beside(config, tmp_path / "copy.db") as nothing:
        assert (nothing, twin.exists()) == (None, False)
    made = secret_keys(config)
    assert key_file(config) == tmp_path / "optsync.db.key"

    with pytest.raises(ZeroDivisionError), key_beside(config, tmp_path / "copy.db"):
        raise ZeroDivisionError if twin.exists() else AssertionError
    assert not twin.exists()
    for _ in range(2):
        with key_beside(config, tmp_path / "copy.db") as carried:
            assert carried == twin
    assert (twin.read_bytes(), twin.stat().st_mode & 0o777) == (made[0], 0o600)
    with pytest.raises(ZeroDivisionError), key_beside(config, tmp_path / "copy.db"):
        raise ZeroDivisionError
    assert twin.exists(), "it was there before"


def test_a_key_that_the_configuration_gives_is_in_no_file(loaded: Loaded, smallest: str, tmp_path: Path) -> None:
    (tmp_path / "optsync.db.key").write_text("f" * 64, encoding="ascii")
    config = loaded(smallest + "secret_keys: [a-new-secret]\n")
    assert key_file(config) is None
    with key_beside(config, tmp_path / "copy.db") as carried:
        assert carried is None


def test_another_key_is_not_overwritten(loaded: Loaded, smallest: str, tmp_path: Path) -> None:
    config = loaded(smallest)
    secret_keys(config)
    (tmp_path / "copy.db.key").write_text("f" * 64, encoding="ascii")
    with pytest.raises(CommandRefused, match="another secret key"), key_beside(config, tmp_path / "copy.db"):
        raise AssertionError
    assert (tmp_path / "copy.db.key").read_text(encoding="ascii") == "f" * 64
