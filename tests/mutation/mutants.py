"""Makes mutants of the pure core: every one is one function with one small fault in it, or a table without an entry.

The faults of functions are those of mutmut. Its own way to run them is not used: it leaves out whatever is decorated,
such as every property, and starts a session of tests for each mutant.
"""

import ast
import difflib
import gc
import importlib
import inspect
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import libcst as cst
from mutmut.mutation.file_mutation import create_mutations, deep_replace

import optsync
from optsync.reconcile.view import Point

PACKAGES = ("model", "reconcile")
_REMEMBERING = ("optsync.model", "optsync.reconcile", "tests.mutation")


@dataclass(frozen=True)
class Mutant:
    """``identity`` says function and fault, so that it outlives what is edited elsewhere."""

    identity: str
    module: str
    name: str
    """Of the function (without its decorators) or of the table that ``source`` is."""
    source: str
    users: tuple[str, ...]
    """The functions whose callers can notice it: the function itself, or those that look into the table."""
    is_table: bool = False


def core_modules() -> tuple[str, ...]:
    """The modules that are held to the rate."""
    home = Path(optsync.__path__[0])
    files = sorted(path for package in PACKAGES for path in (home / package).glob("[!_]*.py"))
    return tuple(f"optsync.{path.parent.name}.{path.stem}" for path in files)


def mutants_of(name: str) -> list[Mutant]:
    """Every mutant of a module, in the order of its lines."""
    path = importlib.import_module(name).__file__
    assert path is not None
    return list(mutate(name, Path(path).read_text(encoding="utf-8")))


def mutate(name: str, text: str) -> Iterator[Mutant]:
    """Every mutant of a module with this text."""
    tree = cst.parse_module(text).visit(_Undecorate())
    module, mutations, _, _ = create_mutations(name, tree.code)
    qualified = dict(_functions(module))
    seen: Counter[str] = Counter()
    for mutation in mutations:
        function = mutation.contained_by_top_level_function
        if not isinstance(function, cst.FunctionDef):
            continue  # a default of a class or a constant
        before, own = _code(function), qualified[function]
        after = _code(deep_replace(function, mutation.original_node, mutation.mutated_node))
        label = f"{name}.{own}: {_difference(before, after)}"
        seen[label] += 1
        identity = label if seen[label] == 1 else f"{label} ({seen[label]})"
        yield Mutant(identity, name, own, after, (own,))
    codes = {own: _code(function) for function, own in qualified.items()}
    for table, entries in _tables(text):
        users = tuple(own for own, code in codes.items() if re.search(rf"\b{table}\b", code))
        for entry, source in entries if users else ():
            yield Mutant(f"{name}.{table}: without {entry}", name, table, source, users, is_table=True)


def _tables(text: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The sets and mappings of a module that are written down entry by entry, each without one of them."""
    for node in ast.parse(text).body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        literal = node.value.args[0] if isinstance(node.value, ast.Call) and node.value.args else node.value
        if isinstance(target, ast.Name) and isinstance(literal, ast.Dict | ast.Set):
            yield target.id, list(_each_without_one(node.value, literal))


def _each_without_one(value: ast.expr, literal: ast.Dict | ast.Set) -> Iterator[tuple[str, str]]:
    """An entry's code, and the table's without it."""
    columns: list[list[Any]] = [literal.keys, literal.values] if isinstance(literal, ast.Dict) else [literal.elts]
    for number in range(len(columns[0])):
        entry = [column.pop(number) for column in columns]
        yield ast.unparse(entry[0] or entry[-1]), ast.unparse(value)
        for column, part in zip(columns, entry, strict=True):
            column.insert(number, part)


class _Undecorate(cst.CSTTransformer):
    """Takes the decorators of functions away: mutmut passes over what has any."""

    def leave_FunctionDef(self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef) -> cst.FunctionDef:  # noqa: N802 - libcst calls it so
        return updated_node.with_changes(decorators=[])


def _functions(module: cst.Module) -> Iterator[tuple[cst.FunctionDef, str]]:
    for statement in module.body:
        if isinstance(statement, cst.FunctionDef):
            yield statement, statement.name.value
        elif isinstance(statement, cst.ClassDef):
            for inner in statement.body.body:
                if isinstance(inner, cst.FunctionDef):
                    yield inner, f"{statement.name.value}.{inner.name.value}"


def _code(function: cst.CSTNode | cst.RemovalSentinel | cst.FlattenSentinel[cst.CSTNode]) -> str:
    assert isinstance(function, cst.CSTNode)
    return textwrap.dedent(cst.Module([]).code_for_node(function)).strip("\n") + "\n"


def _difference(before: str, after: str) -> str:
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))[2:]
    changed = [f"{line[0]} {line[1:].strip()}" for line in lines if line[0] in "+-" and line[1:].strip()]
    return "  ".join(changed)


def turn_on(mutant: Mutant) -> None:
    """From now on the faulty function or table counts wherever the right one did. For good: fork first."""
    module = sys.modules[mutant.module]
    if mutant.is_table:
        setattr(module, mutant.name, eval(mutant.source, vars(module)))  # noqa: S307 - our own source, an entry less
        return
    namespace: dict[str, Any] = {**vars(module)}
    exec(compile(mutant.source, mutant.identity, "exec"), namespace)  # noqa: S102 - our own source, one fault apart
    faulty, live = namespace[mutant.name.rpartition(".")[2]], function_at(module, mutant.name)
    live.__code__, live.__defaults__, live.__kwdefaults__ = faulty.__code__, faulty.__defaults__, faulty.__kwdefaults__


def memories() -> list[Callable[[], None]]:
    """What empties every memory of results: one that is remembered hides who calls what, and what is faulty."""
    ours = [module for name, module in sys.modules.items() if name.startswith(_REMEMBERING)]
    caches = [found.cache_clear for module in ours for found in vars(module).values() if hasattr(found, "cache_clear")]
    return [*caches, *(found._found.clear for found in gc.get_objects() if isinstance(found, Point))]


def function_at(module: ModuleType, qualified: str) -> FunctionType:
    """The function itself, behind what decorates it."""
    found: Any = module
    for name in qualified.split("."):
        found = inspect.getattr_static(found, name)
    found = found.fget if isinstance(found, property) else getattr(found, "__func__", found)
    found = inspect.unwrap(found)
    assert isinstance(found, FunctionType), f"{module.__name__}.{qualified} hides its function"
    return found
