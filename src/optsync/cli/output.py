"""What commands print: one JSON document, or text and tables for people. Always on standard output."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPE_WIDTH = 200


def print_json(value: Any) -> None:
    """One document, readable; in ASCII where the output takes nothing else, so that no address is spoilt."""
    takes_all = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    for part in json.JSONEncoder(indent=2, ensure_ascii=not takes_all, default=_encodable).iterencode(value):
        sys.stdout.write(part)
    sys.stdout.write("\n")


def _encodable(value: object) -> object:
    from optsync.sync.journaled import Rows

    return _OneByOne(value) if isinstance(value, Rows) else str(value)


class _OneByOne(list[Any]):
    """A list for the encoder that makes its items when it comes to them."""

    def __init__(self, rows: Iterable[Any]) -> None:
        super().__init__()
        self._rows = rows

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)


def line(text: str = "", *, style: str = "") -> None:
    """One line, however long; a terminal wraps it. A break in it was put there by somebody else, a person's own words
    for their opt-out say, and what follows would pass for a line of ours."""
    _console().print(Text(plain(text).replace("\n", "\ufffd"), style=style), soft_wrap=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table; columns named ``…#`` hold numbers."""
    shown = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(column.rstrip("#"), justify="right" if column.endswith("#") else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(plain("–" if cell is None else str(cell))) for cell in row))
    _console().print(shown)


def plain(text: str) -> str:
    """Without control characters: a name in some system must not move the reader's cursor."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)


def _console() -> Console:
    # Made anew each time: standard output may be another one by now.
    is_terminal = sys.stdout.isatty()
    return Console(
        file=sys.stdout, markup=False, highlight=False, emoji=False, width=None if is_terminal else _PIPE_WIDTH
    )
