"""Reading the systems: pages, resumption, what absence means."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from optsync.connect.contract import CanConfirmOptIn
from optsync.model.page import RowFault
from optsync.model.record import Record
from optsync.state.sources import Source
from optsync.state.unit import Unit
from optsync.sync.absence import Absences
from optsync.sync.binding import SourceBinding
from optsync.sync.carrying import NeedsLookUp
from optsync.sync.claims import judge_claims
from optsync.sync.clocks import settled_offset
from optsync.sync.engine import Engine
from optsync.sync.ingest import Circumstances, Ingest, NeedsConfirmation, PendingClaim
from optsync.sync.progress import Progress
from optsync.sync.shrinkage import is_believed


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What one read of a source came to. ``quarantined``: rows that could not be used; ``full_since``: when a read
    that has now shown everything began."""

    quarantined: int
    is_full: bool
    full_since: datetime | None = None


class Observer:
    """Reads sources for one run. ``guarded`` is called inside every transaction: it proves the lease."""

    def __init__(self, engine: Engine, run: str, guarded: Callable[[Unit], None], progress: Progress) -> None:
        self._engine = engine
        self._run = run
        self._guarded = guarded
        self._progress = progress
        self._claims: list[PendingClaim] = []

    def read(self, binding: SourceBinding, *, full: bool, adds: bool = False) -> Read:
        """Reads what changed, or everything when asked to, or when the meaning of the readings changed. An
        interrupted full read goes on where it stopped. ``adds``: a further look in the same cycle, whose
        records are counted with those of the first.

        Raises:
            SystemUnavailable, RateLimited, CredentialsRefused: what was read before is stored.
        """
        source, before = self._begin(binding, full=full, adds=adds)
        connector = self._engine.connectors[binding.system]
        faults: dict[str, RowFault] = {}
        shown = 0
        page = None
        for page in connector.read(binding.spec, source.cursor):
            self.take(binding, source, page.records, page.faults, cursor=page.cursor if not page.is_last else None)
            faults.update((f.record, f) for f in page.faults)
            shown += len(page.records)
            self._progress.step(f"read {binding.system}/{binding.collection}", shown, page.expected_total)
        if page is None:
            raise AssertionError(f"{binding.system}: a read must have a last page")
        is_full = page.is_full and page.is_complete
        # What an incomplete full read has missed may have changed before its end: go on from where we were.
        cursor = page.cursor if page.is_complete or not page.is_full else before
        self._finish(binding, source, cursor, is_full=is_full)
        return Read(quarantined=len(faults), is_full=is_full, full_since=source.scan_started_at if is_full else None)

    def look_again(self, binding: SourceBinding, rids: Sequence[str]) -> Mapping[str, Record]:
        """Reads these records now and takes the readings; what is not there is left out."""
        if not rids:
            return {}
        connector = self._engine.connectors[binding.system]
        records = connector.read_ids(binding.spec, rids)
        with self._engine.store.reading() as unit:
            source = unit.sources.require(binding.system, binding.collection)
        self.take(binding, source, records, (), cursor=None, keeps_lists=True)
        return {record.id: record for record in records}

    def resolve_unsure(self, binding: SourceBinding) -> None:
        """Looks at the records whose last write has an unknown outcome."""
        with self._engine.store.reading() as unit:
            source = unit.sources.find(binding.system, binding.collection)
            observed = unit.records.load(unit.records.unsure(source.id)) if source else []
        if not observed or source is None or source.spec != binding.digest:
            return  # after a change of meaning everything is seen for the first time, by the read that follows
        shown = self.look_again(binding, [o.record.id for o in observed])
        with self._engine.store.transaction() as unit:
            self._guarded(unit)
            # What is not there cannot show whether the write was applied; the read that follows will tell.
            gone = [o for o in observed if o.record.id not in shown]
            unit.records.clear_unsure(o.key for o in gone)
            unit.points.mark(binding.syncs, {p for o in observed for p in o.points})

    def take(
        self,
        binding: SourceBinding,
        source: Source,
        records: Sequence[Record],
        faults: Sequence[RowFault],
        *,
        cursor: str | None,
        keeps_lists: bool = False,
    ) -> None:
        """Stores readings; ``cursor`` (when given) is saved in the same transaction."""
        circumstances = Circumstances(
            run=self._run,
            seen_at=self._engine.clock.now(),
            offset=None,
            tolerance=self._engine.config.consent.clock_tolerance,
            confirmed={},
            keeps_lists=keeps_lists,
            no_grants=frozenset(p.scope for p in self._engine.bound.policies.values() if not p.carries_grants),
        )
        while True:
            try:
                with self._engine.store.transaction() as unit:
                    self._guarded(unit)
                    measured = self._engine.connectors[binding.system].clock_offset
                    offset = settled_offset(unit, binding.system, measured)
                    ingest = Ingest(unit, binding, source, replace(circumstances, offset=offset))
                    ingest.take(records, faults)
                    if cursor is not None:
                        unit.sources.advance(source.id, cursor)
            except NeedsConfirmation as needed:
                answers = self._confirm(binding, needed, offset or timedelta(0))
                confirmed = {**circumstances.confirmed, **answers}
                circumstances = replace(circumstances, confirmed=confirmed)
            except NeedsLookUp as needed:
                found = {r.id for r in self._engine.connectors[binding.system].read_ids(binding.spec, needed.records)}
                there = {rid: rid in found for rid in needed.records}
                circumstances = replace(circumstances, there={**circumstances.there, **there})
            else:
                self._claims.extend(ingest.claims)
                self._engine.true_ids.update(ingest.screen.true_ids)
                return

    def judge_claims(self) -> None:
        """Judges what came to show "in" since the last time, now that every side was read."""
        claims, self._claims = self._claims, []
        if claims:
            with self._engine.store.transaction() as unit:
                self._guarded(unit)
                tolerance = self._engine.config.consent.clock_tolerance
                judge_claims(unit, claims, tolerance=tolerance, run=self._run, now=self._engine.clock.now())

    def _confirm(self, binding: SourceBinding, needed: NeedsConfirmation, offset: timedelta) -> dict[str, bool]:
        connector = self._engine.connectors[binding.system]
        answers: dict[str, bool] = {}
        for nomination in needed.nominations:
            sign_up = None
            if isinstance(connector, CanConfirmOptIn):
                since = nomination.since + offset
                sign_up = connector.confirm_opt_in(binding.collection, nomination.record, since)
            answers[nomination.uid] = sign_up is not None
        return answers

    # begin and end

    def _begin(self, binding: SourceBinding, *, full: bool, adds: bool) -> tuple[Source, str | None]:
        """The source to read, and the cursor of the last complete read of it."""
        now = self._engine.clock.now()
        with self._engine.store.transaction() as unit:
            self._guarded(unit)
            source = unit.sources.require(binding.system, binding.collection)
            is_new_meaning = source.spec != binding.digest
            is_interrupted = source.scan_started_at is not None and not is_new_meaning
            if is_interrupted:
                return source, None
            if not adds:
                unit.sources.clear_scan(source.id)
            starts_over = full or is_new_meaning or source.cursor is None
            unit.sources.begin_read(
                source.id,
                spec=binding.digest,
                cursor=None if starts_over else source.cursor,
                full_since=now if starts_over else None,
                is_known=source.is_known and not is_new_meaning,
            )
            before = None if is_new_meaning else source.cursor
            return unit.sources.require(binding.system, binding.collection), before

    def _is_believed(self, binding: SourceBinding, source: Source) -> bool:
        with self._engine.store.transaction() as unit:
            self._guarded(unit)
            return is_believed(unit, binding, source, run=self._run)

    def _finish(self, binding: SourceBinding, source: Source, cursor: str | None, *, is_full: bool) -> None:
        if is_full and self._is_believed(binding, source):
            Absences(self._engine, binding, source, self._run, self._guarded, self.take).judge()
        with self._engine.store.transaction() as unit:
            self._guarded(unit)
            now = self._engine.clock.now()
            unit.sources.finish_read(source.id, cursor=cursor, at=now, full_at=now if is_full else None)
