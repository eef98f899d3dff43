"""Members of other audiences whose syncs show wishes in the same flags: one record can only show one thing."""

from collections.abc import Sequence

from optsync.model.record import Side
from optsync.reconcile.policy import SyncPolicy
from optsync.reconcile.view import Seen
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
