"""Walks an audience by its last change, so that rows which move while we page are neither lost nor fatal."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from optsync.errors import RecordInvalid, SystemUnavailable
from optsync.model.page import Page, ReadSpec, RowFault, Unmade
from optsync.model.record import Record
from optsync_mailchimp.client import MailchimpClient, Reply
from optsync_mailchimp.complaints import Complaints
from optsync_mailchimp.mapping import Members, is_forgotten, parse_time, wanted_keys
from optsync_mailchimp.rows import LISTING, Row, rows_of
from optsync_mailchimp.schema import Schemas

PAGE_SIZE = 1000
# Rows become visible a little after their stamp, and the filter excludes the second that it names.
OVERLAP = timedelta(minutes=10)
_ONE_SECOND = timedelta(seconds=1)


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a read stands; the text form is the cursor.

    A pass shows rows by ``last_changed``, the oldest first. ``second`` is the stamp of the last row shown;
    ``offset`` and ``anchor`` find that row again among those of its second, which makes one row the overlap
    of two pages. A row in between that moved away is noticed because the anchor is not where it was; then the
    second is shown once more from its start.
    """

    is_full: bool
    window: str = ""
    """Rows changed after this moment are wanted; empty for all."""
    is_archived_pass: bool = False
    second: str = ""
    offset: int = 0
    anchor: str = ""
    began: str = ""
    """The vendor's clock when the read began."""
    newest: str = ""
    total: int = -1
    """Of the first page of this pass."""
    walked: int = 0
    """Rows of this pass."""
    expected: int = -1
    missing: int = 0
    """Live rows that the first pass announced and did not show: archived meanwhile, or lost."""
    arrived: int = 0
    """Rows archived since the read began."""
    adds_up: bool = True

    @property
    def since(self) -> str:
        """The (exclusive) filter; the second before the one we stand in, because the grain is a second."""
        moment = parse_time(self.second)
        return self.window if moment is None else (moment - _ONE_SECOND).isoformat()


class Reader:
    """Reads of one account."""

    def __init__(self, client: MailchimpClient, schemas: Schemas, complaints: Complaints) -> None:
        self._client = client
        self._schemas = schemas
        self._complaints = complaints
        self._read_until: dict[str, datetime] = {}

    def read(self, spec: ReadSpec, cursor: str | None) -> Iterator[Page]:
        """See :meth:`optsync.connect.contract.CanReadRows.read_rows`: one page per answer, live members first."""
        place = _parse(cursor)
        if not place.began:
            self._complaints.forget(spec.collection)
        while True:
            page, place = self._page(spec, place)
            yield page
            if page.is_last:
                return

    def read_ids(self, spec: ReadSpec, ids: Sequence[str]) -> list[Record]:
        """One call each. That a member is not there is believed only while the audience is."""
        found = [record for id_ in dict.fromkeys(ids) if (record := self.read_one(spec, id_))]
        if ids and not found:
            self.confirm_audience(spec.collection)
        return self._complaints.mark(spec.collection, found)

    def read_one(self, spec: ReadSpec, key: str) -> Record | None:
        """The member with this contact id or address hash; None if it is not there or forgotten."""
        reply = self._client.get(f"/lists/{spec.collection}/members/{key}", {"fields": ",".join(wanted_keys(spec))})
        if reply.status == 404:
            return None
        if not reply.is_ok or not reply.body:
            raise SystemUnavailable(self._client.system, f"a member could not be read (HTTP {reply.status})")
        if is_forgotten(reply.body.get("email_address")):
            return None
        try:
            return Members(spec, self._schemas.topic_ids(spec.collection, spec.topics)).record(reply.body)
        except RecordInvalid:
            return None

    def confirm_audience(self, audience: str) -> None:
        """Tells a member that is gone from an audience that is gone: both answer 404.

        Raises:
            SystemUnavailable: the audience is not there.
        """
        if not self._client.get(f"/lists/{audience}", {"fields": "id"}).is_ok:
            raise SystemUnavailable(self._client.system, _NO_AUDIENCE.format(audience=audience))

    def known_until(self, audience: str) -> datetime | None:
        """The vendor's time up to which this audience has been read, less the overlap; None before a first read."""
        began = self._read_until.get(audience)
        return began - OVERLAP if began else None

    def ids_since(self, spec: ReadSpec, moment: datetime) -> Mapping[str, str]:
        """The contact ids of the oldest page of members changed after ``moment``, by address. Nothing else is asked
        for: an opt-out of somebody else that this listing showed would be seen and not heard."""
        query = _query(spec, since=moment.isoformat(), offset=0)
        reply = self._list(spec, {**query, "fields": "members.email_address,members.contact_id,total_items"})
        return {row.email_address or "": row.contact_id or "" for row in rows_of(reply.body)}

    def _page(self, spec: ReadSpec, place: Place) -> tuple[Page, Place]:
        query = _query(spec, since=place.since, offset=place.offset, is_archived=place.is_archived_pass)
        reply = self._list(spec, query)
        rows, total = rows_of(reply.body), reply.body["total_items"]
        place = _first_seen(place, reply, total)
        is_lost = bool(place.anchor) and (not rows or rows[0].key != place.anchor)
        new = rows[1:] if place.anchor and not is_lost else rows
        at_end = place.offset + len(rows) >= total
        stamps = [row.last_changed or "" for row in rows]
        is_sorted = all(a <= b for a, b in itertools.pairwise(stamps))
        is_over = not is_lost and (at_end or not new)
        place = msgspec.structs.replace(
            place,
            walked=place.walked + len(new),
            arrived=place.arrived + (_since_began(place, stamps) if place.is_archived_pass else 0),
            newest=max([place.newest, *stamps]),
            adds_up=place.adds_up and is_sorted and (at_end or not is_over),
        )
        following: Place | None
        if is_lost:
            following = msgspec.structs.replace(place, offset=0, anchor="")
        else:
            following = _end_of_pass(place) if is_over else _step(place, rows, stamps)
        return self._as_page(spec, new, place, following)

    def _as_page(
        self, spec: ReadSpec, rows: Sequence[Row], place: Place, following: Place | None
    ) -> tuple[Page, Place]:
        records, faults, unmade = self._shown(spec, [row for row in rows if not is_forgotten(row.email_address)])
        is_complete = place.adds_up and (following is not None or _is_all(place))
        began = parse_time(place.began)
        if following is None and is_complete and began:
            self._read_until[spec.collection] = began
        page = Page(
            records=tuple(records),
            faults=tuple(faults),
            unmade=unmade,
            cursor=_text(following) if following else _delta_cursor(place, is_complete=is_complete),
            is_last=following is None,
            is_full=place.is_full,
            is_complete=is_complete,
            expected_total=place.expected if place.expected >= 0 else None,
        )
        return page, following or place

    def _shown(self, spec: ReadSpec, rows: Sequence[Row]) -> tuple[Sequence[Record], Sequence[RowFault], Unmade | None]:
        """When somebody complained is no part of the row: its digest would not tell, so such rows are made always."""
        if not rows:
            # Nothing more is asked: a delta without changes costs its two listings and no more.
            return (), (), None
        members = Members(spec, self._schemas.topic_ids(spec.collection, spec.topics))
        reports = self._complaints.until(spec.collection, (parse_time(row.last_changed) for row in rows))

        def made(of: Iterable[Row]) -> tuple[list[Record], list[RowFault]]:
            records, faults = _made(members, of)
            return reports.mark(records), faults

        plain = {row.key: row for row in rows if not reports.of(row.email_address or "")}
        others = [row for row in rows if plain.get(row.key) is not row]
        unmade = Unmade(
            digests={rid: members.digest(row.raw) for rid, row in plain.items()},
            make=lambda ids: made(plain[rid] for rid in ids),
        )
        return *made(others), unmade

    def _list(self, spec: ReadSpec, query: Mapping[str, str | int]) -> Reply:
        reply = self._client.get(f"/lists/{spec.collection}/members", query, decoder=LISTING)
        if reply.status == 404:
            raise SystemUnavailable(self._client.system, _NO_AUDIENCE.format(audience=spec.collection))
        body = reply.body
        if not reply.is_ok or not isinstance(body.get("members"), list) or not isinstance(body.get("total_items"), int):
            raise SystemUnavailable(
                self._client.system, f"the members could not be listed (HTTP {reply.status}); nothing is concluded"
            )
        return reply


_NO_AUDIENCE = "audience {audience} is not there; nothing is concluded about its members. Check `audience:`."


def _parse(cursor: str | None) -> Place:
    if cursor is not None:
        try:
            return msgspec.json.decode(cursor, type=Place)
        except (msgspec.DecodeError, msgspec.ValidationError):
            pass
    return Place(is_full=True)


def _text(place: Place) -> str:
    return msgspec.json.encode(place).decode()


def _query(spec: ReadSpec, *, since: str, offset: int, is_archived: bool = False) -> dict[str, str | int]:
    query: dict[str, str | int] = {
        "fields": ",".join([*(f"members.{key}" for key in wanted_keys(spec)), "total_items"]),
        "count": PAGE_SIZE,
        "offset": offset,
        "sort_field": "last_changed",
        "sort_dir": "ASC",
    }
    # No since at all for everything: a date long past has been seen to hang.
    if since:
        query["since_last_changed"] = since
    if is_archived:
        query["status"] = "archived"
    return query


def _made(members: Members, rows: Iterable[Row]) -> tuple[list[Record], list[RowFault]]:
    records: list[Record] = []
    faults: list[RowFault] = []
    for row in rows:
        member = row.member()
        try:
            records.append(members.record(member))
        except RecordInvalid as error:
            value = member.get(error.field or "")
            shown = None if value is None else str(value)
            faults.append(RowFault(record=row.key, field=error.field, message=str(error), value=shown))
    return records, faults


def _first_seen(place: Place, reply: Reply, total: int) -> Place:
    """Notes what only the first answers of a read or pass can say."""
    changes: dict[str, Any] = {}
    if place.total < 0:
        changes["total"] = total
    if place.expected < 0:
        changes["expected"] = total
    if not place.began and reply.at is not None:
        changes["began"] = reply.at.isoformat()
    return msgspec.structs.replace(place, **changes)


def _step(place: Place, rows: Sequence[Row], stamps: Sequence[str]) -> Place:
    last = stamps[-1]
    if last == place.second:
        offset = place.offset + len(rows) - 1
    else:
        # Of a stamp that nobody can read we keep the filter and count on.
        offset = stamps.count(last) - 1 if parse_time(last) else place.offset + len(rows) - 1
    second = last if parse_time(last) else place.second
    return msgspec.structs.replace(place, second=second, offset=offset, anchor=rows[-1].key)


def _end_of_pass(place: Place) -> Place | None:
    """The archived pass after the live one, nothing after that."""
    if place.is_archived_pass:
        return None
    return Place(
        is_full=place.is_full,
        window=place.window,
        is_archived_pass=True,
        began=place.began,
        newest=place.newest,
        expected=place.expected,
        missing=max(0, place.total - place.walked),
        adds_up=place.adds_up,
    )


def _since_began(place: Place, stamps: Sequence[str]) -> int:
    began = parse_time(place.began)
    moments = (parse_time(stamp) for stamp in stamps)
    return sum(1 for moment in moments if began and moment and moment >= began)


def _is_all(place: Place) -> bool:
    """Whether both passes showed what they announced; a live row may have been archived on the way."""
    return place.walked >= place.total and place.missing <= place.arrived


def _delta_cursor(place: Place, *, is_complete: bool) -> str | None:
    """The next delta goes back to the vendor's time when this read began. Never our own clock: it may be wrong.

    A delta that did not add up is asked for again with its old window.
    """
    moment = parse_time(place.began) or parse_time(place.newest)
    if not place.is_full and (moment is None or not is_complete):
        window = place.window
    else:
        window = (moment - OVERLAP).isoformat() if moment else ""
    return _text(Place(is_full=False, window=window)) if window else None
