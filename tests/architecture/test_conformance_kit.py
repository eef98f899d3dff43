import ast

import pytest

from tests.architecture.sources import ROOT, texts

KIT = "optsync.connect.conformance"
LONGEST = 39


def imported(source: str) -> set[str]:
    """Modules that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def _knows(source: str, module: str) -> bool:
    return any(name == module or name.startswith(f"{module}.") for name in imported(source))


def test_only_tests_import_the_kit_and_only_the_kit_imports_the_test_runner() -> None:
    for path, text in texts("src", "connectors", suffixes=(".py",)):
        if "conformance" in path.parts or "tests" in path.parts:
            continue
        assert not _knows(text, KIT), path
        assert not _knows(text, "pytest"), path


def test_what_a_connector_writes_to_run_the_kit_is_short() -> None:
    files = [path for path, _ in texts("connectors", suffixes=(".py",)) if path.name == "test_conformance.py"]
    assert files
    assert {str(path): n for path in files if (n := len((ROOT / path).read_text().splitlines())) > LONGEST} == {}


@pytest.mark.parametrize("line", ["import pytest", "from pytest import raises", f"from {KIT} import Harness"])
def test_the_search_for_imports_finds_them(line: str) -> None:
    assert _knows(line, "pytest") or _knows(line, KIT)
