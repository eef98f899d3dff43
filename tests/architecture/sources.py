"""The files that the rules of the house are checked on."""

import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def tracked() -> tuple[Path, ...]:
    """Files that version control knows or would take, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return tuple(sorted(Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file()))


def texts(*folders: str, suffixes: tuple[str, ...] = ()) -> Iterator[tuple[Path, str]]:
    """Path and content of each text file below ``folders`` (all, without any) that ends in one of ``suffixes``."""
    for path in tracked():
        if folders and path.parts[0] not in folders:
            continue
        if suffixes and path.suffix not in suffixes:
            continue
        try:
            yield path, (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def product_modules() -> Iterator[tuple[Path, str]]:
    """What is shipped: Python below src/ and connectors/, without tests."""
    for path, text in texts("src", "connectors", suffixes=(".py",)):
        if "tests" not in path.parts:
            yield path, text
