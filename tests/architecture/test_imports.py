import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, texts

IMPURE_MODULES = {"random", "secrets", "time", "uuid"}
IMPURE_CALLS = {"now", "utcnow", "today", "uuid4", "monotonic"}


def test_every_import_contract_is_kept() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def impurities(source: str) -> list[str]:
    """Where a module asks for the time, for an id or for chance."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found += [f"{node.lineno}: import {n.name}" for n in names if n.name in IMPURE_MODULES]
            case ast.ImportFrom(module=str(module)) if module in IMPURE_MODULES:
                found.append(f"{node.lineno}: from {module}")
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)) if name in IMPURE_CALLS:
                found.append(f"{node.lineno}: {name}()")
    return found


def test_the_core_asks_neither_for_the_time_nor_for_ids_nor_for_chance() -> None:
    cores = [(p, text) for p, text in texts("src", suffixes=(".py",)) if p.parts[2] in ("model", "reconcile")]
    assert len(cores) > 5
    assert {str(path): found for path, text in cores if (found := impurities(text))} == {}


@pytest.mark.parametrize(
    "source", ["import random", "from uuid import uuid4", "x = datetime.now(UTC)", "d = date.today()", "import time"]
)
def test_the_search_for_impurities_finds_them(source: str) -> None:
    assert impurities(source)
