"""From neutral writes to the fields that a call sends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optsync.model.change import Fact, Outcome, Result, Write, WriteKind
from optsync.model.contact_point import same_mailbox
from optsync.model.record import Value
from optsync_bitrix24.mapping import MULTIFIELDS, Fields, ValueRefused, address_rows, encoded, multifield_rows
from optsync_bitrix24.php import holds_reference

_SUPPORTED = frozenset({WriteKind.STATUS, WriteKind.TOPICS, WriteKind.FIELDS, WriteKind.CREATE, WriteKind.RENAME})


@dataclass(slots=True, kw_only=True)
class Job:
    """A write that is to be sent: ``values`` as the portal takes them, ``intended`` in canonical form."""

    place: int
    write: Write
    values: dict[str, Any]
    intended: Mapping[str, Value]

    @property
    def needs_rows(self) -> bool:
        """Addresses and numbers are changed by the id of their row; without it a second one would be added."""
        is_update = self.write.kind is not WriteKind.CREATE
        return self.write.kind is WriteKind.RENAME or (is_update and any(name in MULTIFIELDS for name in self.values))

    @property
    def travels_alone(self) -> bool:
        """A batch would replace ``$result…`` in a person's text by something else."""
        return holds_reference(self.values)

    @property
    def is_permissive(self) -> bool:
        """Sent again after a lost reply, it could undo an opt-out that came in between."""
        return self.write.kind in (WriteKind.STATUS, WriteKind.TOPICS) and not self.write.restrictive


def prepared(place: int, write: Write, fields: Fields) -> Job | Outcome:
    """A job, or the outcome of a write that is not sent."""
    if write.kind not in _SUPPORTED or write.status is not None:
        return refused(write, Fact.NOT_ALLOWED, "Bitrix24 has no subscription status, archive or tags for its records")
    needs_record = write.kind is not WriteKind.CREATE
    if needs_record and not (write.record and write.record.isdigit() and write.record != "0"):
        return refused(write, Fact.GONE, "not an id of a Bitrix24 record")
    if write.kind in (WriteKind.CREATE, WriteKind.RENAME) and not (write.address or "").strip():
        return invalid(write, "EMAIL", "no address was given")
    intended: dict[str, Value] = {**_sent(write)}
    values: dict[str, Any] = {}
    for name, value in intended.items():
        try:
            values[name] = encoded(value, fields.get(name))
        except ValueRefused as error:
            return invalid(write, name, f"{name}: {error}")
    if not values and write.kind in (WriteKind.STATUS, WriteKind.TOPICS, WriteKind.FIELDS):
        return Outcome(key=write.key, result=Result.SAME, record_id=write.record)
    return Job(place=place, write=write, values=values, intended=intended)


def _sent(write: Write) -> Mapping[str, Value]:
    """Only what the kind of write is about: a FIELDS write must not carry topics, nor the other way round."""
    if write.kind is WriteKind.TOPICS:
        return dict(write.topics)
    if write.kind is WriteKind.CREATE:
        return {**write.fields, **write.topics}
    return {} if write.kind is WriteKind.RENAME else write.fields


def with_rows(job: Job, row: Mapping[str, Any]) -> Outcome | None:
    """Completes a job by the row ids of the record's present values; an outcome if nothing is left to do."""
    if job.write.kind is WriteKind.RENAME:
        return _renamed(job, row)
    for name in [name for name in job.values if name in MULTIFIELDS]:
        job.values[name] = _multifield(name, str(job.values[name]), row.get(name))
    return None


def _renamed(job: Job, row: Mapping[str, Any]) -> Outcome | None:
    wanted = (job.write.address or "").strip()
    present = address_rows(row.get("EMAIL"))
    if not present:
        job.values["EMAIL"] = new_value(wanted)
        return None
    first, others = present[0], present[1:]
    if first.value == wanted:
        return Outcome(key=job.write.key, result=Result.SAME, record_id=job.write.record)
    if job.write.former is not None and not same_mailbox(first.value, job.write.former):
        message = "another address has come to be the first one; nothing was overwritten"
        return Outcome(key=job.write.key, result=Result.FAILED, record_id=job.write.record, message=message)
    changes = [{"ID": str(first.id), "VALUE": wanted, "VALUE_TYPE": first.kind or "WORK"}]
    # The record may hold the new address in second place already; twice on one record helps nobody.
    changes += [{"ID": str(one.id), "DELETE": "Y"} for one in others if same_mailbox(one.value, wanted)]
    job.values["EMAIL"] = changes
    return None


def _multifield(name: str, wanted: str, raw: Any) -> list[dict[str, str]]:
    present = multifield_rows(raw)
    if not present:
        return new_value(wanted) if wanted else []
    first = present[0]
    if not wanted:
        return [{"ID": str(first.id), "DELETE": "Y"}]
    return [{"ID": str(first.id), "VALUE": wanted, "VALUE_TYPE": first.kind or default_kind(name)}]


def new_value(value: str, kind: str = "WORK") -> list[dict[str, str]]:
    """A multifield with one value that is added."""
    return [{"VALUE": value, "VALUE_TYPE": kind}]


def default_kind(name: str) -> str:
    return "OTHER" if name in ("IM", "LINK") else "WORK"


def refused(write: Write, fact: Fact, message: str) -> Outcome:
    return Outcome(key=write.key, result=Result.REFUSED, record_id=write.record, fact=fact, message=message)


def invalid(write: Write, field: str | None, message: str) -> Outcome:
    return Outcome(key=write.key, result=Result.INVALID, record_id=write.record, field=field, message=message)


def in_queues(jobs: Sequence[Job]) -> list[list[Job]]:
    """What restricts first and alone; then what may travel together, with what permits before plain fields; then new
    addresses."""

    def rank(job: Job) -> int:
        if job.write.restrictive:
            return 0
        return 2 if job.write.kind is WriteKind.RENAME else 1

    queues = [[job for job in jobs if rank(job) == number] for number in range(3)]
    queues[1].sort(key=lambda job: not job.is_permissive)
    return queues
