"""The connector of docs/writing-a-connector.md, written down from the page, passes the kit."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

GUIDE = ROOT / "docs" / "writing-a-connector.md"
BLOCK = re.compile(r"^```(?:python|toml)\n# file: (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the guide in a folder of their own."""
    folder = tmp_path_factory.mktemp("postbox")
    for name, text in BLOCK.findall(GUIDE.read_text(encoding="utf-8")):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_every_block_of_code_is_a_file(package: Path) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    assert text.count("```python") + text.count("```toml") == len(BLOCK.findall(text))
    entry_points = tomllib.loads((package / "pyproject.toml").read_text())["project"]["entry-points"]
    assert entry_points["optsync.connectors"] == {"postbox": "optsync_postbox:Postbox"}


def test_the_mock_of_the_guide_takes_the_population_of_the_mock_server(package: Path) -> None:
    """One that fails for somebody whom its vendor cannot have would stop the server for all mocks."""
    fill = (
        "import random; from optsync.clock import SystemClock; from optsync_mock.population import people;"
        "from optsync_postbox.mock import PostboxMock;"
        "mock = PostboxMock(clock=SystemClock(), rng=random.Random(1));"
        "mock.populate(people(1, 300, SystemClock().now())); print(mock.act('count')['records'])"
    )
    done = _run(package, "-c", fill)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 100


def test_the_connector_of_the_guide_passes_the_kit(package: Path) -> None:
    done = _run(package, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-rs", "tests")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    (passed,) = re.findall(r"(\d+) passed", done.stdout)
    assert int(passed) > 150
    assert "its settings hold no secret" not in done.stdout


def _run(package: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = [str(package), *(str(ROOT / root) for root in ("src", "connectors"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=package, env=environment, capture_output=True, text=True, check=False)
