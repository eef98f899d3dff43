"""The connector: a file as a CRM, a row as a record."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from optsync.connect.contract import Absence, Capabilities, CollectionInfo, Context, Health
from optsync.connect.settings import CrmSide, EspSide, SystemSettings
from optsync.errors import SystemUnavailable
from optsync.model.change import Outcome, Write
from optsync.model.page import Page, ReadSpec, RowFault
from optsync.model.record import Record, Side
from optsync_csv.checking import collection, problems
from optsync_csv.disk import Disk
from optsync_csv.mapping import Sheet
from optsync_csv.settings import CsvSettings
from optsync_csv.store import Store, fingerprint
from optsync_csv.writing import Writer

PAGE = 2000
COLLECTION = "contact"


class Csv:
    """One file. It keeps no history: a file that changed is read from its first line to its last."""

    name: ClassVar[str] = "csv"
    capabilities: ClassVar[Capabilities] = Capabilities(
        sides=frozenset({Side.CRM}),
        absence=Absence.DELETED,
        has_delta=False,
        delta_misses=("A file has no history: as soon as it changed, all of it is read and compared.",),
        read_page=PAGE,
        reread_batch=PAGE,
        write_batch=PAGE,
        write_shows_state=True,
        shows_words=False,
        speaks_http=False,
        entities=(COLLECTION,),
    )
    settings: ClassVar[type[SystemSettings]] = CsvSettings
    crm_side: ClassVar[type[CrmSide] | None] = CrmSide
    esp_side: ClassVar[type[EspSide] | None] = None
    disk: ClassVar[Callable[[Path], Disk]] = Disk

    def __init__(self, settings: CsvSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._store = Store(settings, context, type(self).disk(settings.path))
        self._writer = Writer(self._store, settings, context)

    @property
    def calls(self) -> int:
        """There are no requests."""
        return 0

    @property
    def clock_offset(self) -> float | None:
        """The clock is that of this machine; None before the file was read."""
        return 0.0 if self._store.was_read else None

    def check(self, specs: Sequence[ReadSpec]) -> Health:
        """See the contract. The account is the file's place."""
        _, sheet = self._store.load()
        return Health(
            account_id=str(self._settings.path.absolute()),
            account_name=self._settings.path.name,
            clock_offset=self.clock_offset,
            problems=tuple(problem for spec in specs for problem in problems(sheet, self._settings, spec, COLLECTION)),
        )

    def describe(self) -> Sequence[CollectionInfo]:
        """The columns; those of them that hold nothing but yes and no may be topics."""
        _, sheet = self._store.load()
        return [collection(sheet, self._settings, COLLECTION)]

    def read(self, spec: ReadSpec, cursor: str | None) -> Iterator[Page]:
        """See the contract. The last page's cursor is the file's fingerprint: while that is the same, the next read is
        one empty page, and the rows are not looked at."""
        content = self._store.read()
        mark = fingerprint(content, self._settings)
        start = _row_of(cursor, mark)
        if start is None:
            yield Page(records=(), cursor=cursor, is_last=True, is_full=False)
            return
        sheet = self._sheet(content, spec)
        total = len(sheet.table.rows)
        while True:
            end = min(start + PAGE, total)
            records, faults = _rows(sheet, spec, range(start, end))
            yield Page(
                records=records,
                faults=faults,
                cursor=json.dumps([mark, None if end == total else end]),
                is_last=end == total,
                is_full=True,
                is_complete=sheet.is_whole,
                expected_total=total,
            )
            if end == total:
                return
            start = end

    def read_ids(self, spec: ReadSpec, ids: Sequence[str]) -> Sequence[Record]:
        """See the contract. The whole file is read, however few are asked for."""
        if not ids:
            return []
        wanted = set(ids)
        sheet = self._sheet(self._store.read(), spec)
        if not (spec.fields or spec.topics) and any(sheet.find(each) is None and sheet.may_hide(each) for each in ids):
            # Asked for nothing but addresses: whoever is not there is taken for erased.
            message = f"{self._settings.path}: a row may stand in a line that cannot be read; mend the line"
            raise SystemUnavailable(self._context.system, message)
        shown, _ = _rows(sheet, spec, range(len(sheet.table.rows)))
        return [record for record in shown if record.id in wanted]

    def write(self, writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        """See the contract. All of a call is one replacement of the file: nothing goes before what restricts."""
        return self._writer.write(writes, spec) if writes else []

    def rename(self, writes: Sequence[Write], spec: ReadSpec) -> Sequence[Outcome]:
        """Writes the first address column."""
        return self.write(writes, spec)

    def forget(self, collection: str, record: str) -> Outcome:
        """Deletes the row; copies of the file are beyond reach."""
        del collection
        return self._writer.forget(record)

    def close(self) -> None:
        """Nothing is held open."""

    def _sheet(self, content: bytes, spec: ReadSpec) -> Sheet:
        """A column that vanished must not look like one in which everybody's tick was taken away."""
        sheet = self._store.sheet(content)
        lists = {column for where in spec.lists.values() for column in where}
        needed = spec.fields | spec.topics | lists | self._settings.own_columns
        if missing := sorted(needed - set(sheet.table.columns)):
            message = f"{self._settings.path}, line 1: the column {missing[0]} is not there; nothing was read"
            raise SystemUnavailable(self._context.system, message)
        return sheet


def _rows(sheet: Sheet, spec: ReadSpec, places: range) -> tuple[tuple[Record, ...], tuple[RowFault, ...]]:
    shown = [sheet.show(place, spec) for place in places]
    faults = tuple(each for each in shown if isinstance(each, RowFault))
    return tuple(each for each in shown if isinstance(each, Record)), faults


def _row_of(cursor: str | None, mark: str) -> int | None:
    """The row to go on with; None where the file is as it was when it was read to its end."""
    try:
        seen, row = json.loads(cursor or "")
    except (ValueError, TypeError):
        return 0
    if seen != mark or not (row is None or (isinstance(row, int) and row >= 0)):
        return 0
    return row
