"""A topic of two audiences: what one sync makes of its two sides and holds for a person is written by neither."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optsync.sync.administer import opt_out
from optsync.sync.engine import Engine
from optsync.sync.issues import retry
from optsync.sync.plans import approve, reject
from optsync.sync.run import run_cycle
from optsync.sync.standings import report
from tests.scenarios.test_removed_sync import ANN, BEN, ON, OneCrm, TwoPairs
from tests.scenarios.world import person

pytestmark = pytest.mark.rule("suspicious volume stops")


def _events(one: OneCrm, email: str) -> list[bool]:
    """What the CRM and the two audiences show, the second last."""
    shown = (one.w.crm_shows(email), one.w.esp_shows(email), one.esp.act("view", email=email))
    return [each["topics"]["events"] for each in shown]


def _mapped_for_the_first_audience(folder: Path) -> tuple[OneCrm, Any]:
    """Ann has the topic by the CRM and the second audience, and never had it in the first, where it is mapped now; that
    sync's part of the next cycle."""
    one = OneCrm(folder, person(1, **ON), person(2, **ON))
    one.w.esp.act("set_topic", email=ANN, topic="events", wanted=False)
    one.sync()
    one.sync()
    one.is_alone = False
    one.start(has_second=True)
    one.w.wait(minutes=10)
    return one, run_cycle(one.engine).syncs["newsletter"]


def test_a_disagreement_that_is_held_in_one_sync_is_not_written_by_another(tmp_path: Path) -> None:
    one, held = _mapped_for_the_first_audience(tmp_path)

    assert held.state == "held"
    one.sync()
    assert _events(one, ANN) == [True, False, True]
    approve(one.engine, str(held.plan), actor="Eve")
    one.sync()
    assert _events(one, ANN) == [False, False, False]
    assert _events(one, BEN) == [True, True, True]
    assert not one.sync().changes


def test_a_disagreement_that_is_rejected_in_one_sync_is_not_written_by_another(tmp_path: Path) -> None:
    one, held = _mapped_for_the_first_audience(tmp_path)
    reject(one.engine, str(held.plan), actor="Eve")
    one.sync()
    one.sync()

    assert _events(one, ANN) == [True, False, True]
    with one.w.store.reading() as unit:
        (asked,) = unit.issues.list(kind="plan_rejected")
    retry(one.engine, [asked.id])
    one.sync()
    one.sync()
    assert _events(one, ANN) == [False, False, False]


def test_what_somebody_says_meanwhile_is_written_at_once(tmp_path: Path) -> None:
    one, held = _mapped_for_the_first_audience(tmp_path)
    one.esp.act("set_topic", email=ANN, topic="events", wanted=False)
    one.sync()
    one.sync()

    assert held.state == "held"
    assert _events(one, ANN) == [False, False, False]


class _Apart:
    """Two pairs of systems with a topic in common, which is mapped for the first pair now. Ann has it but at the first
    platform, and the sync of the first pair holds that."""

    def __init__(self, folder: Path) -> None:
        self.pairs = TwoPairs(folder)
        for mock in (self.pairs.w.crm, self.pairs.w.esp, self.pairs.crm, self.pairs.esp):
            for who in (ANN, BEN):
                mock.act("set_topic", email=who, topic="events", wanted=mock is not self.pairs.w.esp or who == BEN)
        first = self.pairs.w.document["syncs"]["newsletter"]
        mapped = copy.deepcopy(first)
        del first["crm"]["topics"]["events"], first["esp"]["topics"]["events"]
        self.cycles(self.pairs.engine(has_second=True))
        self.pairs.w.document["syncs"]["newsletter"] = mapped
        self.both = self.pairs.engine(has_second=True)
        self.pairs.w.wait(minutes=10)
        self.held = run_cycle(self.both).syncs["newsletter"]
        self.cycles(self.both)

    def cycles(self, engine: Engine) -> None:
        for _ in range(3):
            self.pairs.sync(engine)

    def second(self) -> list[bool]:
        """What the second pair shows."""
        return [mock.act("view", email=ANN)["topics"]["events"] for mock in (self.pairs.crm, self.pairs.esp)]

    def delete_the_contact(self) -> None:
        self.pairs.w.crm.act("delete", email=ANN)
        for _ in range(3):  # full compares
            self.pairs.w.wait(hours=25)
            self.pairs.sync(self.both)
        self.cycles(self.both)

    def take_the_sync_away(self) -> None:
        del self.pairs.w.document["syncs"]["newsletter"]
        self.cycles(self.pairs.engine(has_second=True))

    def map_the_topic_no_more(self) -> None:
        first = self.pairs.w.document["syncs"]["newsletter"]
        del first["crm"]["topics"]["events"], first["esp"]["topics"]["events"]
        self.cycles(self.pairs.engine(has_second=True))


_ENDS: list[Callable[[_Apart], None]] = [
    _Apart.delete_the_contact,
    _Apart.take_the_sync_away,
    _Apart.map_the_topic_no_more,
]


def test_the_report_names_what_another_sync_holds_or_was_told_not_to_write(tmp_path: Path) -> None:
    apart = _Apart(tmp_path)
    apart.pairs.crm.act("set_topic", email=ANN, topic="news", wanted=True)
    apart.pairs.esp.act("set_topic", email=ANN, topic="news", wanted=True)
    apart.cycles(apart.both)

    def told() -> list[tuple[str, str, str]]:
        found = report(apart.both)["syncs"]["second"]["mismatches"]
        return sorted((each["system"], each["field"], each["reason"]) for each in found)

    why = "elsewhere: another sync of the topic holds it, or it was rejected there"
    left = [("crm2", "UF_CRM_TOPIC_EVENTS", why), ("esp2", "Topics/Events", why)]
    assert told() == left
    opt_out(apart.both, ANN, scope="acme/marketing/news", actor="Eve")
    on_its_way = [("crm2", "UF_CRM_TOPIC_NEWS"), ("esp2", "Topics/News")]
    waits = [(*place, "waiting: the next cycle writes it") for place in on_its_way]
    assert told() == sorted([*left, *waits])
    reject(apart.both, str(apart.held.plan), actor="Eve")
    apart.cycles(apart.both)
    assert told() == left


@pytest.mark.rule("no opt-out is lost")
@pytest.mark.parametrize("end", _ENDS)
def test_a_disagreement_that_no_sync_holds_any_more_is_written_by_the_others(
    tmp_path: Path, end: Callable[[_Apart], None]
) -> None:
    apart = _Apart(tmp_path)
    before = apart.second()
    end(apart)

    assert (apart.held.state, before, apart.second()) == ("held", [True, True], [False, False])


@pytest.mark.rule("no opt-out is lost")
def test_a_disagreement_whose_rejection_is_of_a_sync_that_is_not_configured_is_written_by_the_others(
    tmp_path: Path,
) -> None:
    apart = _Apart(tmp_path)
    reject(apart.both, str(apart.held.plan), actor="Eve")
    apart.cycles(apart.both)
    before = apart.second()
    apart.take_the_sync_away()

    assert (before, apart.second()) == ([True, True], [False, False])


def test_nobody_else_is_looked_at_when_a_plan_without_topics_is_approved(tmp_path: Path) -> None:
    pairs = TwoPairs(tmp_path)
    pairs.w.document["guard"] = {"opt_outs": {"max": 0, "percent": 0}}
    both = pairs.engine(has_second=True)
    pairs.sync(both)
    pairs.w.crm.act("opt_out", email=ANN)
    pairs.w.wait(minutes=10)
    held = run_cycle(both).syncs
    for name in ("newsletter", "second"):
        approve(both, str(held[name].plan), actor="Eve")
        with both.store.reading() as unit:
            assert all(unit.points.count_waiting(other) == 0 for other in both.bound.policies if other != name)
