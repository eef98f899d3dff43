from pathlib import Path

import pytest
import requests

from tests.real.mailman_server import MailmanMissing, MailmanServer, prepare, running

pytestmark = pytest.mark.real


def test_a_server_ends_with_its_block_and_leaves_others_alone(mailman: MailmanServer, tmp_path: Path) -> None:
    with running(tmp_path) as second:
        assert second.call("GET", "system/versions")["api_version"] == "3.1"
    with pytest.raises(requests.ConnectionError):
        second.call("GET", "system/versions")
    assert mailman.call("GET", "system/versions")["api_version"] == "3.1"


@pytest.mark.slow
def test_packages_that_cannot_be_had_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(MailmanMissing, match=r"mailman==3\.3\.10"):
        prepare(tmp_path / "mailman")


def test_a_program_that_does_not_start_is_reported_with_its_words(tmp_path: Path) -> None:
    environment = tmp_path / "mailman"
    program = environment / "bin" / "master"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho the database is broken\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(MailmanMissing, match="the database is broken"), running(tmp_path, environment=environment):
        raise AssertionError("it cannot run")
