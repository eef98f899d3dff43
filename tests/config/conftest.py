"""Every test here sees the two small connectors, unless it asks for the real ones."""

from collections.abc import Callable
from pathlib import Path

import pytest

from optsync.config.load import load
from optsync.config.schema import Config
from tests.config import vendors

SMALLEST = """\
systems:
  crm: {connector: desk, hook: "https://crm.test/rest/1/abcdefgh/"}
  mail: {connector: post, api_key: "0123456789"}
syncs:
  newsletter:
    crm: {system: crm, opt_out: OUT}
    esp: {system: mail, audience: 4c1a9f02bb}
"""


@pytest.fixture(autouse=True)
def _vendors(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "installed_connectors" not in request.fixturenames:
        vendors.install(monkeypatch)


@pytest.fixture
def installed_connectors() -> None:
    """Asks for the connectors that are really installed."""


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[..., Config]:
    """Loads a text as a file; keyword arguments are the environment."""

    def load_text(text: str, **env: str) -> Config:
        path = tmp_path / "config.yaml"
        path.write_text(text, encoding="utf-8")
        return load(path, env)

    return load_text


@pytest.fixture
def smallest() -> str:
    """The smallest useful file."""
    return SMALLEST
