"""Disagreements of another sync that wait for a person, or that a person did not want."""

from collections.abc import Collection

from optsync.reconcile.policy import SyncPolicy
from optsync.state.unit import Unit
from optsync.sync.engine import Engine
from optsync.sync.reject import ISSUE as REJECTION


def disputed(unit: Unit, engine: Engine, policy: SyncPolicy, points: Collection[int]) -> frozenset[str]:
    """What, at these points, causes changes of topics that a sync with some of the same topics holds, or that were
    rejected there."""
    others = [
        other.name
        for other in engine.bound.policies.values()
        if other.name != policy.name and other.mapped_topics & policy.mapped_topics
    ]
    rejected = [uid for name in others for uid, kind in unit.issues.blocked(name).items() if kind == REJECTION]
    return unit.plans.kept_back_at(others, rejected, points) if others else frozenset()
