"""A sync is taken out of the configuration for a while: what is said meanwhile reaches its systems when it is back."""

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from optsync.config.load import load
from optsync.connect.mock import MockTransport
from optsync.connect.registry import mocks
from optsync.model.record import Status
from optsync.sync.administer import opt_out
from optsync.sync.compose import compose
from optsync.sync.engine import Engine
from optsync.sync.plans import approve
from optsync.sync.report import SyncReport
from optsync.sync.run import run_cycle
from tests.scenarios.world import CRM, ESP, START, World, person

OTHER_CRM, OTHER_ESP = "http://127.0.0.1:1/crm2", "http://127.0.0.1:1/esp2"
ON: dict[str, Any] = {"crm_topics": {"events": True}, "esp_topics": {"events": True}}
ANN, BEN, CLEO = "ann1@example.com", "ann2@example.com", "ann3@example.com"


class TwoPairs:
    """Two syncs of one scope that share no system; ``crm`` and ``esp`` are those of the second."""

    def __init__(self, folder: Path) -> None:
        people = [person(1), person(2)]
        self.w = World(folder, people)
        self.crm = mocks()["bitrix24"](clock=self.w.clock, rng=random.Random(8))
        self.esp = mocks()["mailchimp"](clock=self.w.clock, rng=random.Random(9))
        self.crm.populate(people)
        self.esp.populate(people)
        self._transport = MockTransport({CRM: self.w.crm, ESP: self.w.esp, OTHER_CRM: self.crm, OTHER_ESP: self.esp})
        self._path = folder / "pairs.yaml"

    def engine(self, *, has_second: bool) -> Engine:
        """Of a process that is started with both syncs, or without the second."""
        document: dict[str, Any] = {**self.w.document, "systems": dict(self.w.document["systems"])}
        if has_second:
            crm, esp = self.crm.config(OTHER_CRM), self.esp.config(OTHER_ESP)
            document["systems"] |= {"crm2": crm.system, "esp2": esp.system}
            second = {"crm": {"system": "crm2", **crm.side}, "esp": {"system": "esp2", **esp.side}}
            document["syncs"] = {**document["syncs"], "second": {"scope": "acme/marketing", **second}}
        self._path.write_text(yaml.safe_dump(document))
        clock, store = self.w.clock, self.w.store
        config = load(self._path, {})
        return compose(config, clock=clock, rng=random.Random(3), transport=self._transport, store=store)

    def sync(self, engine: Engine) -> int:
        """A cycle of all; answers how many changes there were."""
        self.w.wait(minutes=10)
        return sum(len(sync.changes) for sync in run_cycle(engine).syncs.values())


@pytest.mark.rule("no opt-out is lost")
def test_an_opt_out_while_a_sync_was_not_configured_reaches_its_systems_when_it_is_back(tmp_path: Path) -> None:
    pairs = TwoPairs(tmp_path)
    both = pairs.engine(has_second=True)
    pairs.sync(both)
    pairs.sync(both)
    one = pairs.engine(has_second=False)
    pairs.w.esp.act("unsubscribe", email=ANN)
    opt_out(one, BEN, scope="*", actor="Eve")
    pairs.sync(one)
    both = pairs.engine(has_second=True)
    pairs.sync(both)

    for email in (ANN, BEN):
        assert pairs.esp.act("view", email=email)["status"] == Status.OUT
        assert pairs.crm.act("view", email=email)["opt_out"] is True
    assert pairs.sync(both) == pairs.sync(both) == 0


class OneCrm:
    """Two syncs of one CRM and two audiences, ``esp`` that of the second. Where ``is_alone`` only that one looks at the
    topic events and at the opt-in flag."""

    def __init__(self, folder: Path, *people: Any, is_alone: bool = True) -> None:
        self.w = World(folder, people)
        self.esp = mocks()["mailchimp"](clock=self.w.clock, rng=random.Random(9))
        self.esp.populate(people)
        self.is_alone = is_alone
        self._transport = MockTransport({CRM: self.w.crm, ESP: self.w.esp, OTHER_ESP: self.esp})
        self._path = folder / "one.yaml"
        self.engine = self.w.engine
        self.start(has_second=True)

    def start(self, *, has_second: bool) -> None:
        """Of a process with both syncs, or without the second; a cycle follows, and one more."""
        document = copy.deepcopy(self.w.document)
        first, esp = document["syncs"]["newsletter"], self.esp.config(OTHER_ESP)
        second = {"scope": first["scope"], "crm": copy.deepcopy(first["crm"]), "esp": {"system": "esp2", **esp.side}}
        if self.is_alone:
            del first["crm"]["opt_in"], first["crm"]["topics"]["events"], first["esp"]["topics"]["events"]
        if has_second:
            document["systems"]["esp2"], document["syncs"]["second"] = esp.system, second
        self._path.write_text(yaml.safe_dump(document))
        clock, store = self.w.clock, self.w.store
        config = load(self._path, {})
        self.engine = compose(config, clock=clock, rng=random.Random(3), transport=self._transport, store=store)

    def sync(self) -> SyncReport:
        """A cycle of all; answers what became of the last."""
        self.w.wait(minutes=10)
        return list(run_cycle(self.engine).syncs.values())[-1]

    def leave_out_and_bring_back(self, act: Callable[[], None]) -> SyncReport:
        """``act``: what happens while the second sync is not configured."""
        self.sync()
        self.sync()
        self.start(has_second=False)
        self.sync()
        act()
        self.sync()
        self.start(has_second=True)
        return self.sync()


@pytest.mark.rule("no opt-out is lost")
def test_a_topic_that_was_left_while_no_sync_looked_at_it_is_left(tmp_path: Path) -> None:
    one = OneCrm(tmp_path, person(1, **ON), person(2, **ON), person(3))
    held = one.leave_out_and_bring_back(lambda: one.w.crm.act("set_topic", email=ANN, topic="events", wanted=False))
    approve(one.engine, str(held.plan), actor="Eve")
    one.sync()
    shown = [(one.w.crm_shows(who), one.esp.act("view", email=who)) for who in (ANN, BEN, CLEO)]
    one.w.crm.act("set_topic", email=CLEO, topic="events", wanted=True)
    one.sync()

    assert [(crm["topics"]["events"], esp["topics"]["events"]) for crm, esp in shown] == [(n, n) for n in (0, 1, 0)]
    assert one.esp.act("view", email=CLEO)["topics"]["events"] is True
    assert not one.sync().changes


@pytest.mark.rule("nobody is opted in by accident")
def test_a_yes_that_was_taken_back_while_no_sync_looked_at_it_is_not_given_again_before_somebody_has_looked(
    tmp_path: Path,
) -> None:
    one = OneCrm(tmp_path, person(1, opt_in=True, consent_at=START), person(2))

    def take_back() -> None:
        one.w.crm.act("edit", id=one.w.crm_id(ANN), fields={"UF_CRM_OPT_IN": 0})

    assert one.leave_out_and_bring_back(take_back).state == "held"
    assert one.w.crm_shows(ANN)["opt_in"] is False


@pytest.mark.rule("no opt-out is lost")
def test_nothing_waits_for_a_sync_that_is_back_and_whose_flags_were_read_all_the_time(tmp_path: Path) -> None:
    one = OneCrm(tmp_path, person(1, **ON), person(2), is_alone=False)
    back = one.leave_out_and_bring_back(lambda: one.w.crm.act("opt_out", email=ANN))

    assert back.state == "done"
    assert one.esp.act("view", email=ANN)["status"] == Status.OUT
    assert one.w.crm_shows(ANN)["topics"]["events"] is True


@pytest.mark.rule("suspicious volume stops")
def test_a_plan_of_a_sync_that_is_not_configured_waits_for_nobody_and_is_told_again_when_it_is_back(
    tmp_path: Path,
) -> None:
    pairs = TwoPairs(tmp_path)
    pairs.w.document["guard"] = {"opt_outs": {"max": 0, "percent": 0}}
    pairs.sync(pairs.engine(has_second=True))
    pairs.crm.act("opt_out", email=ANN)
    pairs.sync(pairs.engine(has_second=True))

    def open_issues(*, has_second: bool) -> list[str | None]:
        with pairs.engine(has_second=has_second).store.reading() as unit:
            return [issue.sync for issue in unit.issues.list() if issue.kind == "plan_held"]

    assert "second" in open_issues(has_second=True)
    assert "second" not in open_issues(has_second=False)
    pairs.sync(pairs.engine(has_second=True))
    assert "second" in open_issues(has_second=True)
