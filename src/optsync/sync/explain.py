"""Why may this address be mailed, or not? Everything the state knows about it, gathered in one document."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from optsync.model.change import ChangeState
from optsync.model.record import Record, Status
from optsync.model.scope import contains
from optsync.model.statement import Statement
from optsync.reconcile.consent import deliverability, effective
from optsync.reconcile.representation import Representation, shown, topic_shown
from optsync.state.changes import Change
from optsync.state.issues import Issue
from optsync.state.records import Observed
from optsync.state.unit import Unit
from optsync.sync.engine import Engine
from optsync.sync.permission import Permissions, permissions
from optsync.sync.report import change_to_json


def explain(engine: Engine, address: str) -> dict[str, Any]:
    """The document of ``explain --json``; times are ISO 8601 in UTC. ``address`` is normalised. An address that
    was never heard of has every configured scope, as unknown."""
    now = engine.clock.now()
    with engine.store.reading() as unit:
        key = unit.points.find([address]).get(address)
        said = unit.ledger.about([key])[key] if key is not None else ()
        records = unit.records.load(unit.records.holding([key])) if key is not None else []
        changes = unit.changes.of_points([key]) if key is not None else []
        issues = unit.issues.list(points=[key]) if key is not None else []
        waiting = _waiting(engine, unit, key)
    rules = engine.config.consent.soft_bounces
    mailbox = deliverability(said, now=now, soft_limit=rules.limit, soft_within=rules.within)
    kept = [c for c in changes if c.state is not ChangeState.SUPERSEDED]
    return {
        "email": address,
        "deliverability": mailbox,
        "scopes": _scopes(permissions(engine), said, now),
        "records": [entry for record in records for entry in _shows(engine, record)],
        "changes": [_journaled(c) for c in sorted(kept, key=lambda c: c.id)],
        "issues": [issue_to_json(i) for i in issues],
        "waiting_in": waiting,
    }


def _waiting(engine: Engine, unit: Unit, key: int | None) -> list[str]:
    """Syncs whose next cycle looks at the address again."""
    if key is None:
        return []
    return [sync for sync in engine.bound.policies if unit.points.still_waiting(sync, [key])]


def _scopes(asked: Permissions, said: Sequence[Statement], now: datetime) -> dict[str, Any]:
    void = {s.uid for s in said} - {s.uid for s in effective(said)}
    return {scope: _scope(asked, said, scope, void=void, now=now) for scope in asked.scopes}


def _scope(
    asked: Permissions, said: Sequence[Statement], scope: str, *, void: set[str], now: datetime
) -> dict[str, Any]:
    verdict = asked.verdict(said, scope, now=now)
    decided = verdict.standing.decided_by
    return {
        "standing": verdict.standing.wish,
        "may_send": verdict.permission.may_send,
        "reason": verdict.permission.reason,
        "decided_by": statement_to_json(decided) if decided else None,
        "statements": [{**statement_to_json(s), "is_void": s.uid in void} for s in said if contains(s.scope, scope)],
    }


def statement_to_json(said: Statement) -> dict[str, Any]:
    """One statement as every document shows it."""
    return {
        "id": said.uid,
        "kind": said.kind,
        "scope": said.scope,
        "at": said.at.isoformat(),
        "seen_at": said.seen_at.isoformat(),
        "source": said.source,
        "strength": said.strength.name.lower(),
        "is_personal": said.is_personal,
        "reason": said.reason,
        "system": said.system,
        "record": said.record,
        "target": said.target,
        "evidence": dict(said.evidence),
    }


def issue_to_json(issue: Issue) -> dict[str, Any]:
    """One issue as ``issues --json`` shows it."""
    return {
        "id": issue.id,
        "kind": issue.kind,
        "opened_at": issue.opened_at.isoformat(),
        "sync": issue.sync,
        "system": issue.system,
        "record": issue.record,
        "email": issue.email,
        "field": issue.field,
        "rule": issue.rule,
        "message": issue.message,
        "values": issue.values,
        "state": issue.state,
        "count": issue.count,
    }


def _shows(engine: Engine, observed: Observed) -> list[dict[str, Any]]:
    """What the record shows about each scope it stands for, as last read."""
    binding = engine.bound.sources.get((observed.system, observed.collection))
    if binding is None:
        return [_entry(observed, None, {})]
    return [
        _entry(observed, representation, _topics(observed.record, representation))
        for representation in binding.representations
    ]


def _entry(
    observed: Observed, representation: Representation | None, topics: Mapping[str, bool | None]
) -> dict[str, Any]:
    record = observed.record
    status = shown(record, representation).status if representation else record.status or Status.UNKNOWN
    since = record.status_at or record.modified_at
    return {
        "system": observed.system,
        "collection": observed.collection,
        "record": record.id,
        "scope": representation.scope if representation else None,
        "shows": Status.ABSENT if observed.is_gone else status,
        "word": record.word,
        "topics": dict(topics),
        "since": since.isoformat() if since else None,
        "read_at": observed.read_at.isoformat(),
    }


def _topics(record: Record, representation: Representation) -> dict[str, bool | None]:
    return {scope: topic_shown(record, name) for scope, name in representation.topics}


def _journaled(change: Change) -> dict[str, Any]:
    settled = change.settled_at or change.sent_at
    return {
        **change_to_json(change),
        "sync": change.sync,
        "run": change.run,
        "planned_at": change.planned_at.isoformat(),
        "settled_at": settled.isoformat() if settled else None,
        "message": change.message,
    }
