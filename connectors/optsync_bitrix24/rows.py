"""Rows of an entity as records: what its fields mean is worked out once and not for each of a million rows."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any

from optsync.connect.digests import Digests
from optsync.errors import RecordInvalid
from optsync.model.page import ReadSpec
from optsync.model.record import Record, Value
from optsync_bitrix24.mapping import ENTITIES, Fields, ValueRefused, addresses_of, moment, reader_of

_Reader = Callable[[Any], Value]


class Rows:
    """Makes records of the rows of ``crm.<entity>.list`` and ``get``, for one specification."""

    def __init__(self, spec: ReadSpec, fields: Fields, zone: tzinfo = UTC) -> None:
        """``zone``: of date-times without an offset."""
        self.spec = spec
        self.fields = fields
        self.zone = zone
        self._rank = ENTITIES.index(spec.collection)
        self._topics = _readers(spec.topics, fields, zone)
        self._values = _readers(spec.fields, fields, zone)
        asked = ((name, fields.get(name)) for name in spec.fields)
        self._options = [(name, field.options or {}) for name, field in asked if field and field.type == "enumeration"]
        self._digests = Digests(spec, fields, str(zone))

    def digest(self, row: Mapping[str, Any], lists: frozenset[str]) -> bytes:
        """Of all that ``record`` makes the same record of."""
        return self._digests.of((row, sorted(lists)))

    def record(self, row: Mapping[str, Any], lists: frozenset[str] = frozenset()) -> Record:
        """The row as a record of these list scopes.

        A plain value that does not fit its field is shown as the text that it is, a stamp that is no time as none: they
        must not hide what the record says besides.

        Raises:
            RecordInvalid: a flag or a topic does not fit.
        """
        name, get = "", row.get
        topics: dict[str, bool | None] = {}
        values: dict[str, Value] = {}
        try:
            for name, read in self._topics:
                raw = get(name)
                value = None if raw is None or raw == "" else read(raw)
                topics[name] = value if isinstance(value, bool) else None
            for name, read in self._values:
                raw = get(name)
                try:
                    values[name] = None if raw is None or raw == "" else read(raw)
                except ValueRefused:
                    if name in self.spec.flags:
                        raise
                    values[name] = str(raw)
        except ValueRefused as error:
            raise RecordInvalid(f"{name}: {error}", record=str(row.get("ID")), field=name) from None
        return Record(
            id=str(row["ID"]),
            addresses=addresses_of(get("EMAIL")),
            topics=topics,
            fields=values,
            created_at=self._stamp(get("DATE_CREATE")),
            modified_at=self._stamp(get("DATE_MODIFY")),
            lists=lists,
            rank=self._rank,
        )

    def _stamp(self, raw: Any) -> datetime | None:
        try:
            return moment(raw, self.zone)
        except ValueRefused:
            # What was imported into the database past the portal may have a stamp of the year zero or before.
            return None

    def holds_unknown_option(self, row: Mapping[str, Any]) -> bool:
        """Whether the row holds an option that the known descriptors lack: they are out of date."""
        for name, options in self._options:
            value = row.get(name)
            if not value or (type(value) is str and value in options):
                continue
            shown = {str(part) for part in (value if isinstance(value, list) else [value])}
            if shown - {"0", "", "None", "False"} - options.keys():
                return True
        return False


def _readers(names: Iterable[str], fields: Fields, zone: tzinfo) -> list[tuple[str, _Reader]]:
    return [(name, reader_of(fields[name], zone) if name in fields else _nothing) for name in sorted(names)]


def _nothing(_: Any) -> Value:
    """Of a field that the portal does not have."""
    return None
