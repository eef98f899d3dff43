"""Two brands share one CRM: what somebody says to one never touches the other."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from optsync.config.load import load
from optsync.connect.mock import MockRequest, MockTransport
from optsync.connect.registry import mocks
from optsync.model.record import Status
from optsync.sync.administer import opt_in, opt_out
from optsync.sync.compose import compose
from optsync.sync.engine import Engine
from optsync.sync.permission import permissions
from optsync.sync.run import run_cycle
from tests.scenarios.states import empty_state
from tests.scenarios.world import BRANDS, CRM, ESP, World, person

pytestmark = pytest.mark.rule("scopes don't leak")

OTHER = "http://127.0.0.1:1/other"
ANN, BEN = "ann1@example.com", "ann2@example.com"


class TwoBrands:
    """The world of one brand, and a second audience with a flag of its own on the same contacts."""

    def __init__(self, folder: Path) -> None:
        people = [person(1), person(2), person(3)]
        self.w = World(folder, people)
        self.other = mocks()["mailchimp"](clock=self.w.clock, rng=random.Random(9))
        self.other.populate(people)
        self._add_flag("BETA_OUT")
        document: dict[str, Any] = dict(self.w.document)
        document["brands"] = {**document["brands"], "beta": {"purposes": {"letters": {"kind": "commercial"}}}}
        document["systems"]["other"] = self.other.config(OTHER).system
        document["syncs"]["beta"] = {
            "scope": "beta/letters",
            "crm": {"system": "crm", "entity": "contact", "opt_out": "UF_CRM_BETA_OUT"},
            "esp": {"system": "other", "audience": self.other.config(OTHER).side["audience"]},
            "fields": [{"crm": "NAME", "esp": "FNAME"}],
        }
        self.document = document
        self._path = folder / "two.yaml"
        self._store = empty_state(self.w.clock)
        self.transport = MockTransport({CRM: self.w.crm, ESP: self.w.esp, OTHER: self.other})
        self.engine = self.start()

    def start(self) -> Engine:
        """Of a process that is started with the configuration of now."""
        self._path.write_text(yaml.safe_dump(self.document))
        config, clock = load(self._path, {}), self.w.clock
        return compose(config, clock=clock, rng=random.Random(3), transport=self.transport, store=self._store)

    def _add_flag(self, name: str) -> None:
        url = str(self.w.document["systems"]["crm"]["webhook_url"]).removeprefix(CRM)
        fields = {"fields": {"FIELD_NAME": name, "USER_TYPE_ID": "boolean", "LABEL": name}}
        request = MockRequest(
            method="POST",
            path=f"{url}crm.contact.userfield.add.json",
            headers={"content-type": "application/json"},
            body=json.dumps(fields).encode(),
        )
        answer = self.w.crm.handle(request)
        assert answer.status == 200, answer.body

    def sync(self) -> int:
        """Runs both syncs; answers how many changes there were."""
        self.w.wait(minutes=10)
        report = run_cycle(self.engine)
        assert report.state == "done", report.to_json()
        return sum(len(sync.changes) for sync in report.syncs.values())

    def flag(self, email: str, name: str) -> bool:
        with self.engine.store.reading() as unit:
            key = unit.points.find([email])[email]
            rid = next(o.record.id for o in unit.records.load(unit.records.holding([key])) if o.system == "crm")
        return self.w.crm.act("dump", id=rid).get(name) in ("1", True)


def test_an_unsubscribe_from_one_brand_leaves_the_other_as_it_is(tmp_path: Path) -> None:
    two = TwoBrands(tmp_path)
    two.sync()
    two.w.esp.act("unsubscribe", email=ANN)
    two.other.act("unsubscribe", email=BEN)
    two.sync()

    assert (two.flag(ANN, "UF_CRM_OPT_OUT"), two.flag(ANN, "UF_CRM_BETA_OUT")) == (True, False)
    assert (two.flag(BEN, "UF_CRM_OPT_OUT"), two.flag(BEN, "UF_CRM_BETA_OUT")) == (False, True)
    assert two.other.act("view", email=ANN)["status"] == Status.IN
    assert two.w.esp.act("view", email=BEN)["status"] == Status.IN
    two.sync()
    assert two.sync() == 0


@pytest.mark.rule("no opt-out is lost")
def test_an_administrators_no_to_everything_reaches_both(tmp_path: Path) -> None:
    two = TwoBrands(tmp_path)
    two.sync()
    opt_out(two.engine, ANN, scope="*", actor="Kim", reason="by letter")
    two.sync()

    assert two.w.esp.act("view", email=ANN)["status"] == Status.OUT
    assert two.other.act("view", email=ANN)["status"] == Status.OUT
    assert two.flag(ANN, "UF_CRM_OPT_OUT")
    assert two.flag(ANN, "UF_CRM_BETA_OUT")
    two.sync()
    assert two.sync() == 0


@pytest.mark.rule("one outcome for each record")
def test_a_process_that_reads_what_another_reads_waits_its_turn(tmp_path: Path) -> None:
    two = TwoBrands(tmp_path)
    with two.engine.store.transaction() as unit:
        unit.leases.take("read crm/contact", holder="the other brand's process")
    two.w.wait(seconds=5)
    report = run_cycle(two.engine, ["beta"])

    assert report.syncs["beta"].is_locked_out
    assert "read crm/contact" in str(report.syncs["beta"].failures[0])
    assert two.transport.requests == []
    two.w.wait(minutes=2)
    assert run_cycle(two.engine, ["beta"]).state == "done"


@pytest.mark.rule("no opt-out is lost")
def test_nobody_may_be_mailed_for_a_brand_before_the_contacts_were_read_with_its_flag(tmp_path: Path) -> None:
    """The contacts are known by the other brand, and the CRM is out of reach when this one is new."""
    two = TwoBrands(tmp_path)
    two.document["brands"]["beta"]["purposes"]["letters"]["basis"] = "legitimate_interest"
    beta = two.document["syncs"].pop("beta")
    two.engine = two.start()
    two.sync()
    two.w.crm.act("edit", id="1", fields={"UF_CRM_BETA_OUT": 1})
    two.document["syncs"]["beta"] = beta
    there, two.transport = two.transport, _CrmDown({CRM: two.w.crm, ESP: two.w.esp, OTHER: two.other})
    two.engine = two.start()
    two.w.wait(minutes=10)
    assert run_cycle(two.engine, ["beta"]).state == "failed"

    def may_send(email: str) -> bool:
        with two.engine.store.reading() as unit:
            found = permissions(two.engine).verdicts(unit, [email], "beta/letters", now=two.w.clock.now())
        return found[email].permission.may_send

    assert not may_send(ANN)
    two.transport = there
    two.engine = two.start()
    two.sync()
    assert (may_send(ANN), may_send(BEN)) == (False, True)


class _CrmDown(MockTransport):
    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        if str(request.url).startswith(CRM):
            raise requests.ConnectionError
        return super().send(request, *args, **options)


def _is_of_receipts(sync: dict[str, Any]) -> None:
    sync |= {"scope": "acme/service", "opt_out": {"crm_to_esp": False, "esp_to_crm": False}}
    sync["crm"] = {name: value for name, value in sync["crm"].items() if name not in {"opt_out", "opt_in", "topics"}}
    sync["esp"] = {name: value for name, value in sync["esp"].items() if name != "topics"}


@pytest.mark.parametrize("scope", ["*", "acme"])
def test_a_no_to_everything_writes_nothing_to_a_list_of_transactional_mail(tmp_path: Path, scope: str) -> None:
    w = World(tmp_path, [person(1), person(2)])
    w.reconfigure(_is_of_receipts)
    w.sync()
    opt_out(w.engine, ANN, scope=scope, actor="Kim")

    assert w.sync().syncs["newsletter"].changes == []
    assert w.esp_shows(ANN)["status"] == Status.IN
    w.rest()


@pytest.mark.rule("one outcome for each record")
def test_a_crm_without_flags_and_without_a_status_is_asked_to_show_none(tmp_path: Path) -> None:
    w = World(tmp_path, [person(1), person(2)])

    def has_no_flags(sync: dict[str, Any]) -> None:
        sync["opt_out"] = {"crm_to_esp": False, "esp_to_crm": False}
        sync["crm"] = {name: sync["crm"][name] for name in ("system", "entity")}

    w.reconfigure(has_no_flags)
    w.sync()
    opt_in(w.engine, BEN, scope="acme/marketing", actor="Kim", evidence="a signed form")
    opt_out(w.engine, ANN, scope="acme/marketing", actor="Kim")
    report = w.sync()

    assert {change.system for change in report.syncs["newsletter"].changes} == {"esp"}
    assert w.esp_shows(ANN)["status"] == Status.OUT
    assert report.exit_code == 0
    w.settle()


@pytest.mark.parametrize("scope", ["*", "acme"])
def test_a_no_to_everything_keeps_nothing_from_a_list_of_transactional_mail(tmp_path: Path, scope: str) -> None:
    purposes = BRANDS["acme"]["purposes"] | {"service": {"kind": "transactional", "basis": "legitimate_interest"}}
    w = World(tmp_path, [person(1), person(2, in_esp=False)], brands={"acme": {"purposes": purposes}})
    w.reconfigure(_is_of_receipts)
    for email in (ANN, BEN):
        opt_out(w.engine, email, scope=scope, actor="Kim")
    w.sync()

    assert w.esp_shows(BEN)["status"] == Status.IN
    w.crm.act("set_field", email=ANN, field="city", value="Oslo")
    w.crm.act("change_address", email=ANN, to="new@example.org")
    w.sync()
    w.sync()
    assert w.esp_shows("new@example.org")["status"] == Status.IN
    assert w.esp_shows("new@example.org")["fields"]["city"] == "Oslo"
    assert w.esp.act("view", email=ANN) is None
    w.rest()


def test_who_left_a_list_of_transactional_mail_is_not_put_back_on_it(tmp_path: Path) -> None:
    w = World(tmp_path, [person(1), person(2)], policy={"existing": "legacy_grant"})
    w.reconfigure(_is_of_receipts)
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.OUT
    w.rest()
