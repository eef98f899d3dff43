"""Spam complaints: a member shows them like other opt-outs, and none of them once somebody signed up again or was
archived. The audience's abuse reports tell them apart, and when each was made."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from optsync.errors import SystemFailure
from optsync.model.change import Outcome, Result
from optsync.model.record import Origin, Record, Status
from optsync_mailchimp.client import MailchimpClient
from optsync_mailchimp.mapping import parse_time

_PAGE = 1000
_LATE = timedelta(minutes=10)
"""A complaint may be carried out so much later than it is dated: who has signed up meanwhile is taken off the list all
the same. It is as much as the readings overlap for what is shown late."""
_KEYS = "abuse_reports.email_address,abuse_reports.date,total_items"


@dataclass(slots=True, kw_only=True)
class Reports:
    """When people complained, by lower-cased address; ``read_at`` is the vendor's clock."""

    read_at: datetime | None = None
    by_address: dict[str, list[datetime | None]] = field(default_factory=dict)

    def of(self, address: str) -> Sequence[datetime | None]:
        """When this person complained, as far as that can be told."""
        return self.by_address.get(address.strip().lower(), ()) if self.by_address else ()

    def mark(self, records: Sequence[Record]) -> list[Record]:
        """The records, each with the time of the person's last complaint, whatever became of the member since. The
        origin is ``COMPLAINT`` where that was after the last opt-in, or so little before that nobody can tell which of
        the two counted last.

        Source: Mailchimp Marketing API 3.0, Abuse reports. A complaint makes a member unsubscribed or cleaned.
        """
        return [_told(_marked(record, self), self) for record in records] if self.by_address else list(records)


class Complaints:
    """Abuse reports of the audiences of one account, read again only when a member changed later."""

    def __init__(self, client: MailchimpClient) -> None:
        self._client = client
        self._known: dict[str, Reports] = {}

    def mark(self, audience: str, records: Sequence[Record]) -> list[Record]:
        """See :meth:`Reports.mark`. What was stamped before the reports were read may be shown only since."""
        return self.until(audience, (record.modified_at for record in records), margin=_LATE).mark(records)

    def mark_outcomes(self, audience: str, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Only the origin, for what writes brought back: the next reading tells the rest. The reports are asked for
        where a write was refused; when they cannot be read, outcomes stay as they are."""
        shown = [outcome.record for outcome in outcomes if outcome.record is not None]
        refused = [o.record for o in outcomes if o.record is not None and o.result is Result.REFUSED]
        try:
            reports = self.until(audience, (record.modified_at for record in refused if _may_be(record)))
        except SystemFailure:
            return list(outcomes)
        marked = (_marked(record, reports) for record in shown)
        return [o if o.record is None else replace(o, record=next(marked)) for o in outcomes]

    def until(self, audience: str, changed: Iterable[datetime | None], *, margin: timedelta = timedelta(0)) -> Reports:
        """Reports newer by ``margin`` than members that changed at these times, which are whole seconds."""
        newest = max(filter(None, changed), default=None)
        reports = self._known.get(audience, Reports())
        if newest is not None and (reports.read_at is None or newest + margin >= reports.read_at):
            reports = self._known[audience] = self._read(audience)
        return reports

    def forget(self, audience: str) -> None:
        """Asks again next time: a report may come later than the opt-out that it caused, and both be shown later than
        they are stamped."""
        self._known.pop(audience, None)

    def _read(self, audience: str) -> Reports:
        reports = Reports()
        seen = 0
        while True:
            query: dict[str, str | int] = {"fields": _KEYS, "count": _PAGE, "offset": seen}
            reply = self._client.get(f"/lists/{audience}/abuse-reports", query)
            rows = reply.body.get("abuse_reports")
            if not reply.is_ok or not isinstance(rows, list):
                return reports
            reports.read_at = reports.read_at or reply.at
            for row in _objects(rows):
                address = str(row.get("email_address") or "").strip().lower()
                reports.by_address.setdefault(address, []).append(parse_time(row.get("date")))
            seen += len(rows)
            total = reply.body.get("total_items")
            if not rows or not isinstance(total, int) or seen >= total:
                return reports


def _objects(rows: Iterable[Any]) -> Iterable[dict[str, Any]]:
    return (row for row in rows if isinstance(row, dict))


def _may_be(record: Record) -> bool:
    return (record.origin is Origin.PERSON or record.status is Status.BOUNCED) and bool(record.addresses)


def _of(record: Record, reports: Reports) -> Sequence[datetime | None]:
    return reports.of(record.addresses[0]) if record.addresses else ()


def _told(record: Record, reports: Reports) -> Record:
    at = max((at for at in _of(record, reports) if at is not None), default=None)
    return record if at is None else replace(record, complained_at=at)


def _marked(record: Record, reports: Reports) -> Record:
    dates = _of(record, reports) if _may_be(record) else ()
    since = None if record.opted_in_at is None else record.opted_in_at - _LATE
    has_complained = any(at is None or since is None or at >= since for at in dates)
    return replace(record, origin=Origin.COMPLAINT) if has_complained else record
