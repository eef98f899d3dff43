"""Refused opt-ins: records that came to show "in" although the person is out."""

from collections.abc import Sequence
from datetime import timedelta

from optsync.reconcile.consent import Standing, Wish, standing
from optsync.reconcile.rules import Rule
from optsync.state.issues import NewIssue
from optsync.state.unit import Unit
from optsync.sync.ingest import PendingClaim

REFUSED = "refused_opt_in"


def judge_claims(unit: Unit, claims: Sequence[PendingClaim], *, tolerance: timedelta, run: str) -> None:
    """Opens an issue for every claim that no statement supports. It is called when all sides of a sync were read,
    so that an out which is read after the claim counts as well."""
    about = unit.ledger.about({c.point for c in claims})
    for pending in claims:
        decided = standing(about[pending.point], pending.claim.scope, tolerance=tolerance)
        if decided.wish is Wish.OUT:
            unit.issues.open(_refused(pending, decided), run=run, is_news=True)


def _refused(pending: PendingClaim, decided: Standing) -> NewIssue:
    out, record, claim = decided.decided_by, pending.record, pending.claim
    return NewIssue(
        kind=REFUSED,
        message=f"shows '{claim.shows}' for {claim.scope} without an opt-in that lifts the opt-out: it is put back",
        sync=pending.binding.syncs[0],
        system=pending.binding.system,
        record=record.id,
        point_id=pending.point,
        rule=Rule.RESTRICTIVE_WINS,
        field=claim.scope,
        values={
            "shows": claim.shows,
            "shown_at": record.modified_at.isoformat() if record.modified_at else None,
            "out_at": out.at.isoformat() if out else None,
            "out_source": out.source if out else None,
            "out_system": out.system if out else None,
        },
    )
