"""An out of somebody who was out already: what tells that it was said once more."""

from datetime import datetime

from optsync.model.record import BY_THEMSELF, Origin, Record


def is_said_again(before: Record, now: Record) -> bool:
    """Whether a system that showed a status of out ``before`` and does so ``now`` names a later time, another author,
    or another reason of the person's. That it was an administrator is no news where nobody was known to be: it may
    have been us."""
    was, is_by = before.origin, now.origin
    if is_by is not was and (is_by in BY_THEMSELF or (is_by is Origin.ADMIN and was in BY_THEMSELF)):
        return True
    if is_by in BY_THEMSELF and _has_another_reason(before, now):
        return True
    return _is_after(now.status_at, before.status_at)


def _has_another_reason(before: Record, now: Record) -> bool:
    """Without a later stamp the reason was corrected, or told wrongly before."""
    is_other = None not in {before.reason, now.reason} and before.reason != now.reason
    return is_other and _is_after(now.modified_at, before.modified_at)


def _is_after(at: datetime | None, before: datetime | None) -> bool:
    return at is not None and before is not None and at > before
