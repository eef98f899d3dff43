"""What the README and the documentation promise is there."""

import re
from functools import cache
from pathlib import Path

import pytest
import typer
import yaml

from optsync.cli.app import app
from optsync.config.load import load
from tests.architecture.sources import ROOT

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
SYSTEMS = {
    "bitrix24": {"connector": "bitrix24", "webhook_url": "https://portal.example/rest/1/secret/"},
    "mailchimp": {"connector": "mailchimp", "api_key": "0123456789abcdef0123456789abcdef-us6"},
}
_FENCED = re.compile(r"^( *)```\w*\n(.*?)^ *```", flags=re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


@each_page
def test_every_command_it_names_exists(page: Path) -> None:
    named = set(
        re.findall(r"\boptsync ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?(?=[ |\]]|$)", _code(page), flags=re.MULTILINE)
    )
    known = _commands()
    assert [
        (name, inner) for name, inner in named if name not in known or (known[name] and inner not in known[name])
    ] == []
    assert page is not README or len(named) >= 6


@each_page
def test_every_make_target_it_names_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = set(re.findall(r"^(?:.*&& *)?make ([a-z]+)", _code(page), flags=re.MULTILINE))
    assert named - targets == set()
    assert page is not README or {"demo", "test"} <= named


@each_page
def test_every_link_leads_to_a_file_and_to_a_heading_in_it(page: Path) -> None:
    astray = []
    for link in sorted(set(_LINK.findall(_FENCED.sub("", _text(page))))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            astray.append(link)
    assert astray == []


def test_its_configuration_is_accepted(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", _text(README), flags=re.DOTALL)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"systems": SYSTEMS, **yaml.safe_load(block)}))
    assert list(load(path, {}).syncs) == ["newsletter"]


@cache
def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@cache
def _commands() -> dict[str, set[str]]:
    """By name, with those that it holds."""
    found = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    inner = {name: set(getattr(command, "commands", ())) for name, command in found.items()}
    return {name: within and {*within, ""} for name, within in inner.items()}


@cache
def _anchors(page: Path) -> set[str]:
    """Those that the headings of a page get where it is shown."""
    headings = re.findall(r"^#+ +(.+?) *$", _FENCED.sub("", _text(page)), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _code(page: Path) -> str:
    """What stands as code, each piece a line of its own: indented and fenced lines, and words in backquotes."""
    text = _text(page)
    rest = _FENCED.sub("", text)
    fenced = [block for _, block in _FENCED.findall(text)]
    parts = re.split(r"\n\s*\n|\n(?=\|)", rest)  # a quotation ends with its paragraph, or its row of a table
    words = [
        " ".join(found.split()) for part in parts for _, found in re.findall(r"(`+)(.+?)\1", part, flags=re.DOTALL)
    ]
    return "\n".join([*fenced, *re.findall(r"^    +(\S.*)$", rest, flags=re.MULTILINE), *words])
