"""Disagreements of another sync that wait for a person, or that a person did not want."""

from collections.abc import Collection, Mapping

from optsync.reconcile.policy import SyncPolicy
from optsync.state.plans import REJECTED
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
    rejected = [uid for name in others for uid in _rejected(unit, name)]
    return unit.plans.kept_back_at(others, rejected, points) if others else frozenset()


def look_again(unit: Unit, policies: Mapping[str, SyncPolicy], sync: str, points: Collection[int]) -> None:
    """The sync keeps back no change of a topic any more at these points: others may have left it alone there."""
    unit.points.mark([name for name, other in policies.items() if name != sync and other.mapped_topics], points)


def kept_back(unit: Unit, sync: str) -> set[int]:
    """The points at which the sync holds changes of topics, or at which some were rejected."""
    held = (unit.plans.points_of(plan.uid, of_topics=True) for plan in unit.plans.held(sync))
    rejected = (unit.plans.points_of(uid, fact=REJECTED, of_topics=True) for uid in _rejected(unit, sync))
    return set().union(*held, *rejected)


def _rejected(unit: Unit, sync: str) -> list[str]:
    return [uid for uid, kind in unit.issues.blocked(sync).items() if kind == REJECTION]
