"""Taking a run back: a run of its own, which restores fields, tags and archives that nobody has touched since."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

from optsync.errors import CommandRefused, ConfigError, StateLocked
from optsync.model.change import ChangeState
from optsync.state.runs import Run
from optsync.state.unit import Unit
from optsync.sync.engine import Engine
from optsync.sync.progress import Progress, Silent
from optsync.sync.run import end_run
from optsync.sync.undoing import Undoing, UndoReport

_BAD = frozenset({ChangeState.FAILED, ChangeState.REFUSED})


def undo(
    engine: Engine,
    uid: str,
    *,
    actor: str,
    sync: str | None = None,
    is_approved: bool = False,
    is_rehearsal: bool = False,
    progress: Progress | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> UndoReport:
    """Takes back what the run ``uid`` wrote (in one sync, or in all that it was about). Interrupted, it is called
    again: what is restored already counts as same. A rehearsal writes nothing anywhere. What exceeds the guard's limits
    is held, and written when it is called again with ``is_approved``.

    Raises:
        CommandRefused: there is no such run, it is at work, it changed nothing, or it is undone already.
        ConfigError: the sync is none of the run's, or is not configured any more.
    """
    if not actor.strip():
        raise CommandRefused("somebody has to answer for it: name them with --actor")
    with engine.store.rehearsal() if is_rehearsal else nullcontext():
        with engine.store.transaction() as unit:
            names = _require_undoable(engine, unit, uid, sync)
            report = UndoReport(run=engine.new_id(), undoes=uid)
            unit.runs.begin(report.run, names, undoes=uid, actor=actor.strip())
        try:
            for name in names:
                undoing = Undoing(engine, name, report, stopping, progress or Silent(), is_approved=is_approved)
                report.syncs[name] = undoing.run(is_rehearsal=is_rehearsal)
        except Exception:
            end_run(engine, report, "failed")
            raise
        end_run(engine, report, report.state)
    return report


# may it be undone?


def syncs_of_run(engine: Engine, uid: str, sync: str | None) -> list[str]:
    """The syncs whose changes would be taken back.

    Raises:
        CommandRefused, ConfigError: see :func:`undo`.
    """
    with engine.store.reading() as unit:
        return _names(engine, _require_run(unit, uid), sync)


def _require_run(unit: Unit, uid: str) -> Run:
    found = unit.runs.find(uid)
    if found is None:
        raise CommandRefused(f"there is no run {uid}; optsync runs list shows them")
    return found


def _names(engine: Engine, run: Run, sync: str | None) -> list[str]:
    if sync is not None and sync not in run.syncs:
        raise ConfigError(f"--sync: run {run.uid} was not about {sync!r}; it was about {', '.join(run.syncs)}")
    names = [sync] if sync is not None else run.syncs
    lost = [name for name in names if name not in engine.bound.policies]
    if lost:
        raise ConfigError(
            f"run {run.uid} was about {', '.join(lost)}, which is not configured any more: put it back into the "
            "configuration, or name another sync of the run with --sync"
        )
    return list(names)


def _require_undoable(engine: Engine, unit: Unit, uid: str, sync: str | None) -> list[str]:
    run = _require_run(unit, uid)
    names = _names(engine, run, sync)
    if run.ended_at is None:
        _require_over(engine, unit, run)
    if not any(c.state is ChangeState.APPLIED and c.sync in names for c in unit.changes.of_run(uid)):
        raise CommandRefused(f"run {uid} changed nothing, so there is nothing to undo")
    by = _undone_by(unit, uid, names)
    if by is not None:
        raise CommandRefused(f"run {uid} is undone already, by run {by}; optsync undo {by} takes that back")
    return names


def _require_over(engine: Engine, unit: Unit, run: Run) -> None:
    """A run without an end was killed, unless somebody holds its leases."""
    try:
        for name in run.syncs:
            unit.leases.give_back(unit.leases.take(f"sync {name}", holder=engine.holder))
    except StateLocked:
        raise CommandRefused(f"run {run.uid} is still at work: wait for its end, then undo it") from None


def _undone_by(unit: Unit, uid: str, names: Sequence[str]) -> str | None:
    """The run that has taken all of it back, and was not taken back itself."""
    for later in unit.runs.undoing(uid):
        is_whole = later.state == "done" and set(names) <= set(later.syncs)
        if is_whole and not any(c.state in _BAD for c in unit.changes.of_run(later.uid)):
            return later.uid if _undone_by(unit, later.uid, names) is None else None
    return None
