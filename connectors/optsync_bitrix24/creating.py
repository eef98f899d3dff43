"""Creating records: never over an existing one, never twice."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from optsync.clock import Clock
from optsync.connect.http import Effect
from optsync.errors import OutcomeUnknown, SystemFailure
from optsync.model.change import Fact, Outcome, Result, Write
from optsync.model.contact_point import InvalidAddress, normalise
from optsync.model.page import ReadSpec
from optsync.model.record import Record
from optsync_bitrix24.client import BatchReply, Command, Reply
from optsync_bitrix24.joining import PARAMS
from optsync_bitrix24.listing import Listing
from optsync_bitrix24.looking_up import read_ids
from optsync_bitrix24.mapping import DUPLICATE_TYPES, MULTIFIELDS
from optsync_bitrix24.outcomes import refusal_of, soon
from optsync_bitrix24.php import as_list, as_map
from optsync_bitrix24.preparing import Job, default_kind, new_value
from optsync_bitrix24.refusals import Meaning, VendorError, meaning
from optsync_bitrix24.walking import id_of
from optsync_bitrix24.writing import Outcomes, must_wait

ORIGINATOR = "optsync"
_CREATE_BATCH = 20
"""Two look-ups each; large batches of adds are known to end in HTTP 500."""


class Creator:
    """Adds records. ``ORIGINATOR_ID`` and ``ORIGIN_ID`` name the write and for whom it was, so that a lost reply can be
    made good."""

    def __init__(self, listing: Listing, clock: Clock) -> None:
        self._listing = listing
        self._client = listing.client
        self._clock = clock

    def create(self, jobs: Sequence[Job], spec: ReadSpec, outcomes: Outcomes) -> None:
        """One outcome per job; the second of two writes for one address meets the first one's record."""
        waiting, held = _one_per_address(jobs)
        for start in range(0, len(waiting), _CREATE_BATCH):
            chunk = waiting[start : start + _CREATE_BATCH]
            if must_wait(chunk, outcomes, self._listing, now=self._clock.now(), verb="add"):
                continue
            outcomes.run(chunk, lambda asked: self._look_for(asked, spec), is_write=False)
            missing = outcomes.without(chunk)
            outcomes.run([job for job in missing if not job.travels_alone], lambda asked: self._add(asked, spec))
            for job in missing:
                if job.travels_alone:
                    outcomes.run([job], lambda asked: self._add(asked, spec))
        if held:
            self.create(held, spec, outcomes)

    def _look_for(self, jobs: Sequence[Job], spec: ReadSpec) -> dict[int, Outcome]:
        """The outcome of those whose address or own origin exists already, or that could not be looked for.

        Adding without having looked could make a second record, so these wait.
        """
        commands: dict[str, Command] = {}
        for job in jobs:
            commands[f"o{job.place}"] = _by_origin(spec.collection, job.write)
            commands[f"d{job.place}"] = _by_address(spec.collection, job.write)
        reply = self._client.batch(commands, effect=Effect.READ)
        looked = {job.place: self._looked(job, reply) for job in jobs}
        return self._with_records({place: one for place, one in looked.items() if one is not None}, spec)

    def _looked(self, job: Job, reply: BatchReply) -> Outcome | None:
        write, keys = job.write, (f"o{job.place}", f"d{job.place}")
        for key in keys:
            if key in reply.errors:
                fields = self._listing.known_fields(write.collection)
                return refusal_of(job, reply.errors[key], fields, soon(self._clock.now(), 2.0))
            if key not in reply.results:
                return Outcome(key=write.key, result=Result.FAILED, message="a look-up was not answered for")
        if (own := _own(reply.results[keys[0]], write)) is not None:
            return Outcome(key=write.key, result=Result.APPLIED, record_id=own)
        if others := _hits(reply.results[keys[1]], write.collection):
            message = f"{write.collection} {others[0]} has the address already"
            return Outcome(key=write.key, result=Result.REFUSED, fact=Fact.EXISTS, record_id=others[0], message=message)
        return None

    def _add(self, jobs: Sequence[Job], spec: ReadSpec) -> dict[int, Outcome]:
        restrictive = all(job.write.restrictive for job in jobs)
        try:
            reply = self._sent(jobs, restrictive=restrictive)
        except OutcomeUnknown as error:
            return self._found_again(jobs, spec, str(error))
        made = {}
        for job in jobs:
            key = f"a{job.place}"
            made[job.place] = self._outcome(job, reply.results.get(key), reply.errors.get(key))
        return self._with_records(made, spec)

    def _sent(self, jobs: Sequence[Job], *, restrictive: bool) -> BatchReply:
        commands = {f"a{job.place}": _add_command(job) for job in jobs}
        if not any(job.travels_alone for job in jobs):
            return self._client.batch(commands, effect=Effect.ONCE, restrictive=restrictive)
        (key, one) = next(iter(commands.items()))
        reply: Reply = self._client.call(one.method, one.params, effect=Effect.ONCE, restrictive=restrictive)
        if reply.error is not None:
            return BatchReply(results={}, errors={key: reply.error}, started_at=None)
        return BatchReply(results={key: reply.result}, errors={}, started_at=None)

    def _outcome(self, job: Job, result: Any, error: VendorError | None) -> Outcome:
        number = str(result) if not isinstance(result, bool) else ""
        if error is None and number.isdigit() and number != "0":
            return Outcome(key=job.write.key, result=Result.APPLIED, record_id=number)
        if error is None or meaning(error) is Meaning.BROKEN:
            return Outcome(key=job.write.key, result=Result.UNKNOWN, message=str(error or "no answer to the command"))
        fields = self._listing.known_fields(job.write.collection)
        return refusal_of(job, error, fields, soon(self._clock.now(), 2.0))

    def _found_again(self, jobs: Sequence[Job], spec: ReadSpec, why: str) -> dict[int, Outcome]:
        """After a lost reply: what can be found was made. What cannot may still be under way, so nothing is sent."""
        made = {job.place: Outcome(key=job.write.key, result=Result.UNKNOWN, message=why) for job in jobs}
        commands = {f"o{job.place}": _by_origin(spec.collection, job.write) for job in jobs}
        try:
            reply = self._client.batch(commands, effect=Effect.READ)
        except SystemFailure:
            return made
        for job in jobs:
            own = _own(reply.results.get(f"o{job.place}"), job.write)
            if own is not None:
                made[job.place] = Outcome(key=job.write.key, result=Result.APPLIED, record_id=own)
        return self._with_records(made, spec)

    def _with_records(self, made: Mapping[int, Outcome], spec: ReadSpec) -> dict[int, Outcome]:
        """Shows the records as they are now; that they cannot be shown does not undo them."""
        ids = [one.record_id for one in made.values() if one.record_id]
        try:
            records: dict[str, Record] = {one.id: one for one in read_ids(self._listing, spec, ids)} if ids else {}
        except SystemFailure:
            return dict(made)
        return {place: _with_record(one, records.get(one.record_id or "")) for place, one in made.items()}


def _with_record(outcome: Outcome, record: Record | None) -> Outcome:
    return replace(outcome, record=record)


def _one_per_address(jobs: Sequence[Job]) -> tuple[list[Job], list[Job]]:
    seen: set[str] = set()
    first: list[Job] = []
    later: list[Job] = []
    for job in jobs:
        key = _key(job.write)
        (later if key in seen else first).append(job)
        seen.add(key)
    return first, later


def _key(write: Write) -> str:
    try:
        return normalise(write.address or "")
    except InvalidAddress:
        return write.address or ""


def _origin(write: Write) -> str:
    """The write's name among all writes of all states: one that was lost, or another one for the same portal, has
    counted its own writes from the beginning."""
    return f"{write.key}-{hashlib.sha256(_key(write).encode()).hexdigest()[:16]}"


def _by_address(entity: str, write: Write) -> Command:
    """One address and one type a command: with several the portal mixes the hits and stops at twenty."""
    params = {"type": "EMAIL", "values": [(write.address or "").strip()], "entity_type": DUPLICATE_TYPES[entity]}
    return Command(method="crm.duplicate.findbycomm", params=params)


def _by_origin(entity: str, write: Write) -> Command:
    params = {
        "order": {"ID": "ASC"},
        "filter": {"=ORIGINATOR_ID": ORIGINATOR, "=ORIGIN_ID": _origin(write)},
        "select": ["ID", "ORIGINATOR_ID", "ORIGIN_ID"],
        "start": -1,
    }
    return Command(method=f"crm.{entity}.list", params=params)


def _own(answer: Any, write: Write) -> str | None:
    """The record that this very write made; a row is believed only if it shows the origin that was asked for."""
    for row in as_list(answer) or []:
        number = id_of(row)
        if number and row.get("ORIGINATOR_ID") == ORIGINATOR and row.get("ORIGIN_ID") == _origin(write):
            return str(number)
    return None


def _hits(answer: Any, entity: str) -> list[str]:
    found = as_list((as_map(answer) or {}).get(DUPLICATE_TYPES[entity])) or []
    return sorted((str(number) for number in found), key=int)


def _add_command(job: Job) -> Command:
    write, values = job.write, dict(job.values)
    for name in [name for name in values if name in MULTIFIELDS]:
        values[name] = new_value(str(values[name]), default_kind(name)) if values[name] else []
    values["EMAIL"] = new_value((write.address or "").strip())
    if write.collection != "contact":
        # Leads and companies need a title; the address is the one thing known of everybody.
        values.setdefault("TITLE", (write.address or "").strip())
    values |= {"ORIGINATOR_ID": ORIGINATOR, "ORIGIN_ID": _origin(write)}
    return Command(method=f"crm.{write.collection}.add", params={"fields": values, "params": PARAMS})
