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
    wishes = {key: standing(known, policy.scope, tolerance=policy.clock_tolerance) for key, known in about.items()}
    unit.points.cache_standings({(key, policy.scope): found.wish.value for key, found in wishes.items()})


def end_unsent(unit: Unit, changes: Iterable[Change], *, at: datetime, run: str) -> None:
    """Notes that these requests certainly never left, so that they may be sent another time."""
    for change in changes:
        if change.kind is ChangeKind.REQUEST and (asked := _request(unit, change)):
            unit.ledger.append([(change.point_id, asking.kept_back(asked, at=at))], run=run)


def end_refused(unit: Unit, change: Change, *, fact: str, at: datetime, run: str) -> None:
    """Notes that the vendor refused to ask."""
    if change.kind is ChangeKind.REQUEST and (asked := _request(unit, change)):
        unit.ledger.append([(change.point_id, asking.refused(asked, fact=fact, at=at))], run=run)


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


def _request(unit: Unit, change: Change) -> Statement | None:
    return asking.of_change(unit.ledger.about([change.point_id])[change.point_id], change.id)
