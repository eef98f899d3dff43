"""A complete read that shows suspiciously little is not believed, until a person says that it is right."""

import random
from typing import Any

import pytest

from optsync.connect.mock import MockTransport
from optsync.connect.registry import mocks
from optsync.model.record import Status
from optsync.sync import issues as answers
from tests.scenarios.plans import Make, issues, part
from tests.scenarios.world import CRM, ESP, World, person

pytestmark = pytest.mark.rule("absence is no wish")
MANY = tuple(f"ann{n}@example.com" for n in (1, 2, 3))
KIND = "source_shrunk"


def _emptied(make: Make) -> World:
    """Everybody has vanished from the CRM."""
    w = make(*(person(n) for n in (1, 2, 3)))
    w.sync()
    for email in MANY:
        w.crm.act("delete", email=email)
    return w


def _gone(w: World) -> set[str]:
    """Whose CRM record is believed deleted, or noted as missing."""
    with w.store.reading() as unit:
        found = unit.records.load(unit.records.holding(unit.points.find(MANY).values()))
    return {o.record.addresses[0] for o in found if o.system == "crm" and (o.is_gone or o.missing_since)}


def _full(w: World, hours: float = 2) -> None:
    w.wait(hours=hours)
    w.sync(full=True)


def test_an_emptied_system_is_not_believed(world: Make) -> None:
    w = _emptied(world)
    report = w.sync(full=True)
    _full(w)
    _full(w)

    assert report.exit_code == 1
    assert part(report).changes == []
    (issue,) = issues(w, KIND)
    assert (issue.system, issue.collection, issue.values["known"], issue.values["missing"]) == ("crm", "contact", 3, 3)
    assert "@" not in issue.message
    assert _gone(w) == set()
    assert w.esp_shows(MANY[0])["status"] == Status.IN


def test_when_the_records_are_back_the_issue_closes_by_itself(world: Make) -> None:
    w = world(*(person(n) for n in (1, 2, 3)))
    w.sync()
    empty: Any = mocks()["bitrix24"](clock=w.clock, rng=random.Random(1))
    w.engine = w.compose(transport=MockTransport({CRM: empty, ESP: w.esp}))
    _full(w)
    assert len(issues(w, KIND)) == 1
    w.engine = w.compose()
    _full(w)

    assert issues(w, KIND) == []
    assert _gone(w) == set()


def test_once_a_person_has_accepted_it_absence_is_judged_as_usual(world: Make) -> None:
    w = _emptied(world)
    _full(w)
    (issue,) = issues(w, KIND)
    answers.dismiss(w.engine, [issue.id], actor="boss")
    _full(w)
    assert _gone(w) == set(MANY)
    _full(w)
    _full(w)

    assert _gone(w) == set(MANY)
    assert w.esp_shows(MANY[0])["status"] == Status.IN
    with w.store.reading() as unit:
        assert [i.state for i in unit.issues.list(state=None) if i.kind == KIND] == ["resolved"]


def test_a_few_deletions_are_believed(world: Make) -> None:
    w = world(*(person(n) for n in (1, 2, 3)))
    w.sync()
    w.crm.act("delete", email=MANY[0])
    _full(w)
    _full(w)

    assert _gone(w) == {MANY[0]}
    assert issues(w, KIND) == []


def test_new_records_do_not_hide_that_the_known_ones_are_missing(world: Make) -> None:
    w = _emptied(world)
    w.crm.populate([person(n, in_esp=False) for n in range(11, 15)])
    _full(w)

    (issue,) = issues(w, KIND)
    assert issue.values == {"known": 3, "missing": 3}
    assert _gone(w) == set()
