"""Facts about the database and the systems it belongs to."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from optsync.state.prepared import Prepared
from optsync.state.rows import upsert
from optsync.state.schema import meta

_VALUE = Prepared(sa.select(meta.c.value).where(meta.c.key == bindparam("of")))


class Meta:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, key: str) -> str | None:
        value: str | None = _VALUE.scalar(self._connection, of=key)
        return value

    def beginning(self, prefix: str) -> Sequence[str]:
        """The keys that begin so."""
        query = sa.select(meta.c.key).where(meta.c.key.startswith(prefix, autoescape=True)).order_by(meta.c.key)
        return self._connection.execute(query).scalars().all()

    def put(self, key: str, value: str) -> None:
        upsert(self._connection, meta, [{"key": key, "value": value}], key=("key",))
