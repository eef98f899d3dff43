"""One call of ``write``: its jobs, their outcomes, and what happens when the system fails in the middle."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from optsync.connect.http import Effect
from optsync.errors import OutcomeUnknown, RecordInvalid, SystemFailure
from optsync.model.change import Outcome, Result, Write, WriteKind
from optsync.model.page import ReadSpec
from optsync.model.record import Record, Status
from optsync_mailchimp.client import Reply
from optsync_mailchimp.mapping import Members

_Read = TypeVar("_Read")

QUERY = {"skip_merge_validation": "true"}
"""Lifts the check for required fields only: a contact without a first name can still opt out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A write, its place among the writes, and the body to send."""

    index: int
    write: Write
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The address as results are matched by."""
        return address_key(self.write.address)

    @property
    def effect(self) -> Effect:
        """A permissive write whose answer was lost is not sent again: the person may have said no meanwhile.
        Of a create we must know that it was sent twice, to tell our own member from one that was there."""
        is_permissive = self.write.status in (Status.IN, Status.PENDING) or any(self.write.topics.values())
        is_create = self.write.kind is WriteKind.CREATE
        return Effect.ONCE if is_permissive or is_create else Effect.REPEATABLE


def address_key(address: object) -> str:
    """Mailchimp knows no letter case in addresses."""
    return str(address or "").strip().lower()


@dataclass(slots=True, kw_only=True)
class Task:
    """Collects one outcome per job. After a failure of the system nothing more is sent."""

    spec: ReadSpec
    topic_ids: Mapping[str, str | None] | None = None
    """None while the definitions could not be read: then no outcome shows a record."""
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    repeated: set[int] = field(default_factory=set)
    """Writes that go out a second time, since the first answer was lost or said nothing about them."""
    failure: str | None = None
    has_sent: bool = False
    is_audience_there: bool = False
    """Confirmed after a member was not."""

    @property
    def members(self) -> str:
        """The path of the audience's members."""
        return f"/lists/{self.spec.collection}/members"

    def put(self, job: Job, outcome: Outcome) -> None:
        """The outcome of a job; a later one replaces it. That a repetition failed says nothing about the first call: a
        member that it made would be taken for somebody who signed up, a value for somebody's edit."""
        if outcome.result is Result.FAILED and job.index in self.repeated:
            outcome = replace(outcome, result=Result.UNKNOWN)
        self.outcomes[job.index] = outcome

    def fail(self, job: Job, message: str, *, result: Result = Result.FAILED) -> None:
        """Not applied (or unknown), with the reason."""
        outcome = Outcome(key=job.write.key, result=result, record_id=job.write.record, message=message)
        self.put(job, outcome)

    def attempt(self, jobs: Sequence[Job], call: Callable[[], Reply]) -> Reply | None:
        """The answer, or None when there is none and every job has its outcome.

        Raises:
            SystemFailure: while nothing was sent; later it becomes an outcome, so that none is lost.
        """
        if self.failure is None:
            try:
                reply = call()
            except OutcomeUnknown as error:
                self.has_sent = True
                for job in jobs:
                    self.fail(job, str(error), result=Result.UNKNOWN)
                return None
            except SystemFailure as error:
                self.stop(error)
            else:
                self.has_sent = True
                return reply
        for job in jobs:
            self.fail(job, self.failure or "")
        return None

    def look(self, read: Callable[[], _Read]) -> _Read | None:
        """A reading that helps to understand an outcome; None as well when the system fails meanwhile."""
        if self.failure is not None:
            return None
        try:
            return read()
        except SystemFailure as error:
            self.stop(error)
            return None

    def stop(self, error: SystemFailure) -> None:
        """Ends the task; raises the error again while there is no outcome that this could lose."""
        if not self.has_sent:
            raise error
        self.failure = str(error)

    def record(self, job: Job, member: Mapping[str, Any]) -> Record | None:
        """What a write's answer shows; None if it leaves out something that the record needs."""
        is_slim = (self.spec.fields and "merge_fields" not in member) or (
            any((self.topic_ids or {}).values()) and "interests" not in member
        )
        if self.topic_ids is None or is_slim:
            return None
        known_id = None if job.write.kind is WriteKind.CREATE else job.write.record
        try:
            return Members(self.spec, self.topic_ids).record(member, known_id=known_id)
        except RecordInvalid:
            return None
