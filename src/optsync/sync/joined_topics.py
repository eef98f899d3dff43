"""Which pairs of topic boxes a sync has compared: those of a pair that is mapped later are a first sight for all."""

import json

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


def is_noted(unit: Unit, policy: SyncPolicy) -> bool:
    """Whether that was noted ever."""
    return unit.meta.get(_key(policy.name)) is not None


def _pairs(policy: SyncPolicy) -> list[tuple[str, str, str]]:
    there = dict(policy.esp.topics)
    return [(scope, crm, there[scope]) for scope, crm in policy.crm.topics if scope in there]


def _key(sync: str) -> str:
    return f"topics:{sync}"
