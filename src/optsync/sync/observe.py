"""Reading the systems: pages, resumption, what absence means."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from optsync.clock import Clock
from optsync.connect.contract import CanConfirmOptIn, CanReadRows, can
from optsync.errors import SystemFailure
from optsync.model.page import Page, RowFault, look_up
from optsync.model.record import Record
from optsync.reconcile.reading import Jump, Reading
from optsync.state.sources import Source
from optsync.state.unit import Unit
from optsync.sync.absence import Absences
from optsync.sync.binding import SourceBinding, SourceKey
from optsync.sync.carrying import NeedsLookUp
from optsync.sync.claims import judge_claims
from optsync.sync.clocks import Settled, last_jump, settled_offset, was_set_back, was_set_lately
from optsync.sync.engine import Engine
from optsync.sync.ingest import Circumstances, Ingest, PendingClaim
from optsync.sync.nominations import Confirmed, NeedsConfirmation
from optsync.sync.out_of_sight import lose_sight
from optsync.sync.progress import Progress
from optsync.sync.shrinkage import is_believed


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What one read of a source came to. ``source``: its key; ``quarantined``: rows that could not be used;
    ``unheard_of``: how many of them nobody knew of; ``full_since``: when a read that has now shown everything began;
    ``failure``: why some readings are left aside."""

    source: int
    quarantined: int
    unheard_of: int
    is_full: bool
    full_since: datetime | None = None
    failure: SystemFailure | None = None


@dataclass(slots=True)
class _Begun:
    """The source as it is being read, and the cursor of the last complete read of it. ``saved``: the place that this
    read has saved last; should it not be there any more, somebody wants everything to be read anew."""

    source: Source
    before: str | None
    saved: str | None = field(init=False)

    def __post_init__(self) -> None:
        self.saved = self.source.cursor


Aside: TypeAlias = dict[str, SystemFailure]
"""Records whose reading cannot be taken yet, since what their system was asked about them cannot be read."""
_ENOUGH = 2
"""So many that cannot be read tell that it is not about them: the next ones are not asked about."""


class _End:
    """What is noted after a page, in the transaction that stores it. ``is_anything_missing``: the read has shown
    everything but some known records, is believed, and is not finished before these were judged. ``aside``: records
    whose readings are left for the next time."""

    def __init__(self, run: str, binding: SourceBinding, begun: _Begun, page: Page, clock: Clock, aside: Aside) -> None:
        self._run = run
        self._binding = binding
        self._begun = begun
        self._page = page
        self._clock = clock
        self._aside = aside
        self.is_full = page.is_last and page.is_full and page.is_complete
        self.is_anything_missing = False

    def note(self, unit: Unit, jump: Jump | None) -> None:
        """``jump``: the last one of the system's clock."""
        source = self._begun.source
        if not self._page.is_last:
            # Should it break off, the next read begins no later than with the first one that is left aside.
            if not self._aside:
                unit.sources.advance(source.id, self._page.cursor, saved=self._begun.saved)
                self._begun.saved = self._page.cursor
            if self._page.is_full and source.scan_started_at is None:
                # The system could not go on from the cursor and shows everything. Should that break off, the next
                # read goes on from here, and whoever was on the pages before is not missing.
                unit.sources.note_full(source.id, since=self._clock.now())
            return
        is_believed_full = self.is_full and is_believed(unit, self._binding, source, run=self._run)
        self.is_anything_missing = is_believed_full and bool(unit.sources.missing(source.id, limit=1))
        if not self.is_anything_missing:
            self.finish(unit, jump)

    def finish(self, unit: Unit, jump: Jump | None) -> None:
        page, now = self._page, self._clock.now()
        # What an incomplete full read has missed, and what is shown late of before a clock was set, may have a stamp of
        # before this read: go on from where we were.
        is_sure = (page.is_complete or not page.is_full) and not self._aside
        is_kept = not is_sure or was_set_lately(jump, now=now)
        cursor = self._begun.before if is_kept else page.cursor
        source = self._begun.source
        if was_set_back(jump, since=source.read_at):
            cursor = None  # no place reaches back far enough that either clock has told
        full_at = now if self.is_full else None
        unit.sources.finish_read(source.id, cursor=cursor, saved=self._begun.saved, at=now, full_at=full_at)


class Observer:
    """Reads sources for one run. ``guarded`` is called inside every transaction: it proves the lease."""

    def __init__(self, engine: Engine, run: str, guarded: Callable[[Unit], None], progress: Progress) -> None:
        self._engine = engine
        self._run = run
        self._guarded = guarded
        self._progress = progress
        self._claims: list[PendingClaim] = []
        self._anew: set[int] = set()
        """Sources in whose reading under way somebody was let back in: the rest of that person is to be read anew."""
        self._aside: dict[SourceKey, Aside] = {}
        self._unheard_of: set[str] = set()
        """Records that the read under way was the first to find unusable."""

    def read(
        self,
        binding: SourceBinding,
        *,
        full: bool,
        full_every: timedelta | None = None,
        adds: bool = False,
        is_sure: bool = False,
    ) -> Read:
        """Reads what changed, or everything when asked to, or when the last time is ``full_every`` ago, or when the
        meaning of the readings changed. An interrupted full read goes on where it stopped. Before that it looks at
        records whose last write has an unknown outcome. ``adds``: a further look in the same cycle, whose records are
        counted with those of the first. ``is_sure``: it looks at no write of unknown outcome before.

        Raises:
            SystemUnavailable, RateLimited, CredentialsRefused: what was read before is stored.
        """
        aside = self._aside[binding.system, binding.collection] = {}
        begun = self._begin(binding, full=full, full_every=full_every, adds=adds, is_sure=is_sure)
        if begun is None:
            self._resolve_unsure(binding)
            begun = self._begin(binding, full=full, full_every=full_every, adds=adds, is_sure=True)
        if begun is None:
            raise AssertionError("a read that nothing holds up did not begin")
        faults: dict[str, RowFault] = {}
        shown = 0
        self._unheard_of = set()
        self._anew.discard(begun.source.id)
        for page in self._pages(binding, begun.source.cursor):
            end = _End(self._run, binding, begun, page, self._engine.clock, aside)
            found = self.take(binding, begun.source, page, then=end.note)
            faults.update((f.record, f) for f in found)
            shown += page.count
            self._progress.step(f"read {binding.system}/{binding.collection}", shown, page.expected_total)
            if page.is_last:
                if end.is_anything_missing:
                    self._judge_absences(binding, begun, end)
                return Read(
                    source=begun.source.id,
                    quarantined=len(faults),
                    unheard_of=len(self._unheard_of),
                    is_full=end.is_full,
                    full_since=begun.source.scan_started_at if end.is_full else None,
                    failure=next(iter(aside.values()), None),
                )
        raise AssertionError(f"{binding.system}: a read must have a last page")

    def _pages(self, binding: SourceBinding, cursor: str | None) -> Iterator[Page]:
        connector = self._engine.connectors[binding.system]
        read = connector.read_rows if can(connector, CanReadRows) else connector.read
        return read(binding.spec, cursor)

    def look_again(self, binding: SourceBinding, rids: Sequence[str]) -> Mapping[str, Record]:
        """Reads these records now and takes the readings; what is not there is left out."""
        if not rids:
            return {}
        connector = self._engine.connectors[binding.system]
        records = connector.read_ids(binding.spec, rids)
        self.hear(binding, records)
        return {record.id: record for record in records}

    def hear(self, binding: SourceBinding, records: Sequence[Record], *, is_answer: bool = False) -> None:
        """Takes these records as readings of now; ``is_answer``: to writes of ours, which have moved their stamps."""
        with self._engine.store.reading() as unit:
            source = unit.sources.require(binding.system, binding.collection)
        self.take(binding, source, look_up(records), keeps_lists=True, is_answer=is_answer)

    def left_aside(self, binding: SourceBinding) -> Collection[str]:
        """The records of which something was read since the last read of the source began that could not be taken."""
        return self._aside.get((binding.system, binding.collection), {}).keys()

    def _resolve_unsure(self, binding: SourceBinding) -> None:
        """Looks at the records whose last write has an unknown outcome."""
        with self._engine.store.reading() as unit:
            source = unit.sources.require(binding.system, binding.collection)
            observed = unit.records.load(unit.records.unsure(source.id))
        shown = self.look_again(binding, [o.record.id for o in observed])
        with self._engine.store.transaction() as unit:
            self._guarded(unit)
            # Who is merely not shown may show a no later, or be off a roster because of us: what may have been ours
            # counts until somebody judges it.
            gone = [o for o in observed if o.record.id not in shown and o.is_gone]
            unit.records.clear_unsure(o.key for o in gone)
            unit.points.mark(binding.syncs, {p for o in observed for p in o.points})

    def take(
        self,
        binding: SourceBinding,
        source: Source,
        page: Page,
        *,
        keeps_lists: bool = False,
        is_answer: bool = False,
        then: Callable[[Unit, Jump | None], None] = lambda *_: None,
    ) -> Sequence[RowFault]:
        """Stores readings, but those that are left aside; ``then`` is called in the same transaction, after them, with
        the last jump of the system's clock. Whatever is looked up for them is heard as well. Returns the rows that
        cannot be used."""
        looked_up: list[Record] = []
        circumstances = Circumstances(
            run=self._run,
            seen_at=self._engine.clock.now(),
            tolerance=self._engine.config.consent.clock_tolerance,
            confirmed={},
            keeps_lists=keeps_lists,
            is_answer=is_answer,
            no_grants=frozenset(p.scope for p in self._engine.bound.policies.values() if not p.carries_grants),
        )
        while True:
            try:
                with self._engine.store.transaction() as unit:
                    self._guarded(unit)
                    measured = self._engine.connectors[binding.system].clock_offset
                    clock = settled_offset(unit, binding.system, measured, now=circumstances.seen_at)
                    ingest = Ingest(unit, binding, source, circumstances, clock)
                    ingest.take(page)
                    then(unit, clock[1])
                    if ingest.screen.is_anybody_back:
                        self._anew.add(source.id)
                    self._begin_anew(unit, source.id)
            except NeedsConfirmation as needed:
                answers = self._confirm(binding, needed, clock)
                aside = circumstances.aside.union(n.record for n in needed.nominations if n.uid not in answers)
                confirmed = {**circumstances.confirmed, **answers}
                circumstances = replace(circumstances, confirmed=confirmed, aside=aside)
            except NeedsLookUp as needed:
                found = self._engine.connectors[binding.system].read_ids(binding.spec, needed.records)
                looked_up.extend(found)
                there = dict.fromkeys(needed.records, False) | dict.fromkeys((record.id for record in found), True)
                circumstances = replace(circumstances, there={**circumstances.there, **there})
            else:
                looked_up.extend(self._after(binding, ingest))
                if looked_up:
                    self.take(binding, source, look_up(looked_up), keeps_lists=True)
                return ingest.faults

    def _after(self, binding: SourceBinding, ingest: Ingest) -> Sequence[Record]:
        """Keeps what the readings came to besides the state; answers the records that had to be looked up."""
        self._claims.extend(ingest.claims)
        self._unheard_of.update(ingest.unheard_of)
        self._engine.true_ids.update(ingest.screen.true_ids)
        if not ingest.unsettled:
            return ()
        return self._engine.connectors[binding.system].read_ids(binding.spec, sorted(ingest.unsettled))

    def judge_claims(self) -> None:
        """Judges what came to show "in" since the last time, now that every side was read."""
        claims, self._claims = self._claims, []
        if claims:
            with self._engine.store.transaction() as unit:
                self._guarded(unit)
                judge_claims(
                    unit,
                    claims,
                    policies=self._engine.bound.policies,
                    tolerance=self._engine.config.consent.clock_tolerance,
                    run=self._run,
                    now=self._engine.clock.now(),
                )

    def _confirm(self, binding: SourceBinding, needed: NeedsConfirmation, clock: Settled) -> Confirmed:
        """Without those that could not be read."""
        connector = self._engine.connectors[binding.system]
        offset, jump = clock
        reading = Reading(system=binding.system, seen_at=self._engine.clock.now(), offset=offset, jump=jump)
        aside = self._aside.setdefault((binding.system, binding.collection), {})
        answers: dict[str, datetime | None] = {}
        for nomination in needed.nominations:
            sign_up = None
            if len(aside) >= _ENOUGH:
                aside.setdefault(nomination.record, next(iter(aside.values())))
            if nomination.record in aside:
                continue
            if can(connector, CanConfirmOptIn):
                since = nomination.since + (offset or timedelta(0))
                try:
                    sign_up = connector.confirm_opt_in(binding.collection, nomination.record, since)
                except SystemFailure as failure:
                    aside[nomination.record] = failure
                    continue
            answers[nomination.uid] = reading.corrected(sign_up.at, permits=True) if sign_up else None
        return answers

    # begin and end

    def _begin(
        self, binding: SourceBinding, *, full: bool, full_every: timedelta | None, adds: bool, is_sure: bool
    ) -> _Begun | None:
        """None: there are writes of unknown outcome to look at before (``is_sure``: nobody cares)."""
        now = self._engine.clock.now()
        with self._engine.store.transaction() as unit:
            self._guarded(unit)
            source = unit.sources.require(binding.system, binding.collection)
            is_new_meaning = source.spec != binding.digest
            # After a change of meaning everything is seen for the first time, and doubts with it.
            if not is_sure and not is_new_meaning and unit.records.unsure(source.id):
                return None
            if source.scan_started_at is not None and not is_new_meaning:
                return _Begun(source, None)
            if is_new_meaning:
                lose_sight(unit, binding, self._engine.bound.policies)
            if not adds:
                unit.sources.clear_scan(source.id)
            # A time far ahead was told by a clock that was set back since.
            is_due = full_every is not None and (source.full_at is None or abs(now - source.full_at) >= full_every)
            starts_over = full or is_due or is_new_meaning or source.cursor is None
            begun = replace(
                source,
                spec=binding.digest,
                cursor=None if starts_over else source.cursor,
                scan_started_at=now if starts_over else None,
                is_known=source.is_known and not is_new_meaning,
            )
            if begun != source:
                unit.sources.begin_read(begun)
            return _Begun(begun, None if is_new_meaning else source.cursor)

    def _judge_absences(self, binding: SourceBinding, begun: _Begun, end: _End) -> None:
        Absences(self._engine, binding, begun.source, self._run, self._guarded, self.take).judge()
        with self._engine.store.transaction() as unit:
            self._guarded(unit)
            end.finish(unit, last_jump(unit, binding.system))
            self._begin_anew(unit, begun.source.id)

    def _begin_anew(self, unit: Unit, source: int) -> None:
        """The place that a page or an end has saved would hide whoever is to be read anew."""
        if source in self._anew:
            unit.sources.read_anew(source)
