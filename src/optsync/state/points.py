"""Contact points, and the backlog of those that must be looked at again."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from optsync.model.change import ChangeState
from optsync.model.statement import StatementKind
from optsync.state.columns import Key
from optsync.state.prepared import Prepared, any_of
from optsync.state.pseudonyms import Pseudonyms
from optsync.state.rows import chunks, count_up, insert_from, insert_new, insert_plainly, take_ids
from optsync.state.schema import (
    backlog,
    change,
    contact_point,
    link,
    record_point,
    standing,
    statement,
    system_record,
)
from optsync.state.words import numbered

_log = structlog.get_logger(__name__)

_LISTED = contact_point.c.id.in_(any_of("keys"))
_BY_ADDRESS = Prepared(
    sa.select(contact_point.c.email, contact_point.c.id).where(contact_point.c.email.in_(any_of("addresses")))
)
_ADDRESSES = Prepared(
    sa.select(contact_point.c.id, contact_point.c.email).where(_LISTED, contact_point.c.email.is_not(None))
)
_ACTIVE = Prepared(
    sa.select(contact_point.c.id, contact_point.c.active_at).where(_LISTED, contact_point.c.active_at.is_not(None))
)
_HAS_FORGOTTEN = Prepared(sa.select(contact_point.c.id).where(contact_point.c.hash.is_not(None)).limit(1))
_FORGOTTEN = Prepared(sa.select(contact_point.c.id).where(_LISTED, contact_point.c.email.is_(None)))
_AMONG_FORGOTTEN = Prepared(
    sa.select(contact_point.c.hash, contact_point.c.id).where(contact_point.c.hash.in_(any_of("hashes")))
)
_NAMELESS = Prepared(
    sa.select(contact_point.c.id).where(_LISTED, contact_point.c.email.is_(None), contact_point.c.hash.is_(None))
)
_HOLDERS = Prepared(
    sa.select(record_point.c.record_id)
    .join(contact_point, contact_point.c.id == record_point.c.point_id)
    .where(record_point.c.record_id.in_(any_of("records")), contact_point.c.email.is_(None))
)
_HASH_KEYS = Prepared(
    sa.select(contact_point.c.hash_key, sa.func.count())
    .where(contact_point.c.hash.is_not(None))
    .group_by(contact_point.c.hash_key)
)


def _idle() -> sa.Select[Any]:
    is_idle = sa.or_(contact_point.c.active_at.is_(None), contact_point.c.active_at < bindparam("before"))
    is_out = sa.exists().where(
        standing.c.point_id == contact_point.c.id, standing.c.scope == bindparam("about"), standing.c.wish == "out"
    )
    is_noted = link.c.frozen.like('%"inactive":true%')
    return (
        sa.select(bindparam("of", type_=backlog.c.sync.type), contact_point.c.id)
        .select_from(system_record)
        .join(link, sa.and_(link.c.esp_record == system_record.c.id, link.c.sync == bindparam("of")))
        .join(record_point, sa.and_(record_point.c.record_id == system_record.c.id, record_point.c.position == 0))
        .join(contact_point, contact_point.c.id == record_point.c.point_id)
        .where(system_record.c.source_id == bindparam("source"), ~system_record.c.is_gone, is_idle, ~is_out)
        .where(sa.or_(link.c.frozen.is_(None), ~is_noted))
        .distinct()
    )


_IDLE = _idle()
_RECOVERED = (
    sa.select(bindparam("of", type_=backlog.c.sync.type), statement.c.point_id)
    .where(
        statement.c.kind == StatementKind.SOFT_BOUNCE,
        statement.c.at > bindparam("after"),
        statement.c.at <= bindparam("until"),
    )
    .distinct()
)
_EVERYBODY = (
    sa.select(bindparam("of", type_=backlog.c.sync.type), record_point.c.point_id)
    .select_from(record_point)
    .join(system_record, system_record.c.id == record_point.c.record_id)
    .where(system_record.c.source_id.in_(any_of("sources")))
    .distinct()
    .order_by(record_point.c.point_id)  # as everybody marks: in another order two could wait for each other
)

_OF_SYNC = backlog.c.sync == bindparam("of")
_THESE = sa.and_(_OF_SYNC, backlog.c.point_id.in_(any_of("keys")))
_WAITING = Prepared(
    sa.select(backlog.c.point_id)
    .where(_OF_SYNC, backlog.c.point_id > bindparam("after"))
    .order_by(backlog.c.point_id)
    .limit(bindparam("limit"))
)
_STILL_WAITING = Prepared(sa.select(backlog.c.point_id).where(_THESE))
_COUNT_WAITING = Prepared(sa.select(sa.func.count()).select_from(backlog).where(_OF_SYNC))
# All of them at once: asked point by point, either database would go through the run's changes for each. (PostgreSQL
# does so for NOT IN as well, where they are too many for its memory.)
_TRIED = sa.select(change.c.point_id).where(
    change.c.run == bindparam("run"),
    change.c.sync == bindparam("of"),
    change.c.state.in_((ChangeState.REFUSED, ChangeState.FAILED)),
)
_UNTRIED = Prepared(sa.except_(sa.select(backlog.c.point_id).where(_OF_SYNC), _TRIED).limit(1))
_MARKS = sa.select(backlog.c.point_id, backlog.c.marks).where(_THESE)
_HOW_OFTEN = Prepared(_MARKS)
_FREE = Prepared(_MARKS.with_for_update(skip_locked=True))
_DONE = Prepared(sa.delete(backlog).where(_THESE))

_CACHED = Prepared(
    sa.delete(standing).where(
        standing.c.point_id.in_(any_of("keys")), sa.type_coerce(standing.c.scope, Key).in_(any_of("scopes"))
    )
)
_CACHE = Prepared(
    sa.insert(standing).values(
        point_id=bindparam("point"), scope=bindparam("about", type_=Key), wish=bindparam("found")
    )
)


class Points:
    def __init__(self, connection: Connection, pseudonyms: Pseudonyms) -> None:
        """``pseudonyms`` recognise forgotten addresses; they are asked only where somebody was forgotten."""
        self._connection = connection
        self._pseudonyms = pseudonyms
        self._has_forgotten: bool | None = None

    def find(self, addresses: Collection[str]) -> dict[str, int]:
        """Keys of the normalised addresses that are known, those of forgotten people included."""
        found = self._by_address(addresses)
        return found | self.forgotten_among(set(addresses) - found.keys())

    def _by_address(self, addresses: Collection[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for part in chunks(sorted(addresses)):
            found.update((email, key) for email, key in _BY_ADDRESS.all(self._connection, addresses=part))
        return found

    def require(self, addresses: Collection[str]) -> dict[str, int]:
        """Keys of the normalised addresses; unknown ones are made. Forgotten ones are hashed anew where an older key
        had done it: the address is at hand now."""
        found = self._by_address(addresses)
        forgotten = self.forgotten_among(set(addresses) - found.keys())
        self._hash_anew(forgotten)
        found |= forgotten
        missing = sorted(set(addresses) - found.keys())
        if missing and self._connection.dialect.name == "sqlite":  # nobody else can make them meanwhile
            keys = dict(zip(missing, take_ids(self._connection, contact_point, len(missing)), strict=True))
            insert_plainly(self._connection, contact_point, [{"id": key, "email": a} for a, key in keys.items()])
            found |= keys
        elif missing:
            insert_new(self._connection, contact_point, [{"email": a} for a in missing])
            found.update(self._by_address(missing))
        return found

    def addresses(self, keys: Iterable[int]) -> dict[int, str]:
        """The addresses of these keys; forgotten ones are left out."""
        found: dict[int, str] = {}
        for part in chunks(keys):
            found.update((key, email) for key, email in _ADDRESSES.all(self._connection, keys=part))
        return found

    # signs of life

    def active(self, keys: Iterable[int]) -> dict[int, datetime]:
        """When somebody last opened a mail sent to these points or followed a link, where it is known."""
        found: dict[int, datetime] = {}
        for part in chunks(keys):
            found.update((key, at) for key, at in _ACTIVE.all(self._connection, keys=part))
        return found

    def note_active(self, moments: Mapping[int, datetime]) -> None:
        """Moves the last sign of life of these points forward, never back."""
        rows = [{"key": key, "at": at} for key, at in sorted(moments.items())]
        if rows:
            is_news = sa.or_(contact_point.c.active_at.is_(None), contact_point.c.active_at < sa.bindparam("at"))
            self._connection.execute(
                sa.update(contact_point)
                .where(contact_point.c.id == sa.bindparam("key"), contact_point.c.email.is_not(None), is_news)
                .values(active_at=sa.bindparam("at")),
                rows,
            )

    def mark_idle(self, sync: str, source_id: int, scope: str, *, before: datetime) -> None:
        """Puts those on the sync's backlog who may have become inactive: joined members of a source without a sign of
        life since ``before``, who have not opted out and are not known as inactive."""
        given = {"of": sync, "source": source_id, "about": scope, "before": before}
        insert_from(self._connection, backlog, ("sync", "point_id"), _IDLE, **given)

    def mark_recovered(self, sync: str, *, after: datetime, until: datetime) -> None:
        """Puts those on the sync's backlog who had a temporary failure between these moments: it counts no more."""
        given = {"of": sync, "after": after, "until": until}
        insert_from(self._connection, backlog, ("sync", "point_id"), _RECOVERED, **given)

    # forgotten people

    def has_forgotten(self) -> bool:
        """Whether anybody is known by a keyed hash."""
        if self._has_forgotten is None:
            self._has_forgotten = bool(_HAS_FORGOTTEN.all(self._connection))
        return self._has_forgotten

    def forgotten_among(self, addresses: Collection[str]) -> dict[str, int]:
        """Keys of those of the normalised addresses that were forgotten, by any of the secret keys."""
        if not addresses or not self.has_forgotten():
            return {}
        hashes = {made: address for address in addresses for made in self._pseudonyms.each(address)}
        found: dict[str, int] = {}
        for part in chunks(sorted(hashes)):
            rows = _AMONG_FORGOTTEN.all(self._connection, hashes=part)
            found.update((hashes[bytes(made)], key) for made, key in rows)
        return found

    def forgotten(self, keys: Iterable[int]) -> frozenset[int]:
        """Those of the points whose address was erased."""
        found: set[int] = set()
        for part in chunks(sorted(set(keys))):
            found.update(_FORGOTTEN.scalars(self._connection, keys=part))
        return frozenset(found)

    def holders(self, records: Iterable[int]) -> frozenset[int]:
        """Those of the records that held an address which was erased, when they were last read: what is kept of them
        looks as if it had been taken off."""
        found: set[int] = set()
        for part in chunks(sorted(records)) if self.has_forgotten() else ():
            found.update(_HOLDERS.scalars(self._connection, records=part))
        return frozenset(found)

    def nameless(self, keys: Iterable[int]) -> frozenset[int]:
        """Those of the points whose person was forgotten and came back as another point."""
        found: set[int] = set()
        for part in chunks(sorted(set(keys))):
            found.update(_NAMELESS.scalars(self._connection, keys=part))
        return frozenset(found)

    def forgotten_since(self, key: int) -> datetime | None:
        """When the point's person was forgotten; None if they are not."""
        query = sa.select(contact_point.c.forgotten_at).where(
            contact_point.c.id == key, contact_point.c.email.is_(None)
        )
        found: datetime | None = self._connection.execute(query).scalar_one_or_none()
        return found

    def forget(self, address: str, *, at: datetime) -> int:
        """Keeps the keyed hash of an address in its place; one that nobody knew is known by its hash from now on.
        Returns the point."""
        key = self.require([address])[address]
        self._connection.execute(
            sa.update(contact_point)
            .where(contact_point.c.id == key, contact_point.c.email.is_not(None))
            .values(
                email=None,
                salt=None,
                hash=self._pseudonyms.of(address),
                hash_key=self._pseudonyms.first,
                forgotten_at=at,
                active_at=None,
            )
        )
        self._has_forgotten = True
        return key

    def remember(self, address: str) -> int:
        """A forgotten person came back: a new point has their address, and the old one stays without a name.
        Returns the new point, about which nothing was said yet."""
        old = self.forgotten_among([address])[address]
        self._connection.execute(
            sa.update(contact_point).where(contact_point.c.id == old).values(hash=None, hash_key=None)
        )
        self._has_forgotten = None
        return self.require([address])[address]

    def hash_keys(self) -> dict[str, int]:
        """How many forgotten people are known by each key, by the key's fingerprint."""
        return {str(key): int(count) for key, count in _HASH_KEYS.all(self._connection)}

    def _hash_anew(self, forgotten: Mapping[str, int]) -> None:
        renewed = 0
        for address, key in forgotten.items():
            renewed += self._connection.execute(
                sa.update(contact_point)
                .where(contact_point.c.id == key, contact_point.c.hash_key != self._pseudonyms.first)
                .values(hash=self._pseudonyms.of(address), hash_key=self._pseudonyms.first)
            ).rowcount
        if renewed:
            _log.info("forgotten people hashed with the first key", people=renewed)

    # the backlog

    def mark(self, syncs: Iterable[str], keys: Collection[int]) -> None:
        """Puts the points on the backlog of these syncs; those that are there count as marked once more, so that
        whoever is working them off does not take them off."""
        if not keys:
            return
        rows = [{"sync": sync, "point_id": key} for sync in sorted(set(syncs)) for key in sorted(set(keys))]
        for part in chunks(rows, 5000):
            count_up(self._connection, backlog, list(part), key=("sync", "point_id"), counter=backlog.c.marks)

    def waiting(self, sync: str, *, after: int = 0, limit: int = 500) -> Sequence[int]:
        """The next points of a sync's backlog, by key."""
        return _WAITING.scalars(self._connection, of=sync, after=after, limit=limit)

    def mark_everybody(self, sync: str, sources: Collection[int]) -> None:
        """Puts every point of these sources' records on the sync's backlog."""
        insert_from(self._connection, backlog, ("sync", "point_id"), _EVERYBODY, of=sync, sources=sorted(sources))

    def still_waiting(self, sync: str, keys: Collection[int]) -> list[int]:
        """Those of the points that are on the sync's backlog."""
        found: list[int] = []
        for part in chunks(sorted(keys)):
            found.extend(_STILL_WAITING.scalars(self._connection, of=sync, keys=part))
        return found

    def count_waiting(self, sync: str) -> int:
        return int(_COUNT_WAITING.scalar(self._connection, of=sync))

    def is_any_untried(self, sync: str, run: str) -> bool:
        """Whether there are points on the sync's backlog of which the run has tried nothing in vain."""
        return bool(_UNTRIED.all(self._connection, of=sync, run=run))

    def marks(self, sync: str, keys: Collection[int]) -> dict[int, int]:
        """How often each of the points was marked, of those on the sync's backlog: to be asked before anything is
        read about them, and given to :meth:`done` afterwards."""
        found: dict[int, int] = {}
        for part in chunks(sorted(keys)):
            found.update((key, count) for key, count in _HOW_OFTEN.all(self._connection, of=sync, keys=part))
        return found

    def done(self, sync: str, seen: Mapping[int, int]) -> None:
        """Takes the points off a sync's backlog, but those that were marked again since ``seen``, or that somebody is
        marking right now: what they say about them was not read yet. Waits for nobody."""
        for part in chunks(seen):
            free = _FREE.all(self._connection, of=sync, keys=part)
            through = [key for key, count in free if count == seen[key]]
            _DONE.run(self._connection, of=sync, keys=through)

    # the cache of standings

    def cache_standings(self, wishes: Mapping[tuple[int, str], str]) -> None:
        """Notes what (point, scope) means at present; ``unknown`` is not stored. A cache, never the truth."""
        words = numbered(self._connection, {scope for _, scope in wishes})
        scopes = sorted(number for number in words.values() if number is not None)
        for part in chunks(sorted({key for key, _ in wishes})):
            _CACHED.run(self._connection, keys=part, scopes=scopes)
        rows = [
            {"point": key, "about": words[scope], "found": wish}
            for (key, scope), wish in wishes.items()
            if wish != "unknown"
        ]
        _CACHE.run_each(self._connection, rows)
