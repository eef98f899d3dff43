"""Taking a person's clear text out of every table, and the proof that it was done."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import Any
from urllib.parse import unquote_to_bytes

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from optsync.clock import Clock
from optsync.model.change import ChangeKind, ChangeState
from optsync.model.link import Link
from optsync.model.record import Record
from optsync.state.change_codec import Deed, decode_deed, encode_deed
from optsync.state.codec import (
    decode_agreed,
    decode_memory,
    dumps,
    encode_agreed,
    encode_memory,
    encode_record,
    fingerprint_of,
    loads,
)
from optsync.state.columns import Key, word
from optsync.state.rows import chunks
from optsync.state.schema import (
    change,
    contact_point,
    erasure,
    evidence,
    handled,
    inbox,
    issue,
    link,
    run,
    standing,
    statement,
    system_record,
)
from optsync.state.words import numbered

TOUCHED = tuple(
    table.name
    for table in (contact_point, statement, evidence, system_record, link, change, issue, run, standing, inbox, handled)
)
"""The tables that an erasure takes clear text from."""

NAME = "(forgotten)"
"""What people read in an address's place."""

_ABOUT_WISHES = frozenset({ChangeKind.OPT_OUT, ChangeKind.OPT_IN, ChangeKind.TOPIC, ChangeKind.BOUNCE})
_NOT_SENT = (ChangeState.PLANNED, ChangeState.READY, ChangeState.HELD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """``systems``: what became of each record that a system held: system, collection, record, outcome."""

    id: int
    point_id: int
    at: datetime
    actor: str | None
    systems: list[dict[str, Any]]


class Erasures:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def stop_others(self) -> None:
        """Until the end of this transaction no cycle commits: what it has in memory must not come back."""
        if self._connection.dialect.name == "postgresql":
            # Every commit of a cycle begins with a lock of its leases' rows.
            self._connection.execute(sa.text("LOCK TABLE lease IN EXCLUSIVE MODE"))

    def drop_standing(self, point: int) -> None:
        """What the ledger means is worked out anew."""
        self._connection.execute(sa.delete(standing).where(standing.c.point_id == point))

    # what was observed, agreed and written

    def replace_records(self, records: Mapping[int, Record]) -> None:
        """Stores what is kept of these records, under the id that it has now; nothing is unsure about them."""
        for key, record in records.items():
            shape, data = encode_record(record)
            numbered(self._connection, (shape,))
            self._connection.execute(
                sa.update(system_record)
                .where(system_record.c.id == key)
                .values(rid=record.id, shape=shape, data=data, fp=fingerprint_of(record), unsure=None)
            )

    def drop_links(self, records: Collection[int]) -> None:
        """What these records had in common with others is forgotten. Who was joined with one that has another address
        by now stays so: an opt-out of either counts for both."""
        self._blank_handled(records)
        shape, nothing = encode_agreed({})
        numbered(self._connection, (shape,))
        for part in chunks(sorted(records)):
            mine = sa.or_(link.c.crm_record.in_(part), link.c.esp_record.in_(part))
            for row in self._connection.execute(sa.select(link).where(mine)).mappings().all():
                this = sa.and_(*(link.c[name] == row[name] for name in ("sync", "crm_record", "esp_record")))
                if {row["crm_record"], row["esp_record"]} <= set(records):
                    self._connection.execute(sa.delete(link).where(this))
                    continue
                known = decode_memory(Link(crm=row["crm_record"], esp=row["esp_record"]), row["frozen"])
                kept = encode_memory(replace(known, moves={}))
                self._connection.execute(sa.update(link).where(this).values(shape=shape, agreed=nothing, frozen=kept))

    def blank_links(self, records: Collection[int], texts: Collection[str]) -> None:
        """Where an agreed value of these records spells one of the texts, nothing is agreed any more."""
        self._blank_handled(records)
        shape, nothing = encode_agreed({})
        numbered(self._connection, (shape,))
        for part in chunks(sorted(records)):
            mine = sa.or_(link.c.crm_record.in_(part), link.c.esp_record.in_(part))
            for row in self._connection.execute(sa.select(link).where(mine)).mappings().all():
                agreed = decode_agreed(row["shape"], row["agreed"])
                values = dumps([(both.crm, both.esp) for both in agreed.values()])
                if _holds(f"{values} {row['frozen']}", texts):
                    named = [link.c[name] == row[name] for name in ("sync", "crm_record", "esp_record")]
                    self._connection.execute(
                        sa.update(link).where(*named).values(shape=shape, agreed=nothing, frozen=None)
                    )

    def _blank_handled(self, records: Collection[int]) -> None:
        """What was handled stays known; the values that the records showed then do not."""
        nothing = dumps({"before": {}, "applied": [], "tries": {}, "ended": []})
        for part in chunks(sorted(records)):
            self._connection.execute(sa.update(handled).where(handled.c.record_id.in_(part)).values(data=nothing))

    def blank_changes(self, point: int, own: Collection[int], shared: Collection[int], texts: Collection[str]) -> None:
        """What was not sent yet never is; of what was, the journal keeps what was done and not the values. Of the
        ``shared`` records, and of those that had the address once, only where a change spells one of the texts."""
        queries = [sa.select(change).where(change.c.point_id == point)]
        queries += [sa.select(change).where(change.c.record_id.in_(part)) for part in chunks(sorted({*own, *shared}))]
        found = (row for query in queries for row in self._connection.execute(query).mappings().all())
        for row in chain(found, self._changes_with_addresses()):
            is_theirs = row["point_id"] == point or row["record_id"] in own
            # Where a write goes to its point's address that is not part of it, and is another's here.
            deed = decode_deed(row["shape"], row["data"], None)
            if not is_theirs and not _holds(f"{dumps(deed)} {row['fingerprint']} {row['message']}", texts):
                continue
            values = self._blank_change(row["id"], ChangeKind(row["kind"]), deed)
            if row["state"] in _NOT_SENT:
                values |= {"state": ChangeState.SUPERSEDED, "settled_at": self._clock.now()}
            self._connection.execute(sa.update(change).where(change.c.id == row["id"]).values(**values))

    def _changes_with_addresses(self) -> Iterator[RowMapping]:
        """Changes in which an address stands that may not be their contact point's: the first one that the record had
        then, or the one that it lost. Page by page, since there may be many."""
        shapes = sa.select(word.c.id).where(word.c.text.contains('"address":0'))
        wanted = (sa.type_coerce(change.c.shape, Key).in_(shapes), change.c.kind != ChangeKind.CREATE)
        last = 0
        while True:
            query = sa.select(change).where(*wanted, change.c.id > last).order_by(change.c.id).limit(1000)
            rows = self._connection.execute(query).mappings().all()
            if not rows:
                return
            last = rows[-1]["id"]
            yield from rows

    def _blank_change(self, key: int, kind: ChangeKind, deed: Deed) -> dict[str, Any]:
        is_wish = kind in _ABOUT_WISHES
        before, after = (deed.before, deed.after) if is_wish else ({}, {})
        shape, data = encode_deed(before, after, without_values(kind, deed.write), None)
        numbered(self._connection, (shape,))
        return {"shape": shape, "data": data, "fingerprint": f"forgotten {key}", "message": None}

    def blank_issues(self, point: int, records: Collection[tuple[str, str]]) -> None:
        """Closes and empties the issues about the person and about these (system, record id)."""
        mine = sa.or_(
            issue.c.point_id == point,
            *(sa.and_(issue.c.system == system, issue.c.record == rid) for system, rid in records),
        )
        self._blank_issues(list(self._connection.execute(sa.select(issue.c.id).where(mine)).scalars()))

    def _blank_issues(self, ids: Sequence[int]) -> None:
        for key in ids:
            self._connection.execute(
                sa.update(issue)
                .where(issue.c.id == key)
                .values(
                    subject=f"forgotten {key}",
                    message=NAME,
                    values=None,
                    record=None,
                    blocks=None,
                    reason=NAME,
                    state="resolved",
                    closed_at=sa.func.coalesce(
                        issue.c.closed_at, sa.literal(self._clock.now(), issue.c.closed_at.type)
                    ),
                )
            )

    # texts in which somebody may be named by the way

    def blank_texts(self, texts: Collection[str]) -> None:
        """Takes the texts out of vendors' words, run summaries and issues, and empties hooks that hold one."""
        self._rewrite(change, "message", texts)
        self._rewrite(run, "summary", texts)
        named: set[int] = set()
        for column in ("message", "values", "record", "reason"):
            named.update(self._holding(issue, column, texts))
        self._blank_issues(sorted(named))
        self._empty_hooks(texts)

    def _rewrite(self, table: sa.Table, column: str, texts: Collection[str]) -> None:
        pattern = re.compile("|".join(re.escape(text) for text in sorted(texts)), re.IGNORECASE)
        for key, value in self._holding(table, column, texts).items():
            self._connection.execute(
                sa.update(table).where(table.c.id == key).values(**{column: pattern.sub(NAME, value)})
            )

    def _holding(self, table: sa.Table, column: str, texts: Collection[str]) -> dict[int, str]:
        lowered = sa.func.lower(table.c[column])
        spelled = sa.or_(*(lowered.contains(text, autoescape=True) for text in sorted(texts)))
        rows = self._connection.execute(sa.select(table.c.id, table.c[column]).where(spelled)).all()
        return dict(tuple(row) for row in rows)

    def _empty_hooks(self, texts: Collection[str]) -> None:
        wanted = [text.encode() for text in texts]
        found = [
            key
            for key, body in self._connection.execute(sa.select(inbox.c.id, inbox.c.body))
            if any(text in spelled for spelled in _spellings(bytes(body)) for text in wanted)
        ]
        for part in chunks(found):
            now = self._clock.now()
            self._connection.execute(sa.update(inbox).where(inbox.c.id.in_(part)).values(body=b"", done_at=now))

    # the proof

    def note(self, point: int, *, actor: str, systems: Sequence[Mapping[str, Any]]) -> int:
        """Adds a line to the proof; returns its number."""
        result = self._connection.execute(
            sa.insert(erasure).values(point_id=point, at=self._clock.now(), actor=actor, systems=dumps(list(systems)))
        )
        key: int = result.inserted_primary_key[0] if result.inserted_primary_key else 0
        return key

    def set_systems(self, erasure_id: int, systems: Sequence[Mapping[str, Any]]) -> None:
        """What became of the systems' records."""
        self._connection.execute(
            sa.update(erasure).where(erasure.c.id == erasure_id).values(systems=dumps(list(systems)))
        )

    def of(self, point: int) -> list[Erasure]:
        """The proof about one point, oldest first."""
        rows = self._connection.execute(
            sa.select(erasure).where(erasure.c.point_id == point).order_by(erasure.c.id)
        ).mappings()
        return [Erasure(**{**row, "systems": loads(row["systems"])}) for row in rows]


def without_values(kind: ChangeKind, write: Mapping[str, Any]) -> dict[str, Any]:
    """A change's write without what tells of the person; flags and topics stay, since undoing an out needs them."""
    fields = write["fields"] if kind in _ABOUT_WISHES else {}
    empty: dict[str, Any] = {
        "address": None,
        "tags": {},
        "evidence": None,
        "agreed": {},
        "counterpart": None,
        "left": None,
    }
    return {**write, **empty, "fields": fields}


def _holds(text: str, texts: Collection[str]) -> bool:
    lowered = text.lower()
    return any(one in lowered for one in texts)


_DECODERS: tuple[Callable[[bytes], bytes], ...] = (bytes, unquote_to_bytes)


def _spellings(body: bytes) -> list[bytes]:
    """A hook's body in lower case, as it came and without the encoding of forms."""
    return [decode(body).lower() for decode in _DECODERS]
