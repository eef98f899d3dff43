"""Opt-outs that a record does not show any more: whoever is archived, has bounced, or is waited for to confirm shows
nothing of what they said before."""

from collections.abc import Iterable
from datetime import datetime
from typing import TypeAlias

from optsync.model.record import BY_THEMSELF, Origin, Record, Status
from optsync.model.statement import OUR_CLOCK, Source, Statement, StatementKind, state
from optsync.reconcile.putback import of_collection
from optsync.reconcile.reading import LATE, SLACK, Reading

_HIDES = frozenset({Status.ARCHIVED, Status.BOUNCED, Status.PENDING})

Span: TypeAlias = tuple[datetime, datetime]
"""When a write was sent and when it was answered, by our clock."""


def may_hide(before: Record | None, now: Record) -> bool:
    """Whether a no may have been said between two readings (``before`` None at first sight) that ``now`` does not show:
    the record is archived, has bounced or is to be confirmed, and the last that was known of it was no opt-out of the
    person's own, or they may have signed up since. Of one that is archived as before that something has moved tells
    that it may have been on the list in between; of the others, whose fields go on being written, only a sign-up."""
    if now.status not in _HIDES:
        return False
    if before is None:
        return True
    if now.opted_in_at != before.opted_in_at:
        return True
    if before.status is now.status:
        return now.status is Status.ARCHIVED and now.modified_at != before.modified_at
    return not (before.status is Status.OUT and before.origin in BY_THEMSELF)


def hidden_since(before: Record | None) -> datetime | None:
    """Since when such a no counts, by the system's clock: what was said before the last reading was heard, or has been
    lifted since. None, at first sight: ever, since any program sets the stamp of an opt-in."""
    return None if before is None or before.modified_at is None else before.modified_at - LATE


def is_news(said: Statement, known: Iterable[Statement]) -> bool:
    """Whether nothing as strong was heard of that record and scope, then or later: an opt-out by a complaint is no
    other than that; what was heard may have been retracted since, and a no of before says nothing more."""
    return not any(
        (one.system, one.record, one.scope) == (said.system, said.record, said.scope)
        and one.kind in {said.kind, StatementKind.COMPLAINT}
        and one.at >= said.at
        and one.is_personal >= said.is_personal
        for one in known
    )


def is_ours(said: Statement, moments: Iterable[datetime], written: Iterable[Span]) -> bool:
    """Whether an opt-out by an administrator is one that we wrote: the activity tells no program from a person.
    ``moments``: when it may have been, by our clock."""
    return not said.is_personal and is_around(moments, written)


def is_around(moments: Iterable[datetime], written: Iterable[Span]) -> bool:
    """Whether one of the ``moments`` that something may have been at is about that of a write."""
    spans = [(sent - SLACK, settled + SLACK) for sent, settled in written]
    return any(first <= moment <= last for moment in moments for first, last in spans)


def departed(
    record: Record,
    scope: str,
    reading: Reading,
    *,
    at: datetime,
    origin: Origin,
    reason: str | None,
    told: dict[str, str],
) -> Statement:
    """The opt-out (or complaint) that the system's activity tells of: ``at`` by its clock, ``told``: what else it says.
    It counts at its own time, so that a yes given since goes on lifting it; what a clock tells that is unknown is dated
    now, as every out is."""
    is_complaint = origin is Origin.COMPLAINT
    is_dated = reading.offset is not None
    return state(
        scope=scope,
        kind=StatementKind.COMPLAINT if is_complaint else StatementKind.OUT,
        at=reading.corrected(at, permits=False) if is_dated else reading.seen_at,
        clock=reading.system if is_dated else OUR_CLOCK,
        seen_at=reading.seen_at,
        source=Source.SPAM_COMPLAINT if is_complaint else Source.ESP,
        is_personal=origin is not Origin.ADMIN,
        reason=reason,
        system=reading.system,
        record=record.id,
        evidence={**told, "found_in": "activity", **of_collection(reading.collection)},
    )
