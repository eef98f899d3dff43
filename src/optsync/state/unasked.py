"""Records that may hide an opt-out, and whose system was not asked about it yet: few rows, and none for long."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from optsync.state.prepared import Prepared, any_of
from optsync.state.rows import chunks, upsert
from optsync.state.schema import source, unasked

_QUESTION = sa.select(unasked.c.record_id, unasked.c.since, unasked.c.noted_at).order_by(unasked.c.record_id)
_OF_SOURCE = unasked.c.source_id == bindparam("source")
_LISTED = unasked.c.record_id.in_(any_of("keys"))
_OPEN = Prepared(_QUESTION.where(_OF_SOURCE).limit(bindparam("limit", type_=sa.Integer)))
_AMONG = Prepared(_QUESTION.where(_OF_SOURCE, _LISTED))
_CLOSE = Prepared(sa.delete(unasked).where(_OF_SOURCE, _LISTED))
_MINE = source.c.id == bindparam("key")
_TICKET = Prepared(sa.select(source.c.ticket, source.c.asked_at).where(_MINE, source.c.ticket.is_not(None)))
_SET_TICKET = Prepared(
    sa.update(source).where(_MINE).values(ticket=bindparam("ticket"), asked_at=bindparam("asked_at"))
)


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
            {"source_id": source_id, "record_id": key, "since": known.get(key, moment), "noted_at": at}
            for key, moment in since.items()
        ]
        upsert(self._connection, unasked, rows, key=("source_id", "record_id"))

    def open(self, source_id: int, *, limit: int) -> list[Question]:
        """Those that are not answered yet, in a lasting order."""
        return [Question(*row) for row in _OPEN.all(self._connection, source=source_id, limit=limit)]

    def among(self, source_id: int, keys: Iterable[int]) -> list[Question]:
        """Those about these records."""
        found: list[Question] = []
        for part in chunks(sorted(set(keys))):
            found += [Question(*row) for row in _AMONG.all(self._connection, source=source_id, keys=part)]
        return found

    def close(self, source_id: int, keys: Iterable[int]) -> None:
        """These are answered."""
        for part in chunks(keys):
            _CLOSE.run(self._connection, source=source_id, keys=part)

    def ticket(self, source_id: int) -> Ticket | None:
        rows = _TICKET.all(self._connection, key=source_id)
        return Ticket(*rows[0]) if rows else None

    def set_ticket(self, source_id: int, ticket: Ticket | None) -> None:
        name, asked_at = (ticket.name, ticket.asked_at) if ticket else (None, None)
        _SET_TICKET.run(self._connection, key=source_id, ticket=name, asked_at=asked_at)
