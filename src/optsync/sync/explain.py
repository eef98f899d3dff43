"""Why may this address be mailed, or not? Everything the state knows about it, gathered in one document."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from optsync.model.change import ChangeKind, ChangeState
from optsync.model.record import Record, Status
from optsync.model.scope import contains
from optsync.model.statement import Statement, StatementKind
from optsync.reconcile.asking import request
from optsync.reconcile.consent import deliverability, effective
from optsync.reconcile.putback import is_said_by
from optsync.reconcile.representation import Representation, shown, topic_shown
from optsync.state.changes import Change
from optsync.state.erasures import NAME
from optsync.state.issues import Issue
from optsync.state.records import Observed
from optsync.state.unit import Unit
from optsync.sync.engine import Engine
from optsync.sync.permission import Permissions, Verdict, permissions
from optsync.sync.refusals import refusals_to_json
from optsync.sync.report import change_to_json

_KINDS = {
    Status.OUT: ({StatementKind.OUT, StatementKind.COMPLAINT}, {ChangeKind.OPT_OUT}),
    Status.IN: ({StatementKind.GRANT}, {ChangeKind.OPT_IN, ChangeKind.CREATE}),
    Status.PENDING: ({StatementKind.REQUEST}, {ChangeKind.REQUEST}),
}
"""The statements and changes by which a record comes to show a status."""


def explain(engine: Engine, address: str) -> dict[str, Any]:
    """The document of ``explain --json``; times are ISO 8601 in UTC. ``address`` is normalised. An address that
    was never heard of has every configured scope, as unknown; that of a forgotten person is not repeated, and
    ``forgotten_at`` says since when they are."""
    now = engine.clock.now()
    with engine.store.reading() as unit:
        key = unit.points.find([address]).get(address)
        said = unit.ledger.about([key])[key] if key is not None else ()
        records = unit.records.load(unit.records.holding([key])) if key is not None else []
        changes = unit.changes.of_points([key]) if key is not None else []
        issues = unit.issues.list(points=[key]) if key is not None else []
        waiting = _waiting(engine, unit, key)
        forgotten_at = unit.points.forgotten_since(key) if key is not None else None
        asked = permissions(engine)
        unread = {scope: asked.unread(unit, scope) for scope in asked.scopes}
    rules = engine.config.consent.soft_bounces
    mailbox = deliverability(said, now=now, soft_limit=rules.limit, soft_within=rules.within)
    kept = [c for c in changes if c.state is not ChangeState.SUPERSEDED]
    return {
        "email": NAME if forgotten_at else address,
        "forgotten_at": forgotten_at.isoformat() if forgotten_at else None,
        "deliverability": mailbox,
        "scopes": _scopes(asked, said, now, unread),
        "records": [entry for record in records for entry in _shows(engine, record, said, kept)],
        "changes": [_journaled(c) for c in sorted(kept, key=lambda c: c.id)],
        "refusals": refusals_to_json(kept, issues),
        "issues": [issue_to_json(i) for i in issues],
        "waiting_in": waiting,
    }


def _waiting(engine: Engine, unit: Unit, key: int | None) -> list[str]:
    """Syncs whose next cycle looks at the address again."""
    if key is None:
        return []
    return [sync for sync in engine.bound.policies if unit.points.still_waiting(sync, [key])]


def _scopes(
    asked: Permissions, said: Sequence[Statement], now: datetime, unread: Mapping[str, str | None]
) -> dict[str, Any]:
    void = {s.uid for s in said} - {s.uid for s in effective(said)}
    verdicts = {scope: asked.verdict(said, scope, now=now, unread=unread[scope]) for scope in asked.scopes}
    return {scope: _scope(verdict, said, scope, void=void) for scope, verdict in verdicts.items()}


def _scope(verdict: Verdict, said: Sequence[Statement], scope: str, *, void: set[str]) -> dict[str, Any]:
    decided = verdict.standing.decided_by
    return {
        "standing": verdict.standing.wish,
        "may_send": verdict.permission.may_send,
        "reason": verdict.permission.reason,
        "decided_by": statement_to_json(decided) if decided else None,
        "request": _request(said, scope),
        "statements": [{**statement_to_json(s), "is_void": s.uid in void} for s in said if contains(s.scope, scope)],
    }


def _request(said: Sequence[Statement], scope: str) -> dict[str, Any]:
    """Whether a confirmation was asked for, and what became of it; ``grant`` is the id of the one to be confirmed."""
    newest = request(said, scope)
    asked, ended = newest.asked, newest.ended
    return {
        "state": newest.answer,
        "asked_at": asked.at.isoformat() if asked else None,
        "ended_at": ended.at.isoformat() if ended else None,
        "system": asked.system if asked else None,
        "grant": asked.target if asked else None,
        "fact": newest.fact,
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
        "last_at": issue.last_at.isoformat(),
        "closed_at": issue.closed_at.isoformat() if issue.closed_at else None,
        "sync": issue.sync,
        "system": issue.system,
        "record": issue.record,
        "email": issue.email,
        "field": issue.field,
        "rule": issue.rule,
        "message": issue.message,
        "values": {**issue.values, **({"resolved": issue.reason} if issue.reason else {})},
        "state": issue.state,
        "count": issue.count,
    }


def _shows(
    engine: Engine, observed: Observed, said: Sequence[Statement], changes: Sequence[Change]
) -> list[dict[str, Any]]:
    """What the record shows about each scope it stands for, as last read."""
    binding = engine.bound.sources.get((observed.system, observed.collection))
    entries = []
    for representation in binding.representations if binding else (None,):
        record = observed.record
        status = shown(record, representation).status if representation else record.status or Status.UNKNOWN
        about = representation.scope if representation else None
        since = record.status_at or _since(engine, observed, status, about, said, changes)
        if observed.is_gone:
            # What it showed last is not what it shows.
            status, since = Status.ABSENT, observed.missing_since
        entries.append(
            {
                "system": observed.system,
                "collection": observed.collection,
                "record": record.id,
                "scope": about,
                "shows": status,
                "word": None if observed.is_gone else record.word,
                "topics": dict(_topics(record, representation)) if representation and not observed.is_gone else {},
                "since": since.isoformat() if since else None,
                "edited_at": record.modified_at.isoformat() if record.modified_at else None,
                "read_at": observed.read_at.isoformat(),
            }
        )
    return entries


def _since(
    engine: Engine,
    observed: Observed,
    status: Status,
    scope: str | None,
    said: Sequence[Statement],
    changes: Sequence[Change],
) -> datetime | None:
    """Where the system gives no own time: when its record said so about the scope, or when we wrote it there. Any edit
    moves a record's stamp, so the stamp tells nothing."""
    kinds = _KINDS.get(status)
    if kinds is None or scope is None:
        return None
    here = (observed.system, observed.collection, observed.record.id)
    syncs = {name for name, policy in engine.bound.policies.items() if policy.scope == scope}
    moments = [s.at for s in said if is_said_by(s, *here) and s.kind in kinds[0] and contains(s.scope, scope)]
    moments += [
        c.settled_at
        for c in changes
        if c.record_id == observed.key and c.sync in syncs and c.kind in kinds[1]
        if c.state is ChangeState.APPLIED and c.settled_at
    ]
    return max(moments, default=None)


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
