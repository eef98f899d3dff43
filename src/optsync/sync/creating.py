"""Records that our writes have made: stored with their addresses before anything else is said about them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from optsync.model.change import Outcome
from optsync.model.record import Record, Side
from optsync.state.changes import Change
from optsync.state.unit import Unit
from optsync.sync.binding import SourceBinding
from optsync.sync.receipts import receipt, usable


def store_created(
    unit: Unit, binding: SourceBinding, source_id: int, made: Sequence[tuple[Change, Outcome]], *, at: datetime
) -> dict[int, int]:
    """The keys of the records that these changes have made, by change. One that was read meanwhile, or that two
    changes speak of, shows what was written last."""
    written = [(change, _written(binding, change, outcome)) for change, outcome in made]
    known = {rid: o.key for rid, o in unit.records.by_rid(source_id, [record.id for _, record in written]).items()}
    unit.records.replace([(known[record.id], record) for _, record in written if record.id in known], at=at)
    first: dict[str, tuple[Change, Record]] = {}
    again: list[Record] = []
    for change, record in written:
        if record.id in first:
            again.append(record)
        elif record.id not in known:
            first[record.id] = (change, record)
    keys = unit.records.insert(source_id, [record for _, record in first.values()], at=at)
    unit.records.replace([(keys[record.id], record) for record in again], at=at)
    points = unit.points.require({a for _, record in first.values() for a in usable(record.addresses)})
    # Who was forgotten while the record was made has no address here any more.
    unit.records.set_points(
        {
            keys[rid]: [points[a] for a in usable(record.addresses)] or [change.point_id]
            for rid, (change, record) in first.items()
        }
    )
    return {change.id: {**known, **keys}[record.id] for change, record in written}


def _written(binding: SourceBinding, change: Change, outcome: Outcome) -> Record:
    """What was made, with no more wishes than we wrote: what a person has set since is theirs, and the reading that
    follows says so."""
    record = outcome.record or Record(id=str(outcome.record_id), addresses=(change.write["address"],))
    unset = {name: None if name in binding.spec.flags else value for name, value in record.fields.items()}
    record = replace(record, fields=unset, topics=dict.fromkeys({*binding.spec.topics, *record.topics}))
    # A record made for a list scope has its equalities, so it belongs to it.
    lists = frozenset(binding.spec.lists) if binding.side is Side.CRM else frozenset()
    return receipt(replace(record, id=str(outcome.record_id), lists=lists), change, outcome)
