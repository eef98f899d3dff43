"""Complaints that a system keeps apart from the status: whoever signed up again or was archived since shows nothing of
theirs any more, and only an administrator lifts it all the same."""

from dataclasses import replace

from optsync.model.record import Origin, Record, Status
from optsync.model.statement import OUR_CLOCK, Source, Statement, StatementKind, state
from optsync.reconcile.reading import LATE, Reading


def with_known(now: Record, before: Record) -> Record:
    """A reading with the complaint that the record, at the same address, was shown with before: nobody takes one back,
    and the answer to a write tells of none. An out of the person's own is that complaint then, as before."""
    if now.complained_at is not None or before.complained_at is None or now.addresses != before.addresses:
        return now
    is_as_before = (now.status, now.opted_in_at) == (before.status, before.opted_in_at)
    is_it = is_as_before and (before.origin, now.origin) == (Origin.COMPLAINT, Origin.PERSON)
    return replace(now, complained_at=before.complained_at, origin=before.origin if is_it else now.origin)


def complaint(before: Record | None, now: Record, scope: str, reading: Reading) -> Statement | None:
    """A complaint that ``before`` (None at first sight) did not show. It counts at its own time, so that the same one
    told again is the same statement, and what an administrator granted since goes on lifting it. What a clock tells
    that is unknown is dated now, as every out is."""
    at = now.complained_at
    known = None if before is None else before.complained_at
    if at is None or (known is not None and at <= known):
        return None
    is_dated = before is None or reading.offset is not None
    return state(
        scope=scope,
        kind=StatementKind.COMPLAINT,
        at=reading.corrected(at, permits=False) if is_dated else reading.seen_at,
        clock=reading.system if is_dated else OUR_CLOCK,
        seen_at=reading.seen_at,
        source=Source.SPAM_COMPLAINT,
        is_personal=True,
        # The vendor's reason is one for the status that is shown, which may have come later.
        reason=now.reason if now.origin is Origin.COMPLAINT else None,
        system=reading.system,
        record=now.id,
    )


def is_no_other(before: Record | None, now: Record, *, is_later: bool) -> bool:
    """Whether the out that ``now`` shows is no other than the complaint that is told with it: nothing dates it later
    (``is_later``), and ``before`` was not shown since."""
    if now.origin is not Origin.COMPLAINT or (is_later and now.status is not Status.BOUNCED):
        return False
    return not was_shown_since(before, now)


def was_shown_since(before: Record | None, now: Record) -> bool:
    """Whether ``before`` is of long after the complaint that ``now`` tells of, which then took nobody off a list that
    the record was still on."""
    at, since = now.complained_at, None if before is None else before.modified_at
    return at is not None and since is not None and at + LATE < since
