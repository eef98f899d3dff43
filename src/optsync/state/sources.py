"""Sources: the collections that are read, with their cursors and the current scan."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from optsync.state.prepared import Prepared, any_of
from optsync.state.rows import chunks, insert_from, insert_new
from optsync.state.schema import scan, source, system_record, ticked

# What its system was asked belongs to :mod:`optsync.state.unasked`.
_SOURCE = sa.select(*(column for column in source.c if column.name not in ("ticket", "asked_at")))
_ALL = Prepared(_SOURCE.order_by(source.c.id))
_FIND = Prepared(_SOURCE.where(source.c.system == bindparam("of"), source.c.collection == bindparam("collected")))
_MINE = source.c.id == bindparam("key")
_BEGIN = Prepared(
    sa.update(source)
    .where(_MINE)
    .values(
        spec=bindparam("spec"),
        cursor=bindparam("cursor"),
        scan_started_at=bindparam("full_since"),
        is_known=bindparam("is_known"),
    )
)
_PLACE = bindparam("cursor", type_=sa.Text)
# In one statement: whoever gives the place up at this very moment waits, or is waited for.
_UNLESS_GIVEN_UP = sa.case(
    (source.c.cursor.is_not_distinct_from(bindparam("saved", type_=sa.Text)), _PLACE), else_=sa.null()
)
_ADVANCE = Prepared(sa.update(source).where(_MINE).values(cursor=_UNLESS_GIVEN_UP))
_GIVE_UP = Prepared(sa.update(source).where(_MINE).values(cursor=None))
_END: dict[str, Any] = {
    "cursor": _UNLESS_GIVEN_UP,
    "read_at": bindparam("at"),
    "scan_started_at": None,
    "is_known": True,
}
_FINISH = Prepared(sa.update(source).where(_MINE).values(_END))
_FINISH_FULL = Prepared(sa.update(source).where(_MINE).values({**_END, "full_at": bindparam("full_at")}))

_CLEAR = Prepared(sa.delete(scan).where(scan.c.source_id == bindparam("source")))
_WAS_SHOWN = sa.exists().where(scan.c.source_id == bindparam("source"), scan.c.record_id == system_record.c.id)
_IS_THERE = sa.and_(system_record.c.source_id == bindparam("source"), ~system_record.c.is_gone)
_MISSING = Prepared(
    sa.select(system_record.c.id)
    .where(_IS_THERE, system_record.c.id > bindparam("after"), ~_WAS_SHOWN)
    .order_by(system_record.c.id)
    .limit(bindparam("limit"))
)
_KNOWN = Prepared(sa.select(sa.func.count()).select_from(system_record).where(_IS_THERE))
_OF_SCAN = sa.and_(scan.c.source_id == bindparam("source"), scan.c.record_id == system_record.c.id)
_COUNT_SHOWN = (
    sa.select(sa.func.count(system_record.c.id).label("known"), sa.func.count(scan.c.record_id).label("shown"))
    .select_from(system_record.outerjoin(scan, _OF_SCAN))
    .where(_IS_THERE)
)
_COUNT_ALL_SHOWN = Prepared(_COUNT_SHOWN)
_COUNT_OLDER_SHOWN = Prepared(_COUNT_SHOWN.where(system_record.c.first_seen_at < bindparam("before")))
_SHOWN = Prepared(
    sa.select(scan.c.record_id).where(scan.c.source_id == bindparam("source"), scan.c.record_id.in_(any_of("keys")))
)
_SCANNED = ("source_id", "record_id", "is_news")
# From the records themselves: a row is in the database already and need not be brought there for each of a full read.
_SHOWING = {
    is_news: sa.select(system_record.c.source_id, system_record.c.id, sa.true() if is_news else sa.false()).where(
        system_record.c.id.in_(any_of("keys"))
    )
    for is_news in (True, False)
}
_TICKED = Prepared(sa.select(ticked.c.source_id, ticked.c.topic).where(ticked.c.source_id.in_(any_of("sources"))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One collection of one system. ``scan_started_at`` is set while a full read is under way; ``is_known``
    once it was read to its end."""

    id: int
    system: str
    collection: str
    spec: str
    cursor: str | None
    scan_started_at: datetime | None
    read_at: datetime | None
    full_at: datetime | None
    is_known: bool


class Sources:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def require(self, system: str, collection: str) -> Source:
        """The source of that name; made when it is new, which takes a writing transaction."""
        known = self.find(system, collection)
        if known is not None:
            return known
        insert_new(
            self._connection, source, [{"system": system, "collection": collection, "spec": "", "is_known": False}]
        )
        found = self.find(system, collection)
        if found is None:
            raise LookupError(f"source {system}/{collection} vanished")
        return found

    def find(self, system: str, collection: str) -> Source | None:
        rows = _FIND.dicts(self._connection, of=system, collected=collection)
        return Source(**rows[0]) if rows else None

    def all(self) -> Sequence[Source]:
        return [Source(**row) for row in _ALL.dicts(self._connection)]

    def begin_read(self, begun: Source) -> None:
        """Stores the source as its read begins: what its readings mean, where it starts, whether it is a full one."""
        _BEGIN.run(
            self._connection,
            key=begun.id,
            spec=begun.spec,
            cursor=begun.cursor,
            full_since=begun.scan_started_at,
            is_known=begun.is_known,
        )

    def note_full(self, source_id: int, *, since: datetime) -> None:
        """The read under way turned out to be a full one, if it was not known to be."""
        unknown = (source.c.id == source_id, source.c.scan_started_at.is_(None))
        self._connection.execute(sa.update(source).where(*unknown).values(scan_started_at=since))

    def retire(self, source_id: int, name: str) -> None:
        """Keeps a source with its records under another system's name: nothing reads or matches them any more."""
        self._connection.execute(sa.update(source).where(source.c.id == source_id).values(system=name[:100]))

    def clear_scan(self, source_id: int) -> None:
        _CLEAR.run(self._connection, source=source_id)

    def advance(self, source_id: int, cursor: str | None, *, saved: str | None) -> None:
        """Saves the place after a page, in the transaction that saves its rows. ``saved``: what this read has saved (or
        found) last; if that place was given up since, it stays so."""
        _ADVANCE.run(self._connection, key=source_id, cursor=cursor, saved=saved)

    def read_anew(self, source_id: int) -> None:
        """Gives the place up: the next read shows everything, whatever one that is under way still saves."""
        _GIVE_UP.run(self._connection, key=source_id)

    def finish_read(
        self, source_id: int, *, cursor: str | None, saved: str | None, at: datetime, full_at: datetime | None
    ) -> None:
        """The read came to its end; ``full_at`` when it showed everything, ``saved`` as in :meth:`advance`."""
        if full_at is None:
            _FINISH.run(self._connection, key=source_id, cursor=cursor, saved=saved, at=at)
        else:
            _FINISH_FULL.run(self._connection, key=source_id, cursor=cursor, saved=saved, at=at, full_at=full_at)

    def note_shown(self, keys: Iterable[int], *, is_news: bool) -> None:
        """Remembers that the current read of their source has shown these records."""
        for part in chunks(sorted(keys)):
            insert_from(self._connection, scan, _SCANNED, _SHOWING[is_news], keys=part)

    def missing(self, source_id: int, *, after: int = 0, limit: int = 500) -> list[int]:
        """The next records, by key, that are known and were not shown by the current read."""
        return _MISSING.scalars(self._connection, source=source_id, after=after, limit=limit)

    def count_missing(self, source_id: int, *, before: datetime | None) -> tuple[int, int]:
        """How many records are known (of those first seen before the time given), and how many of them the current
        read has not shown."""
        if before is None:
            ((known, shown),) = _COUNT_ALL_SHOWN.all(self._connection, source=source_id)
        else:
            ((known, shown),) = _COUNT_OLDER_SHOWN.all(self._connection, source=source_id, before=before)
        return int(known), int(known) - int(shown)

    def shown(self, source_id: int, keys: Iterable[int]) -> set[int]:
        """Those of the records that the current read has shown."""
        found: set[int] = set()
        for part in chunks(keys):
            found.update(_SHOWN.scalars(self._connection, source=source_id, keys=part))
        return found

    def count_known(self, source_id: int) -> int:
        return int(_KNOWN.scalar(self._connection, source=source_id))

    # topics that somebody has ticked

    def note_ticked(self, source_id: int, topics: Iterable[str]) -> None:
        insert_new(self._connection, ticked, [{"source_id": source_id, "topic": t} for t in sorted(topics)])

    def ticked(self, source_ids: Sequence[int]) -> set[tuple[int, str]]:
        return {(key, topic) for key, topic in _TICKED.all(self._connection, sources=source_ids)}
