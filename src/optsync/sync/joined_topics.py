"""Which pairs of topic boxes a sync has compared: those of a pair that is mapped later are a first sight for all."""

import json
from collections.abc import Collection

from optsync.model.record import Side
from optsync.reconcile.policy import SyncPolicy
from optsync.state.unit import Unit


def newly_mapped(unit: Unit, policy: SyncPolicy) -> frozenset[str]:
    """The topics whose two boxes were not both mapped when the sync was last planned; none before its first plan, when
    nobody is joined."""
    stored = unit.meta.get(_key(policy.name))
    known = {tuple(pair) for pair in json.loads(stored)} if stored is not None else set(_pairs(policy))
    return frozenset(scope for scope, crm, esp in _pairs(policy) if (scope, crm, esp) not in known)


def note_joined(unit: Unit, policy: SyncPolicy) -> None:
    """Everybody was looked at with the topics as they are mapped now."""
    unit.meta.put(_key(policy.name), json.dumps(_pairs(policy)))


def forget_joined(unit: Unit, sync: str, names: Collection[str], *, side: Side) -> None:
    """The boxes of these names on that side are out of sight: should they be mapped again, they are compared anew."""
    stored = unit.meta.get(_key(sync))
    if stored is not None:
        kept = [pair for pair in json.loads(stored) if pair[1 if side is Side.CRM else 2] not in names]
        unit.meta.put(_key(sync), json.dumps(kept))


def is_noted(unit: Unit, policy: SyncPolicy) -> bool:
    """Whether that was noted ever."""
    return unit.meta.get(_key(policy.name)) is not None


def _pairs(policy: SyncPolicy) -> list[tuple[str, str, str]]:
    there = dict(policy.esp.topics)
    return [(scope, crm, there[scope]) for scope, crm in policy.crm.topics if scope in there]


def _key(sync: str) -> str:
    return f"topics:{sync}"
