"""Issues about what a page of readings shows: rows that cannot be used, and what a person should look at."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from optsync.model.masking import mask, mask_words
from optsync.model.page import RowFault
from optsync.model.record import Record
from optsync.reconcile import erasure
from optsync.reconcile.detect import Detected
from optsync.state.issues import NewIssue
from optsync.state.unit import Unit
from optsync.sync.binding import SourceBinding
from optsync.sync.forgotten import pseudonym


class Reading(Protocol):
    """A record that was read, its usable addresses, and what it tells."""

    @property
    def record(self) -> Record: ...

    @property
    def points(self) -> tuple[str, ...]: ...

    @property
    def detected(self) -> Detected: ...


class Troubles:
    """Of one source."""

    def __init__(self, unit: Unit, binding: SourceBinding, run: str) -> None:
        self._unit = unit
        self._binding = binding
        self._run = run

    def open_doubts(self, news: Sequence[Reading], points: Mapping[str, int]) -> None:
        """``points``: the keys of the addresses."""
        for item in news:
            for doubt in item.detected.doubts:
                self._open(
                    NewIssue(
                        kind=doubt.kind,
                        message=doubt.message,
                        record=item.record.id,
                        point_id=points[item.points[0]] if item.points else None,
                        field=doubt.field,
                    )
                )

    def open_faults(self, faults: Iterable[RowFault]) -> set[str]:
        """Of the rows that cannot be used; answers those of which nobody knew."""
        unheard_of = set()
        for fault in faults:
            is_new = self._open(
                NewIssue(
                    kind="quarantined_record",
                    message=f"{mask_words(fault.message, [fault.value])}; the record is set aside until it can be read",
                    record=self._stored_id(fault.record),
                    field=fault.field,
                    values={} if fault.value is None else {"value": mask(fault.value)},
                )
            )
            unheard_of.update([fault.record] if is_new else [])
        return unheard_of

    def close(self, rids: Collection[str], faulty: Collection[str]) -> None:
        """Of those of the records that were set aside and can be read again."""
        fine = [rid for rid in rids if rid not in faulty]
        if fine and self._unit.issues.any_open("quarantined_record", self._binding.system):
            self._unit.issues.resolve(
                kind="quarantined_record",
                system=self._binding.system,
                collection=self._binding.collection,
                records=fine,
                reason="the record can be read again",
            )

    def _stored_id(self, rid: str) -> str:
        """As the record is stored: not by an id that names somebody who is forgotten."""
        points = self._unit.points
        named = points.find(erasure.usable(rid.split("/")) if points.has_forgotten() else ())
        return pseudonym(self._unit, rid) if points.forgotten(named.values()) else rid

    def _open(self, new: NewIssue) -> bool:
        binding = self._binding
        placed = replace(new, sync=binding.syncs[0], system=binding.system, collection=binding.collection)
        return self._unit.issues.open(placed, run=self._run)
