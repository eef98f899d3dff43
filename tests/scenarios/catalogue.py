"""The page that lists every scenario: its case, its rule and its test. ``python -m tests.scenarios.catalogue``."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.scenarios.rules import RULES

FOLDER = Path(__file__).parent
PAGE = FOLDER.parents[1] / "docs" / "scenarios.md"
_START = """# Scenarios

What happens in the cases that real lists are made of. Each case is a test that runs the whole pipeline over HTTP
against imitated vendors: read, decide, guard, write, read again. After every one that is played in the common world
two further cycles run, and neither may write anything; those that build a world of their own (brands, crashes, hurting
answers and the like) say themselves what must hold at the end.

This page is made from the tests (`make scenarios`); a test compares the two.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One scenario. ``title`` is its sentence, ``note`` what its docstring adds."""

    file: str
    topic: str
    test: str
    rule: str | None
    note: str

    @property
    def title(self) -> str:
        words = self.test.removeprefix("test_").replace("_", " ").replace("crm", "CRM").replace("esp ", "ESP ")
        return words[:1].upper() + words[1:] + "."


def cases() -> list[Case]:
    """Every scenario, by file, in the order of the files' lines."""
    return [case for path in sorted(FOLDER.glob("test_*.py")) for case in _cases_of(path)]


def _cases_of(path: Path) -> Iterator[Case]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    standard = next((rule for node in tree.body if (rule := _module_rule(node))), None)
    topic = " ".join((ast.get_docstring(tree) or "").split())
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            own = next((rule for mark in node.decorator_list if (rule := _rule(mark))), None)
            note = " ".join((ast.get_docstring(node) or "").split())
            yield Case(file=path.name, topic=topic, test=node.name, rule=own or standard, note=note)


def _module_rule(node: ast.stmt) -> str | None:
    if not isinstance(node, ast.Assign) or ast.unparse(node.targets[0]) != "pytestmark":
        return None
    marks = node.value.elts if isinstance(node.value, ast.List | ast.Tuple) else [node.value]
    return next((rule for mark in marks if (rule := _rule(mark))), None)


def _rule(mark: ast.expr) -> str | None:
    """The name inside ``pytest.mark.rule("…")``."""
    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.rule" and mark.args:
        return str(ast.literal_eval(mark.args[0]))
    return None


def page() -> str:
    """The whole page."""
    found = cases()
    lines = [_START, f"{len(found)} cases.", "", "| rule | what it says | cases |", "|---|---|---|"]
    for name, sentence in RULES.items():
        lines.append(f"| {name} | {sentence} | {sum(case.rule == name for case in found)} |")
    for file in dict.fromkeys(case.file for case in found):
        of_file = [case for case in found if case.file == file]
        lines += ["", f"## {of_file[0].topic}", "", "| case | rule | test |", "|---|---|---|"]
        lines += [_row(case) for case in of_file]
    return "\n".join(lines) + "\n"


def _row(case: Case) -> str:
    text = f"{case.title} {case.note}".strip().replace("|", "\\|")
    return f"| {text} | {case.rule} | [`{case.test}`](../tests/scenarios/{case.file}) |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
