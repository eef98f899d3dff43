"""Changes of rows: all of a call in one replacement of the file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from optsync.connect.contract import Context
from optsync.errors import SystemUnavailable
from optsync.model.change import Fact, Outcome, Result, Write, WriteKind
from optsync.model.contact_point import InvalidAddress, normalise
from optsync.model.page import ReadSpec
from optsync.model.record import Record, Value
from optsync_csv import mapping
from optsync_csv.disk import ChangedMeanwhile
from optsync_csv.mapping import BadCell, Sheet, Unreadable, ValueRefused
from optsync_csv.settings import CsvSettings
from optsync_csv.store import SavedOrNot, Store
from optsync_csv.table import Row

Edit = Callable[[Sheet], Outcome]
_ROUNDS = 10
_HIDDEN = "the row may stand in a line that cannot be read; mend the line"
_KINDS = (WriteKind.STATUS, WriteKind.FIELDS, WriteKind.TOPICS, WriteKind.CREATE, WriteKind.RENAME)


class Writer:
    """Changes one file."""

    def __init__(self, store: Store, settings: CsvSettings, context: Context) -> None:
        self._store = store
        self._settings = settings
        self._context = context
        self._beside: dict[str, Sequence[str]] = {}
        """By permissive write: the wishes of its row when it was first tried."""

    def write(self, writes: Sequence[Write], spec: ReadSpec) -> list[Outcome]:
        """One outcome per write, in order. Raises ``SystemUnavailable`` while nothing was written."""
        self._beside = {}
        return self._edit([partial(self._one, write=each, spec=spec) for each in writes])

    def forget(self, rid: str) -> Outcome:
        """Deletes a row, and with it those that nothing but their place tells from it: the next of them would have
        its id from then on."""

        def delete(sheet: Sheet) -> Outcome:
            row = sheet.find(rid)
            if row is None:
                return _gone(sheet, rid, rid)
            sheet.remove_alike(row)
            return Outcome(key=rid, result=Result.APPLIED, record_id=rid)

        return self._edit([delete])[0]

    def _edit(self, edits: Sequence[Edit]) -> list[Outcome]:
        """Reads, edits and saves; again, when somebody else saved the file in between."""
        if self._context.is_read_only and edits:
            raise AssertionError(f"{self._context.system}: a dry run tried to write")
        for _ in range(_ROUNDS):
            before, sheet = self._store.load()
            outcomes = [edit(sheet) for edit in edits]
            if not any(outcome.result is Result.APPLIED for outcome in outcomes):
                return outcomes
            try:
                self._store.save(sheet.table.render(), before=before)
            except ChangedMeanwhile:
                continue
            except SavedOrNot as doubt:
                return [_in_doubt(outcome, str(doubt)) for outcome in outcomes]
            return outcomes
        raise SystemUnavailable(
            self._context.system, f"{self._settings.path} changes all the time; nothing was written"
        )

    def _one(self, sheet: Sheet, write: Write, spec: ReadSpec) -> Outcome:
        if write.kind not in _KINDS or write.status is not None:
            return _no(write, Fact.NOT_ALLOWED, f"a file has columns: no {write.kind} and no status but its flags")
        if write.kind in (WriteKind.CREATE, WriteKind.RENAME):
            try:
                normalise(write.address or "")
                mapping.fitting(write.address or "", sheet.table.encoding)
            except (InvalidAddress, ValueRefused) as error:
                return _invalid(write, self._settings.address_columns[0], str(error))
        row = sheet.find(write.record or "")
        if row is None and write.kind is not WriteKind.CREATE:
            return _gone(sheet, write.key, write.record)
        try:
            cells = self._cells(sheet, write, spec)
        except _Refused as refused:
            return _invalid(write, refused.column, str(refused))
        if row is None:
            return self._create(sheet, write, cells, spec)
        return self._update(sheet, write, row, cells, spec)

    def _create(self, sheet: Sheet, write: Write, cells: Mapping[str, str], spec: ReadSpec) -> Outcome:
        address = (write.address or "").strip()
        if sheet.holder(address) is not None:
            return _no(write, Fact.EXISTS, "a row has this address")
        if sheet.may_hide(mapping.key(address)):
            return _not_now(write, _HIDDEN)
        name = f"o{self._context.rng.getrandbits(48):012x}"
        row = sheet.add(name, address)
        return self._done(sheet, write, row, cells, spec, rid=sheet.name_of_new(name, address))

    def _update(self, sheet: Sheet, write: Write, row: Row, cells: Mapping[str, str], spec: ReadSpec) -> Outcome:
        rid = write.record or ""
        table = sheet.table
        if reason := self._why_not(sheet, write, row, cells, spec):
            return _not_now(write, reason)
        if all(self._is_same(table.get(row, column), text, column, spec) for column, text in cells.items()):
            shown = self._shown(sheet, row, rid, spec)
            return Outcome(key=write.key, result=Result.SAME, record_id=rid, record=shown)
        return self._done(sheet, write, row, cells, spec, rid=rid)

    def _why_not(self, sheet: Sheet, write: Write, row: Row, cells: Mapping[str, str], spec: ReadSpec) -> str | None:
        if write.kind is WriteKind.RENAME:
            now = next(iter(mapping.addresses(sheet.table, row, self._settings)), "")
            is_another = write.former is not None and mapping.key(now) != mapping.key(write.former)
            return "another address has come to be the first one; nothing was overwritten" if is_another else None
        if self._is_overtaken(sheet, write, row, spec):
            return "somebody has changed a wish of the row meanwhile; nothing was written over it"
        own = {c for c in cells if c in spec.flags | spec.topics}
        # It may well be a no, and what permits something must not stand beside one.
        beside = spec.flags if write.kind in (WriteKind.STATUS, WriteKind.TOPICS) else frozenset()
        odd = [] if write.restrictive else sorted(own | beside)
        column = next((each for each in odd if sheet.is_unreadable(row, each)), None)
        return column and f"{column} says neither yes nor no, and was left as it is; mend line {row.line}"

    def _is_overtaken(self, sheet: Sheet, write: Write, row: Row, spec: ReadSpec) -> bool:
        """Whether what permits something would now stand over what somebody saved since it was first tried."""
        if write.kind not in (WriteKind.STATUS, WriteKind.TOPICS) or write.restrictive:
            return False
        columns = sorted((spec.flags | spec.topics) & sheet.table.places.keys())
        wishes = [sheet.table.get(row, column) for column in columns]
        return self._beside.setdefault(write.key, wishes) != wishes

    def _done(
        self, sheet: Sheet, write: Write, row: Row, cells: Mapping[str, str], spec: ReadSpec, *, rid: str
    ) -> Outcome:
        for column, text in cells.items():
            sheet.table.put(row, column, text)
        if self._settings.updated_column in sheet.table.places:
            stamp = self._context.clock.now().isoformat(timespec="seconds")
            sheet.table.put(row, str(self._settings.updated_column), stamp)
        if write.kind is WriteKind.RENAME:
            rid = sheet.renamed(row)
        shown = self._shown(sheet, row, rid, spec)
        return Outcome(key=write.key, result=Result.APPLIED, record_id=rid, record=shown)

    def _is_same(self, now: str, wanted: str, column: str, spec: ReadSpec) -> bool:
        """Yes is yes, however it is spelt."""
        if column not in spec.flags | spec.topics:
            return now == wanted
        try:
            return mapping.truth(now, self._settings.words) is mapping.truth(wanted, self._settings.words)
        except BadCell:
            return False

    def _shown(self, sheet: Sheet, row: Row, rid: str, spec: ReadSpec) -> Record | None:
        try:
            return sheet.record(row, rid, spec)
        except Unreadable:
            return None

    def _cells(self, sheet: Sheet, write: Write, spec: ReadSpec) -> dict[str, str]:
        """Column -> new text, all of them checked before any is written."""
        if write.kind is WriteKind.RENAME:
            address = mapping.cell((write.address or "").strip(), sheet.table.encoding)
            return {self._settings.address_columns[0]: address}
        values: dict[str, Value] = {}
        if write.kind is not WriteKind.TOPICS:
            values |= write.fields
        if write.kind in (WriteKind.TOPICS, WriteKind.CREATE):
            values |= write.topics
        return {column: self._cell(sheet, column, value, spec) for column, value in values.items()}

    def _cell(self, sheet: Sheet, column: str, value: Value, spec: ReadSpec) -> str:
        own = {self._settings.id_column, self._settings.updated_column, *self._settings.address_columns}
        if column not in sheet.table.places or column in own:
            raise _Refused(column, "there is no such column, or it is the id, an address or the time of change")
        if value is not None and not isinstance(value, bool) and (column in spec.flags or column in spec.topics):
            raise _Refused(column, "a yes/no column takes yes and no")
        try:
            if isinstance(value, bool):
                return mapping.fitting(sheet.word(column, is_yes=value), sheet.table.encoding)
            return mapping.cell(value, sheet.table.encoding)
        except ValueRefused as refused:
            raise _Refused(column, str(refused)) from None


class _Refused(Exception):
    def __init__(self, column: str, message: str) -> None:
        super().__init__(message)
        self.column = column


def _no(write: Write, fact: Fact, message: str) -> Outcome:
    return Outcome(key=write.key, result=Result.REFUSED, record_id=write.record, fact=fact, message=message)


def _not_now(write: Write, message: str) -> Outcome:
    return Outcome(key=write.key, result=Result.FAILED, record_id=write.record, message=message)


def _gone(sheet: Sheet, key: str, rid: str | None) -> Outcome:
    if sheet.may_hide(rid or ""):
        return Outcome(key=key, result=Result.FAILED, record_id=rid, message=_HIDDEN)
    message = "the row is not there any more"
    return Outcome(key=key, result=Result.REFUSED, record_id=rid, fact=Fact.GONE, message=message)


def _invalid(write: Write, column: str, message: str) -> Outcome:
    return Outcome(key=write.key, result=Result.INVALID, record_id=write.record, field=column, message=message)


def _in_doubt(outcome: Outcome, message: str) -> Outcome:
    if outcome.result is not Result.APPLIED:
        return outcome
    return replace(outcome, result=Result.UNKNOWN, record=None, message=message)
