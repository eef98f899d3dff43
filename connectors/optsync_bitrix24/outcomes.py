"""What became of a write: the portal's answer to its command, read together with the record afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from optsync.model.change import Fact, Outcome, Result
from optsync.model.record import Record
from optsync_bitrix24.mapping import CUSTOM, Fields, ValueRefused, address_rows, value_of
from optsync_bitrix24.preparing import Job, invalid, refused
from optsync_bitrix24.refusals import Meaning, VendorError, field_named_in, meaning

_DROPPED_SILENTLY = frozenset({"number", "date", "datetime", "choice"})
"""Kinds of values that the portal drops without a word when it cannot use them."""

UNTOLD = frozenset({Meaning.BUSY, Meaning.BROKEN})
"""Why a record is not shown may be anything then: it must not pass for one that is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """The record as it was read back: ``is_known`` is False where the read-back itself failed, ``absence`` is why it is
    not shown, see :func:`optsync_bitrix24.absence.why_absent`."""

    is_known: bool
    absence: Meaning | None = None
    row: Mapping[str, Any] | None = None
    record: Record | None = None
    zone: tzinfo = UTC


def outcome_of(
    job: Job, *, result: Any, error: VendorError | None, after: After, fields: Fields, retry_at: datetime
) -> Outcome:
    """Of an update. ``result`` is None where the command was not answered for."""
    made = _judged(job, result=result, error=error, after=after, fields=fields, retry_at=retry_at)
    # Whatever became of the write: what the record was seen to show is told, and with it what somebody else has set.
    return made if made.fact is Fact.GONE else replace(made, record=after.record)


def _judged(
    job: Job, *, result: Any, error: VendorError | None, after: After, fields: Fields, retry_at: datetime
) -> Outcome:
    write = job.write
    if error is not None:
        return _failed(job, error, after, fields, retry_at)
    if not result:
        # The portal says true where it has written.
        if after.row is not None and shows(job, after, fields):
            return _applied(job)
        return Outcome(key=write.key, result=Result.UNKNOWN, record_id=write.record, message="no answer to the command")
    if (name := _dropped(job, after, fields)) is not None:
        message = f"{name}: the portal accepted the write and did not take the value"
        return replace(invalid(write, name, message), is_partly_done=True)
    return _applied(job)


def _applied(job: Job) -> Outcome:
    return Outcome(key=job.write.key, result=Result.APPLIED, record_id=job.write.record)


def _failed(job: Job, error: VendorError, after: After, fields: Fields, retry_at: datetime) -> Outcome:
    what = meaning(error)
    # Over what was carried out the portal may have broken as well: a no that the record shows from then on may be new.
    undone = Result.UNKNOWN if what is Meaning.BROKEN else Result.FAILED
    if after.absence is Meaning.DENIED:
        return refused(job.write, Fact.NOT_ALLOWED, str(error))
    if after.absence in UNTOLD:
        return Outcome(key=job.write.key, result=undone, record_id=job.write.record, message=str(error))
    # Refusals come in the portal's language; that the record is not there any more shows in every language.
    if what is Meaning.GONE or (after.is_known and after.row is None and leaves_open(error)):
        return refused(job.write, Fact.GONE, str(error))
    if what is not Meaning.BROKEN:
        return refusal_of(job, error, fields, retry_at)
    if after.row is not None and shows(job, after, fields):
        return _applied(job)
    return Outcome(key=job.write.key, result=undone, record_id=job.write.record, message=str(error))


def leaves_open(error: VendorError) -> bool:
    """Whether the refusal of a write may be one of a record that is gone, or one of a record that may not be seen."""
    return meaning(error) not in (Meaning.GONE, Meaning.BUSY, Meaning.DENIED)


def refusal_of(job: Job, error: VendorError, fields: Fields, retry_at: datetime) -> Outcome:
    """The outcome of a command that the portal refused."""
    what, write = meaning(error), job.write
    if what is Meaning.INVALID:
        labels = {name: fields[name].label for name in job.values if name in fields}
        named = field_named_in(error.text, labels)
        return invalid(write, named or (next(iter(job.values)) if len(job.values) == 1 else None), str(error))
    if what is Meaning.DENIED or (what is Meaning.OTHER and "exhausted" not in error.text.lower()):
        return refused(write, Fact.NOT_ALLOWED, str(error))
    return Outcome(
        key=write.key,
        result=Result.FAILED,
        record_id=write.record,
        message=str(error),
        retry_at=retry_at if what is Meaning.BUSY else None,
    )


def shows(job: Job, after: After, fields: Fields) -> bool:
    """Whether the record shows everything that the write intended."""
    row = after.row or {}
    if job.write.address is not None:
        present = address_rows(row.get("EMAIL"))
        if not present or present[0].value != job.write.address.strip():
            return False
    return all(_shown(row, name, after, fields) == wanted for name, wanted in job.intended.items())


def _dropped(job: Job, after: After, fields: Fields) -> str | None:
    """The field whose value the portal did not take, if that shows."""
    if after.row is None:
        return None
    names = (name for name in job.intended if _is_dropped(name, job=job, after=after, fields=fields))
    return next(names, None)


def _is_dropped(name: str, *, job: Job, after: After, fields: Fields) -> bool:
    row, wanted = after.row or {}, job.intended[name]
    if name not in row:
        # The portal ignores a field that was deleted since it was asked for, and shows all others.
        return name.startswith(CUSTOM) and wanted not in (None, "", False)
    shown = _shown(row, name, after, fields)
    if isinstance(wanted, bool):
        # A flag that still permits would be taken for somebody who has flipped it back. One that restricts all the
        # same may be somebody's no, which is heard.
        return job.write.restrictive and (shown is True) is not wanted
    # Another value than both may be somebody else's edit; nothing at all is a value that was dropped.
    return wanted not in (None, "") and fields[name].nature in _DROPPED_SILENTLY and shown is None


def _shown(row: Mapping[str, Any], name: str, after: After, fields: Fields) -> object:
    try:
        return value_of(row.get(name), fields[name], after.zone)
    except ValueRefused:
        return None


def soon(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=seconds)
