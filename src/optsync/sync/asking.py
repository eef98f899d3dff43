"""Requests for a confirmation in the ledger: stated before the call, ended where it is certain that none was made."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from optsync.errors import CommandRefused
from optsync.model.change import ChangeKind, Fact
from optsync.model.statement import Statement
from optsync.reconcile import asking
from optsync.reconcile.consent import standing
from optsync.reconcile.policy import SyncPolicy
from optsync.state.changes import Change
from optsync.state.issues import Issue
from optsync.state.unit import Unit

NEVER_ASKED_AGAIN = frozenset({Fact.FORGOTTEN, Fact.SELF_UNSUBSCRIBED})
"""Why a platform refuses to ask for good; what it says of anything else can have passed."""


def note_requests(unit: Unit, policy: SyncPolicy, batch: Sequence[Change], *, at: datetime, run: str) -> None:
    """States the requests that are about to be sent. One that is sent again with fewer values is the same one."""
    requests = [c for c in batch if c.kind is ChangeKind.REQUEST and c.sent_at is None]
    if not requests:
        return
    said = [
        (
            c.point_id,
            asking.stated(
                policy.scope,
                system=c.system,
                collection=c.collection,
                change=c.id,
                grant=c.causes[0] if c.causes else None,
                at=at,
            ),
        )
        for c in requests
    ]
    unit.ledger.append(said, run=run)
    about = unit.ledger.about({key for key, _ in said})
    tolerance, is_own = policy.clock_tolerance, policy.needs_own_grant(policy.scope)
    wishes = {
        key: standing(known, policy.scope, tolerance=tolerance, needs_own_grant=is_own) for key, known in about.items()
    }
    unit.points.cache_standings({(key, policy.scope): found.wish.value for key, found in wishes.items()})


def end_requests(
    unit: Unit,
    unsent: Iterable[Change],
    refused: Iterable[tuple[Change, str]] = (),
    *,
    at: datetime,
    run: str,
) -> None:
    """Notes, of what of these changes is a request, that it certainly never left, so that it may be sent another time;
    or that the vendor refused to ask, with the reason."""
    never_left = [c for c in unsent if c.kind is ChangeKind.REQUEST]
    not_asked = [(c, fact) for c, fact in refused if c.kind is ChangeKind.REQUEST]
    if not (never_left or not_asked):
        return
    about = unit.ledger.about({c.point_id for c in (*never_left, *(c for c, _ in not_asked))})

    def asked_by(change: Change) -> Statement | None:
        return asking.of_change(about[change.point_id], change.id)

    ends = [(c.point_id, asking.kept_back(asked, at=at)) for c in never_left if (asked := asked_by(c))]
    ends += [(c.point_id, asking.refused(asked, fact=why, at=at)) for c, why in not_asked if (asked := asked_by(c))]
    unit.ledger.append(ends, run=run)


def is_final(issue: Issue) -> bool:
    """Whether the issue is about a refused request that is useless to make again."""
    return issue.values.get("change") == ChangeKind.REQUEST and issue.values.get("fact") in NEVER_ASKED_AGAIN


def ask_again(unit: Unit, policy: SyncPolicy, issue: Issue, *, at: datetime) -> None:
    """Somebody has a refused request made again: the next cycle asks, if it still is to be asked. No mail was sent for
    a request that the platform refused, so that this one is not a second.

    Raises:
        CommandRefused: what the platform refused for cannot pass.
    """
    if issue.point_id is None or issue.values.get("change") != ChangeKind.REQUEST:
        return
    if is_final(issue):
        raise CommandRefused(
            f"issue {issue.id}: {issue.system} never asks this person again ({issue.values['fact']}); only they come "
            "back, by signing up there, and then the issue closes by itself"
        )
    newest = asking.request(unit.ledger.about([issue.point_id])[issue.point_id], policy.scope)
    if newest.answer is asking.Answer.REFUSED and newest.asked is not None:
        again = asking.kept_back(newest.asked, at=at, reason="refused then, to be asked again")
        unit.ledger.append([(issue.point_id, again)], run=None)
