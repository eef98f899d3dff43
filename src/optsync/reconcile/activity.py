"""Members who give no sign of life: tagged or taken off the list, and given back. It is never a wish."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from optsync.model.change import ChangeKind, WriteKind
from optsync.model.link import Link
from optsync.model.record import Status
from optsync.reconcile.consent import Wish
from optsync.reconcile.membership import Couple, may_return
from optsync.reconcile.policy import Inactive, Leave, SyncPolicy
from optsync.reconcile.rules import Rule
from optsync.reconcile.view import Decision, Intent, Neighbourhood, Point, Seen, is_in_list

INACTIVE_TAG = "inactive"


def attend(decision: Decision, pair: Couple, around: Neighbourhood, policy: SyncPolicy) -> Decision:
    """The decision about one contact point, with what its member's activity adds to it. Only members that optsync
    created or matched are touched; what was taken is given back whoever owns the address now."""
    member, owner = pair.member, pair.owner
    if member is None or owner is None or member.is_gone:
        return decision
    called = [link for link in around.by_member.get(member.key, ()) if link.inactive]
    is_concerned = (owner.key, member.key) in around.links and policy.inactive is not Inactive.KEEP
    if not (called or is_concerned):
        return decision
    is_alive = _is_alive(pair.point, member, around.now, policy)
    if called and is_alive:
        if _shows_it(member, policy):
            return replace(decision, intents=(*decision.intents, *_give_back(pair, member, called[0], around, policy)))
        return replace(decision, settled=_forgotten(decision, called))
    is_moved = any(i.record == member.key and i.left is not None for i in decision.intents)
    if called or is_alive or is_moved:
        return decision
    return replace(decision, intents=(*decision.intents, *_take(pair.point, member, around, policy)))


def _since(point: Point, member: Seen, policy: SyncPolicy) -> datetime | None:
    """When the member came in, by the newest of what is known; None if nothing is."""
    decided = point.standing(policy.scope, policy)
    grant = decided.decided_by.at if decided.wish is Wish.IN and decided.decided_by else None
    known = (grant, member.record.opted_in_at, member.record.created_at)
    return max((moment for moment in known if moment), default=None)


def _is_alive(point: Point, member: Seen, now: datetime, policy: SyncPolicy) -> bool:
    """Whether there was a sign of life, or an opt-in, lately."""
    oldest = now - policy.inactive_after
    since = _since(point, member, policy)
    return any(moment is not None and moment >= oldest for moment in (point.active_at, since))


def _was_mailed(around: Neighbourhood, policy: SyncPolicy) -> bool:
    return around.mailed_at is not None and around.mailed_at >= around.now - policy.inactive_after


def _take(point: Point, member: Seen, around: Neighbourhood, policy: SyncPolicy) -> Iterator[Intent]:
    """Who is out, was never seen to come in or was not mailed is not called inactive."""
    wish = point.standing(policy.scope, policy).wish
    if policy.inactive is Inactive.KEEP or member.record.status is not Status.IN or not _was_mailed(around, policy):
        return
    if wish is Wish.OUT or _since(point, member, policy) is None:
        return
    # Nobody is archived who could not be brought back.
    if policy.inactive is Inactive.EXCLUDE and wish is not Wish.IN:
        return
    is_archive = policy.inactive is Inactive.EXCLUDE
    intent = _intent(point, member, WriteKind.ARCHIVE if is_archive else WriteKind.TAG, inactive=True)
    if intent.fingerprint not in around.blocked:
        yield intent


def _shows_it(member: Seen, policy: SyncPolicy) -> bool:
    """Whether there is something to give back: the tag, or the place on the list. Who is back by other hands is."""
    return member.record.status is Status.ARCHIVED or policy.inactive is not Inactive.EXCLUDE


def _give_back(pair: Couple, member: Seen, link: Link, around: Neighbourhood, policy: SyncPolicy) -> Iterator[Intent]:
    """Who was only tagged and is archived was archived for something else; who has left the list since waits until they
    belong to it again."""
    is_archived = member.record.status is Status.ARCHIVED
    if is_archived and (link.inactive_by_tag or _has_left(pair, policy) or not may_return(pair.point, around, policy)):
        return
    intent = _intent(pair.point, member, WriteKind.STATUS if is_archived else WriteKind.TAG, inactive=False)
    if intent.fingerprint not in around.blocked:
        yield intent


def _has_left(pair: Couple, policy: SyncPolicy) -> bool:
    """Whether the member would be archived at once, since nobody who has the address belongs to the list."""
    return policy.leave is Leave.ARCHIVE and not any(is_in_list(holder, policy) for holder in pair.holders)


def _forgotten(decision: Decision, called: Sequence[Link]) -> tuple[Link, ...]:
    """The links to remember, these without their inactivity."""
    settled = {(link.crm, link.esp): link for link in decision.settled}
    own = {(link.crm, link.esp): settled.pop((link.crm, link.esp), link) for link in called}
    return (*settled.values(), *(replace(link, inactive=False) for link in own.values()))


def _intent(point: Point, member: Seen, write: WriteKind, *, inactive: bool) -> Intent:
    status = Status.ARCHIVED if inactive else Status.IN
    is_tag = write is WriteKind.TAG
    return Intent(
        kind=ChangeKind.OPT_IN if write is WriteKind.STATUS else ChangeKind.ARCHIVE,
        write=write,
        system=member.system,
        collection=member.collection,
        record=member.key,
        point=point.key,
        rule=Rule.INACTIVE if inactive else Rule.SIGN_OF_LIFE,
        before={} if is_tag else {"status": member.record.status},
        after={"tag": INACTIVE_TAG if inactive else None} if is_tag else {"status": status},
        status=status if write is WriteKind.STATUS else None,
        tags={INACTIVE_TAG: inactive} if is_tag else {},
        address=member.record.addresses[0],
        inactive=inactive,
    )
