"""What can be said about a file before anything is synced."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from optsync.connect.contract import CollectionInfo, FieldInfo, Problem, Severity
from optsync.model.page import ReadSpec, RowFault
from optsync_csv.mapping import Sheet
from optsync_csv.settings import CsvSettings
from optsync_csv.table import Table


def collection(sheet: Sheet, settings: CsvSettings, name: str) -> CollectionInfo:
    """The columns that can be mapped."""
    table = sheet.table
    own = {settings.id_column, settings.updated_column, *settings.address_columns, ""}
    columns = [column for column in table.columns if column not in own]
    words = {column: _words(table, column) for column in columns}
    known = settings.words.keys()
    return CollectionInfo(
        id=name,
        name=settings.path.name,
        fields=tuple(
            FieldInfo(name=each, label=each, type="boolean" if words[each] and words[each] <= known else "text")
            for each in columns
        ),
        topics=tuple(column for column in columns if words[column] <= known),
    )


def problems(sheet: Sheet, settings: CsvSettings, spec: ReadSpec, name: str) -> Iterator[Problem]:
    """Everything in the specification that does not exist or does not fit, and rows that need a person."""
    if spec.collection != name:
        yield _error(f"a file has one entity, {name}; there is no {spec.collection}")
        return
    table = sheet.table
    known = settings.words.keys()
    can_be_mapped = {field.name for field in collection(sheet, settings, name).fields}
    for column in sorted(spec.fields | spec.topics):
        if column not in can_be_mapped:
            what = "is the id, an address or the time of change" if column in table.places else "is not in the header"
            yield _error(f"{settings.path}: the column {column} {what}; it cannot be mapped", column)
        elif column in spec.flags | spec.topics and not (words := _words(table, column)) <= known:
            odd = len(words - known)
            yield _error(f"{settings.path}: {column} must hold yes, no or nothing; it holds {odd} other words", column)
    for scope, where in spec.lists.items():
        yield from _lists(table, settings, scope, where)
    for column in sorted(settings.own_columns - set(table.columns)):
        yield _error(f"{settings.path}: the column {column} is not in the header", column)
    if settings.updated_column and settings.updated_column not in table.places:
        message = f"{settings.path}: the column {settings.updated_column} is not in the header; no change is stamped"
        yield Problem(severity=Severity.WARNING, message=message, field=settings.updated_column)
    yield from _rows(sheet, spec)


def _lists(table: Table, settings: CsvSettings, scope: str, where: Mapping[str, Any]) -> Iterator[Problem]:
    for column, wanted in where.items():
        if column not in table.places:
            yield _error(f"{settings.path}: list scope {scope}: there is no column {column}", column)
        elif not _can_be_met(wanted):
            what = 'a text, a number, true or false, or a list of them; "" is a blank cell'
            yield _error(f"{settings.path}: list scope {scope}: {column} is compared with {what}", column)


def _can_be_met(wanted: object) -> bool:
    """Otherwise nobody belongs to the list, and all of its members seem to have left it."""
    if isinstance(wanted, list | tuple):
        return bool(wanted) and all(map(_can_be_met, wanted))
    return isinstance(wanted, str | int | float | date)


def _rows(sheet: Sheet, spec: ReadSpec) -> Iterator[Problem]:
    shown = [sheet.show(place, spec) for place in range(len(sheet.table.rows))]
    faults = [each for each in shown if isinstance(each, RowFault)]
    for fault in faults[:3]:
        yield Problem(severity=Severity.WARNING, message=fault.message, field=fault.field)
    if len(faults) > 3:
        yield Problem(severity=Severity.WARNING, message=f"{len(faults) - 3} more lines cannot be used")


def _words(table: Table, column: str) -> set[str]:
    rows = (row for row in table.rows if len(row.cells) == len(table.columns))
    return {word for row in rows if (word := table.get(row, column).strip().lower())}


def _error(message: str, column: str | None = None) -> Problem:
    return Problem(severity=Severity.ERROR, message=message, field=column)
