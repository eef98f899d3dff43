"""Chooses the road of each write and the order in which they go."""

from collections.abc import Sequence
from typing import Any

from optsync.errors import RecordInvalid, SystemFailure
from optsync.model.change import Fact, Outcome, Result, Write, WriteKind
from optsync.model.page import ReadSpec
from optsync.model.record import Status
from optsync_mailchimp.bulk import BulkWriter
from optsync_mailchimp.client import MailchimpClient
from optsync_mailchimp.payload import fields_body, status_body, topics_body
from optsync_mailchimp.reading import Reader
from optsync_mailchimp.refusals import refused
from optsync_mailchimp.schema import Schemas
from optsync_mailchimp.single import SingleWriter
from optsync_mailchimp.task import Job, Task

# A bulk item names an address, and an address may have left its record since that was looked at. A few opt-ins go by
# the record; of many, each that met another member is told by the answer, and a member that it made is archived again.
# A request for confirmation never goes in bulk, because a mail cannot be taken back.
_BULK_FROM = {"out": 2, "in": 4, "topics": 2, "fields": 2, "create": 1}
# What restricts goes first.
_ORDER = ("out", "untick", "in", "pending", "create", "topics", "fields")


class Writer:
    """STATUS, TOPICS, FIELDS and CREATE writes of one account."""

    def __init__(self, client: MailchimpClient, schemas: Schemas, reader: Reader, single: SingleWriter) -> None:
        self._schemas = schemas
        self._single = single
        self._bulk = BulkWriter(client, reader, single)

    def write(self, writes: Sequence[Write], spec: ReadSpec) -> list[Outcome]:
        """See :meth:`optsync.connect.contract.Connector.write`."""
        task = Task(spec=spec)
        groups: dict[str, list[Job]] = {name: [] for name in _ORDER}
        for index, write in enumerate(writes):
            groups[_group(write)].append(Job(index=index, write=write))
        if writes:
            task.topic_ids = self._topic_ids(spec)
        for name in _ORDER:
            self._send(task, name, self._prepared(task, groups[name]))
        return [task.outcomes[index] for index in range(len(writes))]

    def _topic_ids(self, spec: ReadSpec) -> dict[str, str | None] | None:
        """None when they cannot be read: an opt-out does not wait for that."""
        try:
            return dict(self._schemas.topic_ids(spec.collection, spec.topics))
        except SystemFailure:
            return None

    def _send(self, task: Task, name: str, jobs: Sequence[Job]) -> None:
        road = "topics" if name == "untick" else name
        addressed = [job for job in jobs if job.write.address]
        is_bulk = road in _BULK_FROM and len(addressed) >= _BULK_FROM[road]
        if is_bulk:
            self._bulk.write(task, addressed)
        for job in jobs:
            if not (is_bulk and job.write.address):
                self._single.patch(task, job)

    def _prepared(self, task: Task, jobs: Sequence[Job]) -> list[Job]:
        """The jobs with their bodies; those that cannot be sent get their outcome here."""
        ready: list[Job] = []
        for job in jobs:
            try:
                body = self._body(job.write, task.spec)
            except RecordInvalid as error:
                task.put(job, _invalid(job.write, error))
            except SystemFailure as error:
                if not task.has_sent:
                    raise
                task.fail(job, str(error))
            else:
                ready.append(Job(index=job.index, write=job.write, body=body))
        return ready

    def _body(self, write: Write, spec: ReadSpec) -> dict[str, Any]:
        audience = spec.collection
        if write.kind is WriteKind.STATUS:
            return status_body(write)
        if write.kind is WriteKind.TOPICS:
            return topics_body(write, self._schemas.topic_ids(audience, write.topics))
        if write.kind is WriteKind.FIELDS:
            return fields_body(write, self._schemas.merge_fields(audience, write.fields))
        if write.kind is not WriteKind.CREATE or not write.address:
            raise RecordInvalid("this kind of write has a verb of its own, or lacks its address", record=write.record)
        body = status_body(write)
        if write.topics:
            body |= topics_body(write, self._schemas.topic_ids(audience, write.topics))
        if write.fields:
            body |= fields_body(write, self._schemas.merge_fields(audience, write.fields))
        return body


def _group(write: Write) -> str:
    if write.kind is WriteKind.STATUS:
        return {Status.OUT: "out", Status.PENDING: "pending"}.get(write.status or Status.IN, "in")
    if write.kind is WriteKind.TOPICS:
        return "topics" if any(write.topics.values()) else "untick"
    return "fields" if write.kind is WriteKind.FIELDS else "create"


def _invalid(write: Write, error: RecordInvalid) -> Outcome:
    if error.field is None:
        return refused(write.key, Fact.NOT_ALLOWED, id_=write.record, message=str(error))
    return Outcome(key=write.key, result=Result.INVALID, record_id=write.record, field=error.field, message=str(error))
