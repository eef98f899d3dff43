from optsync.connect import registry
from optsync.connect.contract import Connector, OptInStamp
from tests.architecture.sources import ROOT

PAGE = ROOT / "connectors" / "README.md"
STAMPS = {OptInStamp.NONE: "–", OptInStamp.NOMINATES: "nominates", OptInStamp.EVIDENCE: "evidence"}


def row(name: str, connector: type[Connector]) -> str:
    """The line of the table that is true of this connector."""
    able = connector.capabilities
    cells = [
        f"[{name}](optsync_{name}/README.md)",
        ", ".join(sorted(able.sides)).upper(),
        ", ".join(sorted(able.statuses)) or "flags",
        "yes" if able.has_delta else "–",
        able.absence.value,
        STAMPS[able.opt_in_stamp],
        ", ".join(registry.powers(connector)) or "–",
        f"{able.read_page:,} / {able.reread_batch:,} / {able.write_batch:,}",
        _proof(name, connector),
    ]
    return f"| {' | '.join(cells)} |"


def _proof(name: str, connector: type[Connector]) -> str:
    if not connector.capabilities.speaks_http:
        return "file"
    return "mock" if name in registry.mock_names() else "real server"


def test_the_table_shows_every_connector_as_it_is() -> None:
    expected = [row(name, registry.load(name)) for name in registry.installed()]
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    assert expected
    assert [line for line in lines if line.startswith("| [")] == expected


def test_every_connector_runs_the_kit() -> None:
    for name in registry.installed():
        own = ROOT / "connectors" / f"optsync_{name}" / "tests" / "test_conformance.py"
        real = list((ROOT / "tests" / "real").glob("test_*_conformance.py"))
        text = "".join(path.read_text(encoding="utf-8") for path in [own, *real] if path.is_file())
        assert f"import {registry.load(name).__name__}\n" in text, name
        assert "(ConnectorSuite)" in text
