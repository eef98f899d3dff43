"""What it means that a complete read did not show a known record: never a wish by itself."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from optsync.connect.contract import Absence
from optsync.model.page import look_up
from optsync.model.record import Status
from optsync.reconcile.reading import Reading
from optsync.reconcile.roster import left
from optsync.state.records import Observed
from optsync.state.sources import Source
from optsync.state.unit import Unit
from optsync.sync.binding import SourceBinding
from optsync.sync.engine import Engine
from optsync.sync.rejoining import may_be_removed


class Absences:
    """Judges the records that the current, complete read of a source has not shown. ``take`` stores readings."""

    def __init__(
        self,
        engine: Engine,
        binding: SourceBinding,
        source: Source,
        run: str,
        guarded: Callable[[Unit], None],
        take: Callable[..., object],
    ) -> None:
        self._engine = engine
        self._binding = binding
        self._source = source
        self._run = run
        self._guarded = guarded
        self._take = take

    def judge(self) -> None:
        """Goes through them in batches, by key."""
        last = 0
        while True:
            with self._engine.store.reading() as unit:
                keys = unit.sources.missing(self._source.id, after=last)
                # A row that is there and cannot be used is quarantined, not absent.
                unreadable = unit.issues.records_with(
                    "quarantined_record", self._binding.system, self._binding.collection
                )
                missing = [o for o in unit.records.load(keys) if o.record.id not in unreadable]
            if not keys:
                return
            last = keys[-1]
            if self._binding.absence is Absence.LEFT:
                self._leavers(missing)
            else:
                self._deleted(missing)

    def _deleted(self, missing: Sequence[Observed]) -> None:
        """A deletion is believed after two complete scans that lie far enough apart."""
        now = self._engine.clock.now()
        grace = self._engine.config.consent.absence_grace
        believed = [o for o in missing if o.missing_since is not None and now - o.missing_since >= grace]
        # A time ahead was told by a clock that was set back since.
        noticed = [o.key for o in missing if o.missing_since is None or o.missing_since > now]
        with self._engine.store.transaction() as unit:
            self._guarded(unit)
            unit.records.set_missing(noticed, since=now, is_gone=False)
            unit.records.set_gone(o.key for o in believed)
            unit.points.mark(self._binding.concerned, {p for o in believed for p in o.points})

    def _leavers(self, missing: Sequence[Observed]) -> None:
        """A complete roster without them and a direct look-up that says "not there": they left."""
        there = self._engine.connectors[self._binding.system].read_ids(
            self._binding.spec, [o.record.id for o in missing]
        )
        self._take(self._binding, self._source, look_up(there), keeps_lists=True)
        found = {record.id for record in there}
        now = self._engine.clock.now()
        reading = Reading(system=self._binding.system, seen_at=now)
        with self._engine.store.transaction() as unit:
            self._guarded(unit)
            # As they are stored now: who was forgotten while the system answered must not come back.
            gone = unit.records.load(o.key for o in missing if o.record.id not in found)
            said = [
                (o.points[0], each.statement)
                for o in gone
                if o.points
                for representation in self._binding.representations
                for each in left(o.record, representation, reading, may_be_ours=may_be_removed(o))
            ]
            unit.ledger.append(said, run=self._run)
            absent = [(o.key, replace(o.record, status=Status.ABSENT)) for o in gone]
            unit.records.replace(absent, at=now, is_gone=True)
            unit.points.mark(self._binding.concerned, {p for o in gone for p in o.points})
            for key, statement in said:
                unit.points.mark(self._binding.hearers(statement.scope), {key})
