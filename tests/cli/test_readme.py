"""What the README promises is there."""

import re
from pathlib import Path

import pytest
import typer
import yaml

from optsync.cli.app import app
from optsync.config.load import load
from tests.architecture.sources import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
SYSTEMS = {
    "bitrix24": {"connector": "bitrix24", "webhook_url": "https://portal.example/rest/1/secret/"},
    "mailchimp": {"connector": "mailchimp", "api_key": "0123456789abcdef0123456789abcdef-us6"},
}


def test_every_command_it_names_exists() -> None:
    named = set(re.findall(r"\boptsync ([a-z-]+)(?= |`|\n)", "\n".join(_code())))
    assert len(named) >= 6
    assert named - COMMANDS == set()


def test_every_make_target_it_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)", "\n".join(_code())))
    assert {"demo", "test"} <= named <= targets


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_every_link_leads_to_a_file(link: str) -> None:
    assert (ROOT / link).is_file()


def test_its_configuration_is_accepted(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"systems": SYSTEMS, **yaml.safe_load(block)}))
    assert list(load(path, {}).syncs) == ["newsletter"]


def _code() -> list[str]:
    """What stands as code: indented lines, and words in backquotes."""
    return [*re.findall(r"^    +(\S.*)$", README, flags=re.MULTILINE), *re.findall(r"`([^`\n]+)`", README)]
