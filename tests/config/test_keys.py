"""Secret keys: given, or made once and kept."""

from collections.abc import Callable
from pathlib import Path

import pytest

from optsync.config.keys import secret_keys
from optsync.config.schema import Config
from optsync.errors import ConfigError

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
