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


ODD = """
import random
import responses
from optsync.clock import ManualClock, SystemClock
from optsync.connect.contract import Context
from optsync.errors import SystemUnavailable
from optsync.model.change import Result, Write, WriteKind
from optsync.model.page import ReadSpec
from optsync.model.record import Status
from optsync_postbox import Postbox
from optsync_postbox.settings import PostboxSettings

URL = "https://api.postbox.example/v1"
SPEC = ReadSpec(collection="everybody", fields=frozenset({"name"}))
OUT = Write(key="k", kind=WriteKind.STATUS, collection="everybody", record="1", status=Status.OUT, restrictive=True)
THINGS = (None, 1, "x", [], {}, [None], [{}], {"id": 1}, {"state": "left"}, {"id": "x", "state": 5})
settings = PostboxSettings.model_validate({"connector": "postbox", "url": URL, "token": "of-the-test"})
postbox = Postbox(settings, Context(system="p", clock=ManualClock(SystemClock().now()), rng=random.Random(1)))


def ask(do):
    try:
        return do()
    except SystemUnavailable:
        return None


for body in [*THINGS, *({key: each} for key in ("people", "lists", "id") for each in THINGS)]:
    for status in (200, 400, 404, 409, 422):
        with responses.RequestsMock(assert_all_requests_are_fired=False) as server:
            for path in ("people", "people/1", "lists", "account"):
                server.get(f"{URL}/{path}", json=body, status=status)
            server.put(f"{URL}/people/1/state", json=body, status=status)
            ask(lambda: postbox.check([SPEC]))
            pages = ask(lambda: list(postbox.read(SPEC, None)))
            assert pages is None or body == {"people": []}, (status, body, pages)
            assert ask(lambda: postbox.read_ids(SPEC, ["1"])) is None, (status, body)
            outcomes = ask(lambda: postbox.write([OUT], SPEC))
            for outcome in outcomes or ():
                assert outcome.result is (Result.UNKNOWN if status == 200 else outcome.result), (status, body)
                assert outcome.fact is None, (status, body)
person = {"id": 1, "email": "ann@example.com", "name": "Ann", "state": "left"}
with responses.RequestsMock() as server:
    server.get(f"{URL}/people", json={"people": [None, {"state": "left"}, person]})
    server.get(f"{URL}/people", json={"people": [{**person, "id": 2}]})
    server.get(f"{URL}/people", json={"people": []})
    pages = list(postbox.read(SPEC, None))
    assert [len(page.faults) for page in pages] == [2, 0, 0]
    assert [record.id for page in pages for record in page.records] == ["1", "2"]
"""


def test_the_connector_of_the_guide_ends_in_no_traceback_whatever_it_is_answered(package: Path) -> None:
    """Everybody begins with a copy of it."""
    done = _run(package, "-c", ODD)
    assert done.returncode == 0, done.stderr[-3000:]


def _run(package: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = [str(package), *(str(ROOT / root) for root in ("src", "connectors"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=package, env=environment, capture_output=True, text=True, check=False)
