"""What scenarios about held plans have in common: small limits, and looking at what is held."""

from collections.abc import Callable, Iterable
from typing import Any

from optsync.state.issues import Issue
from optsync.state.plans import Plan
from optsync.sync.permission import permissions
from optsync.sync.report import Report, SyncReport
from tests.scenarios.world import World, person

Make = Callable[..., World]
LIMIT: dict[str, Any] = {"max": 2, "percent": 5, "cap": 100}
SMALL = dict.fromkeys(("opt_outs", "opt_ins", "creates", "archives"), LIMIT)
"""Three changes of a kind are suspicious."""
MANY = tuple(f"ann{n}@example.com" for n in range(1, 7))
TOPIC = {"crm_topics": {"news": True}, "esp_topics": {"news": True}}


def crowd(make: Make, **options: Any) -> World:
    """Six people whom both sides know and who are subscribed on both, with one topic, after the first sync."""
    w = make(*(person(n, opt_in=True, **TOPIC) for n in range(1, 7)), **{"guard": SMALL, **options})
    w.sync()
    return w


def part(report: Report) -> SyncReport:
    return report.syncs["newsletter"]


def mark(w: World, people: Iterable[str] = MANY[:4]) -> None:
    """Somebody ticks the CRM's opt-out for all of them."""
    for email in people:
        w.crm.act("opt_out", email=email)


def held(w: World) -> list[Plan]:
    with w.store.reading() as unit:
        return unit.plans.held("newsletter")


def plan(w: World, uid: str) -> Plan:
    with w.store.reading() as unit:
        found = unit.plans.find(uid)
    assert found is not None
    return found


def issues(w: World, kind: str) -> list[Issue]:
    with w.store.reading() as unit:
        return [i for i in unit.issues.list() if i.kind == kind]


def may_send(w: World, email: str) -> bool:
    with w.store.reading() as unit:
        said = unit.ledger.about(unit.points.find([email]).values())
    statements = [s for each in said.values() for s in each]
    verdict = permissions(w.engine).verdict(statements, "acme/marketing", now=w.clock.now())
    return verdict.permission.may_send


def hold_opt_outs(w: World, people: Iterable[str] = MANY[:4]) -> str:
    """Marks them and lets the guard hold it; the plan's name."""
    mark(w, people)
    report = w.sync()
    uid = part(report).plan
    assert uid is not None
    assert report.exit_code == 4
    return uid
