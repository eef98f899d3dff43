"""Tags. A tag is a static segment with the same id, and a segment takes 500 addresses in one call."""

from collections.abc import Sequence

from optsync.connect.http import Effect
from optsync.errors import SystemUnavailable
from optsync.model.change import Outcome, Result, Write
from optsync.model.page import ReadSpec
from optsync_mailchimp.client import MailchimpClient, Reply, objects
from optsync_mailchimp.refusals import of_reply
from optsync_mailchimp.single import SingleWriter
from optsync_mailchimp.task import Job, Task, address_key

_LARGEST = 500
_BULK_FROM = 2


class Tagger:
    """Adds and removes tags of members of one account; writes nothing else."""

    def __init__(self, client: MailchimpClient, single: SingleWriter) -> None:
        self._client = client
        self._single = single

    def tag(self, writes: Sequence[Write], spec: ReadSpec) -> list[Outcome]:
        """See :meth:`optsync.connect.contract.CanTag.tag`. Outcomes hold no record: tags are no part of one."""
        task = Task(spec=spec)
        jobs = [Job(index=index, write=write) for index, write in enumerate(writes)]
        addressed = [job for job in jobs if job.write.address]
        is_bulk = len(addressed) >= _BULK_FROM
        alone = [job for job in jobs if not (is_bulk and job.write.address)]
        alone += self._by_segment(task, addressed) if is_bulk else []
        for job in alone:
            self._one(task, job)
        for job in jobs:
            done = Outcome(key=job.write.key, result=Result.APPLIED, record_id=job.write.record)
            task.outcomes.setdefault(job.index, done)
        return [task.outcomes[job.index] for job in jobs]

    def _one(self, task: Task, job: Job) -> None:
        tags = [{"name": name, "status": "active" if on else "inactive"} for name, on in job.write.tags.items()]
        # Syncing: automations that a tag would start stay quiet.
        body = {"tags": tags, "is_syncing": True}
        path = f"{task.members}/{job.write.record}/tags"
        reply = task.attempt([job], lambda: self._client.send("POST", path, body, effect=Effect.REPEATABLE))
        if reply is not None and not reply.is_ok:
            self._single.refuse(task, job, of_reply(reply))

    def _by_segment(self, task: Task, jobs: Sequence[Job]) -> list[Job]:
        """Tag by tag; returns the jobs that Mailchimp had something against, to be asked about one by one."""
        if not jobs:
            return []
        doubtful: dict[int, Job] = {}
        names = sorted({name for job in jobs for name in job.write.tags}, key=str.casefold)
        reply = task.attempt(jobs, lambda: self._tags(task.spec.collection))
        if reply is None:
            return []
        ids = {str(tag.get("name")).casefold(): tag.get("id") for tag in objects(reply.body.get("tags"))}
        for name in names:
            concerned = [job for job in jobs if name in job.write.tags]
            for start in range(0, len(concerned), _LARGEST):
                chunk = [job for job in concerned[start : start + _LARGEST] if job.index not in task.outcomes]
                doubtful |= self._move(task, name, ids, chunk)
        return [job for index, job in doubtful.items() if index not in task.outcomes]

    def _tags(self, audience: str) -> Reply:
        reply = self._client.get(f"/lists/{audience}/tag-search", {"count": 1000})
        if not reply.is_ok or not isinstance(reply.body.get("tags"), list):
            raise SystemUnavailable(self._client.system, f"the tags could not be read (HTTP {reply.status})")
        return reply

    def _move(self, task: Task, name: str, ids: dict[str, object], chunk: Sequence[Job]) -> dict[int, Job]:
        add = [str(job.write.address) for job in chunk if job.write.tags[name]]
        remove = [str(job.write.address) for job in chunk if not job.write.tags[name]]
        segment = ids.get(name.casefold())
        base = f"/lists/{task.spec.collection}/segments"
        if segment is None and not add:
            return {}
        if segment is None:
            body: dict[str, object] = {"name": name, "static_segment": []}
            reply = task.attempt(chunk, lambda: self._client.send("POST", base, body, effect=Effect.ONCE))
            if reply is None or not reply.is_ok:
                return {job.index: job for job in chunk}
            segment = ids[name.casefold()] = reply.body.get("id")
        moved = {"members_to_add": add, "members_to_remove": remove}
        path = f"{base}/{segment}"
        reply = task.attempt(chunk, lambda: self._client.send("POST", path, moved, effect=Effect.REPEATABLE))
        if reply is None:
            return {}
        if not reply.is_ok:
            return {job.index: job for job in chunk}
        named = {
            address_key(address)
            for error in objects(reply.body.get("errors"))
            for address in _listed(error.get("email_addresses"))
        }
        return {job.index: job for job in chunk if job.address in named}


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()
