"""Reads of a list. Mailman keeps no times of change, so every read is a full one."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optsync.model.page import Page, ReadSpec, RowFault
from optsync.model.record import Record
from optsync_mailman3 import mapping
from optsync_mailman3.client import PAGE, SEARCH_PAGE, MailmanClient

_FEW = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a read goes on: the next page of the roster, and what was counted so far."""

    page: int = 1
    total: int
    """Memberships when the read began."""
    seen: int = 0
    """Rows of the pages before."""

    def cursor(self) -> str:
        return json.dumps([self.page, self.total, self.seen])

    @classmethod
    def of(cls, cursor: str | None) -> "_Place | None":
        """None for no cursor and for an unusable one."""
        try:
            page, total, seen = json.loads(cursor or "")
        except (ValueError, TypeError):
            return None
        numbers = (page, total, seen)
        usable = all(isinstance(number, int) and number >= 0 for number in numbers) and page >= 1
        return cls(page=page, total=total, seen=seen) if usable else None


class Reader:
    """One read from start to end.

    The delivery status is not shown with a member and can only be searched for, and each page of such a search
    makes Mailman look at every member. So only the suspended ones are searched for, in few large pages; the
    others come from the roster, whose pages are cheap, provided that the count of the enabled ones confirms that
    nobody else is left. The suspended come first and are remembered, so that a person who is on the list twice is
    shown once, as restricted. They are searched for again when a read is resumed.
    """

    def __init__(self, client: MailmanClient, spec: ReadSpec, cursor: str | None) -> None:
        self._client = client
        self._spec = spec
        self._list = spec.collection
        place = _Place.of(cursor)
        self._is_resumed = place is not None
        self._place = place or _Place(total=client.member_total(self._list))
        self._shown: set[str] = set()
        self._leaving: Mapping[str, Mapping[str, Any]] = {}

    def pages(self) -> Iterator[Page]:
        """Raises ``SystemUnavailable`` when the list is not there."""
        waiting = self._waiting()
        self._leaving = leaving(self._client, self._list)
        suspended = 0
        for word in mapping.SUSPENDED:
            for rows in self._search(word):
                suspended += len(rows)
                records, faults = self._records(rows, word)
                self._shown.update(record.id for record in records)
                _forget(waiting, records)
                yield self._page(records, faults)
        # Somebody changed meanwhile, or this Mailman has a status that is in no table: then nobody is enabled
        # merely for not having been found elsewhere.
        enabled = self._client.count(self._list, mapping.ENABLED)
        if enabled + suspended == self._client.member_total(self._list):
            yield from self._roster(waiting)
        else:
            yield from self._enabled(waiting, suspended)

    def _waiting(self) -> dict[str, Record]:
        """Before the members, so that somebody who confirms meanwhile is met at least once."""
        requests = self._client.requests(self._list, mapping.SUBSCRIPTION)
        records = (mapping.pending(request, self._spec.fields) for request in requests)
        return {record.id: record for record in records}

    def _search(self, word: str) -> Iterator[Sequence[Mapping[str, Any]]]:
        page, is_last = 1, False
        while not is_last:
            rows = self._client.members(self._list, word, page)
            is_last = page * SEARCH_PAGE >= rows.total or not rows.entries
            if rows.entries:
                yield rows.entries
            page += 1

    def _roster(self, waiting: dict[str, Record]) -> Iterator[Page]:
        is_last = False
        while not is_last:
            rows = self._client.roster(self._list, self._place.page)
            is_last = self._place.page * PAGE >= rows.total or not rows.entries
            seen = self._place.seen + len(rows.entries)
            self._place = _Place(page=self._place.page + 1, total=self._place.total, seen=seen)
            records, faults = self._records(rows.entries, mapping.ENABLED)
            _forget(waiting, records)
            if not is_last:
                yield self._page(records, faults)
        yield self._last(records + self._still_waiting(waiting), faults, seen=self._place.seen)

    def _enabled(self, waiting: dict[str, Record], seen: int) -> Iterator[Page]:
        for rows in self._search(mapping.ENABLED):
            seen += len(rows)
            records, faults = self._records(rows, mapping.ENABLED)
            _forget(waiting, records)
            yield self._page(records, faults)
        yield self._last(self._still_waiting(waiting), (), seen=seen)

    def _last(self, records: Sequence[Record], faults: Sequence[RowFault], *, seen: int) -> Page:
        """Pages of a live table shift when somebody leaves: only counts that agree make a read complete."""
        return Page(
            records=tuple(records),
            faults=tuple(faults),
            cursor=None,
            is_last=True,
            is_full=True,
            is_complete=seen == self._place.total == self._client.member_total(self._list),
            expected_total=self._place.total,
        )

    def _page(self, records: Sequence[Record], faults: Sequence[RowFault]) -> Page:
        return Page(
            records=tuple(records),
            faults=tuple(faults),
            cursor=self._place.cursor(),
            is_last=False,
            is_full=True,
            expected_total=self._place.total,
        )

    def _records(self, rows: Iterable[Mapping[str, Any]], word: str) -> tuple[list[Record], list[RowFault]]:
        records: dict[str, Record] = {}
        faults: list[RowFault] = []
        for row in rows:
            email = row.get("email")
            if not isinstance(email, str) or not email:
                faults.append(RowFault(record="?", field="email", message="a membership without an address"))
            elif mapping.record_id(email) not in self._shown:
                record = mapping.member(email, (word,), row.get(mapping.DISPLAY_NAME), self._spec.fields)
                asked = self._leaving.get(record.id)
                records[record.id] = mapping.leaving(record, asked) if asked else record
        return list(records.values()), faults

    def _still_waiting(self, waiting: Mapping[str, Record]) -> list[Record]:
        if not self._is_resumed:
            return list(waiting.values())
        # The pages before the cursor are not known here: a member may be among them.
        return [record for record in waiting.values() if not self._client.memberships(self._list, record.id)]


def look_up(client: MailmanClient, spec: ReadSpec, ids: Iterable[str]) -> dict[str, Record]:
    """These people as the list shows them now, by id; who is not there is left out.

    Raises ``SystemUnavailable`` when the list itself is gone: that says nothing about its members.
    """
    wanted = dict.fromkeys(mapping.record_id(each) for each in ids)
    found: dict[str, Record] = {}
    # A read costs Mailman several looks at every member, one person a few rows; three to one was measured.
    if len(wanted) > _FEW and 3 * len(wanted) > client.member_total(spec.collection):
        pages = Reader(client, spec, None).pages()
        found = {record.id: record for page in pages for record in page.records if record.id in wanted}
    rest = [each for each in wanted if each not in found]
    # Before the members: somebody whose request ends meanwhile must not pass for a member who never made one.
    asked = leaving(client, spec.collection) if rest else {}
    members = {each: record for each in rest if (record := _member(client, spec, each))}
    found |= {
        each: mapping.leaving(record, asked[each]) if each in asked else record for each, record in members.items()
    }
    if any(each not in found for each in wanted):
        # A search in a list that does not exist finds nobody; this call tells the two apart.
        for request in client.requests(spec.collection, mapping.SUBSCRIPTION):
            record = mapping.pending(request, spec.fields)
            if record.id in wanted:
                found.setdefault(record.id, record)
    return {each: found[each] for each in wanted if each in found}


def leaving(client: MailmanClient, list_id: str) -> dict[str, Mapping[str, Any]]:
    """The requests of those who asked to leave and wait for a moderator, by record id."""
    requests = client.requests(list_id, mapping.UNSUBSCRIPTION)
    return {mapping.record_id(str(each["email"])): each for each in requests if mapping.is_confirmed(each)}


def _member(client: MailmanClient, spec: ReadSpec, email: str) -> Record | None:
    rows = client.memberships(spec.collection, email)
    words = [word for row in rows if (word := client.delivery_status(str(row["member_id"]))) is not None]
    if not words:
        return None
    return mapping.member(email, words, rows[0].get(mapping.DISPLAY_NAME), spec.fields)


def _forget(waiting: dict[str, Record], records: Iterable[Record]) -> None:
    for record in records:
        waiting.pop(record.id, None)
