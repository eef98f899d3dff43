"""Answering issues: try again, or keep quiet."""

from collections.abc import Sequence
from dataclasses import replace

import structlog

from optsync.errors import CommandRefused
from optsync.model.link import Agreed, Link
from optsync.model.record import Record, Side
from optsync.reconcile.fields import FieldRule, merge, reopened
from optsync.state.issues import Issue
from optsync.state.plans import REJECTED
from optsync.state.unit import Unit
from optsync.sync.asking import ask_again, is_final
from optsync.sync.disputed import look_again
from optsync.sync.engine import Engine
from optsync.sync.reject import ISSUE as REJECTION

_log = structlog.get_logger(__name__)
BY_HAND = "tried again by hand"
ACCEPTED = "the difference was accepted by hand"
_OF_A_VALUE = frozenset({"quarantined_field", "field_not_kept"})


def find(engine: Engine, issue_id: int) -> Issue:
    """The issue of that number.

    Raises:
        CommandRefused: there is none.
    """
    with engine.store.reading() as unit:
        return _require(unit, issue_id)


def retry(engine: Engine, numbers: Sequence[int]) -> list[Issue]:
    """Closes the issues; the next cycle looks at their matters again, and opens new ones if nothing has changed. All
    of them or none.

    Raises:
        CommandRefused: there is no such issue, it is closed, or trying again is useless.
    """
    with engine.store.transaction() as unit:
        for issue_id in dict.fromkeys(numbers):
            _retry(engine, unit, _require(unit, issue_id))
        return [_require(unit, issue_id) for issue_id in dict.fromkeys(numbers)]


def retry_all(engine: Engine) -> int:
    """The same for every open issue but refused requests that are never made again; returns how many there were."""
    with engine.store.transaction() as unit:
        issues = unit.issues.list()
        again = [issue for issue in issues if not is_final(issue)]
        for issue in again:
            _retry(engine, unit, issue)
        return len(again)


def dismiss(engine: Engine, numbers: Sequence[int], *, actor: str) -> list[Issue]:
    """Keeps the issues quiet: the same matter opens no new one, and what was refused is not tried again. A conflict is
    decided by it: both sides stay as they are until one of them changes. All of them or none.

    Raises:
        CommandRefused: there is no such issue, it is closed, or nobody answers for it.
    """
    if not actor.strip():
        raise CommandRefused("somebody has to answer for it: name them with --actor")
    with engine.store.transaction() as unit:
        for issue_id in dict.fromkeys(numbers):
            issue = _require(unit, issue_id)
            _require_open(issue)
            unit.issues.dismiss(issue.id, actor=actor.strip())
            if issue.kind == "field_conflict":
                _accept(engine, unit, issue)
                unit.issues.set_state(issue.id, "resolved", reason=ACCEPTED)
        return [_require(unit, issue_id) for issue_id in dict.fromkeys(numbers)]


def _retry(engine: Engine, unit: Unit, issue: Issue) -> None:
    if issue.state == "resolved":
        raise CommandRefused(f"issue {issue.id} is resolved already")
    if (policy := engine.bound.policies.get(issue.sync or "")) is not None:
        ask_again(unit, policy, issue, at=engine.clock.now())
    unit.issues.set_state(issue.id, "resolved", reason=BY_HAND)
    syncs = [issue.sync] if issue.sync in engine.bound.policies else list(engine.bound.policies)
    if issue.kind == REJECTION:
        plan = issue.values["plan"]
        unit.points.mark([s for s in syncs if s is not None], unit.plans.points_of(plan, fact=REJECTED))
        about_topics = unit.plans.points_of(plan, fact=REJECTED, of_topics=True)
        look_again(unit, engine.bound.policies, str(issue.sync), about_topics)
    elif issue.point_id is not None:
        _offer_again(engine, unit, issue)
        unit.points.mark([s for s in syncs if s is not None], {issue.point_id})
    elif issue.system is not None:
        # Nothing of such a row was stored: only a reading of everything is sure to show it again.
        for source in unit.sources.all():
            if source.system == issue.system:
                unit.sources.read_anew(source.id)
    _log.info("issue retried", issue=issue.id, kind=issue.kind)


def _accept(engine: Engine, unit: Unit, issue: Issue) -> None:
    """The two values are what both sides agreed on last: each of them, from now on, is no edit."""
    policy = engine.bound.policies.get(issue.sync or "")
    if policy is None or issue.point_id is None:
        return
    records, links = _linked(unit, policy.name, issue.point_id)
    for rule in policy.fields if issue.system == policy.crm_system else ():
        if rule.crm == issue.field:
            links = [_accepted(link, rule, records) for link in links]
    unit.links.save(policy.name, links)


def _accepted(link: Link, rule: FieldRule, records: dict[int, Record]) -> Link:
    crm, esp = records[link.crm].fields, records[link.esp].fields
    if not merge(rule, crm, esp, link.agreed.get(rule.key)).is_conflict:
        return link
    return replace(link, agreed={**link.agreed, rule.key: Agreed(rule.remembered(crm), esp.get(rule.esp))})


def _linked(unit: Unit, sync: str, point: int) -> tuple[dict[int, Record], list[Link]]:
    """The records that hold the point, by key, and how they are joined with each other."""
    records = {o.key: o.record for o in unit.records.load(unit.records.holding([point]))}
    return records, [link for link in unit.links.of(sync, records).values() if link.crm in records]


def _offer_again(engine: Engine, unit: Unit, issue: Issue) -> None:
    """A value that was set aside is remembered as an accepted difference, and one that keeps bouncing as frozen: both
    would stay so."""
    policy = engine.bound.policies.get(issue.sync or "")
    if policy is None or issue.point_id is None or issue.kind not in {*_OF_A_VALUE, "oscillation"}:
        return
    side = Side.ESP if issue.system == policy.esp_system else Side.CRM
    rules = [r for r in policy.fields if issue.field == (r.esp if side is Side.ESP else r.crm)]
    records, links = _linked(unit, policy.name, issue.point_id)
    for rule in rules:
        links = [_reopened(link, rule, records, side, issue.kind) for link in links]
    unit.links.save(policy.name, links)


def _reopened(link: Link, rule: FieldRule, records: dict[int, Record], target: Side, kind: str) -> Link:
    if kind == "oscillation":
        moves = {key: move for key, move in link.moves.items() if key != rule.key}
        return replace(link, frozen=link.frozen - {rule.key}, moves=moves)
    agreed = reopened(rule, records[link.crm].fields, records[link.esp].fields, target)
    return replace(link, agreed={**link.agreed, rule.key: agreed})


def _require(unit: Unit, issue_id: int) -> Issue:
    issue = unit.issues.find(issue_id)
    if issue is None:
        raise CommandRefused(f"there is no issue {issue_id}; optsync issues list shows those that are open")
    return issue


def _require_open(issue: Issue) -> None:
    if issue.state != "open":
        raise CommandRefused(f"issue {issue.id} is {issue.state} already")
