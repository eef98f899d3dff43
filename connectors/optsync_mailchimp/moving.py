"""Archiving and renaming: one call per member, never together with anything else."""

from collections.abc import Sequence

from optsync.connect.http import Effect
from optsync.model.change import Fact, Outcome, Result, Write
from optsync.model.contact_point import same_mailbox
from optsync.model.page import ReadSpec
from optsync.model.record import Record, Status
from optsync_mailchimp.client import MailchimpClient
from optsync_mailchimp.mapping import member_hash
from optsync_mailchimp.reading import Reader
from optsync_mailchimp.refusals import Refusal, of_reply, refused, status_fact
from optsync_mailchimp.schema import Schemas
from optsync_mailchimp.single import SingleWriter
from optsync_mailchimp.task import QUERY, Job, Task


class Mover:
    """Takes members off an audience and gives them other addresses."""

    def __init__(self, client: MailchimpClient, schemas: Schemas, reader: Reader, single: SingleWriter) -> None:
        self._client = client
        self._schemas = schemas
        self._reader = reader
        self._single = single

    def archive(self, writes: Sequence[Write], spec: ReadSpec) -> list[Outcome]:
        """See :meth:`optsync.connect.contract.CanArchive.archive`. Members that are gone already are ``SAME``."""
        task = Task(spec=spec)
        for index, write in enumerate(writes):
            self._archive(task, Job(index=index, write=write))
        return [task.outcomes[index] for index in range(len(writes))]

    def rename(self, writes: Sequence[Write], spec: ReadSpec) -> list[Outcome]:
        """See :meth:`optsync.connect.contract.CanRename.rename`. The contact id stays."""
        task = Task(spec=spec)
        if writes:
            task.topic_ids = self._schemas.topic_ids(spec.collection, spec.topics)
        for index, write in enumerate(writes):
            self._rename(task, Job(index=index, write=write))
        return [task.outcomes[index] for index in range(len(writes))]

    def _archive(self, task: Task, job: Job) -> None:
        path = f"{task.members}/{job.write.record}"
        reply = task.attempt([job], lambda: self._client.send("DELETE", path, None, effect=Effect.REPEATABLE))
        if reply is None:
            return
        if reply.is_ok:
            task.put(job, Outcome(key=job.write.key, result=Result.APPLIED, record_id=job.write.record))
        elif reply.status == 405:
            self._not_archivable(task, job, done=Result.APPLIED if reply.is_of_repetition else Result.SAME)
        elif reply.status == 404:
            self._same_if_gone(task, job)
        else:
            self._single.refuse(task, job, of_reply(reply))

    def _not_archivable(self, task: Task, job: Job, *, done: Result) -> None:
        """Bounced, pending and archived members are refused alike; only the last is what was wanted, and ``done``."""
        record = self._own(task, job)
        if record is None and task.failure is not None:
            task.fail(job, task.failure)
        elif record is None:
            self._same_if_gone(task, job)
        elif record.status is Status.ARCHIVED:
            task.put(job, Outcome(key=job.write.key, result=done, record_id=record.id, record=record))
        else:
            message = f"Mailchimp archives no {record.word} member"
            task.put(job, refused(job.write.key, status_fact(record), record=record, message=message))

    def _same_if_gone(self, task: Task, job: Job) -> None:
        if self._single.is_audience_there(task):
            task.put(job, Outcome(key=job.write.key, result=Result.SAME, record_id=job.write.record))
        else:
            task.fail(job, task.failure or "")

    def _rename(self, task: Task, job: Job) -> None:
        write = job.write
        path, body = f"{task.members}/{write.record}", {"email_address": write.address}
        reply = task.attempt(
            [job], lambda: self._client.send("PATCH", path, body, effect=Effect.REPEATABLE, params=QUERY)
        )
        if reply is None:
            return
        if not reply.is_ok:
            verdict = of_reply(reply)
            if verdict.refusal in (Refusal.UNCLEAR, Refusal.EXISTS, Refusal.NOT_ALLOWED, Refusal.COMPLIANCE):
                self._find_obstacle(task, job, verdict.message)
            else:
                self._single.refuse(task, job, verdict)
            return
        if same_mailbox(str(reply.body.get("email_address")), write.address or ""):
            self._single.applied(task, job, dict(reply.body))
        else:
            task.put(job, refused(write.key, Fact.NOT_ALLOWED, id_=write.record, message="the address was not taken"))

    def _find_obstacle(self, task: Task, job: Job, message: str) -> None:
        """The texts are localized, the members are not: is the address taken, or the member not active?"""
        write = job.write
        taken = task.look(lambda: self._reader.read_one(task.spec, member_hash(write.address or "")))
        own = self._own(task, job)
        if task.failure is not None:
            task.fail(job, task.failure)
        elif taken is not None and taken.id != write.record:
            task.put(job, refused(write.key, Fact.EXISTS, id_=write.record, message=message))
        elif own is None:
            task.put(job, refused(write.key, Fact.GONE, id_=write.record, message=message))
        else:
            fact = status_fact(own)
            task.put(job, refused(write.key, fact, record=own, message=message))

    def _own(self, task: Task, job: Job) -> Record | None:
        return task.look(lambda: self._reader.read_one(task.spec, str(job.write.record)))
