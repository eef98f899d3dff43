"""What was handled: the memory of custom handling, by record and scope."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from optsync.model.record import Value
from optsync.state.codec import dumps, loads
from optsync.state.prepared import Prepared, any_of
from optsync.state.rows import chunks, upsert
from optsync.state.schema import backlog, handled, record_point

_OF = Prepared(
    sa.select(handled).where(handled.c.sync == bindparam("sync"), handled.c.record_id.in_(any_of("records")))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handling:
    """One turn of a standing at a record. ``before``: what the fields showed when it was handled first; ``applied``:
    fields that are set; ``tries``: failed calls by handler; ``ended``: handlers that are done or given up;
    ``returned``: what those want to be set and is not set yet."""

    record: int
    scope: str
    wish: str
    uid: str
    is_done: bool = False
    before: Mapping[str, Value] = field(default_factory=dict)
    applied: frozenset[str] = frozenset()
    tries: Mapping[str, int] = field(default_factory=dict)
    ended: frozenset[str] = frozenset()
    returned: Mapping[str, Value] = field(default_factory=dict)


class HandledTurns:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, sync: str, records: Collection[int]) -> dict[tuple[int, str], Handling]:
        """The last turn of each of these records, by (record, scope)."""
        found: dict[tuple[int, str], Handling] = {}
        for part in chunks(sorted(records)):
            for row in _OF.dicts(self._connection, sync=sync, records=part):
                data = loads(row["data"])
                found[row["record_id"], row["scope"]] = Handling(
                    record=row["record_id"],
                    scope=row["scope"],
                    wish=row["wish"],
                    uid=row["uid"],
                    is_done=row["is_done"],
                    before=_values(data["before"]),
                    applied=frozenset(data["applied"]),
                    tries=data["tries"],
                    ended=frozenset(data["ended"]),
                    returned=_values(data.get("returned", {})),
                )
        return found

    def failing(self, sync: str, *, queue: str) -> frozenset[str]:
        """The handlers that failed for somebody who still waits in the queue and will be told again."""
        query = (
            sa.select(handled.c.data)
            .join(record_point, record_point.c.record_id == handled.c.record_id)
            .join(backlog, backlog.c.point_id == record_point.c.point_id)
            .where(backlog.c.sync == queue, handled.c.sync == sync, handled.c.is_done.is_(False))
        )
        found: set[str] = set()
        for data in map(loads, self._connection.execute(query).scalars()):
            found.update(data["tries"].keys() - set(data["ended"]))
        return frozenset(found)

    def save(self, sync: str, turns: Iterable[Handling]) -> None:
        """Stores them as they are given."""
        rows = [
            {
                "sync": sync,
                "record_id": turn.record,
                "scope": turn.scope,
                "wish": turn.wish,
                "uid": turn.uid,
                "is_done": turn.is_done,
                "data": dumps(
                    {
                        "before": dict(turn.before),
                        "applied": sorted(turn.applied),
                        "tries": dict(turn.tries),
                        "ended": sorted(turn.ended),
                        "returned": dict(turn.returned),
                    }
                ),
            }
            for turn in turns
        ]
        upsert(self._connection, handled, rows, key=("sync", "record_id", "scope"))


def _values(stored: Mapping[str, Any]) -> dict[str, Value]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
