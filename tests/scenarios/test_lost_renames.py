"""The answer to a rename is lost, or somebody is faster: nothing is done twice, and nobody is taken for another."""

from collections.abc import Callable
from typing import Any

import pytest
import requests

from optsync.connect.mock import MockTransport
from optsync.model.record import Status
from optsync.model.statement import StatementKind
from tests.scenarios import world as worlds
from tests.scenarios.plans import may_send
from tests.scenarios.world import CRM, ESP, World, person

pytestmark = pytest.mark.rule("restrictions follow the person")

Make = Callable[..., World]
OLD, NEW = "ann1@example.com", "new@example.com"


class Losing(MockTransport):
    """Carries out requests that give somebody an address, and loses the answers (or the requests) for a while."""

    def __init__(self, w: World) -> None:
        super().__init__({CRM: w.crm, ESP: w.esp})
        self.w = w
        self.left = 0
        self.is_carried_out = True
        self.renames = 0
        self.before: Callable[[], Any] = lambda: None

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        if not self._renames(request):
            return super().send(request, *args, **options)
        self.before()
        self.renames += 1
        if self.left and not self.is_carried_out:
            self.left -= 1
            raise requests.ConnectionError("Connection aborted.")
        response = super().send(request, *args, **options)
        if self.left:
            self.left -= 1
            raise requests.ConnectionError("Connection aborted.")
        return response

    @staticmethod
    def _renames(request: requests.PreparedRequest) -> bool:
        body = request.body or b""
        text = body if isinstance(body, str) else body.decode()
        return request.method == "PATCH" and "email_address" in text


class LosingInTheCrm(Losing):
    """The same for contacts."""

    @staticmethod
    def _renames(request: requests.PreparedRequest) -> bool:
        body = request.body or b""
        text = body if isinstance(body, str) else body.decode()
        return str(request.url).startswith(CRM) and ".update" in text and NEW.partition("@")[0] in text


class BetweenTheLooks(Losing):
    """Sees the last look before a contact gets an address: at the rows of its numbers and addresses."""

    @staticmethod
    def _renames(request: requests.PreparedRequest) -> bool:
        body = request.body or b""
        text = body if isinstance(body, str) else body.decode()
        return str(request.url).startswith(CRM) and "=PHONE&" in text


def _losing(world: Make, monkeypatch: pytest.MonkeyPatch) -> tuple[World, Losing]:
    marketing = {"kind": "commercial", "basis": "legitimate_interest", "topics": ["news", "offers", "events"]}
    monkeypatch.setitem(worlds.BRANDS, "acme", {"purposes": {"marketing": marketing}})
    w = world(person(1, esp_topics={"news": True}, crm_topics={"news": True}))
    losing = Losing(w)
    w._transport = losing
    w.engine = w.compose()
    w.transport.requests = losing.requests
    w.sync()
    w.crm.act("change_address", email=OLD, to=NEW)
    return w, losing


@pytest.mark.parametrize("is_carried_out", [True, False])
def test_a_rename_whose_answer_is_lost_is_settled_by_the_next_reading(
    world: Make, monkeypatch: pytest.MonkeyPatch, is_carried_out: bool
) -> None:
    w, losing = _losing(world, monkeypatch)
    losing.left, losing.is_carried_out = 20, is_carried_out
    w.sync()
    losing.left = 0
    sent = losing.renames
    w.sync()
    w.sync()

    assert w.esp_shows(NEW)["status"] == Status.IN
    assert w.esp.act("view", email=OLD) is None
    assert w.esp.act("count")["records"] == 1
    assert losing.renames - sent == (0 if is_carried_out else 1)
    with w.store.reading() as unit:
        key = unit.points.find([NEW])[NEW]
        assert StatementKind.GRANT not in {s.kind for s in unit.ledger.about([key])[key]}
        assert unit.changes.open_of("newsletter") == []


def test_a_person_who_unsubscribes_just_before_the_rename_is_not_renamed_past_it(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    w, losing = _losing(world, monkeypatch)
    losing.before = lambda: w.esp.act("unsubscribe", email=OLD)
    w.sync()
    losing.before = lambda: None
    w.sync()

    assert w.crm_shows(NEW)["opt_out"] is True
    assert w.esp_shows(OLD)["status"] == Status.OUT
    assert w.esp.act("view", email=NEW) is None


def test_a_further_address_changed_while_the_answer_to_a_rename_is_lost_takes_its_restriction_along(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    marketing = {"kind": "commercial", "basis": "legitimate_interest", "topics": ["news", "offers", "events"]}
    monkeypatch.setitem(worlds.BRANDS, "acme", {"purposes": {"marketing": marketing}})
    second, third = "second@example.com", "third@example.com"
    w = world(person(1, addresses=(OLD, second)), person(2, addresses=(second,), in_crm=False))
    losing = LosingInTheCrm(w)
    w.use(losing)
    w.transport.requests = losing.requests
    w.sync()
    w.esp.act("unsubscribe", email=second)
    w.sync()
    w.esp.act("change_address", email=OLD, to=NEW)
    losing.left = 20
    w.sync()
    assert losing.renames
    assert w.crm_shows(NEW)
    losing.left = 0
    w.crm.act("change_address", email=second, to=third)
    w.sync()

    assert not may_send(w, third)


def test_an_address_that_came_to_be_a_contacts_first_one_just_before_a_rename_is_not_overwritten(world: Make) -> None:
    third = "third@example.com"
    w = world(person(1), person(2))
    between = BetweenTheLooks(w)
    w.use(between)
    w.transport.requests = between.requests
    w.sync()
    w.esp.act("change_address", email=OLD, to=NEW)
    between.before = lambda: w.crm.act("change_address", email=OLD, to=third)
    w.sync()
    between.before = lambda: None
    w.sync()

    assert between.renames == 1
    assert w.crm_shows(third)["fields"]["first_name"] == "Ann1"
    assert w.esp_shows(NEW)["status"] == Status.IN
    with w.store.reading() as unit:
        assert "ambiguous" in {issue.kind for issue in unit.issues.list()}
