"""Reads YAML into plain values and remembers where each one is written.

The document is walked as nodes, so keys stay the text they are (``true:`` and ``45:`` too), every duplicate key
is found, and each value keeps its line and its own spelling.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pydantic import BaseModel
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from optsync.errors import ConfigError, Fault

Path: TypeAlias = tuple[str | int, ...]

_TYPED = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float")}
_MERGE = "tag:yaml.org,2002:merge"
_QUOTED = re.compile(r"(['\"])(.+?)\1", re.DOTALL)
_MARK = re.compile(r"\W|\\\w+|<[a-z ]+>")
"""What YAML means by its own: ``','``, ``'\\t'``, ``'<stream end>'``."""


def dotted(path: Path) -> str:
    """``syncs.newsletter.fields.0.crm``."""
    return ".".join(str(part) for part in path)


@dataclass(slots=True)
class Document:
    """A file's values, and by path their lines and the text of the scalars."""

    file: str
    tree: dict[str, Any] = field(default_factory=dict)
    lines: dict[Path, int] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    hidden: set[Path] = field(default_factory=set)
    """Values that no message may show."""
    broken: set[Path] = field(default_factory=set)
    """Values that are already reported and mean nothing."""
    from_environment: set[Path] = field(default_factory=set)

    def get(self, path: Path) -> Any:
        """The value there, also inside a part that is settled already; or None."""
        here: Any = self.tree
        for part in path:
            try:
                here = getattr(here, str(part)) if isinstance(here, BaseModel) else here[part]
            except (KeyError, IndexError, TypeError, AttributeError):
                return None
        return here

    def put(self, path: Path, value: Any) -> None:
        """Sets the value there, making mappings on the way."""
        here: Any = self.tree
        for part in path[:-1]:
            if isinstance(here, dict) and not isinstance(here.get(part), dict | list):
                here[part] = {}
            here = here[part]
        here[path[-1]] = value

    def fault(self, path: Path, found: str, expected: str) -> Fault:
        """A fault at that place; of a value from the environment, at its variable."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.from_environment:
                variable = "OPTSYNC_" + "__".join(str(part) for part in path[:end]).upper()
                return Fault(
                    file=f"environment {variable}", line=None, key=dotted(path), found=found, expected=expected
                )
        return Fault(file=self.file, line=self.line(path), key=dotted(path), found=found, expected=expected)

    def line(self, path: Path) -> int | None:
        """Of the value, or of the nearest thing around it that is written."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)


def read(text: str, file: str) -> Document:
    """The document; its ``faults`` name duplicate keys.

    Raises:
        ConfigError: it is no YAML, or no mapping.
    """
    document = Document(file)
    yaml = YAML(typ="safe", pure=True)
    try:
        root = yaml.compose(text)
        if not isinstance(root, MappingNode):
            raise ConfigError([Fault(file=file, line=1, key="(file)", found=_kind(root), expected="a mapping of keys")])
        document.tree = _Walk(document, yaml).value(root, ())
    except YAMLError as error:
        raise ConfigError([_syntax(error, file)]) from None
    except RecursionError:
        fault = Fault(file=file, line=None, key="(file)", found="an alias inside itself", expected="a finite document")
        raise ConfigError([fault]) from None
    return document


def _kind(node: Node | None) -> str:
    if node is None:
        return "nothing"
    return "one value" if isinstance(node, ScalarNode) else "a list"


def _syntax(error: YAMLError, file: str) -> Fault:
    """Without the vendor's snippet and without quoted words: a secret may stand on that line."""
    if not isinstance(error, MarkedYAMLError):
        return Fault(file=file, line=None, key="(file)", found="characters that YAML forbids", expected="YAML")
    mark = error.problem_mark or error.context_mark
    problem = _QUOTED.sub(lambda m: m[0] if _MARK.fullmatch(m[2]) else "a name", str(error.problem or error.context))
    if r"'\t'" in problem:
        problem += " (a tab: indent with spaces)"
    line = None if mark is None else mark.line + 1
    return Fault(file=file, line=line, key="(file)", found=f"a mistake: {problem}", expected="YAML")


class _Walk:
    """One pass over the nodes, filling the document."""

    def __init__(self, document: Document, yaml: YAML) -> None:
        self._document = document
        self._constructor = yaml.constructor

    def value(self, node: Node, path: Path) -> Any:
        self._document.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, ScalarNode):
            self._document.texts[path] = node.value
            return self._typed(node) if node.tag in _TYPED else node.value
        return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]

    def _typed(self, node: ScalarNode) -> Any:
        try:
            return self._constructor.construct_object(node)
        except (ValueError, LookupError):
            return node.value  # a number that is too long for one, or no value of its tag: told of at its key

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in self._pairs(node, path):
            here = (*path, key.value)
            self._document.lines[here] = key.start_mark.line + 1
            found[key.value] = self.value(value, here)
        return found

    def _pairs(self, node: MappingNode, path: Path) -> Iterator[tuple[ScalarNode, Node]]:
        """Own pairs, after those merged in with ``<<`` that they do not replace."""
        own: dict[str, tuple[ScalarNode, Node]] = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                yield from self._merged(node, value, path)
            elif not isinstance(key, ScalarNode):
                self._fault(key, path, "a key that is no text", "a plain key")
            elif key.value in own:
                first = own[key.value][0].start_mark.line + 1
                self._fault(key, (*path, key.value), f"the key again (first on line {first})", "each key once")
            else:
                own[key.value] = (key, value)
        yield from own.values()

    def _merged(self, node: MappingNode, value: Node, path: Path) -> Iterator[tuple[ScalarNode, Node]]:
        sources = [value] if isinstance(value, MappingNode) else list(reversed(value.value))
        for source in sources:
            if isinstance(source, MappingNode) and source is not node:
                yield from self._pairs(source, path)
            else:
                self._fault(value, path, "<< with something else than a mapping", "<<: *name of a mapping")

    def _fault(self, node: Node, path: Path, found: str, expected: str) -> None:
        line = node.start_mark.line + 1
        fault = Fault(file=self._document.file, line=line, key=dotted(path) or "(file)", found=found, expected=expected)
        self._document.faults.append(fault)
