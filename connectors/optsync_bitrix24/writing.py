"""Writing: updates in batches that read back what they changed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from optsync.clock import Clock
from optsync.connect.http import Effect
from optsync.errors import OutcomeUnknown, SystemFailure
from optsync.model.change import Fact, Outcome, Result, Write, WriteKind
from optsync.model.page import ReadSpec
from optsync_bitrix24.absence import why_absent
from optsync_bitrix24.joining import Parcel, joined
from optsync_bitrix24.listing import Listing, is_whole
from optsync_bitrix24.looking_up import LookUp, look_ups, record_of
from optsync_bitrix24.mapping import MULTIFIELDS, Fields
from optsync_bitrix24.outcomes import UNTOLD, After, leaves_open, outcome_of, soon
from optsync_bitrix24.preparing import Job, in_queues, prepared, refused, with_rows
from optsync_bitrix24.refusals import Meaning, VendorError, meaning

WRITE_BATCH = 49
"""Leaves room for the read-back. A slow portal gets smaller ones: a request may run for 60 seconds only."""
_LONGEST_WAIT_S = 60.0
_ABOUT_A_VALUE = frozenset({Meaning.INVALID, Meaning.DENIED, Meaning.OTHER})
"""Refusals that may be about one of the values of an update; codes and texts leave that open."""

Send = Callable[[Sequence[Job]], dict[int, Outcome]]


class Outcomes:
    """Collects one outcome per write, whatever happens to the system meanwhile."""

    def __init__(self, writes: Sequence[Write]) -> None:
        self._writes = writes
        self._made: dict[int, Outcome] = {}
        self._has_sent = False
        self._failure: SystemFailure | None = None

    def put(self, place: int, outcome: Outcome) -> None:
        self._made[place] = outcome

    def without(self, jobs: Sequence[Job]) -> list[Job]:
        """Those that have no outcome yet."""
        return [job for job in jobs if job.place not in self._made]

    def run(self, jobs: Sequence[Job], send: Send, *, is_write: bool = True) -> None:
        """Sends, unless the system has failed already. Raises its failure while nothing has been written."""
        if self._failure is not None or not jobs:
            return
        try:
            self._made |= send(jobs)
            self._has_sent = self._has_sent or is_write
        except OutcomeUnknown as error:
            self._has_sent = True
            for job in jobs:
                self._made.setdefault(job.place, _left(job.write, Result.UNKNOWN, str(error)))
        except SystemFailure as error:
            if not self._has_sent:
                raise
            self._failure = error

    def hold_back(self, jobs: Sequence[Job], message: str, retry_at: datetime) -> None:
        """They are not sent now."""
        for job in jobs:
            self._made[job.place] = replace(_left(job.write, Result.FAILED, message), retry_at=retry_at)

    def in_order(self) -> list[Outcome]:
        why = str(self._failure or "not sent")
        return [self._made.get(n) or _left(write, Result.FAILED, why) for n, write in enumerate(self._writes)]


def _left(write: Write, result: Result, message: str) -> Outcome:
    return Outcome(key=write.key, result=result, record_id=write.record, message=message)


class Updater:
    """Changes existing records."""

    def __init__(self, listing: Listing, clock: Clock) -> None:
        self._listing = listing
        self._client = listing.client
        self._clock = clock

    def update(self, jobs: Sequence[Job], spec: ReadSpec, outcomes: Outcomes) -> None:
        """Sends the jobs, what restricts first; never raises once something was sent."""
        for queue in in_queues(jobs):
            ready = joined(self._completed(queue, spec, outcomes))
            together = [parcel for parcel in ready if not parcel.travels_alone]
            # Plain fields have batches of their own: theirs are sent again after a lost answer.
            for is_permissive in (True, False):
                self._send_together([p for p in together if p.is_permissive is is_permissive], spec, outcomes)
            for job in (parcel.jobs[0] for parcel in ready if parcel.travels_alone):
                if not self._must_wait([job], outcomes):
                    outcomes.run([job], lambda jobs: self._send_alone(jobs[0], spec))

    def _send_together(self, parcels: Sequence[Parcel], spec: ReadSpec, outcomes: Outcomes) -> None:
        while parcels and not self._must_wait(_jobs(parcels), outcomes):
            size = self._client.batch_size(WRITE_BATCH, reads=False)
            chunk, parcels = parcels[:size], parcels[size:]
            apart: list[Parcel] = []
            outcomes.run(_jobs(chunk), partial(self._send_batch, chunk, spec, apart))
            parcels = [*apart, *parcels]

    def _must_wait(self, jobs: Sequence[Job], outcomes: Outcomes) -> bool:
        return must_wait(jobs, outcomes, self._listing, now=self._clock.now(), verb="update")

    def _completed(self, jobs: Sequence[Job], spec: ReadSpec, outcomes: Outcomes) -> list[Job]:
        """Jobs that change addresses or numbers get the ids of the rows they change."""
        needy = [job for job in jobs if job.needs_rows]
        ready = {job.place: job for job in jobs if not job.needs_rows}

        def complete(asked: Sequence[Job]) -> dict[int, Outcome]:
            ids = [str(job.write.record) for job in asked]
            # No more than is needed here: an opt-out that this showed would be seen and not heard.
            found = look_ups(self._listing, spec, ids, ("ID", *MULTIFIELDS))
            rows = {number: row for one in found for number, row in one.rows.items()}
            why = self._why_absent([job for job in asked if str(job.write.record) not in rows])
            settled = {}
            for job in asked:
                row = rows.get(str(job.write.record))
                outcome = _not_shown(job, why) if row is None else with_rows(job, row)
                if outcome is not None:
                    settled[job.place] = outcome
                else:
                    ready[job.place] = job
            return settled

        outcomes.run(needy, complete, is_write=False)
        return [ready[job.place] for job in jobs if job.place in ready]

    def _send_batch(
        self, parcels: Sequence[Parcel], spec: ReadSpec, apart: list[Parcel], jobs: Sequence[Job]
    ) -> dict[int, Outcome]:
        """Puts into ``apart`` what was refused together: which of the jobs that is about, only they can tell."""
        look_up = self._look_up(jobs, spec)
        commands = {parcel.key: parcel.command for parcel in parcels} | look_up.commands()
        effect = Effect.ONCE if any(job.is_permissive for job in jobs) else Effect.REPEATABLE
        is_restrictive = all(job.write.restrictive for job in jobs)
        reply = self._client.batch(commands, effect=effect, restrictive=is_restrictive)
        self._listing.learn(spec.collection, reply)
        self._listing.written[spec.collection] += len(parcels)
        shown = look_up if look_up.take(reply) else None
        left_open = [job for p in parcels for job in p.jobs if _is_open(job, reply.errors.get(p.key), shown)]
        why = self._why_absent(left_open)
        made: dict[int, Outcome] = {}
        for parcel in parcels:
            result, error = reply.results.get(parcel.key), reply.errors.get(parcel.key)
            if parcel.is_joint and error is not None and meaning(error) in _ABOUT_A_VALUE:
                apart.extend(parcel.apart())
                continue
            for job in parcel.jobs:
                made[job.place] = self._outcome(job, result=result, error=error, look_up=shown, why=why)
        return made

    def _why_absent(self, jobs: Sequence[Job]) -> Mapping[str, Meaning]:
        """Of the records of those jobs, none of which is shown."""
        if not jobs:
            return {}
        ids = dict.fromkeys(str(job.write.record) for job in jobs)
        is_restrictive = all(job.write.restrictive for job in jobs)
        return why_absent(self._client, jobs[0].write.collection, ids, restrictive=is_restrictive)

    def _send_alone(self, job: Job, spec: ReadSpec) -> dict[int, Outcome]:
        command = Parcel([job]).command
        effect = Effect.ONCE if job.is_permissive else Effect.REPEATABLE
        restrictive = job.write.restrictive
        reply = self._client.call(command.method, command.params, effect=effect, restrictive=restrictive)
        look_up = self._look_up([job], spec)
        try:
            shown = self._client.batch(look_up.commands(), effect=Effect.READ, restrictive=restrictive)
            is_known = look_up.take(shown)
        except SystemFailure:
            # The write is done; that it could not be looked at again must not hide that.
            is_known = False
        known = look_up if is_known else None
        why = self._why_absent([job] if _is_open(job, reply.error, known) else [])
        made = self._outcome(job, result=reply.result, error=reply.error, look_up=known, why=why)
        return {job.place: made}

    def _look_up(self, jobs: Sequence[Job], spec: ReadSpec) -> LookUp:
        ids = list(dict.fromkeys(str(job.write.record) for job in jobs))
        select = [*self._listing.selected(spec), *(name for job in jobs for name in job.values)]
        return LookUp(spec=spec, ids=ids, select=select, prefix="z")

    def _outcome(
        self,
        job: Job,
        *,
        result: object,
        error: VendorError | None,
        look_up: LookUp | None,
        why: Mapping[str, Meaning],
    ) -> Outcome:
        after = After(is_known=False)
        if look_up is not None:
            record = str(job.write.record)
            row = look_up.rows.get(record)
            # A field that is gone must not read as one that was taken back.
            shown = record_of(self._listing, look_up, record) if row and is_whole(row, look_up.select) else None
            after = After(is_known=True, absence=why.get(record), row=row, record=shown, zone=self._listing.zone)
        wait = 2.0
        if error is not None and error.is_operating:
            wait = self._client.wait_after_limit(f"crm.{job.write.collection}.update")
        return outcome_of(
            job,
            result=result,
            error=error,
            after=after,
            fields=self._listing.known_fields(job.write.collection),
            retry_at=soon(self._clock.now(), wait),
        )


def must_wait(jobs: Sequence[Job], outcomes: Outcomes, listing: Listing, *, now: datetime, verb: str) -> bool:
    """Holds ordinary writes back while the portal's run time for them, or for reading them back, is short.

    Waiting for it here could keep an opt-out of the next cycle waiting behind them.
    """
    if not jobs or all(job.write.restrictive for job in jobs):
        return False
    methods = [f"crm.{jobs[0].write.collection}.{one}" for one in (verb, "list")]
    wait = listing.client.wait_before(methods, restrictive=False)
    if wait <= _LONGEST_WAIT_S:
        return False
    message = "the portal's run time is nearly used up; the rest is kept for opt-outs and this goes on later"
    outcomes.hold_back(jobs, message, soon(now, wait))
    return True


def _is_open(job: Job, error: VendorError | None, look_up: LookUp | None) -> bool:
    """Whether a write was refused, perhaps because its record is gone, perhaps because it may not be seen."""
    is_shown = look_up is None or str(job.write.record) in look_up.rows
    return error is not None and not is_shown and leaves_open(error)


def _not_shown(job: Job, why: Mapping[str, Meaning]) -> Outcome:
    what = why.get(str(job.write.record))
    if what in UNTOLD:
        return _left(job.write, Result.FAILED, "the record is not shown, and the portal did not say why")
    if what is Meaning.DENIED:
        return refused(job.write, Fact.NOT_ALLOWED, "the webhook's owner may not see the record")
    return refused(job.write, Fact.GONE, "the record is not there any more")


def _jobs(parcels: Sequence[Parcel]) -> list[Job]:
    return [job for parcel in parcels for job in parcel.jobs]


def sorted_out(writes: Sequence[Write], listing: Listing, spec: ReadSpec, outcomes: Outcomes) -> list[Job]:
    """The writes that can be sent; the others get their outcome at once."""
    made = _prepared(writes, listing.fields(spec.collection))
    if any(isinstance(one, Outcome) and one.result is Result.INVALID for one in made):
        # Perhaps the field or its option is newer than what is remembered.
        listing.catalog.doubt(spec.collection)
        made = _prepared(writes, listing.fields(spec.collection))
    for place, one in enumerate(made):
        if isinstance(one, Outcome):
            outcomes.put(place, one)
    return [one for one in made if isinstance(one, Job)]


def _prepared(writes: Sequence[Write], fields: Fields) -> list[Job | Outcome]:
    return [prepared(place, write, fields) for place, write in enumerate(writes)]


def is_create(job: Job) -> bool:
    return job.write.kind is WriteKind.CREATE
