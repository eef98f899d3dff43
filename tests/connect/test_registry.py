import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from optsync.connect import registry


def test_installed_connectors_are_listed_by_name() -> None:
    names = list(registry.installed())
    assert names == sorted(names)
    assert len(names) >= 2


def test_every_mock_imitates_an_installed_connector_and_bears_its_name() -> None:
    mocks = registry.mocks()
    assert mocks
    assert set(mocks) <= set(registry.installed())
    assert {name: kind.name for name, kind in mocks.items()} == {name: name for name in mocks}


def test_an_unknown_connector_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        registry.load("no-such-connector")


BROKEN = {
    "import no_such_package": "no_such_package",
    "class Broken(": "SyntaxError",
    "Broken = 1 / 0": "ZeroDivisionError",
    "raise SystemExit('not on this machine')": "not on this machine",
    "Other = 1": "has no attribute 'Broken'",
    "class Broken: ...": "is no connector",
}


@pytest.fixture(params=BROKEN)
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of an installed connector whose package lacks something; why it cannot be used."""
    metadata = tmp_path / "broken-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{registry.CONNECTORS}]\nbroken = broken_connector:Broken\n")
    (tmp_path / "broken_connector.py").write_text(f"{request.param}\n")
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("broken_connector", None)
    registry.installed.cache_clear()
    yield BROKEN[request.param]
    registry.installed.cache_clear()
    sys.modules.pop("broken_connector", None)


def test_a_connector_that_cannot_be_imported_is_listed_and_says_why_only_when_it_is_used(broken: str) -> None:
    assert "broken" in registry.installed()
    with pytest.raises(registry.ConnectorBroken, match=rf"connector broken .*{broken}"):
        registry.load("broken")
