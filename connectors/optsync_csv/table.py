"""The text of a CSV file as a table. What nobody changes is written back as it was, byte for byte."""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins like the next one
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WITHOUT_MARK = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}
"""Encodings that would give a file a mark that it did not have."""
_DELIMITERS = ",;\t|"
LARGEST_CELL = 1 << 20


class NotATable(Exception):
    """The file cannot be used at all; the message says why and what to do."""


@dataclass(slots=True)
class Row:
    """``line`` is where it begins; ``text`` as it stands in the file, None once it was changed. ``torn_to``: the last
    line of several that a missing quotation mark has made one row; 0 where none is missing. ``quoted``: the cells of a
    changed row that had quotation marks."""

    line: int
    cells: list[str]
    text: str | None = None
    torn_to: int = 0
    quoted: Sequence[bool] = ()


@dataclass(slots=True)
class Table:
    """Columns, rows, and how they were written."""

    columns: list[str]
    rows: list[Row]
    mark: bytes
    encoding: str
    delimiter: str
    line_end: str
    header: str
    places: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.places = {name: place for place, name in enumerate(self.columns)}

    def get(self, row: Row, column: str) -> str:
        """The text of a cell; empty where there is no such column."""
        place = self.places.get(column)
        return "" if place is None else row.cells[place]

    def put(self, row: Row, column: str, text: str) -> None:
        """Raises ``KeyError`` where there is no such column."""
        if row.text is not None:
            row.quoted = _quoted(row.text, row.cells)
            row.text = None
        row.cells[self.places[column]] = text

    def last_is_open(self) -> bool:
        """Whether a quotation mark of the last row was never closed: a line after it would become a part of it."""
        text = self.rows[-1].text if self.rows else None
        if text is None:
            return False
        try:
            return len(list(csv.reader(_Lines(text.rstrip("\r\n") + "\nx"), delimiter=self.delimiter))) == 1
        except csv.Error:  # one character more would be too large a cell
            return True

    def add(self) -> Row:
        """A new, blank row at the end. A quotation mark that is open there is closed before, at the end of its line."""
        if self.last_is_open():
            last = self.rows[-1]
            self.put(last, self.columns[0], last.cells[0])
            last.cells[-1] = last.cells[-1].rstrip("\r\n")
        # Whoever writes a file with all its quotation marks may read it so, too.
        quoted = [self.header.startswith('"')] * len(self.columns)
        line = self.rows[-1].line + 1 if self.rows else 2
        row = Row(line=line, cells=[""] * len(self.columns), quoted=quoted)
        self.rows.append(row)
        return row

    def _line(self, row: Row) -> str:
        marks = row.quoted or [False] * len(row.cells)
        line = self.delimiter.join(map(self._cell, row.cells, marks))
        return (line or '""') + self.line_end

    def _cell(self, text: str, is_quoted: bool) -> str:
        if is_quoted or any(each in text for each in (self.delimiter, '"', "\r", "\n")):
            return '"' + text.replace('"', '""') + '"'
        return text

    def render(self) -> bytes:
        """Raises ``UnicodeEncodeError`` where the file's encoding has no such character."""
        out = io.StringIO(newline="")
        out.write(self.header)
        is_open = not self.header.endswith(("\r", "\n"))
        for row in self.rows:
            if is_open:
                out.write(self.line_end)
            if row.text is None:
                out.write(self._line(row))
            else:
                out.write(row.text)
            is_open = row.text is not None and not row.text.endswith(("\r", "\n"))
        return self.mark + out.getvalue().encode(self.encoding)


def parse(content: bytes, *, delimiter: str | None = None, encoding: str | None = None) -> Table:
    """Raises ``NotATable``."""
    mark, text, encoding = _decoded(content, encoding)
    lines = _Lines(text)
    header = next(lines, "")
    if not header.strip():
        raise NotATable("it is empty, not even a header line is there; restore it from a backup")
    delimiter = delimiter or max(_DELIMITERS, key=header.count)
    lines.unread(header)
    csv.field_size_limit(max(csv.field_size_limit(), LARGEST_CELL))
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        columns = [name.strip() for name in next(reader)]
        header = lines.taken()
        rows = list(_rows(reader, lines, delimiter))
    except csv.Error as error:
        raise NotATable(f"line {lines.count}: {error}; a quotation mark may be missing there or before") from None
    if doubled := sorted({name for name in columns if name and columns.count(name) > 1}):
        raise NotATable(f"line 1: the column {doubled[0]} is there twice; rename one of them")
    return Table(columns, rows, mark, encoding, delimiter, _line_end(header), header)


def _rows(reader: Iterator[Sequence[str]], lines: "_Lines", delimiter: str) -> Iterator[Row]:
    line = lines.count + 1
    for cells in reader:
        last, text = lines.count, lines.taken()
        # Only a quotation mark joins lines; one that was never closed, or in the midst of a cell, was not meant to.
        torn_to = last if last > line and not _is_well_quoted(text, delimiter) else 0
        yield Row(line=line, cells=list(cells), text=text, torn_to=torn_to)
        line = last + 1


def _quoted(text: str, cells: Sequence[str]) -> list[bool]:
    """Which cells have quotation marks. A row that is not well quoted may get some more."""
    found, place = [], 0
    for cell in cells:
        found.append(text.startswith('"', place))
        marks = 2 + cell.count('"') if found[-1] else 0
        place += len(cell) + marks + 1
    return found


def _is_well_quoted(text: str, delimiter: str) -> bool:
    try:
        list(csv.reader(_Lines(text), delimiter=delimiter, strict=True))
    except csv.Error:
        return False
    return True


class _Lines:
    """Lines with their ends, counted; ``taken`` gives the text since it was last asked."""

    def __init__(self, text: str) -> None:
        self._lines = iter(io.StringIO(text, newline=""))
        self._again: list[str] = []
        self._taken: list[str] = []
        self.count = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._again.pop() if self._again else next(self._lines)
        self._taken.append(line)
        self.count += 1
        return line

    def unread(self, line: str) -> None:
        self._again.append(line)
        self._taken.clear()
        self.count -= 1

    def taken(self) -> str:
        text = "".join(self._taken)
        self._taken.clear()
        return text


def _decoded(content: bytes, encoding: str | None) -> tuple[bytes, str, str]:
    for mark, name in _MARKS:
        if content.startswith(mark):
            return mark, _text(content[len(mark) :], name), name
    name = codecs.lookup(encoding or "utf-8").name
    name = _WITHOUT_MARK.get(name, name)
    return b"", _text(content, name), name


def _text(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeError as error:
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = content[:start].count(b"\n") + 1
        raise NotATable(f"line {line} is not {encoding}; set `encoding`, for instance to cp1252") from None


def _line_end(header: str) -> str:
    for end in ("\r\n", "\n", "\r"):
        if header.endswith(end):
            return end
    return "\r\n"
