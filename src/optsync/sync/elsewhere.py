"""What other syncs have to do with the people of this one: members of audiences for which the same flags stand, since
one record can only show one thing, and records that share the members of one audience with this sync's."""

from collections.abc import Collection, Sequence

from optsync.model.record import Side
from optsync.reconcile.policy import SyncPolicy
from optsync.reconcile.view import Fellows, Seen
from optsync.state.records import Observed
from optsync.state.unit import Unit
from optsync.sync.engine import Engine


def members_elsewhere(unit: Unit, engine: Engine, policy: SyncPolicy, seen: Sequence[Seen]) -> frozenset[int]:
    """Of the further addresses of these CRM records, those that are members of such an audience."""
    audiences = _sharing(engine, policy)
    further = {key for each in seen if each.side is Side.CRM for key in each.points[1:]}
    if not audiences or not further:
        return frozenset()
    sources = [source.id for source in unit.sources.all() if (source.system, source.collection) in audiences]
    members = unit.records.load(unit.records.holding(further, sources))
    return frozenset(o.points[0] for o in members if o.points and not o.is_gone) & further


def fellows_around(
    unit: Unit, engine: Engine, policy: SyncPolicy, points: Collection[int], seen: Sequence[Seen]
) -> Fellows:
    """What the other syncs of the audience have at these points and of these records."""
    fellows = engine.bound.fellows_of(policy.name)
    if not fellows:
        return Fellows()
    own = {(policy.crm_system, collection) for collection in policy.crm_collections}
    theirs = {(p.crm_system, collection) for p in fellows for collection in p.crm_collections} - own
    sources = [source.id for source in unit.sources.all() if (source.system, source.collection) in theirs]
    others = [o for o in unit.records.load(unit.records.holding(points, sources)) if not o.is_gone] if sources else []
    members = [s.key for s in seen if s.side is Side.ESP]
    left = [link for other in fellows for link in unit.links.of(other.name, members).values() if link.left]
    return Fellows(
        held=frozenset(point for o in others for point in o.points),
        listed=frozenset(o.points[0] for o in others if o.points and any(_is_listed(o, p) for p in fellows)),
        also_listed=frozenset(s.key for s in seen if s.side is Side.CRM and any(_is_listed(s, p) for p in fellows)),
        archived=frozenset(link.esp for link in left if not link.left_by_tag),
        tagged=frozenset(link.esp for link in left if link.left_by_tag),
    )


def _is_listed(known: Observed | Seen, policy: SyncPolicy) -> bool:
    """Whether a CRM record belongs to the list of this sync."""
    is_read = known.system == policy.crm_system and known.collection in policy.crm_collections
    return is_read and (not policy.has_list_scope or policy.name in known.record.lists)


def _sharing(engine: Engine, policy: SyncPolicy) -> set[tuple[str, str]]:
    """Their systems and audiences."""
    own = _flags(policy)
    return {
        (other.esp_system, other.audience)
        for other in engine.bound.policies.values()
        if other.name != policy.name and other.scope == policy.scope and own & _flags(other)
    } - {(policy.esp_system, policy.audience)}


def _flags(policy: SyncPolicy) -> set[tuple[str, str, str]]:
    names = (policy.crm.opt_out, policy.crm.opt_in, *(name for _, name in policy.crm.topics))
    return {(policy.crm_system, c, name) for c in policy.crm_collections for name in names if name}
