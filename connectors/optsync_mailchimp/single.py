"""Writes one member at a time, addressed by contact id, and finds out what a refusal is about."""

from dataclasses import replace
from typing import Any

from optsync.clock import Clock
from optsync.connect.http import Effect
from optsync.model.change import Fact, Outcome, Result, WriteKind
from optsync.model.page import ReadSpec
from optsync.model.record import Record, Status
from optsync_mailchimp.client import MailchimpClient, Reply
from optsync_mailchimp.mapping import STATUS_OF_WORD, member_hash, read_value
from optsync_mailchimp.reading import Reader
from optsync_mailchimp.refusals import (
    PARKED,
    Refusal,
    Verdict,
    compliance_fact,
    of_reply,
    refused,
    status_fact,
)
from optsync_mailchimp.task import QUERY, Job, Task

_FACTS = {Refusal.FORGOTTEN: Fact.FORGOTTEN, Refusal.FAKE: Fact.FAKE_ADDRESS}


class SingleWriter:
    """The road by contact id: it cannot create anybody, survives renames, and its errors have titles."""

    def __init__(self, client: MailchimpClient, reader: Reader, clock: Clock) -> None:
        self._client = client
        self._reader = reader
        self._clock = clock

    def patch(self, task: Task, job: Job) -> None:
        """Changes the member and nothing else than the job's body says."""
        path = f"{task.members}/{job.write.record}"
        self._send(task, job, "PATCH", path, dict(job.body))

    def create(self, task: Task, job: Job) -> None:
        """Creates a member that the bulk call refused for a reason it did not name.

        The single call revives archived members, so it is asked first whether there is one.
        """
        existing = self.find(task, job)
        if task.failure is not None:
            task.fail(job, task.failure)
        elif existing is not None:
            self._exists(task, job, existing)
        else:
            self._send(task, job, "POST", task.members, {"email_address": job.write.address, **job.body})

    def recognise(self, task: Task, job: Job) -> None:
        """After a create whose answer was lost: a member there settles it, nothing there leaves it unknown."""
        existing = self.find(task, job)
        if existing is not None:
            self._exists(task, job, existing)

    def find(self, task: Task, job: Job) -> Record | None:
        """The member at the address of a create, with the fields that were to be written."""
        write = job.write
        spec = ReadSpec(
            collection=task.spec.collection,
            fields=task.spec.fields | frozenset(write.fields),
            topics=task.spec.topics | frozenset(write.topics),
        )
        return task.look(lambda: self._reader.read_one(spec, member_hash(write.address or "")))

    def applied(self, task: Task, job: Job, member: dict[str, Any]) -> None:
        """The outcome of a member that came back: applied, unless it shows another status than was asked for."""
        record = task.record(job, member)
        if record is None:
            is_new = job.write.kind is WriteKind.CREATE
            path = member_hash(job.write.address or "") if is_new else str(job.write.record)
            record = task.look(lambda: self._reader.read_one(task.spec, path))
        id_ = record.id if record else (str(member.get("contact_id") or "") or job.write.record)
        shown = STATUS_OF_WORD.get(str(member.get("status")))
        if job.write.status is not None and shown is not job.write.status:
            # Seen with self-unsubscribed members: the call succeeds and the status stays.
            fact = Fact.SELF_UNSUBSCRIBED if shown is Status.OUT else _fact_of(shown)
            task.put(job, refused(job.write.key, fact, record=record, id_=id_, message="the status was not taken"))
            return
        outcome = Outcome(key=job.write.key, result=Result.APPLIED, record_id=id_, record=record)
        if record is not None and (kept := _still_ticked(record, job)):
            # Where one of a category is always chosen. Taken for applied, it would read as ticked again by the person.
            message = "the group was not taken off"
            outcome = replace(outcome, result=Result.INVALID, field=kept, message=message, is_partly_done=True)
        task.put(job, outcome)

    def refuse(self, task: Task, job: Job, verdict: Verdict) -> None:
        """The outcome of a refusal; looks at the member where the refusal alone does not say enough."""
        key, id_ = job.write.key, job.write.record
        if fact := _FACTS.get(verdict.refusal):
            task.put(job, refused(key, fact, id_=id_, message=verdict.message))
        elif verdict.refusal is Refusal.FIELD:
            outcome = Outcome(
                key=key, result=Result.INVALID, record_id=id_, field=verdict.field, message=verdict.message
            )
            task.put(job, outcome)
        elif verdict.refusal is Refusal.THROTTLED:
            self._park(task, job, verdict)
        elif verdict.refusal is Refusal.GONE:
            self._gone(task, job, verdict)
        else:
            self._look_and_refuse(task, job, verdict)

    def is_gone(self, task: Task, job: Job) -> bool:
        """Whether the record is not there any more, which then is its outcome."""
        own = task.look(lambda: self._reader.read_one(task.spec, str(job.write.record)))
        if own is not None or task.failure is not None:
            return False
        message = "the member is not there any more"
        task.put(job, refused(job.write.key, Fact.GONE, id_=job.write.record, message=message))
        return True

    def _send(self, task: Task, job: Job, method: str, path: str, body: dict[str, Any]) -> None:
        reply = task.attempt([job], lambda: self._client.send(method, path, body, effect=job.effect, params=QUERY))
        if reply is not None:
            self._settle(task, job, reply)

    def _settle(self, task: Task, job: Job, reply: Reply) -> None:
        if reply.is_ok:
            self.applied(task, job, dict(reply.body))
        else:
            self.refuse(task, job, of_reply(reply))

    def _gone(self, task: Task, job: Job, verdict: Verdict) -> None:
        if self.is_audience_there(task):
            task.put(job, refused(job.write.key, Fact.GONE, id_=job.write.record, message=verdict.message))
        else:
            task.fail(job, task.failure or "")

    def is_audience_there(self, task: Task) -> bool:
        """Asked once per task, before a missing member is believed; a missing audience ends the task."""
        if not task.is_audience_there and task.failure is None:
            task.look(lambda: self._reader.confirm_audience(task.spec.collection))
            task.is_audience_there = task.failure is None
        return task.is_audience_there

    def _park(self, task: Task, job: Job, verdict: Verdict) -> None:
        outcome = Outcome(
            key=job.write.key,
            result=Result.FAILED,
            record_id=job.write.record,
            message=verdict.message,
            retry_at=self._clock.now() + PARKED,
        )
        task.put(job, outcome)

    def _look_and_refuse(self, task: Task, job: Job, verdict: Verdict) -> None:
        if job.write.kind is WriteKind.CREATE:
            record = self.find(task, job)
        else:
            record = task.look(lambda: self._reader.read_one(task.spec, str(job.write.record)))
        id_, message = job.write.record, verdict.message
        if verdict.refusal is Refusal.COMPLIANCE:
            task.put(job, refused(job.write.key, compliance_fact(record), record=record, id_=id_, message=message))
        elif verdict.refusal is Refusal.EXISTS:
            self._exists(task, job, record)
        elif record is None:
            self._park(task, job, verdict)
        elif record.status is Status.ARCHIVED and job.write.kind is WriteKind.STATUS and record.addresses:
            self._revive(task, job, record)
        elif record.status in (Status.BOUNCED, Status.ARCHIVED) or verdict.refusal is Refusal.NOT_ALLOWED:
            task.put(job, refused(job.write.key, status_fact(record), record=record, message=message))
        else:
            self._park(task, job, verdict)

    def _revive(self, task: Task, job: Job, record: Record) -> None:
        """PATCH may refuse archived members; PUT with a status takes them back."""
        body = {"email_address": record.addresses[0], **job.body}
        path = f"{task.members}/{record.id}"
        reply = task.attempt([job], lambda: self._client.send("PUT", path, body, effect=Effect.ONCE, params=QUERY))
        if reply is None:
            return
        verdict = None if reply.is_ok else of_reply(reply)
        if verdict is None:
            self.applied(task, job, dict(reply.body))
        elif verdict.refusal in (Refusal.UNCLEAR, Refusal.NOT_ALLOWED):
            task.put(job, refused(job.write.key, Fact.ARCHIVED, record=record, message=verdict.message))
        else:
            self.refuse(task, job, verdict)

    def _exists(self, task: Task, job: Job, record: Record | None) -> None:
        """A create that met a member: ours from the call whose answer was lost, or somebody else's."""
        shown = _as_asked(task, record)
        if record is not None and job.index in task.repeated and _is_as_written(record, job):
            outcome = Outcome(key=job.write.key, result=Result.APPLIED, record_id=record.id, record=shown)
            task.put(job, outcome)
        elif record is not None and job.index in task.repeated and record.status in (job.write.status, Status.IN):
            outcome = Outcome(key=job.write.key, result=Result.UNKNOWN, record_id=record.id, record=shown)
            task.put(job, outcome)
        else:
            task.put(job, refused(job.write.key, Fact.EXISTS, record=shown, message="the address is a member"))


def _still_ticked(record: Record, job: Job) -> str | None:
    """A topic that a restriction was to take off."""
    unwanted = (name for name, is_wanted in job.write.topics.items() if job.write.restrictive and not is_wanted)
    return next((name for name in unwanted if record.topics.get(name)), None)


def _fact_of(status: Status | None) -> Fact:
    return {Status.BOUNCED: Fact.UNDELIVERABLE, Status.ARCHIVED: Fact.ARCHIVED}.get(
        status or Status.UNKNOWN, Fact.NOT_ALLOWED
    )


def _as_asked(task: Task, record: Record | None) -> Record | None:
    if record is None:
        return None
    return replace(
        record,
        fields={tag: record.fields[tag] for tag in task.spec.fields if tag in record.fields},
        topics={name: record.topics.get(name) for name in task.spec.topics},
    )


def _is_as_written(record: Record, job: Job) -> bool:
    write, sent = job.write, job.body.get("merge_fields", {})
    return (
        record.status is write.status
        and all(record.fields.get(tag) == read_value(value) for tag, value in sent.items())
        and all(bool(record.topics.get(name)) is wanted for name, wanted in write.topics.items())
    )
