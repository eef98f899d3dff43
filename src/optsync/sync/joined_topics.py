"""Which pairs of topic boxes a sync has compared: those of a pair that is mapped later are a first sight for all."""

import json
from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b

from optsync.model.record import Side
from optsync.reconcile.policy import SyncPolicy
from optsync.state.unit import Unit
from optsync.sync.binding import SourceBinding
from optsync.sync.carrying import Reading


def newly_mapped(unit: Unit, policy: SyncPolicy) -> frozenset[str]:
    """The topics whose two boxes were not both mapped when the sync was last planned; none before its first plan, when
    nobody is joined."""
    stored = unit.meta.get(_key(policy.name))
    known = {tuple(pair) for pair in json.loads(stored)} if stored is not None else set(_pairs(policy))
    return frozenset(scope for scope, crm, esp in _pairs(policy) if (scope, crm, esp) not in known)


def note_joined(unit: Unit, policy: SyncPolicy) -> None:
    """Everybody was looked at with the topics as they are mapped now."""
    unit.meta.put(_key(policy.name), json.dumps(_pairs(policy)))


def note_late(unit: Unit, binding: SourceBinding, news: Sequence[Reading], points: Mapping[str, int]) -> None:
    """Notes of which boxes, that were compared without them, something is read only now: records that could not be read
    when the topic was mapped. ``points``: the keys of the addresses."""
    told = [
        (points[n.points[0]], n.record.topics.keys() - n.old.record.topics.keys()) for n in news if n.old and n.points
    ]
    late = [(point, names) for point, names in told if names]
    for sync in binding.syncs if late else ():
        for scope, crm, esp in json.loads(unit.meta.get(_key(sync)) or "[]"):
            name = crm if binding.side is Side.CRM else esp
            unit.points.mark([late_queue(sync, scope)], {point for point, names in late if name in names})


def late(unit: Unit, policy: SyncPolicy, keys: Collection[int]) -> frozenset[tuple[int, str]]:
    """Of these points, those with such boxes, with the topics."""
    scopes = [scope for scope, _, _ in _pairs(policy)]
    return frozenset(
        (key, scope) for scope in scopes for key in unit.points.still_waiting(late_queue(policy.name, scope), keys)
    )


def no_longer_late(unit: Unit, policy: SyncPolicy, compared: Collection[tuple[int, str]]) -> None:
    """The boxes of these were compared."""
    for scope in {scope for _, scope in compared}:
        queue = late_queue(policy.name, scope)
        unit.points.done(queue, unit.points.marks(queue, [key for key, of in compared if of == scope]))


def late_queue(sync: str, scope: str) -> str:
    """The backlog of points whose boxes for the topic are to be compared as if it was just mapped; no sync can have
    this name."""
    return f"late/{blake2b(f'{sync} {scope}'.encode(), digest_size=16).hexdigest()}"


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
