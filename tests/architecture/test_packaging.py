import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import entry_points
from typing import Any

import pytest

from tests.architecture.sources import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
GROUPS: dict[str, dict[str, str]] = PROJECT["project"]["entry-points"]
PACKAGES = sorted(p.name for p in (ROOT / "connectors").iterdir() if p.is_dir() and p.name.startswith("optsync_"))


def test_every_connector_folder_has_its_entry_point_and_the_other_way_round() -> None:
    registered = {target.partition(":")[0].partition(".")[0] for target in GROUPS["optsync.connectors"].values()}
    assert registered == set(PACKAGES) - {"optsync_mock"}


def test_a_connector_is_registered_under_the_name_of_its_folder() -> None:
    assert all(target.startswith(f"optsync_{name}:") for name, target in GROUPS["optsync.connectors"].items())


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_what_is_installed_is_what_is_declared(group: str) -> None:
    installed = {point.name: point.value for point in entry_points(group=group) if _is_ours(point.value)}
    assert installed == GROUPS[group], "entry points are metadata: install the project again"


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_every_entry_point_leads_somewhere(group: str) -> None:
    for point in entry_points(group=group):
        assert callable(point.load())


def test_every_package_is_known_to_the_import_contracts_and_says_that_it_is_typed() -> None:
    assert set(PROJECT["tool"]["importlinter"]["root_packages"]) == {"optsync", *PACKAGES}
    assert [name for name in PACKAGES if not (ROOT / "connectors" / name / "py.typed").is_file()] == []


def test_every_test_folder_is_a_package_so_that_names_may_repeat() -> None:
    folders = {p.parent for base in ("tests", "connectors") for p in (ROOT / base).rglob("test_*.py")}
    assert [str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_constraints_are_plain_versions() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert lines
    assert [line for line in lines if line.count("==") != 1 or set(line) & set("/@;# ")] == []


def test_a_system_call_that_the_unit_forbids_fails_and_kills_nobody() -> None:
    unit = (ROOT / "packaging" / "optsync.service").read_text(encoding="utf-8")
    assert re.search(r"^SystemCallFilter=~", unit, re.MULTILINE)
    assert re.search(r"^SystemCallErrorNumber=EPERM$", unit, re.MULTILINE)


class _Well(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("is_up", [True, False])
def test_the_image_asks_for_its_health_past_any_proxy(is_up: bool) -> None:
    found = re.search(
        r"^HEALTHCHECK .*\\\n  CMD (.*)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert found is not None
    _, option, code = json.loads(found[1])
    with HTTPServer(("127.0.0.1", 0), _Well) as server:
        if is_up:
            threading.Thread(target=server.handle_request, daemon=True).start()
        else:
            server.server_close()
        here = code.replace("127.0.0.1:8080", f"127.0.0.1:{server.server_port}")
        proxied = {**os.environ, "http_proxy": "http://127.0.0.1:9", "no_proxy": ""}
        done = subprocess.run([sys.executable, option, here], env=proxied, check=False, capture_output=True, timeout=30)
    assert (done.returncode == 0) is is_up


def _is_ours(target: str) -> bool:
    return target.partition(":")[0].partition(".")[0] in PACKAGES
