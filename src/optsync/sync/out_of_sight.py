"""Syncs that are not configured for a while, and flags and boxes of theirs that are not read meanwhile."""

from collections.abc import Collection

from optsync.model.record import Side
from optsync.state.codec import dumps, loads
from optsync.state.unit import Unit
from optsync.sync.binding import Bound, SourceBinding
from optsync.sync.guard import held_key, meaning_key
from optsync.sync.joined_topics import forget_joined

_SIGHT = "looks_at:"
_UNSEEN = "was not read"


def note_sight(unit: Unit, bound: Bound, sync: str) -> None:
    """Notes by which names of its sources the sync, which is configured, knows what people want."""
    policy = bound.policies[sync]
    looked_at = []
    for binding in bound.sources_of(sync):
        own = policy.crm if binding.side is Side.CRM else policy.esp
        names = {name for name in (own.opt_out, own.opt_in, own.consent_date) if name}
        looked_at.append([binding.system, binding.collection, sorted(names | {name for _, name in own.topics})])
    unit.meta.put(_SIGHT + sync, dumps(looked_at))


def lose_sight(unit: Unit, binding: SourceBinding, syncs: Collection[str]) -> None:
    """The source is read under another meaning from now on, for none but some of these syncs, which are all that are
    configured. What others know people by and is not read any more may change unseen: should one of them be configured
    again, that is another mapping for it."""
    read = binding.spec.fields | binding.spec.topics
    for key in unit.meta.beginning(_SIGHT):
        sync = key.removeprefix(_SIGHT)
        for system, collection, names in loads(unit.meta.get(key)) if sync not in syncs else ():
            lost = set(names) - read
            if (system, collection) == (binding.system, binding.collection) and lost:
                forget_joined(unit, sync, lost, side=binding.side)
                _forget_meaning(unit, sync)


def _forget_meaning(unit: Unit, sync: str) -> None:
    if unit.meta.get(meaning_key(sync)) is not None:
        for key in (meaning_key(sync), held_key(sync)):
            unit.meta.put(key, _UNSEEN)


def is_unseen(unit: Unit, sync: str) -> bool:
    """Whether nobody has read to the end what the sync looks at, or not since it was out of sight."""
    return unit.meta.get(meaning_key(sync)) in {None, _UNSEEN}
