"""Links: joined records of the two sides of a sync, and what they agreed on."""

from collections.abc import Iterable
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from optsync.model.link import Link
from optsync.state.codec import decode_agreed, decode_memory, encode_agreed, encode_memory
from optsync.state.prepared import Prepared, any_of
from optsync.state.rows import chunks, upsert
from optsync.state.schema import link
from optsync.state.words import numbered

_OF_SYNC = link.c.sync == bindparam("of")
_COLUMNS = (link.c.crm_record, link.c.esp_record, link.c.shape, link.c.agreed, link.c.frozen)
# Not the bare column: given the choice, SQLite reads all links of the sync, which is the beginning of their key.
_IS_OF_SYNC = link.c.sync.concat("") == bindparam("of")
_OF = Prepared(sa.select(*_COLUMNS).where(_IS_OF_SYNC, link.c.esp_record.in_(any_of("members"))))
_PARTNERS = (
    Prepared(sa.select(link.c.esp_record).where(_OF_SYNC, link.c.crm_record.in_(any_of("records")))),
    Prepared(sa.select(link.c.crm_record).where(_OF_SYNC, link.c.esp_record.in_(any_of("records")))),
)


class Links:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, sync: str, esp_records: Iterable[int]) -> dict[tuple[int, int], Link]:
        """The links of these members, by (CRM record, member)."""
        found: dict[tuple[int, int], Link] = {}
        for part in chunks(esp_records):
            for crm, esp, shape, agreed, memory in _OF.all(self._connection, of=sync, members=part):
                plain = Link(crm=crm, esp=esp, agreed=decode_agreed(shape, agreed))
                found[crm, esp] = decode_memory(plain, memory)
        return found

    def partners(self, sync: str, records: Iterable[int]) -> set[int]:
        """The other ends of these records' links, whichever side they are on."""
        found: set[int] = set()
        for part in chunks(records):
            for partners in _PARTNERS:
                found.update(partners.scalars(self._connection, of=sync, records=part))
        return found

    def drop(self, sync: str, pairs: Iterable[tuple[int, int]]) -> None:
        """Forgets that these (CRM record, member) were joined."""
        for crm, esp in pairs:
            self._connection.execute(
                sa.delete(link).where(link.c.sync == sync, link.c.crm_record == crm, link.c.esp_record == esp)
            )

    def save(self, sync: str, links: Iterable[Link]) -> None:
        """Stores the links as they are given."""
        encoded = [(item, *encode_agreed(item.agreed)) for item in links]
        words = numbered(self._connection, {shape for _, shape, _ in encoded})
        rows = [
            {
                "sync": sync,
                "crm_record": item.crm,
                "esp_record": item.esp,
                "shape": words[shape],
                "agreed": agreed,
                "frozen": encode_memory(item),
            }
            for item, shape, agreed in encoded
        ]
        upsert(self._connection, link, rows, key=("sync", "crm_record", "esp_record"))

    def set_left(self, sync: str, esp: int, *, left: bool, is_kept: bool = False) -> None:
        """Notes that the member was taken off the list, or put back, because the person left or came back; or
        because that was undone (``is_kept``)."""
        self.save(sync, [replace(known, left=left, is_kept=is_kept) for known in self.of(sync, [esp]).values()])
