"""Sending the outbox: restrictive changes first and alone; intent committed before each call, outcome after it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from optsync.connect.contract import Absence, CanArchive, CanRename, CanTag, Connector, can
from optsync.errors import CredentialsRefused, SystemFailure
from optsync.model.change import ChangeKind, ChangeState, GrantEvidence, Outcome, Result, Write, WriteKind
from optsync.model.record import Record, Side, Status
from optsync.reconcile.representation import shown
from optsync.reconcile.rules import Rule
from optsync.reconcile.undo import why_not_return
from optsync.reconcile.view import Point
from optsync.state.changes import Change
from optsync.state.pseudonyms import is_pseudonym
from optsync.state.records import Observed
from optsync.state.unit import Unit
from optsync.state.unsure import Unsure
from optsync.sync.agreements import Agreements
from optsync.sync.asking import end_requests, note_requests
from optsync.sync.binding import SourceBinding
from optsync.sync.departures import Departures
from optsync.sync.engine import Engine
from optsync.sync.observe import Observer
from optsync.sync.outbox import Outbox, needs_another_look
from optsync.sync.progress import Progress
from optsync.sync.receipts import doubt, plain, plain_values
from optsync.sync.refusals import left_by_self
from optsync.sync.renaming import may_rename
from optsync.sync.settle import Settler
from optsync.sync.turn import Turn
from optsync.sync.waiting import still_follow

_log = structlog.get_logger(__name__)
_SHOWS_STATE = frozenset({WriteKind.STATUS, WriteKind.TOPICS, WriteKind.RENAME, WriteKind.ARCHIVE})


class Applier:
    """Sends the released changes of one sync, in one turn; what is available to it shrinks as systems fail."""

    def __init__(
        self,
        engine: Engine,
        sync: str,
        run: str,
        guarded: Callable[[Unit], None],
        *,
        observer: Observer,
        turn: Turn,
        stopping: Callable[[], bool],
        progress: Progress,
    ) -> None:
        self._engine = engine
        self._sync = sync
        self._run = run
        self._guarded = guarded
        self._observer = observer
        self._departures = Departures(engine, run, guarded)
        self._turn = turn
        self._available = set(turn.available)
        self._stopping = stopping
        self._progress = progress
        self._began = engine.clock.monotonic()
        self.left = 0
        """How many changes are expected to be left."""
        self.failures: dict[str, SystemFailure] = {}
        self.not_before: dict[str, datetime] = {}
        """Until when systems take nothing ordinary; what was decided for them waits."""
        self.done = 0
        """How many changes have arrived."""
        self.is_cut_short = False
        """The turn is over, and something ordinary is left that could be sent."""

    def send_all(self) -> None:
        """Sends until nothing is ready, the turn is over or the process is asked to stop. What restricts and is left
        then is derived anew; the rest waits."""
        done, total, connectors = 0, self._turn.expected, self._engine.connectors
        outbox = Outbox(self._sync, self._available, lambda name: type(connectors[name]).capabilities, total=total)
        while not outbox.is_over and not self._stopping():
            with self._engine.store.transaction() as unit:
                self._guarded(unit)
                if outbox.is_ordinary_next(unit) and not self._goes_on():
                    return
                batch = outbox.next_batch(unit)
                if not batch:
                    return
                total = total or outbox.total
                # Of who is made anew there is nothing to read again; what was heard of them since counts all the same.
                is_checked = not any(needs_another_look(c) for c in batch) and batch[0].kind is not ChangeKind.CREATE
                still = self._commit_intent(unit, self._still_decided(unit, batch)) if is_checked else []
            if still or not is_checked:
                self._send(outbox, batch, still, is_checked=is_checked)
            done += len(batch)
            self.left = max(total - done, 0)
            self._progress.step(f"write {batch[0].system}", done, max(total, done))

    def _goes_on(self) -> bool:
        """Whether there is time for something ordinary."""
        if self._turn.is_cautious or self._turn.seconds is None:
            return not self._turn.is_cautious
        self.is_cut_short = self._engine.clock.monotonic() - self._began >= self._turn.seconds
        return not self.is_cut_short

    def _send(self, outbox: Outbox, batch: Sequence[Change], still: Sequence[Change], *, is_checked: bool) -> None:
        binding = self._engine.bound.sources[batch[0].system, batch[0].collection]
        try:
            if not is_checked:
                still = self._check_again(binding, batch)
            if not still:
                return
            outcomes = self._write(binding, still)
        except SystemFailure as failure:
            self._give_up(batch, failure)
            return
        settler = Settler(self._engine, binding, self._run, self._guarded)
        shown = settler.settle(still, outcomes)
        self._hear(binding, shown)
        self.done += settler.done
        if settler.is_anything_sent_again:
            outbox.renew()
        if settler.not_before is not None and self._turn.seconds is not None:
            self.not_before[binding.system] = settler.not_before
            outbox.hold_back(binding.system)

    def _hear(self, binding: SourceBinding, shown: Sequence[Record]) -> None:
        """What somebody else did that cannot be taken now is in the next reading."""
        try:
            if shown:
                self._observer.hear(binding, shown, is_answer=True)
        except SystemFailure as failure:
            self._lose(failure)

    # before

    def _check_again(self, binding: SourceBinding, batch: Sequence[Change]) -> list[Change]:
        """A permissive write is preceded by a re-read; what no longer shows what was decided on drops out,
        and so does whoever said something meanwhile. Notes that the others are about to be sent."""
        existing = [c for c in batch if c.record is not None and c.record_id is not None]
        unseen = self._read_again(binding, [c.record for c in existing if c.record is not None])
        unheard = self._departures.left_open(binding, {c.record_id for c in existing if c.record_id is not None})
        aside = self._observer.left_aside(binding)
        unheard |= {c.record_id for c in existing if c.record_id is not None and c.record in aside}
        with self._engine.store.transaction() as unit:
            self._guarded(unit)
            observed = {o.key: o for o in unit.records.load(c.record_id for c in existing if c.record_id)}
            about = {c.id: {c.point_id, *_points(observed.get(c.record_id or 0))} for c in batch}
            waiting = set(unit.points.still_waiting(self._sync, set().union(*about.values())))
            fresh = {key for key, points in about.items() if not points & waiting}
            fresh |= self._still_undone(unit, existing, observed)
            changed = {c.id for c in existing if not _shows(observed[c.record_id or 0], c, binding)}
            changed |= {
                c.id for c in existing if c.record in unseen and _must_be_shown(observed[c.record_id or 0], binding)
            }
            stale = [c for c in batch if c.id not in fresh or c.id in changed or c.record_id in unheard]
            self._drop(unit, stale)
            dropped = {c.id for c in stale}
            return self._commit_intent(unit, self._still_decided(unit, [c for c in batch if c.id not in dropped]))

    def _still_undone(self, unit: Unit, existing: Sequence[Change], observed: Mapping[int, Observed]) -> set[int]:
        """An undo decides nothing else about a person, so that something else waits to be decided is no obstacle:
        whoever is put back on a list must be in, with all that was said until now, and have the same address still."""
        undone = [c for c in existing if c.rule == Rule.UNDONE]
        policy = self._engine.bound.policies[self._sync]
        about = unit.ledger.about({c.point_id for c in undone})
        points = {k: Point(key=k, address="", statements=said) for k, said in about.items()}
        told = left_by_self(unit, policy, list(points))
        now = self._engine.clock.now()
        kept_out = {k for k, point in points.items() if why_not_return(point, None, told.get(k), policy, now)}
        moved = {c.point_id for c in undone if observed[c.record_id or 0].points[:1] != (c.point_id,)}
        return {c.id for c in undone if c.kind is not ChangeKind.OPT_IN or c.point_id not in kept_out | moved}

    def _still_decided(self, unit: Unit, batch: Sequence[Change]) -> Sequence[Change]:
        """Without what was decided before this look at the systems and would not be decided so now."""
        old = [c for c in batch if c.id <= self._turn.newest]
        if not old:
            return batch
        follow = still_follow(unit, self._engine, old, run=self._run)
        stale = [c for c in old if c.id not in follow]
        self._drop(unit, stale)
        dropped = {c.id for c in stale}
        return [c for c in batch if c.id not in dropped]

    def _read_again(self, binding: SourceBinding, rids: Sequence[str]) -> Collection[str]:
        """Returns those who are not shown; a listing of what has changed shows all that matters."""
        capabilities = type(self._engine.connectors[binding.system]).capabilities
        if len(set(rids)) > capabilities.delta_calls * capabilities.reread_batch and capabilities.has_delta:
            self._observer.read(binding, full=False, adds=True, is_sure=True)
            return ()
        shown = self._observer.look_again(binding, rids)
        return {*rids} - shown.keys()

    def _drop(self, unit: Unit, stale: Sequence[Change]) -> None:
        """The next cycle decides anew what is to be done about these."""
        unit.changes.set_state((c.id for c in stale), ChangeState.SUPERSEDED, settled_at=self._engine.clock.now())
        unit.points.mark([self._sync], {c.point_id for c in stale})

    def _commit_intent(self, unit: Unit, batch: Sequence[Change]) -> list[Change]:
        """Notes that these are about to be sent and how the records will show it; requests go into the ledger.

        Where the answer to an earlier write was lost, nothing but a restriction is sent before that is settled: it
        would move the record's stamp, and a stamp that moved tells that somebody said no since."""
        now = self._engine.clock.now()
        earlier = unit.records.doubts({c.record_id for c in batch if c.record_id is not None})
        stale = [c for c in batch if not c.write["is_restrictive"] and _leaves_open(earlier.get(c.record_id or 0), c)]
        self._drop(unit, stale)
        dropped = {c.id for c in stale}
        started = unit.changes.start((c.id for c in batch if c.id not in dropped), run=self._run, at=now)
        batch = [c for c in batch if c.id in started]
        sent: dict[int, Unsure] = {}
        for change in batch:
            if change.record_id is not None and _leaves_doubt(change):
                before = sent.get(change.record_id, earlier.get(change.record_id))
                sent[change.record_id] = doubt(change, now).after(before)
        unit.records.set_unsure(sent)
        note_requests(unit, self._engine.bound.policies[self._sync], batch, at=now, run=self._run)
        return list(batch)

    # the call

    def _write(self, binding: SourceBinding, batch: Sequence[Change]) -> Sequence[Outcome]:
        connector = self._engine.connectors[binding.system]
        writes = [self._named(build_write(c)) for c in batch]
        if nameless := [w for w in writes if w.record is not None and is_pseudonym(w.record)]:
            return self._after_nameless(binding, writes, {w.key for w in nameless})
        verb = _verb(connector, writes[0].kind)
        if verb is None:
            return [
                Outcome(key=w.key, result=Result.REFUSED, message=f"{binding.system} cannot {w.kind}") for w in writes
            ]
        return verb(writes, binding.spec)

    def _after_nameless(
        self, binding: SourceBinding, writes: Sequence[Write], nameless: Collection[str]
    ) -> Sequence[Outcome]:
        """Only a reading tells the id of a record that is stored under a pseudonym; none has in this process. The next
        one shows everything, and then it can be written."""
        with self._engine.store.transaction() as unit:
            self._guarded(unit)
            unit.sources.read_anew(unit.sources.require(binding.system, binding.collection).id)
        later = "a forgotten person's record was not read in this run; it is written in the next one"
        known = [w for w in writes if w.key not in nameless]
        verb = _verb(self._engine.connectors[binding.system], writes[0].kind)
        done = verb(known, binding.spec) if verb and known else ()
        return [*done, *(Outcome(key=key, result=Result.FAILED, message=later) for key in nameless)]

    def _named(self, write: Write) -> Write:
        """With the record's true id, where the state only has a pseudonym of it."""
        known = self._engine.true_ids.get(write.record or "")
        return write if known is None else replace(write, record=known)

    def _lose(self, failure: SystemFailure) -> None:
        self._available.discard(failure.system)
        self.failures[failure.system] = failure

    def _give_up(self, batch: Sequence[Change], failure: SystemFailure) -> None:
        """The system is out of reach: nothing of the batch is lost, the next cycle derives it again."""
        self._lose(failure)
        kind = "credentials refused" if isinstance(failure, CredentialsRefused) else "system unavailable"
        with self._engine.store.transaction() as unit:
            self._guarded(unit)
            unit.changes.set_state(
                (c.id for c in batch),
                ChangeState.FAILED,
                settled_at=self._engine.clock.now(),
                message=f"{kind}: sent again in the next cycle",
            )
            unit.changes.note_unsent(c.id for c in batch)
            unit.points.mark([self._sync], {c.point_id for c in batch})
            end_requests(unit, batch, at=self._engine.clock.now(), run=self._run)
            self._agree_as_before(unit, batch)

    def _agree_as_before(self, unit: Unit, batch: Sequence[Change]) -> None:
        """What was agreed ahead of a write that never left is not agreed."""
        esp = self._engine.bound.policies[self._sync].esp_system
        sides = [(c, c.system == esp) for c in batch if c.write.get("former")]
        keys = {key for c, is_esp in sides if (key := c.record_id if is_esp else c.write["counterpart"]) is not None}
        agreements = Agreements(unit, self._sync, keys)
        for change, is_esp in sides:
            agreements.as_before(change, is_esp=is_esp)
        agreements.save()


def _must_be_shown(old: Observed, binding: SourceBinding) -> bool:
    """Whether nothing is written without a look at the record: whoever is off a roster is told by its full read only,
    and a write that is in doubt may hide a no."""
    return not old.is_gone and (binding.absence is Absence.LEFT or old.unsure is not None)


def _points(observed: Observed | None) -> Sequence[int]:
    """Whoever spoke at any address of the record has spoken."""
    return () if observed is None else observed.points


def _leaves_open(earlier: Unsure | None, change: Change) -> bool:
    """Whether an earlier write is in doubt still when this one is answered."""
    return earlier is not None and earlier.without(doubt(change, earlier.sent_at)) is not None


def _leaves_doubt(change: Change) -> bool:
    """Whether a lost answer would leave it open what the record shows about wishes, or whose it is."""
    return WriteKind(change.write["kind"]) in _SHOWS_STATE or change.kind in {ChangeKind.GRANT, ChangeKind.BOUNCE}


def _shows(observed: Observed, change: Change, binding: SourceBinding) -> bool:
    """Whether the record still shows what the change was decided on."""
    if change.kind is ChangeKind.RENAME:
        return may_rename(observed, change, binding)
    if observed.is_gone and binding.side is Side.CRM:
        return False
    representation = binding.representations[0]
    for name, value in change.before.items():
        if name == "status":
            if shown(observed.record, replace(representation, opt_out=None, opt_in=None)).status != value:
                return False
        elif name in observed.record.topics:
            if observed.record.topics.get(name) != value:
                return False
        elif observed.record.fields.get(name) != plain(value):
            return False
    return True


def _verb(connector: Connector, kind: WriteKind) -> Callable[..., Sequence[Outcome]] | None:
    if kind is WriteKind.ARCHIVE:
        return connector.archive if can(connector, CanArchive) else None
    if kind is WriteKind.RENAME:
        return connector.rename if can(connector, CanRename) else None
    if kind is WriteKind.TAG:
        return connector.tag if can(connector, CanTag) else None
    return connector.write


def build_write(change: Change) -> Write:
    """The vendor's write of a journaled change."""
    stored = change.write
    proof = stored["evidence"]
    return Write(
        key=str(change.id),
        kind=WriteKind(stored["kind"]),
        collection=change.collection,
        record=change.record,
        address=stored["address"],
        former=str(change.before["address"]) if change.kind is ChangeKind.RENAME else None,
        status=None if stored["status"] is None else Status(stored["status"]),
        topics=stored["topics"],
        fields=plain_values(stored["fields"]),
        tags=stored["tags"],
        restrictive=stored["is_restrictive"],
        evidence=None
        if proof is None
        else GrantEvidence(
            at=datetime.fromisoformat(proof["at"]) if proof["at"] else None,
            ip=proof["ip"],
            source=proof["source"],
            text=proof["text"],
        ),
    )
