"""How things stand: systems, syncs, queues — from the state alone, without asking a system."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import takewhile
from typing import Any

from optsync.config.schedule import cron_trigger
from optsync.config.schema import SyncConfig
from optsync.state.runs import Run
from optsync.state.unit import Unit
from optsync.sync.check import clock_key
from optsync.sync.engine import Engine
from optsync.sync.refusals import NOT_MAILED_ANYWAY
from optsync.sync.waiting import waiting


def status(engine: Engine) -> dict[str, Any]:
    """The document of ``status --json``; times are ISO 8601 in UTC, lengths of time in seconds."""
    now = engine.clock.now()
    with engine.store.reading() as unit:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        today = list(takewhile(lambda run: run.started_at >= midnight, unit.runs.ended()))
        return {
            "systems": {name: _system(engine, unit, name, today) for name in engine.config.systems},
            "syncs": {name: _sync(engine, unit, name, now) for name in engine.bound.policies},
            "queues": _queues(unit, list(engine.bound.policies), now),
            "issues_open": unit.issues.count_open(),
        }


def _system(engine: Engine, unit: Unit, name: str, today: Sequence[Run]) -> dict[str, Any]:
    calls = sum(s["calls"].get(name, 0) for r in today for s in _parts(r).values())
    connecting = [
        sync for sync in engine.bound.policies if any(b.system == name for b in engine.bound.sources_of(sync))
    ]
    newest = (next((r for r in unit.runs.ended(sync) if _is_involved(r, name)), None) for sync in connecting)
    involved = max((r for r in newest if r is not None), key=lambda r: r.started_at, default=None)
    offset = unit.meta.get(clock_key(name))
    return {
        "connector": engine.config.systems[name].connector,
        "ok": None if involved is None else not _errors(involved, name),
        "error": next(iter(_errors(involved, name)), None) if involved else None,
        "account": unit.meta.get(f"account:{name}") or None,
        "clock_offset_s": float(offset) if offset else None,
        "calls_today": calls,
    }


def was_good(run: Run, sync: str) -> bool:
    """Whether everything that was said before it began has travelled with it, or is still on its way. An undo does not
    look at what was said, and what a signal left undone is only decided anew by the next run."""
    part = _parts(run).get(sync)
    return run.undoes is None and part is not None and not part.get("errors") and not part.get("stopped")


def _is_involved(run: Run, system: str) -> bool:
    """Whether it tells how the system is. An undo asks those only that the run wrote to; a file is asked without a
    call."""
    parts = [part for part in _parts(run).values() if system in part["calls"]]
    is_asked = any(part["calls"][system] or (run.undoes is None and _is_of_systems(part)) for part in parts)
    return is_asked or bool(_errors(run, system))


def _is_of_systems(part: Mapping[str, Any]) -> bool:
    """Whether nothing but systems has failed: whom another process keeps out has asked none."""
    return all(error.partition(": ")[0] in part["calls"] for error in part.get("errors", ()))


def _sync(engine: Engine, unit: Unit, name: str, now: datetime) -> dict[str, Any]:
    config = engine.config.syncs[name]
    last = _last(unit.runs.ended(name), name)
    good = next((r for r in unit.runs.ended(name) if was_good(r, name)), None)
    held = unit.plans.held(name)
    oldest = oldest_out(unit, name, good_since=good.started_at if good else None)
    return {
        "last_run": last.uid if last else None,
        "last_run_at": _iso(last.ended_at or last.started_at) if last else None,
        "last_state": _parts(last).get(name, {"state": last.state})["state"] if last else None,
        "last_ok_at": _iso(good.ended_at) if good else None,
        "next_at": _iso(_next(config, last, now)),
        "oldest_unpropagated_s": max(0, round((now - oldest).total_seconds())) if oldest else None,
        "held_plan": held[0].uid if held else None,
        "held_since": _iso(held[0].held_at) if held else None,
        "held_plans": [plan.uid for plan in held],
        "opt_outs_that_stay": [way for way, travels in _travel(config).items() if not travels],
    }


def oldest_out(unit: Unit, sync: str, *, good_since: datetime | None) -> datetime | None:
    """Since when the oldest opt-out is under way that is not everywhere yet. While a system is out of reach nothing is
    planned for it: then the statement on the backlog tells. What was said before the last good run, which began at
    ``good_since``, has travelled with it; what that could not carry everywhere is still on its way."""
    moments = (
        unit.changes.oldest_unsent_out(sync, harmless=NOT_MAILED_ANYWAY),
        unit.ledger.oldest_out_waiting(sync, after=good_since),
    )
    return min((moment for moment in moments if moment is not None), default=None)


def _queues(unit: Unit, syncs: Sequence[str], now: datetime) -> dict[str, Any]:
    return {
        "waiting": {name: waiting(unit, name, now) for name in syncs},
        "backlog": {name: unit.points.count_waiting(name) for name in syncs},
        "unsent": {name: unit.changes.count_open(name) for name in syncs},
    }


def _travel(config: SyncConfig) -> Mapping[str, bool]:
    return {"crm_to_esp": config.opt_out.crm_to_esp, "esp_to_crm": config.opt_out.esp_to_crm}


def _next(config: SyncConfig, last: Run | None, now: datetime) -> datetime | None:
    """When the daemon would run it next."""
    if config.cron:
        due: datetime | None = cron_trigger(config.cron).get_next_fire_time(None, now)
        return due
    if config.every is None:
        return None
    return max(now, last.started_at + config.every) if last else now


def _last(runs: Iterable[Run], sync: str) -> Run | None:
    """One that broke off tells nothing of its syncs but that it was about them."""
    return next((r for r in runs if sync in _parts(r) or r.state == "failed"), None)


def _parts(run: Run) -> Mapping[str, Any]:
    parts: Mapping[str, Any] = (run.summary or {}).get("syncs", {})
    return parts


def _errors(run: Run, system: str) -> list[str]:
    return [e for s in _parts(run).values() for e in s.get("errors", ()) if e.startswith(f"{system}: ")]


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
