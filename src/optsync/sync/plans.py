"""Deciding on a held plan: approve it, or reject it. Both are a cycle of its sync."""

from typing import Any

from optsync.errors import CommandRefused, PlanHeld, StateLocked
from optsync.state.plans import Plan
from optsync.sync.check import run_on_known_accounts
from optsync.sync.engine import Engine
from optsync.sync.report import Report
from optsync.sync.word import Word


def approve(engine: Engine, uid: str, *, actor: str, **options: Any) -> Report:
    """Reads what changed, and carries out what of the plan still applies; what does not drops out. ``options`` are
    those of :func:`optsync.sync.run.run_cycle`.

    Raises:
        CommandRefused: there is no such plan, it is decided already, the mapping, list scope, scope or audience changed
            since it was held, or nobody answers for it.
        PlanHeld: what newly arrived is too much by itself and is held as another plan; nothing of this one was
            written. StateLocked: another process works on the sync.
    """
    plan = _require(engine, uid)
    report = _run(engine, plan, Word(actor=_actor(actor), approves=uid), options)
    newer = report.syncs[plan.sync].plan
    if newer is not None and _is_held(engine, uid):  # not only what came while it was being written
        raise PlanHeld(
            f"plan {uid} was not applied: what arrived since it was held is too much by itself, and is held as plan "
            f"{newer}. Look at it (optsync runs show {report.run}), approve or reject {newer}, then approve {uid} again"
        )
    return report


def reject(engine: Engine, uid: str, *, actor: str, system: str | None = None, **options: Any) -> Report:
    """Retracts what administrators said to cause the plan (with ``system``: only what was said there), puts the
    sides that show it back, and drops the rest of the plan. What people said themselves stays planned.

    Raises:
        CommandRefused: there is no such plan, it is decided already, or nobody answers for it.
        StateLocked: another process works on the sync.
    """
    plan = _require(engine, uid)
    return _run(engine, plan, Word(actor=_actor(actor), rejects=uid, system=system), options)


def _run(engine: Engine, plan: Plan, word: Word, options: dict[str, Any]) -> Report:
    report = run_on_known_accounts(engine, [plan.sync], word=word, **options)
    locked = [f for f in report.syncs[plan.sync].failures if isinstance(f, StateLocked)]
    if locked:
        raise locked[0]
    return report


def _require(engine: Engine, uid: str) -> Plan:
    with engine.store.reading() as unit:
        plan = unit.plans.find(uid)
    if plan is None:
        raise CommandRefused(f"there is no plan {uid}; optsync status shows what is held")
    if plan.state != "held":
        by = f" by {plan.actor}" if plan.actor else ""
        raise CommandRefused(f"plan {uid} is {plan.state} already{by}; nothing was changed")
    if plan.sync not in engine.bound.policies:
        raise CommandRefused(f"plan {uid} belongs to sync {plan.sync}, which is not configured any more")
    return plan


def _is_held(engine: Engine, uid: str) -> bool:
    with engine.store.reading() as unit:
        plan = unit.plans.find(uid)
    return plan is not None and plan.state == "held"


def _actor(actor: str) -> str:
    if not actor.strip():
        raise CommandRefused("somebody has to answer for it: name them with --actor")
    return actor.strip()
