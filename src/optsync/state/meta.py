"""Facts about the database and the systems it belongs to."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from optsync.state.rows import upsert
from optsync.state.schema import meta


class Meta:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, key: str) -> str | None:
        return self._connection.execute(sa.select(meta.c.value).where(meta.c.key == key)).scalar_one_or_none()

    def put(self, key: str, value: str) -> None:
        upsert(self._connection, meta, [{"key": key, "value": value}], key=("key",))
