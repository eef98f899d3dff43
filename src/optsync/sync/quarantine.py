"""Rows that cannot be used: a person is told, until they can be read again."""

from collections.abc import Sequence

from optsync.model.masking import mask, mask_words
from optsync.model.page import RowFault
from optsync.state.issues import NewIssue
from optsync.state.unit import Unit
from optsync.sync.binding import SourceBinding

_KIND = "quarantined_record"


def set_aside(binding: SourceBinding, fault: RowFault) -> NewIssue:
    """What a person is told about the row."""
    return NewIssue(
        kind=_KIND,
        message=f"{mask_words(fault.message, [fault.value])}; the record is set aside until it can be read",
        system=binding.system,
        collection=binding.collection,
        record=fault.record,
        field=fault.field,
        values={} if fault.value is None else {"value": mask(fault.value)},
    )


def clear(unit: Unit, binding: SourceBinding, fine: Sequence[str]) -> None:
    """These records can be read."""
    if fine and unit.issues.any_open(_KIND, binding.system):
        unit.issues.resolve(
            kind=_KIND,
            system=binding.system,
            collection=binding.collection,
            records=fine,
            reason="the record can be read again",
        )
