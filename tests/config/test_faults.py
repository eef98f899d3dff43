"""Each file in ``faults/`` is wrong in the way its name says; beside it stands what is said about it."""

import logging
import re
import traceback
from pathlib import Path

import pytest

from optsync.config.load import load
from optsync.errors import ConfigError

FAULTS = Path(__file__).parent / "faults"
CANARY = "canary-5f1e9d72c0"


def _refusal(path: Path) -> ConfigError:
    with pytest.raises(ConfigError) as raised:
        load(path, {"CANARY": CANARY})
    return raised.value


@pytest.mark.parametrize("path", sorted(FAULTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_wrong_file_is_refused_with_its_lines_and_keys(path: Path) -> None:
    said = [
        f"{fault.line}: {fault.key}: found {fault.found}, expected {fault.expected}" for fault in _refusal(path).faults
    ]
    assert said == path.with_suffix(".expected").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("path", sorted(FAULTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_no_secret_shows_in_any_message_log_or_traceback(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    error = _refusal(path)
    shown = "\n".join([str(error), repr(error), repr(error.faults), *traceback.format_exception(error), caplog.text])
    assert CANARY not in shown
    assert CANARY not in str(error.__context__)


SPOILT = "canary-\udcfc"
SYNC = "OPTSYNC_SYNCS__NEWSLETTER__"


@pytest.mark.parametrize(
    ("name", "value", "file", "key"),
    [
        ("HOOK", SPOILT, "config.yaml", "systems.crm.hook"),
        ("OPTSYNC_LOG__LEVEL", SPOILT, "environment OPTSYNC_LOG__LEVEL", "log.level"),
        (
            f"{SYNC}FIELDS",
            f'[{{"crm": "A", "esp": "{SPOILT}"}}]',
            f"environment {SYNC}FIELDS",
            "syncs.newsletter.fields.0.esp",
        ),
        ("OPTSYNC_SYSTEMS__M\udcfc__API_KEY", "x", "environment OPTSYNC_SYSTEMS__M?__API_KEY", "systems.m?.api_key"),
    ],
)
def test_a_variable_whose_bytes_are_no_text_is_named_and_not_shown(
    tmp_path: Path, smallest: str, name: str, value: str, file: str, key: str
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(smallest.replace("https://crm.test/rest/1/abcdefgh/", "${HOOK}"), encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        load(path, {"HOOK": "https://crm.test/rest/1/abcdefgh/", name: value})
    shown = "\n".join([str(raised.value), repr(raised.value.faults), *traceback.format_exception(raised.value)])
    assert shown.encode(), "it can be written anywhere"
    assert "canary" not in shown
    (fault,) = raised.value.faults
    assert (fault.found, fault.expected) == ("bytes that are no UTF-8", "text in UTF-8")
    assert (fault.file.removeprefix(f"{tmp_path}/"), fault.key) == (file, key)


def test_a_folder_whose_name_is_no_text_holds_no_database_and_may_hold_a_configuration(
    tmp_path: Path, smallest: str
) -> None:
    folder = tmp_path / "f\udcfcr"
    folder.mkdir()
    path = folder / "config.yaml"
    path.write_text(smallest, encoding="utf-8")
    with pytest.raises(ConfigError, match="name the database with its whole path"):
        load(path, {})
    config = load(path, {"OPTSYNC_STATE__URL": f"sqlite:///{tmp_path}/optsync.db"})
    assert config.state.file == tmp_path / "optsync.db"


def test_every_message_names_the_file_and_the_exit_is_that_of_configuration() -> None:
    error = _refusal(FAULTS / "many_at_once.yaml")
    assert error.exit_code == 2
    assert all(
        re.match(r".*many_at_once\.yaml:\d+: \S+: found .+, expected .+", line) for line in str(error).splitlines()
    )


def test_one_fault_a_file_but_for_the_one_that_shows_them_together() -> None:
    counts = {path.stem: len(path.read_text(encoding="utf-8").splitlines()) for path in FAULTS.glob("*.expected")}
    assert len(counts) >= 40
    assert counts["many_at_once"] > 15
