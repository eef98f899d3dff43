"""What a record shows with our write in it: seen again, it makes no transition."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from optsync.model.change import ChangeKind, Outcome, Result, WriteKind
from optsync.model.contact_point import InvalidAddress, normalise
from optsync.model.record import BY_THEMSELF, Record, Status, Value
from optsync.reconcile.representation import overlay, with_address
from optsync.reconcile.transforms import canonical, same
from optsync.state.changes import Change
from optsync.state.unsure import Unsure


def receipt(record: Record, change: Change, outcome: Outcome) -> Record:
    """The record after the write. What the vendor adds to a status of its own accord is in it: those stamps and words
    are ours, unless it says that the person was faster than our write. No opt-out moves the stamp of an opt-in: that
    tells of somebody who signed up meanwhile, and of a no since that need not be ours."""
    written = expected(record, change)
    after = outcome.record
    is_ours = change.write["status"] is not None  # whatever else was written moves neither stamp nor words of a status
    if after is not None and is_ours and after.status is written.status and not _is_theirs(after):
        written = replace(
            written,
            word=after.word,
            origin=after.origin,
            reason=after.reason,
            opted_in_at=written.opted_in_at if after.status is Status.OUT else after.opted_in_at,
            status_at=after.status_at,
        )
    return written


def is_anothers(outcome: Outcome) -> bool:
    """Whether nothing was to be done, since somebody else had done it: that is theirs, and is heard. Of who is not
    there any more nothing is shown."""
    shown = outcome.record
    return outcome.result is Result.SAME and shown is not None and shown.status is not Status.ABSENT


def taken(record: Record, change: Change, after: Record) -> Record:
    """The record with as much of the change as the vendor shows ``after`` a write that it has taken in part."""
    wanted: Mapping[str, bool] = change.write["topics"]
    topics = {name: on for name, on in wanted.items() if after.topics.get(name) is on}
    sent = plain_values(change.write["fields"])
    fields = {name: value for name, value in sent.items() if name in after.fields and same(after.fields[name], value)}
    return overlay(record, status=None, topics=topics, fields=fields)


def _is_theirs(after: Record) -> bool:
    """Whether the person said no themself, while our write was on its way."""
    return after.status is Status.OUT and after.origin in BY_THEMSELF


def expected(record: Record, change: Change) -> Record:
    """The record with the change in it."""
    status = change.write["status"]
    if change.kind is ChangeKind.ARCHIVE and change.write["kind"] == WriteKind.ARCHIVE:
        status = Status.ARCHIVED
    shown = record if change.kind is not ChangeKind.RENAME else with_address(record, change.write["address"])
    return overlay(
        shown,
        status=None if status is None else Status(status),
        topics=change.write["topics"],
        fields={name: plain(value) for name, value in change.write["fields"].items()},
    )


def kept_otherwise(change: Change, outcome: Outcome) -> dict[str, Value]:
    """The values that the vendor shows in another form than they were sent in."""
    shown = outcome.record.fields if outcome.record is not None else {}
    return {n: shown[n] for n, sent in change.write["fields"].items() if n in shown and not same(shown[n], plain(sent))}


def kept(outcome: Outcome, name: str, sent: Any) -> Value:
    """The value that the vendor shows after the write, the sent one where it does not say."""
    if outcome.record is not None and name in outcome.record.fields:
        return outcome.record.fields[name]
    return plain(sent)


def is_kept(shown: Value, sent: Value) -> bool:
    """Whether the vendor stored the value, or the beginning of a text for all of which it has no room."""
    one, other = canonical(shown), canonical(sent)
    is_beginning = isinstance(one, str) and isinstance(other, str) and other.startswith(one)
    return is_beginning or same(shown, sent)


def plain(value: Any) -> Value:
    """A stored value in its canonical form: JSON has lists where we have tuples."""
    return tuple(value) if isinstance(value, list) else value


def plain_values(values: Mapping[str, Any]) -> dict[str, Value]:
    return {name: plain(value) for name, value in values.items()}


def doubt(change: Change, at: datetime) -> Unsure:
    """What the record shows if the write arrives, for as long as its answer has not come."""
    return Unsure(
        sent_at=at,
        status=Status.ARCHIVED if change.write["kind"] == WriteKind.ARCHIVE else change.write["status"],
        topics=change.write["topics"],
        fields=plain_values(change.write["fields"]),
        address=change.write["address"] if change.kind is ChangeKind.RENAME else None,
    )


def usable(addresses: Sequence[str]) -> list[str]:
    """The normalised addresses, without those that are none."""
    found = []
    for raw in addresses:
        try:
            found.append(normalise(raw))
        except InvalidAddress:
            continue
    return list(dict.fromkeys(found))


def newest(records: Iterable[Record]) -> list[Record]:
    """One of each: several changes of a record may have been answered one after another."""
    found: dict[str, Record] = {}
    for record in records:
        known = found.get(record.id)
        is_older = known and known.modified_at and record.modified_at and record.modified_at < known.modified_at
        if not is_older:
            found[record.id] = record
    return list(found.values())


def no_answer(change: Change) -> Outcome:
    return Outcome(key=str(change.id), result=Result.UNKNOWN, message="the connector gave no outcome")
