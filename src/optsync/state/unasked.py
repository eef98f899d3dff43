"""Records that may hide an opt-out, and whose system was not asked about it yet: few rows, and none for long."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from optsync.state.prepared import Prepared, any_of
from optsync.state.rows import chunks, upsert
from optsync.state.schema import meta

# A prefix, not a range: how databases order punctuation is a matter of taste.
_OPEN = Prepared(
    sa.select(meta.c.key, meta.c.value)
    .where(meta.c.key.like(bindparam("start")))
    .order_by(meta.c.key)
    .limit(bindparam("limit", type_=sa.Integer))
)
_THESE = Prepared(sa.select(meta.c.key, meta.c.value).where(meta.c.key.in_(any_of("names"))))
_DROP = Prepared(sa.delete(meta).where(meta.c.key.in_(any_of("names"))))


@dataclass(frozen=True, slots=True)
class Question:
    """About the record ``key``. ``since``: when an opt-out counts from, by the system's clock, None: ever;
    ``noted_at``: when it was last put."""

    key: int
    since: datetime | None
    noted_at: datetime


@dataclass(frozen=True, slots=True)
class Ticket:
    """Of questions that the system works on since ``asked_at``."""

    name: str
    asked_at: datetime


class Unasked:
    """The questions and the ticket of each source."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def note(self, source_id: int, since: Mapping[int, datetime | None], *, at: datetime) -> None:
        """Puts questions, by record key. One that is open already reaches back as far as it did."""
        if not since:
            return
        known = {question.key: question.since for question in self.among(source_id, since)}
        rows = [
            {"key": _name(source_id, key), "value": f"{_text(known.get(key, moment))} {at.isoformat()}"}
            for key, moment in since.items()
        ]
        upsert(self._connection, meta, rows, key=("key",))

    def open(self, source_id: int, *, limit: int) -> list[Question]:
        """Those that are not answered yet, in a lasting order."""
        rows = _OPEN.all(self._connection, start=f"{_start(source_id)}%", limit=limit)
        return [_question(name, value) for name, value in rows]

    def among(self, source_id: int, keys: Iterable[int]) -> list[Question]:
        """Those about these records."""
        found: list[Question] = []
        for part in chunks(sorted(set(keys))):
            rows = _THESE.all(self._connection, names=[_name(source_id, key) for key in part])
            found += [_question(name, value) for name, value in rows]
        return found

    def close(self, source_id: int, keys: Iterable[int]) -> None:
        """These are answered."""
        for part in chunks(keys):
            _DROP.run(self._connection, names=[_name(source_id, key) for key in part])

    def ticket(self, source_id: int) -> Ticket | None:
        rows = _THESE.all(self._connection, names=[_ticket(source_id)])
        if not rows:
            return None
        at, _, name = rows[0][1].partition(" ")
        return Ticket(name, datetime.fromisoformat(at))

    def set_ticket(self, source_id: int, ticket: Ticket | None) -> None:
        if ticket is not None:
            value = f"{ticket.asked_at.isoformat()} {ticket.name}"
            upsert(self._connection, meta, [{"key": _ticket(source_id), "value": value}], key=("key",))
        else:
            _DROP.run(self._connection, names=[_ticket(source_id)])


def _start(source_id: int) -> str:
    return f"unasked:{source_id}:"


def _name(source_id: int, key: int) -> str:
    return f"{_start(source_id)}{key}"


def _ticket(source_id: int) -> str:
    return f"unasked_ticket:{source_id}"


def _text(moment: datetime | None) -> str:
    return "ever" if moment is None else moment.isoformat()


def _question(name: str, value: str) -> Question:
    since, _, noted_at = value.partition(" ")
    moment = None if since == "ever" else datetime.fromisoformat(since)
    return Question(int(name.rpartition(":")[2]), moment, datetime.fromisoformat(noted_at))
