"""Cells and ours: pure functions."""

import re
from collections.abc import Iterator, Mapping

from optsync.model.contact_point import InvalidAddress, normalise
from optsync.model.page import ReadSpec, RowFault
from optsync.model.record import Record, Value
from optsync_csv.settings import CsvSettings
from optsync_csv.table import LARGEST_CELL, Row, Table

_FORMULA = re.compile(r"[=@\t\r]|[+-](?![0-9 ().,/-]*$)")
"""A spreadsheet runs a cell that begins so: whoever fills in a web form could make it do something."""


class ValueRefused(ValueError):
    """A cell cannot hold this."""


class BadCell(ValueError):
    """A cell of a yes/no column says something else."""


def truth(text: str, words: Mapping[str, bool]) -> bool | None:
    """None for a blank cell. Raises ``BadCell`` for a word that is not known: it is never guessed."""
    word = text.strip().lower()
    if word and word not in words:
        raise BadCell(text)
    return words.get(word)


def value(text: str) -> Value:
    """Of a cell that is no yes/no."""
    return (text[1:] if text.startswith("'") and _FORMULA.match(text.lstrip("'")) else text) or None


def cell(value: Value, encoding: str) -> str:
    """The text of a cell that is no yes/no. Raises ``ValueRefused``."""
    if isinstance(value, tuple):
        raise ValueRefused("a cell holds one value and no list")
    text = fitting("" if value is None else str(value), encoding)
    # A text that looks as if it were protected is, too: it comes back as it was.
    text = f"'{text}" if _FORMULA.match(text.lstrip("'")) else text
    if "\0" in text or len(text) > LARGEST_CELL:
        raise ValueRefused("a cell takes no null character and at most a million others")
    return text


def fitting(text: str, encoding: str) -> str:
    """The text itself. Raises ``ValueRefused``: one such character would keep the whole file from being written."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        raise ValueRefused(f"the file is {encoding}, which has no such character") from None
    return text


def addresses(table: Table, row: Row, settings: CsvSettings) -> tuple[str, ...]:
    found = (value(table.get(row, column).strip()) for column in settings.address_columns)
    return tuple(dict.fromkeys(str(address) for address in found if address))


def is_address(text: str) -> bool:
    try:
        return bool(normalise(text))
    except InvalidAddress:
        return False


def key(address: str) -> str:
    try:
        return normalise(address)
    except InvalidAddress:
        return address.lower()


class Sheet:
    """A table whose rows have their ids."""

    def __init__(self, table: Table, settings: CsvSettings, name: str) -> None:
        self.table = table
        self._settings = settings
        self._name = name
        self._ids = dict(_ids(table, settings))
        self._rows = {rid: table.rows[place] for place, rid in self._ids.items()}
        self._holders: dict[str, Row] = {}
        self._found_words: dict[tuple[str, bool], str] = {}
        width = len(table.columns)
        is_torn = table.last_is_open() and len(table.rows[-1].cells) != width
        self.is_whole = not is_torn and not any(row.torn_to for row in table.rows)
        """Whether no row can hide others, or who stands in it, see :class:`optsync_csv.table.Row`."""
        cells = [text.strip() for row in table.rows if len(row.cells) != width for text in row.cells]
        self._hidden = {*cells, *map(key, cells)} - {""}

    def may_hide(self, name: str) -> bool:
        """Whether the row with this id or address may stand in a line that cannot be read."""
        return not self.is_whole or not self._hidden.isdisjoint({name, *name.split("/")})

    def find(self, rid: str) -> Row | None:
        return self._rows.get(rid)

    def holder(self, address: str) -> Row | None:
        """A row with this address."""
        if not self._holders:
            for row in reversed(self._rows.values()):
                self._holders.update((key(each), row) for each in addresses(self.table, row, self._settings))
        return self._holders.get(key(address))

    def add(self, name: str, address: str) -> Row:
        """A new row with this id, where there is a column for it, and this address."""
        row = self.table.add()
        if self._settings.id_column in self.table.places:
            self.table.put(row, self._settings.id_column, name)
        self.table.put(row, self._settings.address_columns[0], cell(address, self.table.encoding))
        self._rows[self.name_of_new(name, address)] = row
        self._holders[key(address)] = row
        return row

    def name_of_new(self, name: str, address: str) -> str:
        """The id that a new row is read with."""
        return name if self._settings.id_column in self.table.places else key(address)

    def renamed(self, row: Row) -> str:
        """The id of a row whose address was changed."""
        self._ids = dict(_ids(self.table, self._settings))
        self._rows = {rid: self.table.rows[place] for place, rid in self._ids.items()}
        self._holders = {}
        return next(rid for rid, each in self._rows.items() if each is row)

    def remove_alike(self, row: Row) -> None:
        """Removes the row and all others with the same id, if any, and the same addresses."""
        found = self._names(row)
        alike = {id(each) for each in self._rows.values() if self._names(each) == found}
        self.table.rows = [each for each in self.table.rows if id(each) not in alike]

    def _names(self, row: Row) -> tuple[str, frozenset[str]]:
        listed = addresses(self.table, row, self._settings)
        return self.table.get(row, self._settings.id_column).strip(), frozenset(map(key, listed))

    def show(self, place: int, spec: ReadSpec) -> Record | RowFault | None:
        """What a row is; None for a blank line."""
        row = self.table.rows[place]
        if not any(text.strip() for text in row.cells):
            return None
        where, rid = f"{self._name}:{row.line}", self._ids.get(place)
        if rid is None:
            message = f"{where}{self._wrong(row)}; mend the line"
            return RowFault(record=self._name_of_odd(row) or where, field=None, message=message)
        try:
            return self.record(row, rid, spec)
        except Unreadable as fault:
            message = f"{where}: column {fault.column} is a yes/no column and says neither; write yes, no or nothing"
            readable = self._readable(row, rid, spec)
            return RowFault(record=rid, field=fault.column, message=message, value=fault.text, readable=readable)

    def _name_of_odd(self, row: Row) -> str:
        """By which a row whose cells are not those of the columns may be known: its id, or else its address. Empty
        where it shows neither."""
        place = self.table.places.get(self._settings.id_column, len(row.cells))
        name = row.cells[place].strip() if place < len(row.cells) else ""
        texts = (str(value(text.strip()) or "") for text in row.cells)
        return name or next((key(text) for text in texts if is_address(text)), "")

    def _wrong(self, row: Row) -> str:
        if row.torn_to:
            return f" to {row.torn_to}: a quotation mark is missing, and lines after the first may be other people's"
        if len(row.cells) == len(self.table.columns):
            return ": neither an id nor an address"
        return f": {len(row.cells)} cells and {len(self.table.columns)} columns"

    def is_unreadable(self, row: Row, column: str) -> bool:
        """Whether this cell of a yes/no column says neither."""
        try:
            self._flag(row, column)
        except Unreadable:
            return True
        return False

    def record(self, row: Row, rid: str, spec: ReadSpec) -> Record:
        """Raises ``Unreadable``."""
        table = self.table
        return Record(
            id=rid,
            addresses=addresses(table, row, self._settings),
            topics={column: self._flag(row, column) for column in spec.topics},
            fields={
                column: self._flag(row, column) if column in spec.flags else value(table.get(row, column))
                for column in spec.fields
            },
            lists=frozenset(name for name, where in spec.lists.items() if self._belongs(row, where)),
        )

    def _readable(self, row: Row, rid: str, spec: ReadSpec) -> Record:
        """What the yes/no columns say that say anything."""
        flags = {column for column in spec.flags if not self.is_unreadable(row, column)}
        topics = {column for column in spec.topics if not self.is_unreadable(row, column)}
        return Record(
            id=rid,
            topics={column: self._flag(row, column) for column in topics},
            fields={column: self._flag(row, column) for column in flags},
        )

    def _belongs(self, row: Row, where: Mapping[str, object]) -> bool:
        return all(self._is_wanted(self.table.get(row, column).strip(), wanted) for column, wanted in where.items())

    def _is_wanted(self, text: str, wanted: object) -> bool:
        if isinstance(wanted, list | tuple):
            return any(self._is_wanted(text, each) for each in wanted)
        # In a configuration `true` is no text: it means each of the words for yes.
        return self._settings.words.get(text.lower()) is wanted if isinstance(wanted, bool) else text == str(wanted)

    def _flag(self, row: Row, column: str) -> bool | None:
        text = self.table.get(row, column)
        try:
            return truth(text, self._settings.words)
        except BadCell:
            raise Unreadable(column, text) from None

    def word(self, column: str, *, is_yes: bool) -> str:
        """Yes or no as the column says it already."""
        settings, words = self._settings, self._settings.words
        if (column, is_yes) not in self._found_words:
            cells = (self.table.rows[place].cells[self.table.places[column]].strip() for place in self._ids)
            found = (text for text in cells if words.get(text.lower()) is is_yes)
            self._found_words[column, is_yes] = next(found, settings.yes if is_yes else settings.no)
        return self._found_words[column, is_yes]


class Unreadable(Exception):
    """A yes/no column of a row says something else."""

    def __init__(self, column: str, text: str) -> None:
        self.column = column
        self.text = text
        super().__init__(column)


def _ids(table: Table, settings: CsvSettings) -> Iterator[tuple[int, str]]:
    """An id that several rows have says nothing about which is which: then the address tells them apart, so that
    every row is seen, whatever the order in which somebody sorts them."""
    width = len(table.columns)
    rows = {place: row for place, row in enumerate(table.rows) if len(row.cells) == width and not row.torn_to}
    own = {place: table.get(row, settings.id_column).strip() for place, row in rows.items()}
    counts: dict[str, int] = {}
    for name in own.values():
        counts[name] = counts.get(name, 0) + 1
    taken = {name for name, count in counts.items() if count == 1}
    for place, row in rows.items():
        name = own[place]
        if name and counts[name] == 1:
            yield place, name
            continue
        first = next(iter(addresses(table, row, settings)), "")
        wanted = "/".join(part for part in (name, key(first) if first else "") if part)
        number, rid = 1, wanted
        while rid in taken:
            number, rid = number + 1, f"{wanted}/{number + 1}"
        if wanted:
            taken.add(rid)
            yield place, rid
