"""Answering issues: try again, or keep quiet."""

import structlog

from optsync.errors import CommandRefused
from optsync.state.issues import Issue
from optsync.state.unit import Unit
from optsync.sync.engine import Engine

_log = structlog.get_logger(__name__)


def find(engine: Engine, issue_id: int) -> Issue:
    """The issue of that number.

    Raises:
        CommandRefused: there is none.
    """
    with engine.store.reading() as unit:
        return _require(unit, issue_id)


def retry(engine: Engine, issue_id: int) -> Issue:
    """Closes the issue; the next cycle looks at its matter again, and opens a new one if nothing has changed.

    Raises:
        CommandRefused: there is no such issue, or it is closed.
    """
    with engine.store.transaction() as unit:
        issue = _require(unit, issue_id)
        _retry(engine, unit, issue)
        return _require(unit, issue_id)


def retry_all(engine: Engine) -> int:
    """The same for every open issue; returns how many there were."""
    with engine.store.transaction() as unit:
        issues = unit.issues.list()
        for issue in issues:
            _retry(engine, unit, issue)
        return len(issues)


def dismiss(engine: Engine, issue_id: int, *, actor: str) -> Issue:
    """Keeps the issue quiet: the same matter opens no new one, and what was refused is not tried again.

    Raises:
        CommandRefused: there is no such issue, it is closed, or nobody answers for it.
    """
    if not actor.strip():
        raise CommandRefused("somebody has to answer for it: name them with --actor")
    with engine.store.transaction() as unit:
        issue = _require(unit, issue_id)
        _require_open(issue)
        unit.issues.dismiss(issue.id, actor=actor.strip())
        return _require(unit, issue_id)


def _retry(engine: Engine, unit: Unit, issue: Issue) -> None:
    if issue.state == "resolved":
        raise CommandRefused(f"issue {issue.id} is resolved already")
    unit.issues.set_state(issue.id, "resolved")
    syncs = [issue.sync] if issue.sync in engine.bound.policies else list(engine.bound.policies)
    if issue.point_id is not None:
        unit.points.mark([s for s in syncs if s is not None], {issue.point_id})
    elif issue.system is not None:
        # Nothing of such a row was stored: only a reading of everything is sure to show it again.
        for source in unit.sources.all():
            if source.system == issue.system:
                unit.sources.advance(source.id, None)
    _log.info("issue retried", issue=issue.id, kind=issue.kind)


def _require(unit: Unit, issue_id: int) -> Issue:
    issue = unit.issues.find(issue_id)
    if issue is None:
        raise CommandRefused(f"there is no issue {issue_id}; optsync issues list shows those that are open")
    return issue


def _require_open(issue: Issue) -> None:
    if issue.state != "open":
        raise CommandRefused(f"issue {issue.id} is {issue.state} already")
