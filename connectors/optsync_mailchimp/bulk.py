"""Writes up to 500 members in one call, addressed by address, and checks that each answer is about its record."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from optsync.connect.http import Effect
from optsync.errors import SystemFailure
from optsync.model.change import Result, WriteKind
from optsync.model.record import Status
from optsync_mailchimp.archived import archived_among
from optsync_mailchimp.client import MailchimpClient, Reply, objects
from optsync_mailchimp.mapping import member_hash, parse_time
from optsync_mailchimp.reading import Reader
from optsync_mailchimp.refusals import Refusal, Verdict, of_item, of_reply
from optsync_mailchimp.single import SingleWriter
from optsync_mailchimp.task import QUERY, Job, Task, address_key

LARGEST = 500
_SMALLEST = 125
_SETTLED = frozenset({Refusal.COMPLIANCE, Refusal.FIELD})
"""What else is refused is so for the address. That says nothing about a change of a member, which can go by the
contact id: the call looks at the address before it looks whether that is a member's."""


class BulkWriter:
    """``POST /lists/{id}``: the fewest calls. Anything unclear about one item is settled by contact id."""

    def __init__(self, client: MailchimpClient, reader: Reader, single: SingleWriter) -> None:
        self._client = client
        self._reader = reader
        self._single = single
        self._size = LARGEST

    def write(self, task: Task, jobs: Sequence[Job]) -> None:
        """All of one kind, all with an address."""
        pending = self._without_archived(task, jobs) if jobs[0].write.kind is WriteKind.CREATE else list(jobs)
        while pending:
            chunk, pending = _distinct(pending, self._size)
            self._send(task, chunk)

    def _without_archived(self, task: Task, jobs: Sequence[Job]) -> list[Job]:
        """The creates whose address is no archived member; the others get their outcome."""
        audience = task.spec.collection
        addresses = {job.address for job in jobs}
        known_until = self._reader.known_until(audience)
        archived = task.look(lambda: archived_among(self._client, audience, addresses, known_until=known_until))
        for job in jobs:
            if archived and job.address in archived:
                self._single.recognise(task, job)
        return [job for job in jobs if job.index not in task.outcomes]

    def _send(self, task: Task, chunk: Sequence[Job]) -> None:
        is_create = chunk[0].write.kind is WriteKind.CREATE
        body = {
            "members": [{"email_address": job.write.address, **job.body} for job in chunk],
            # False keeps a create from touching a member that exists.
            "update_existing": not is_create,
            "sync_tags": False,
        }
        effect = Effect.ONCE if any(job.effect is Effect.ONCE for job in chunk) else Effect.REPEATABLE
        query = {**QUERY, "skip_duplicate_check": "true"}
        path = f"/lists/{task.spec.collection}"
        reply = task.attempt(chunk, lambda: self._client.send("POST", path, body, effect=effect, params=query))
        if reply is None:
            self._after_silence(task, chunk, is_create=is_create)
        elif reply.is_ok:
            self._sort_out(task, chunk, reply, is_create=is_create)
        else:
            self._narrow_down(task, chunk, reply, is_create=is_create)

    def _after_silence(self, task: Task, chunk: Sequence[Job], *, is_create: bool) -> None:
        """A call that ran into the time limit is likely to do so again: smaller ones from now on."""
        self._size = max(_SMALLEST, self._size // 2)
        if not is_create or task.failure is not None:
            return
        fresh = [job for job in chunk if job.index not in task.repeated]
        task.repeated.update(job.index for job in fresh)
        # A create can be repeated: it never touches a member. A request for confirmation is never sent twice.
        if again := [job for job in fresh if job.write.status is not Status.PENDING]:
            self._send(task, again)
        for job in fresh:
            if job.write.status is Status.PENDING:
                self._single.recognise(task, job)

    def _narrow_down(self, task: Task, chunk: Sequence[Job], reply: Reply, *, is_create: bool) -> None:
        """The call as a whole was refused: by halves down to the item that it is about."""
        if reply.status == 404:
            task.failure = f"{self._client.system}: audience {task.spec.collection} is not there; check `audience:`"
            for job in chunk:
                task.fail(job, task.failure)
        elif len(chunk) > 1:
            middle = len(chunk) // 2
            self._send(task, chunk[:middle])
            self._send(task, chunk[middle:])
        else:
            self._refused(task, chunk[0], of_reply(reply), is_create=is_create)

    def _sort_out(self, task: Task, chunk: Sequence[Job], reply: Reply, *, is_create: bool) -> None:
        created, updated = _by_address(reply, "new_members"), _by_address(reply, "updated_members")
        errors = _by_address(reply, "errors")
        if is_create:
            created = self._with_ids(task, created)
        for job in chunk:
            if job.address in errors:
                self._refused(task, job, of_item(errors[job.address]), is_create=is_create)
            elif is_create and job.address in created:
                self._single.applied(task, job, created[job.address])
            elif not is_create and job.address in updated and _is_about(updated[job.address], job):
                self._single.applied(task, job, updated[job.address])
            elif is_create:
                # Not a word about it, or in a spelling of the vendor's: the address itself tells.
                task.repeated.add(job.index)
                self._unmentioned(task, job)
            elif job.effect is Effect.ONCE and job.address not in created and job.address not in updated:
                # It may have been carried out, and is not sent again: the person may have said no since.
                task.fail(job, "the answer says nothing about it", result=Result.UNKNOWN)
            else:
                self._misplaced(task, job, is_new=job.address in created)

    def _unmentioned(self, task: Task, job: Job) -> None:
        """A create that the answer leaves out. A request for confirmation is not sent twice: its mail may be out."""
        if job.write.status is Status.PENDING:
            task.fail(job, "the answer says nothing about it", result=Result.UNKNOWN)
            self._single.recognise(task, job)
        else:
            self._single.create(task, job)

    def _refused(self, task: Task, job: Job, verdict: Verdict, *, is_create: bool) -> None:
        if _is_settled(job, verdict.refusal, is_create=is_create):
            self._single.refuse(task, job, verdict)
        elif is_create:
            self._single.create(task, job)
        else:
            self._single.patch(task, job)

    def _misplaced(self, task: Task, job: Job, *, is_new: bool) -> None:
        """The address is no longer this record's, so the write met another member, or made one.

        A member made by an opt-out stays: it keeps an address out that said no. So does one made by an opt-in
        whose record is gone, which it stands in for; where the record has another address, it is archived again.
        Restrictive and neutral writes then go to the record by its id.
        """
        if job.write.status not in (Status.IN, Status.PENDING):
            task.repeated.add(job.index)
            self._single.patch(task, job)
            return
        if is_new and self._single.is_gone(task, job):
            return
        if is_new:
            path = f"{task.members}/{member_hash(job.write.address or '')}"
            task.attempt([job], lambda: self._client.send("DELETE", path, None, effect=Effect.REPEATABLE))
        task.fail(job, "the record has another address now; it is read again before anything else is sent")

    def _with_ids(self, task: Task, created: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Bulk answers may leave the contact id out: one listing of what just changed brings them."""
        members = dict(created)
        nameless = {address for address, member in members.items() if not member.get("contact_id")}
        stamps = [t for address in nameless if (t := parse_time(members[address].get("last_changed")))]
        if not stamps:
            return members
        try:
            ids = self._reader.ids_since(task.spec, min(stamps) - timedelta(seconds=1))
        except SystemFailure as error:
            task.failure = str(error)
            return members
        for raw, contact_id in ids.items():
            address = address_key(raw)
            if address in nameless and contact_id:
                members[address] = {**members[address], "contact_id": contact_id}
        return members


def _is_settled(job: Job, refusal: Refusal, *, is_create: bool) -> bool:
    if is_create:
        return refusal is not Refusal.UNCLEAR
    if job.write.kind is WriteKind.STATUS and job.write.status is Status.OUT:
        # It is nothing but the status: whatever the call has against the item is not about that.
        return False
    # A forgotten address is nobody's: the record that had it has another one, which nobody opted in, or is gone.
    return refusal in _SETTLED or (refusal is Refusal.FORGOTTEN and job.write.status is Status.IN)


def _distinct(jobs: Sequence[Job], size: int) -> tuple[list[Job], list[Job]]:
    """The next chunk, each address once (a second one would be dropped without a word), and the rest."""
    chunk: list[Job] = []
    rest: list[Job] = []
    taken: set[str] = set()
    for job in jobs:
        if len(chunk) < size and job.address not in taken:
            taken.add(job.address)
            chunk.append(job)
        else:
            rest.append(job)
    return chunk, rest


def _by_address(reply: Reply, key: str) -> dict[str, dict[str, Any]]:
    return {address_key(row.get("email_address")): row for row in objects(reply.body.get(key))}


def _is_about(member: Mapping[str, Any], job: Job) -> bool:
    contact_id = member.get("contact_id")
    return not contact_id or contact_id == job.write.record
