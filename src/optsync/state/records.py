"""Observed records: what each system showed when it was last read or written."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from optsync.model.quick import quick_dataclass
from optsync.model.record import Record
from optsync.state.codec import decode_record, encode_record, fingerprint_of
from optsync.state.columns import Key
from optsync.state.prepared import Prepared, Row, any_of
from optsync.state.rows import CHUNK, chunks, take_ids
from optsync.state.schema import change, record_point, scan, source, system_record
from optsync.state.unsure import Unsure, dump_unsure, load_unsure
from optsync.state.words import numbered

_OF_SOURCE = system_record.c.source_id == bindparam("source")
_IS_PLAIN = sa.and_(~system_record.c.is_gone, system_record.c.missing_since.is_(None), system_record.c.unsure.is_(None))
_KNOWN = Prepared(
    sa.select(
        system_record.c.rid,
        system_record.c.id,
        system_record.c.fp,
        # As the database has it: a converter would run for every record of every full read.
        sa.type_coerce(_IS_PLAIN, sa.Integer).label("is_plain"),
    ).where(_OF_SOURCE, system_record.c.rid.in_(any_of("rids")))
)
_STORED = Prepared(sa.select(system_record.c.rid).where(system_record.c.rid.in_(any_of("rids"))))
_NEW = ("id", "source_id", "rid", "data", "fp", "first_seen_at", "read_at", "is_gone")
_SHAPE = bindparam("shape", type_=Key)
"""By its number, which is asked for once for many records."""
_INSERT = Prepared(sa.insert(system_record).values({name: bindparam(name) for name in _NEW} | {"shape": _SHAPE}))
_ONE = system_record.c.id == bindparam("key")
_REPLACE = Prepared(
    sa.update(system_record)
    .where(_ONE)
    .values(
        shape=_SHAPE,
        data=bindparam("data"),
        fp=bindparam("fp"),
        read_at=bindparam("read_at"),
        is_gone=bindparam("is_gone"),
        missing_since=None,
        unsure=None,
    )
)
_SET_FINGERPRINT = Prepared(sa.update(system_record).where(_ONE).values(fp=bindparam("fp")))
_SET_UNSURE = Prepared(sa.update(system_record).where(_ONE).values(unsure=bindparam("text")))
_LISTED = system_record.c.id.in_(any_of("keys"))
_CLEAR_UNSURE = Prepared(sa.update(system_record).where(_LISTED).values(unsure=None))
_DOUBTS = Prepared(
    sa.select(system_record.c.id, system_record.c.unsure).where(_LISTED, system_record.c.unsure.is_not(None))
)
_SET_MISSING = Prepared(
    sa.update(system_record).where(_LISTED).values(missing_since=bindparam("since"), is_gone=bindparam("is_gone"))
)
_SET_SKIPPED = Prepared(
    sa.update(system_record)
    .where(_LISTED, system_record.c.skipped.is_distinct_from(bindparam("reason")))
    .values(skipped=bindparam("reason"))
)
_DROP_POINTS = Prepared(sa.delete(record_point).where(record_point.c.record_id.in_(any_of("keys"))))
_ADD_POINT = Prepared(
    sa.insert(record_point).values(record_id=bindparam("record"), position=bindparam("at"), point_id=bindparam("point"))
)
_PARTS = ("id", "source_id", "rid", "shape", "data", "read_at", "missing_since", "is_gone", "unsure")
_LOAD = Prepared(
    sa.select(*(system_record.c[name] for name in _PARTS), source.c.system, source.c.collection)
    .join(source, source.c.id == system_record.c.source_id)
    .where(_LISTED)
    .order_by(system_record.c.id)
)
_POINTS = Prepared(
    sa.select(record_point.c.record_id, record_point.c.point_id)
    .where(record_point.c.record_id.in_(any_of("keys")))
    .order_by(record_point.c.record_id, record_point.c.position)
)
# The source is compared outside and not in SQL: given the choice, SQLite reads all records of a source.
_HOLDING = Prepared(
    sa.select(record_point.c.record_id, system_record.c.source_id)
    .join(system_record, system_record.c.id == record_point.c.record_id)
    .where(record_point.c.point_id.in_(any_of("points")))
)
_UNSURE = Prepared(sa.select(system_record.c.id).where(_OF_SOURCE, system_record.c.unsure.is_not(None)))
_FIRST_SEEN = Prepared(sa.select(system_record.c.id, system_record.c.first_seen_at).where(_LISTED))


def _outcomes() -> Prepared:
    of_run = (change.c.run == bindparam("run"), change.c.sync == bindparam("sync"), change.c.state != "superseded")
    received = sa.select(change.c.record_id).where(*of_run, change.c.record_id.is_not(None))
    # All of them at once: asked record by record, SQLite would go through the run's changes for each.
    caused = (
        sa.select(record_point.c.record_id).join(change, change.c.point_id == record_point.c.point_id).where(*of_run)
    )
    has_point = sa.exists().where(record_point.c.record_id == scan.c.record_id)
    outcome = sa.case(
        (scan.c.record_id.in_(received), "changed"),
        (sa.and_(scan.c.is_news, scan.c.record_id.in_(caused)), "changed"),
        (~has_point, "no_address"),
        (system_record.c.skipped.is_not(None), system_record.c.skipped),
        else_="same",
    ).label("outcome")
    found = (
        sa.select(outcome)
        .join(system_record, system_record.c.id == scan.c.record_id)
        .where(scan.c.source_id == bindparam("source"))
        .subquery()
    )
    return Prepared(sa.select(found.c.outcome, sa.func.count()).group_by(found.c.outcome))


_OUTCOMES = _outcomes()


_NONE: Mapping[str, bytes] = MappingProxyType({})


@quick_dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A stored record. ``points`` are the keys of its usable addresses in order."""

    key: int
    source_id: int
    system: str
    collection: str
    record: Record
    points: tuple[int, ...] = ()
    read_at: datetime
    missing_since: datetime | None = None
    is_gone: bool = False
    unsure: Unsure | None = None

    @property
    def is_plain(self) -> bool:
        """Neither missing, nor gone, nor with a write under way."""
        return self.unsure is None and not self.is_gone and self.missing_since is None


class Known(NamedTuple):
    """The little of a stored record that tells whether a reading is news. A full read makes one for each record there
    is, and a tuple is made several times as fast as a dataclass."""

    key: int
    fingerprint: bytes
    """The digest of the row that it was last seen in, or of the record itself where that came without one."""
    is_plain: bool


class Records:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def known(self, source_id: int, rids: Sequence[str]) -> dict[str, Known]:
        """Which of these record ids are stored."""
        found: dict[str, Known] = {}
        for part in chunks(rids):
            rows = _KNOWN.all(self._connection, source=source_id, rids=part)
            found.update((rid, Known(key, fingerprint, bool(is_plain))) for rid, key, fingerprint, is_plain in rows)
        return found

    def stored_ids(self, rids: Sequence[str]) -> set[str]:
        """Those of the ids that some record is stored under, in whatever source."""
        return set(_STORED.scalars(self._connection, rids=rids))

    def insert(
        self, source_id: int, records: Sequence[Record], *, at: datetime, digests: Mapping[str, bytes] = _NONE
    ) -> dict[str, int]:
        """Stores records seen for the first time; their keys by id. ``digests``, by record id: of rows that show just
        what is stored, by which it is recognised from now on."""
        keys: dict[str, int] = {}
        for part in chunks(records):
            rows = self._encoded(part, digests)
            for key, row, record in zip(take_ids(self._connection, system_record, len(part)), rows, part, strict=True):
                row |= {"id": key, "source_id": source_id, "rid": record.id}
                row |= {"first_seen_at": at, "read_at": at, "is_gone": False}
                keys[record.id] = key
            _INSERT.run_each(self._connection, rows)
        return keys

    def replace(
        self,
        records: Sequence[tuple[int, Record]],
        *,
        at: datetime,
        is_gone: bool = False,
        digests: Mapping[str, bytes] = _NONE,
    ) -> None:
        """Stores what these records show now; they are there, and nothing is unsure about them any more. ``digests``:
        see ``insert``; without one, what was known of the row does not count any more."""
        if not records:
            return
        rows = self._encoded([record for _, record in records], digests)
        for row, (key, _) in zip(rows, records, strict=True):
            row |= {"key": key, "read_at": at, "is_gone": is_gone}
        _REPLACE.run_each(self._connection, rows)

    def _encoded(self, records: Sequence[Record], digests: Mapping[str, bytes]) -> list[dict[str, Any]]:
        """The columns that what they show is stored in."""
        stored = [encode_record(record) for record in records]
        words = numbered(self._connection, {shape for shape, _ in stored})
        return [
            {"shape": words[shape], "data": data, "fp": digests.get(record.id) or fingerprint_of(record)}
            for record, (shape, data) in zip(records, stored, strict=True)
        ]

    def note_digests(self, digests: Mapping[int, bytes]) -> None:
        """By key: of rows that show just what is stored."""
        _SET_FINGERPRINT.run_each(self._connection, [{"key": key, "fp": fp} for key, fp in digests.items()])

    def set_rid(self, key: int, rid: str) -> None:
        """Notes that the system gave the record another id."""
        self._connection.execute(sa.update(system_record).where(system_record.c.id == key).values(rid=rid))

    def set_unsure(self, keys: Mapping[int, Unsure]) -> None:
        """Notes, before a write is sent, what the records show if it is applied."""
        rows = [{"key": key, "text": dump_unsure(unsure)} for key, unsure in keys.items()]
        _SET_UNSURE.run_each(self._connection, rows)

    def doubts(self, keys: Iterable[int]) -> dict[int, Unsure]:
        """Those of these records with a write whose outcome is not known, and what it wrote."""
        found: dict[int, Unsure] = {}
        for part in chunks(keys):
            for key, text in _DOUBTS.all(self._connection, keys=part):
                found[key] = load_unsure(text)
        return found

    def clear_unsure(self, keys: Iterable[int]) -> None:
        for part in chunks(keys):
            _CLEAR_UNSURE.run(self._connection, keys=part)

    def set_missing(self, keys: Iterable[int], *, since: datetime | None, is_gone: bool) -> None:
        for part in chunks(keys):
            _SET_MISSING.run(self._connection, keys=part, since=since, is_gone=is_gone)

    def set_gone(self, keys: Iterable[int]) -> None:
        """These records are believed to be deleted; since when they are missing stays."""
        for part in chunks(keys):
            self._connection.execute(sa.update(system_record).where(system_record.c.id.in_(part)).values(is_gone=True))

    def set_skipped(self, reasons: Mapping[int, str | None]) -> None:
        """Why the records got nothing when they were last looked at."""
        by_reason: dict[str | None, list[int]] = {}
        for key, reason in reasons.items():
            by_reason.setdefault(reason, []).append(key)
        for reason, keys in by_reason.items():
            for part in chunks(keys):
                _SET_SKIPPED.run(self._connection, keys=part, reason=reason)

    def set_points(self, points: Mapping[int, Sequence[int]]) -> None:
        """Replaces the addresses of these records."""
        for part in chunks(points):
            _DROP_POINTS.run(self._connection, keys=part)
        rows = [
            {"record": key, "at": position, "point": point}
            for key, listed in points.items()
            for position, point in enumerate(dict.fromkeys(listed))
        ]
        for rows_part in chunks(rows, 5000):
            _ADD_POINT.run_each(self._connection, rows_part)

    # loading

    def load(self, keys: Iterable[int]) -> list[Observed]:
        """These records with their points, by key."""
        found: list[Observed] = []
        for part in chunks(sorted(set(keys))):
            points = self._points_of(part)
            rows = _LOAD.all(self._connection, keys=part)
            found.extend(_observed(row, tuple(points.get(row[0], ()))) for row in rows)
        return found

    def by_rid(self, source_id: int, rids: Sequence[str]) -> dict[str, Observed]:
        """Stored records by the system's id."""
        known = self.known(source_id, rids)
        return {o.record.id: o for o in self.load(k.key for k in known.values())}

    def holding(self, point_keys: Collection[int], source_ids: Sequence[int] | None = None) -> set[int]:
        """Keys of the records that hold one of these points (in these sources)."""
        found: set[int] = set()
        for part in chunks(sorted(point_keys)):
            rows = _HOLDING.all(self._connection, points=part)
            found.update(key for key, source_id in rows if source_ids is None or source_id in source_ids)
        return found

    def unsure(self, source_id: int) -> list[int]:
        """Records with a write whose outcome is not known."""
        return _UNSURE.scalars(self._connection, source=source_id)

    def first_seen(self, keys: Collection[int]) -> dict[int, datetime]:
        """When each of these records was seen for the first time."""
        found: dict[int, datetime] = {}
        for part in chunks(sorted(keys)):
            found.update((key, at) for key, at in _FIRST_SEEN.all(self._connection, keys=part))
        return found

    def all_keys(self, source_id: int, *, after: int = 0, limit: int = CHUNK) -> list[int]:
        query = (
            sa.select(system_record.c.id)
            .where(system_record.c.source_id == source_id, system_record.c.id > after)
            .order_by(system_record.c.id)
            .limit(limit)
        )
        return list(self._connection.execute(query).scalars())

    def primary_points(self, source_ids: Sequence[int], *, after: int = 0, limit: int = CHUNK) -> list[int]:
        """The next points, by key, that are the primary address of a record in one of these sources."""
        query = (
            sa.select(record_point.c.point_id)
            .join(system_record, system_record.c.id == record_point.c.record_id)
            .where(
                record_point.c.position == 0, record_point.c.point_id > after, system_record.c.source_id.in_(source_ids)
            )
            .group_by(record_point.c.point_id)
            .order_by(record_point.c.point_id)
            .limit(limit)
        )
        return list(self._connection.execute(query).scalars())

    def without_points(self, source_id: int, *, after: int = 0, limit: int = CHUNK) -> list[int]:
        """The next records of a source, by key, that are there and hold no address that can be used."""
        has_point = sa.exists().where(record_point.c.record_id == system_record.c.id)
        query = (
            sa.select(system_record.c.id)
            .where(
                system_record.c.source_id == source_id,
                system_record.c.id > after,
                ~system_record.c.is_gone,
                ~has_point,
            )
            .order_by(system_record.c.id)
            .limit(limit)
        )
        return list(self._connection.execute(query).scalars())

    def outcomes(self, source_id: int, *, sync: str, run: str) -> dict[str, int]:
        """The records of the current scan by outcome: ``changed`` (they received a change of the run, or their
        reading was news about a point that has one), a reason why they were skipped, or ``same``."""
        rows = _OUTCOMES.all(self._connection, source=source_id, sync=sync, run=run)
        return {str(name): int(count) for name, count in rows}

    def _points_of(self, keys: Sequence[int]) -> dict[int, list[int]]:
        points: dict[int, list[int]] = {}
        for record_key, point in _POINTS.all(self._connection, keys=keys):
            points.setdefault(record_key, []).append(point)
        return points


def _observed(row: Row, points: tuple[int, ...]) -> Observed:
    """From the columns of ``_LOAD``, the key first."""
    key, source_id, rid, shape, data, read_at, missing_since, is_gone, unsure, system, collection = row
    return Observed(
        key=key,
        source_id=source_id,
        system=system,
        collection=collection,
        record=decode_record(rid, shape, data),
        points=points,
        read_at=read_at,
        missing_since=missing_since,
        is_gone=is_gone,
        unsure=None if unsure is None else load_unsure(unsure),
    )
