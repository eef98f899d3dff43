"""A source that shows suspiciously little is not believed: nothing is inferred from what it does not show."""

import structlog

from optsync.reconcile.guard import has_shrunk
from optsync.state.issues import NewIssue
from optsync.state.sources import Source
from optsync.state.unit import Unit
from optsync.sync.binding import SourceBinding

_log = structlog.get_logger(__name__)
KIND = "source_shrunk"


def is_believed(unit: Unit, binding: SourceBinding, source: Source, *, run: str) -> bool:
    """Whether absence from the complete read that just ended means anything. An issue tells about a read that is not
    believed; once a person has dismissed it, it is. A read that is normal again closes the issue."""
    known, missing = _counts(unit, binding, source)
    issue = NewIssue(
        kind=KIND,
        message=f"{source.system}/{source.collection} was read completely and shows {known - missing} of {known} known "
        "records; nothing is inferred from that. If records are missing by mistake, repair it there; if this is right, "
        "dismiss this issue and run optsync sync --full",
        sync=binding.syncs[0],
        system=source.system,
        collection=source.collection,
        values={"known": known, "missing": missing},
    )
    standing = unit.issues.latest([issue.subject]).get(issue.subject)
    if not has_shrunk(known=known, missing=missing):
        if standing is not None and standing.state != "resolved":
            unit.issues.close_all({standing.id: "a complete read was normal again"})
        return True
    unit.issues.open(issue, run=run)
    is_accepted = standing is not None and standing.state == "dismissed"
    _log.warning(
        "source has shrunk",
        system=source.system,
        collection=source.collection,
        known=known,
        missing=missing,
        is_accepted=is_accepted,
    )
    return is_accepted


def _counts(unit: Unit, binding: SourceBinding, source: Source) -> tuple[int, int]:
    """Of the records known before this read: how many, and how many of them it has not shown. Rows that are there
    and cannot be used are no missing ones."""
    known, missing = unit.sources.count_missing(source.id, before=source.scan_started_at)
    unreadable = unit.issues.records_with("quarantined_record", binding.system, binding.collection)
    if missing and unreadable:
        hidden = unit.records.known(source.id, sorted(unreadable))
        shown = unit.sources.shown(source.id, [k.key for k in hidden.values()])
        missing -= sum(1 for k in hidden.values() if k.is_plain and k.key not in shown)
    return known, max(missing, 0)
