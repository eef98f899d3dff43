"""Sources: the collections that are read, with their cursors and the current scan."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from optsync.state.rows import chunks, insert_new
from optsync.state.schema import scan, source, system_record, ticked


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
        query = sa.select(source).where(source.c.system == system, source.c.collection == collection)
        row = self._connection.execute(query).mappings().one_or_none()
        return Source(**row) if row else None

    def all(self) -> Sequence[Source]:
        rows = self._connection.execute(sa.select(source).order_by(source.c.id)).mappings()
        return [Source(**row) for row in rows]

    def begin_read(
        self, source_id: int, *, spec: str, cursor: str | None, full_since: datetime | None, is_known: bool
    ) -> None:
        """Starts a read: a full one if ``full_since`` says when it began."""
        self._connection.execute(
            sa.update(source)
            .where(source.c.id == source_id)
            .values(spec=spec, cursor=cursor, scan_started_at=full_since, is_known=is_known)
        )

    def retire(self, source_id: int, name: str) -> None:
        """Keeps a source with its records under another system's name: nothing reads or matches them any more."""
        self._connection.execute(sa.update(source).where(source.c.id == source_id).values(system=name[:100]))

    def clear_scan(self, source_id: int) -> None:
        self._connection.execute(sa.delete(scan).where(scan.c.source_id == source_id))

    def advance(self, source_id: int, cursor: str | None) -> None:
        """Saves the place after a page, in the transaction that saves its rows."""
        self._connection.execute(sa.update(source).where(source.c.id == source_id).values(cursor=cursor))

    def finish_read(self, source_id: int, *, cursor: str | None, at: datetime, full_at: datetime | None) -> None:
        """The read came to its end; ``full_at`` when it showed everything."""
        values: dict[str, object] = {"cursor": cursor, "read_at": at, "scan_started_at": None, "is_known": True}
        if full_at is not None:
            values["full_at"] = full_at
        self._connection.execute(sa.update(source).where(source.c.id == source_id).values(**values))

    def note_shown(self, source_id: int, shown: Iterable[tuple[int, bool]]) -> None:
        """Remembers that the current read has shown these records; True where the reading was news."""
        rows = [{"source_id": source_id, "record_id": key, "is_news": is_news} for key, is_news in shown]
        insert_new(self._connection, scan, rows)

    def missing(self, source_id: int, *, after: int = 0, limit: int = 500) -> list[int]:
        """The next records, by key, that are known and were not shown by the current read."""
        was_shown = sa.exists().where(scan.c.source_id == source_id, scan.c.record_id == system_record.c.id)
        query = (
            sa.select(system_record.c.id)
            .where(
                system_record.c.source_id == source_id, system_record.c.id > after, ~system_record.c.is_gone, ~was_shown
            )
            .order_by(system_record.c.id)
            .limit(limit)
        )
        return list(self._connection.execute(query).scalars())

    def count_missing(self, source_id: int, *, before: datetime | None) -> tuple[int, int]:
        """How many records are known (of those first seen before the time given), and how many of them the current
        read has not shown."""
        was_shown = sa.exists().where(scan.c.source_id == source_id, scan.c.record_id == system_record.c.id)
        where = [system_record.c.source_id == source_id, ~system_record.c.is_gone]
        if before is not None:
            where.append(system_record.c.first_seen_at < before)
        count = sa.select(sa.func.count()).select_from(system_record)
        known = self._connection.execute(count.where(*where)).scalar_one()
        missing = self._connection.execute(count.where(*where, ~was_shown)).scalar_one()
        return int(known), int(missing)

    def shown(self, source_id: int, keys: Iterable[int]) -> set[int]:
        """Those of the records that the current read has shown."""
        found: set[int] = set()
        for part in chunks(keys):
            query = sa.select(scan.c.record_id).where(scan.c.source_id == source_id, scan.c.record_id.in_(part))
            found.update(self._connection.execute(query).scalars())
        return found

    def count_shown(self, source_id: int) -> int:
        query = sa.select(sa.func.count()).select_from(scan).where(scan.c.source_id == source_id)
        return int(self._connection.execute(query).scalar_one())

    def count_known(self, source_id: int) -> int:
        query = (
            sa.select(sa.func.count())
            .select_from(system_record)
            .where(system_record.c.source_id == source_id, ~system_record.c.is_gone)
        )
        return int(self._connection.execute(query).scalar_one())

    # topics that somebody has ticked

    def note_ticked(self, source_id: int, topics: Iterable[str]) -> None:
        insert_new(self._connection, ticked, [{"source_id": source_id, "topic": t} for t in sorted(topics)])

    def ticked(self, source_ids: Sequence[int]) -> set[tuple[int, str]]:
        rows = self._connection.execute(
            sa.select(ticked.c.source_id, ticked.c.topic).where(ticked.c.source_id.in_(source_ids))
        )
        return {(key, topic) for key, topic in rows}
