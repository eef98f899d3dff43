"""What a vendor refused: how long it stands, and what happens next."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from optsync.model.change import ChangeState, Fact
from optsync.model.record import Side, Status
from optsync.reconcile.policy import SyncPolicy
from optsync.reconcile.view import Seen
from optsync.state.changes import Change
from optsync.state.issues import Issue
from optsync.state.unit import Unit
from optsync.sync.issues import BY_HAND

FOR_GOOD = frozenset({Fact.FORGOTTEN, Fact.FAKE_ADDRESS, Fact.UNDELIVERABLE, Fact.BANNED})
"""Facts about the address: nothing is created, asked or filled there until the person shows up there by themself or
somebody has the issue tried again."""
RETRIED_BY_ITSELF = frozenset({Fact.EXISTS, Fact.GONE})
"""Refusals that the next reading explains; everything else stands until a person or the vendor changes it."""
NOT_MAILED_ANYWAY = frozenset({Fact.FORGOTTEN, Fact.UNDELIVERABLE, Fact.BANNED, Fact.ARCHIVED})
"""Facts under which a refused opt-out harms nobody; under any other it is tried again until it arrives."""
TIME_HAS_COME = "its time has come"
_PUT_OFF = frozenset({ChangeState.PLANNED, ChangeState.FAILED, ChangeState.SUPERSEDED})
_NO_SIGN_UP = frozenset({Status.UNKNOWN, Status.BOUNCED, Status.ARCHIVED, Status.ABSENT, None})

AGAIN = "it is tried again in every cycle"
NOT_AGAIN = "it is not tried again"
WHAT_HELPS: Mapping[str, str] = {
    Fact.SELF_UNSUBSCRIBED: "the person left there by themself: only they come back, by confirming or signing up there",
    Fact.FORGOTTEN: "the address was permanently deleted there: only the person comes back, by signing up with a form "
    "of the platform",
    Fact.FAKE_ADDRESS: "the platform takes it for no real address: correct it in the CRM",
    Fact.UNDELIVERABLE: "the address does not receive mail: correct it in the CRM, or have the mailbox repaired",
    Fact.BANNED: "the address is banned there: an administrator of the platform can lift that",
    Fact.ARCHIVED: "the member is archived there: somebody has to take them back there",
    Fact.NOT_ALLOWED: "the platform does not allow it: look at the record there",
}


def refusals_to_json(changes: Sequence[Change], issues: Sequence[Issue]) -> list[dict[str, Any]]:
    """What systems refused or put off about one address, oldest first, as ``explain --json`` shows it: which one,
    when, in whose words, and what happens next. ``issues`` are the open ones about the address."""
    answered = [c for c in changes if c.state is ChangeState.REFUSED or (c.message and c.state in _PUT_OFF)]
    return [
        {
            "system": change.system,
            "record": change.record,
            "kind": change.kind,
            "at": settled.isoformat(),
            "fact": change.fact,
            "words": change.message,
            "next": _next(change, issues),
        }
        for change in sorted(answered, key=lambda c: c.id)
        if (settled := change.settled_at)
    ]


def _next(change: Change, issues: Sequence[Issue]) -> str:
    of = [
        i for i in issues if (i.system, i.record, i.values.get("change")) == (change.system, change.record, change.kind)
    ]
    if change.state is not ChangeState.REFUSED:
        until = next((i.values["until"] for i in of if "until" in i.values), None)
        return f"put off: tried again after {until}" if until else "it is tried again"
    if change.fact in RETRIED_BY_ITSELF:
        return "the next reading decides what is done"
    if change.fact == Fact.SELF_UNSUBSCRIBED and not of:
        return "only the person comes back: they are asked to confirm it, once, where the platform can ask"
    if change.write["is_restrictive"] and change.fact not in NOT_MAILED_ANYWAY:
        return AGAIN
    helps = WHAT_HELPS.get(change.fact or "", NOT_AGAIN)
    return f"{NOT_AGAIN}; {helps}" if helps is not NOT_AGAIN else helps


def left_by_self(unit: Unit, policy: SyncPolicy, points: Collection[int]) -> Mapping[int, datetime]:
    """When the audience last refused an opt-in of these points, since the person had left there by themself."""
    return unit.changes.refused_since(
        points, system=policy.esp_system, collection=policy.audience, fact=Fact.SELF_UNSUBSCRIBED
    )


def refused_for_good(
    unit: Unit, policy: SyncPolicy, points: Collection[int], members: Sequence[Seen]
) -> frozenset[int]:
    """The points whose address the audience refuses, whatever became of the issue since, unless somebody has it
    tried again by hand. Whoever shows up there as a member has signed up, and is taken again."""
    issues = unit.issues.about(points, kind="refused", sync=policy.name, system=policy.esp_system)
    newest = {i.point_id: i for i in issues if i.values.get("fact") in FOR_GOOD}
    there = {s.points[0] for s in members if s.points and _has_signed_up(s)}
    stands = {key for key, issue in newest.items() if issue.reason != BY_HAND}
    return frozenset(key for key in stands - there if key is not None)


def _has_signed_up(seen: Seen) -> bool:
    return seen.side is Side.ESP and not seen.is_gone and seen.record.status not in _NO_SIGN_UP
