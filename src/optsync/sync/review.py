"""Looking at open issues again at the end of a cycle: what is over is closed, with the reason."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from optsync.reconcile.matters import UNREADABLE, Facts, Matter, why_over
from optsync.reconcile.view import Neighbourhood, Seen
from optsync.state.issues import Issue
from optsync.state.unit import Unit
from optsync.sync.binding import SourceKey
from optsync.sync.decide import BATCH, handling_queue, load_around, seen_of
from optsync.sync.engine import Engine
from optsync.sync.handling import FAILED

_log = structlog.get_logger(__name__)


class Review:
    """Of one sync's issues. ``began``: when the cycle did; what was met since then stands. ``full_reads``: the
    collections of which this cycle ended a complete read, and when that read began."""

    def __init__(
        self,
        engine: Engine,
        sync: str,
        run: str,
        guarded: Callable[[Unit], None],
        *,
        began: datetime,
        full_reads: Mapping[SourceKey, datetime],
    ) -> None:
        self._engine = engine
        self._policy = engine.bound.policies[sync]
        self._run = run
        self._guarded = guarded
        self._began = began
        self._full_reads = full_reads

    def work_off(self) -> None:
        """Goes through them in batches, by number; and through those of other syncs that what this one has read
        completely tells about."""
        sources = self._engine.bound.sources
        told = {sync for key in self._full_reads for sync in sources[key].syncs}
        for sync in sorted({self._policy.name, *told}):
            self._work_off(sync)

    def _work_off(self, sync: str) -> None:
        last = 0
        while True:
            with self._engine.store.reading() as unit:
                issues = unit.issues.to_review(sync, before=self._began, after=last, limit=BATCH)
                ours = issues if sync == self._policy.name else [i for i in issues if i.kind == UNREADABLE]
                over = self._over(unit, ours) if ours else {}
            if not issues:
                return
            if over:
                with self._engine.store.transaction() as unit:
                    self._guarded(unit)
                    unit.issues.close_all(over)
                    again = {i.point_id for i in issues if i.id in over and i.kind == "put_off"}
                    unit.points.mark([self._policy.name], {key for key in again if key is not None})
                _log.info("issues closed", sync=sync, run=self._run, count=len(over))
            if len(issues) < BATCH:
                return
            last = issues[-1].id

    def _over(self, unit: Unit, issues: Sequence[Issue]) -> dict[int, str]:
        points = {i.point_id for i in issues if i.point_id is not None}
        around = load_around(unit, self._engine, self._policy, points, run=self._run)
        records = self._records(unit, issues, around)
        is_awaited = any(i.kind == FAILED for i in issues)
        general = Facts(
            around=around,
            policy=self._policy,
            names_record=False,
            handlers_awaited=self._awaited(unit) if is_awaited else frozenset(),
        )
        is_clock_known = {
            system: unit.meta.get(f"offset:{system}") is not None for system in {str(i.system) for i in issues}
        }
        found = (
            (i.id, why_over(_matter(i), self._facts(general, i, records.get(i.id), is_clock_known))) for i in issues
        )
        return {number: why for number, why in found if why is not None}

    def _records(self, unit: Unit, issues: Sequence[Issue], around: Neighbourhood) -> dict[int, Seen]:
        """The records that the issues name, by the issue's number; some hold no address that can be used."""
        known = {(s.system, s.collection, s.record.id): s for s in (*around.crm, *around.esp)}
        for binding in self._engine.bound.sources_of(self._policy.name):
            missing = [
                i.record
                for i in issues
                if i.record is not None
                and i.system == binding.system
                and i.collection in {None, binding.collection}
                and (binding.system, binding.collection, i.record) not in known
            ]
            source = unit.sources.find(binding.system, binding.collection) if missing else None
            if source is not None:
                for observed in unit.records.by_rid(source.id, missing).values():
                    known[binding.system, binding.collection, observed.record.id] = seen_of(observed, binding)
        by_id = {(system, rid): seen for (system, _, rid), seen in known.items()}
        found = {}
        for issue in issues:
            if issue.collection is not None:
                seen = known.get((str(issue.system), issue.collection, str(issue.record)))
            else:
                seen = by_id.get((str(issue.system), str(issue.record)))
            if seen is not None:
                found[issue.id] = seen
        return found

    def _facts(self, general: Facts, issue: Issue, seen: Seen | None, is_clock_known: Mapping[str, bool]) -> Facts:
        key = (str(issue.system), seen.collection if seen else str(issue.collection))
        binding = self._engine.bound.sources.get(key)
        return replace(
            general,
            names_record=issue.record is not None,
            record=seen,
            representations=binding.representations if binding else (),
            is_clock_known=is_clock_known[str(issue.system)],
            full_read_since=self._full_reads.get(key),
        )

    def _awaited(self, unit: Unit) -> frozenset[str]:
        return unit.handled.failing(self._policy.name, queue=handling_queue(self._policy.name))


def _matter(issue: Issue) -> Matter:
    return Matter(
        kind=issue.kind,
        system=issue.system,
        field=issue.field,
        point=issue.point_id,
        values=issue.values,
        opened_at=issue.opened_at,
        last_at=issue.last_at,
    )
