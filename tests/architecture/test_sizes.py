import ast
from collections.abc import Iterator

from tests.architecture.sources import product_modules

FUNCTION = 40
FILE = 400
EXEMPT: dict[str, str] = {}
"""``path`` or ``path:function`` -> why splitting it would make it harder to read."""


def long_functions(source: str) -> Iterator[tuple[str, int]]:
    """Names of functions whose statements, docstring aside, span more lines than allowed."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            if lines > FUNCTION:
                yield node.name, lines


def offenders() -> dict[str, int]:
    found: dict[str, int] = {}
    for path, text in product_modules():
        if "migrations" in path.parts:
            continue  # a migration is a frozen list of statements: nobody changes it, and its order is its sense
        if (lines := len(text.splitlines())) > FILE:
            found[str(path)] = lines
        found |= {f"{path}:{name}": count for name, count in long_functions(text)}
    return found


def test_functions_and_files_stay_small_enough_to_be_read_at_once() -> None:
    assert {name: lines for name, lines in offenders().items() if name not in EXEMPT} == {}


def test_no_exemption_outlives_its_cause() -> None:
    assert set(EXEMPT) <= set(offenders())


def test_the_measure_counts_statements_and_not_the_docstring() -> None:
    statements = "".join(f"    x = {n}\n" for n in range(FUNCTION))
    docstring = '    """A.\n' + "\n" * 50 + '    """\n'
    assert list(long_functions(f"def f():\n{docstring}{statements}")) == []
    assert list(long_functions(f"def f():\n{statements}    y = 1\n")) == [("f", FUNCTION + 1)]
