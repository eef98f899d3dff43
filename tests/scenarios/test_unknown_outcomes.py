"""What became of a write nobody knows: what it made, changed or took away is neither forgotten nor anybody else's."""

import copy
import json
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any
from urllib.parse import unquote

import pytest
import requests

from optsync.connect.mock import MockTransport
from optsync.model.record import Origin, Status
from optsync.sync.explain import explain
from optsync.sync.undo import undo
from tests.scenarios.test_crashes import Killed
from tests.scenarios.test_lost_answers import Deaf
from tests.scenarios.world import BRANDS, CRM, ESP, World, person

pytestmark = pytest.mark.rule("no opt-out is lost")

Make = Callable[..., World]
ANN = "ann1@example.com"


class DeafTo(MockTransport):
    """The answer to the first request for which ``is_it`` holds does not arrive, nor (``lasts``) what follows at that
    system."""

    def __init__(
        self,
        w: World,
        is_it: Callable[[requests.PreparedRequest], bool],
        *,
        error: type[BaseException],
        lasts: bool = False,
        is_lost: bool = False,
    ) -> None:
        super().__init__({CRM: w.crm, ESP: w.esp})
        self._is_it, self._error, self._lasts, self._is_lost = is_it, error, lasts, is_lost
        self.count = 0
        self._base = ""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        if self.count and self._lasts and str(request.url).startswith(self._base):
            raise self._error("Connection aborted.")
        if self.count or not self._is_it(request):
            return super().send(request, *args, **options)
        self.count += 1
        self._base = CRM if str(request.url).startswith(CRM) else ESP
        if not self._is_lost:
            super().send(request, *args, **options)
        raise self._error("Connection aborted.")


def _lose(w: World, is_it: Callable[[requests.PreparedRequest], bool], error: type[BaseException], **how: Any) -> None:
    deaf = DeafTo(w, is_it, error=error, lasts=error is not Killed, **how)
    w.use(deaf)
    with pytest.raises(Killed) if error is Killed else nullcontext():
        w.sync()
    assert deaf.count == 1
    w.use(w.transport)


ERRORS = pytest.mark.parametrize("error", [Killed, requests.ConnectionError])


@ERRORS
def test_a_member_that_was_archived_unheard_returns_with_the_person(world: Make, error: type[BaseException]) -> None:
    w = world(person(1), person(2), policy={"leave": "archive", "existing": "legacy_grant"})
    w.settle()
    w.crm.act("edit", id=w.crm_id(ANN), fields={"TYPE_ID": "SUPPLIER"})
    _lose(w, lambda r: r.method == "DELETE", error)
    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
    w.sync()
    w.wait(hours=1)
    w.sync()
    w.crm.act("edit", id=w.crm_id(ANN), fields={"TYPE_ID": "CLIENT"})
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.IN
    w.settle()


@pytest.mark.rule("fields merge three ways")
@ERRORS
def test_values_of_a_contact_that_we_made_unknown_are_in_no_conflict_with_an_edit(
    world: Make, error: type[BaseException]
) -> None:
    w = world(person(1, in_crm=False), person(2), policy={"esp_only": "create_in_crm"})
    _lose(w, lambda r: r.method == "POST" and "contact.add" in unquote(str(r.body or "")), error)
    w.wait(hours=1)
    w.esp.act("set_field", email=ANN, field="city", value="Graz")
    w.sync()
    w.sync()

    assert (w.crm_shows(ANN)["fields"]["city"], w.esp_shows(ANN)["fields"]["city"]) == ("Graz", "Graz")
    w.settle()


@pytest.mark.rule("fields merge three ways")
@ERRORS
def test_values_of_a_member_whom_we_asked_unheard_are_in_no_conflict_with_an_edit(
    world: Make, error: type[BaseException]
) -> None:
    w = world(person(2), policy={"enter": "request"})
    w.sync()
    w.crm.populate([person(1, in_esp=False, created_at=w.clock.now())])
    _lose(w, lambda r: '"pending"' in str(r.body or b""), error)
    w.wait(hours=1)
    w.esp.act("set_field", email=ANN, field="city", value="Graz")
    w.esp.act("confirm", email=ANN)
    w.sync()
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.IN
    assert (w.crm_shows(ANN)["fields"]["city"], w.esp_shows(ANN)["fields"]["city"]) == ("Graz", "Graz")
    w.settle()


class Hidden(MockTransport):
    """While it ``is_on`` the portal shows no contact of number 1: who owns the webhook may not see it, or its row
    cannot be used."""

    def __init__(self, w: World, how: str) -> None:
        super().__init__({CRM: w.crm, ESP: w.esp})
        self.is_on = False
        self._how = how

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        response = super().send(request, *args, **options)
        if not self.is_on or not str(request.url).startswith(CRM):
            return response
        body = json.loads(response.content)
        parts = body["result"].get("result") if isinstance(body.get("result"), dict) else None
        for page in parts.values() if isinstance(parts, dict) else ():
            if isinstance(page, list):
                page[:] = [row for row in page if self._is_shown(row)]
        response._content = json.dumps(body).encode()
        return response

    def _is_shown(self, row: dict[str, Any]) -> bool:
        if str(row.get("ID")) != "1" or "UF_CRM_OPT_IN" not in row:
            return True
        row["UF_CRM_OPT_IN"] = "garbage"
        return self._how != "out of sight"


@pytest.mark.parametrize("how", ["out of sight", "unusable"])
@pytest.mark.parametrize("when", ["before", "while hidden"])
def test_a_no_after_an_opt_in_of_unknown_outcome_is_heard_from_a_contact_that_was_not_shown_for_a_while(
    world: Make, how: str, when: str
) -> None:
    w = world(person(1, status=Status.OUT, origin=Origin.PERSON), person(2))
    w.sync()
    w.esp.act("resubscribe", email=ANN)
    hidden = Hidden(w, how)
    _lose(w, lambda r: "UF_CRM_OPT_OUT]=0" in unquote(str(r.body or "")), requests.ConnectionError)
    assert not w.crm_shows(ANN)["opt_out"]
    w.use(hidden)
    if when == "before":
        w.crm.act("opt_out", email=ANN)
    hidden.is_on = True
    w.sync()
    if when != "before":
        w.crm.act("opt_out", email=ANN)
    w.sync()
    assert w.crm_shows(ANN)["opt_out"] is True, "it was written over"
    hidden.is_on = False
    w.crm.act("set_field", email=ANN, field="city", value="Oslo")
    w.sync()
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.esp_shows(ANN)["status"] == Status.OUT
    w.settle()


def _asked_unheard(world: Make) -> World:
    """Ann was asked to confirm, nobody heard of it, and somebody typed another city there."""
    w = world(person(2), policy={"enter": "request"})
    w.sync()
    w.crm.populate([person(1, in_esp=False, created_at=w.clock.now())])
    w.use(Deaf(w, lambda: w.esp.act("set_field", email=ANN, field="city", value="Graz"), sign='"pending"'))
    w.sync()
    return w


def test_who_was_asked_unheard_and_shows_another_value_is_not_asked_again(world: Make) -> None:
    w = _asked_unheard(world)
    assert int(w.esp.act("asked", email=ANN)) == 1
    assert explain(w.engine, ANN)["scopes"]["acme/marketing"]["request"]["state"] == "waiting"
    w.use(w.transport)
    w.sync()
    assert explain(w.engine, ANN)["scopes"]["acme/marketing"]["request"]["state"] == "waiting"


def test_who_was_asked_unheard_is_not_asked_again_when_the_request_has_lapsed(world: Make) -> None:
    w = _asked_unheard(world)
    w.use(w.transport)
    w.wait(hours=170)
    w.esp.act("let_lapse", email=ANN)
    for _ in range(4):
        w.wait(hours=30)
        w.sync(full=True)

    assert int(w.esp.act("asked", email=ANN)) == 1


def test_a_stamp_of_ours_that_met_an_edit_of_the_member_we_made_is_no_consent(world: Make) -> None:
    brands: dict[str, Any] = copy.deepcopy(BRANDS)
    brands["acme"]["purposes"]["marketing"]["basis"] = "legitimate_interest"
    w = world(person(1, in_esp=False), person(2), brands=brands, policy={"enter": "subscribe"})

    def edited() -> None:
        w.esp.act("set_field", email=ANN, field="city", value="Graz")

    deaf = Deaf(w, edited, sign='"update_existing":false')
    w.use(deaf)
    w.sync()
    w.use(w.transport)
    w.sync()
    assert (deaf.count, w.esp_shows(ANN)["status"]) == (1, Status.IN)
    said = explain(w.engine, ANN)["scopes"]["acme/marketing"]["statements"]

    assert [s for s in said if s["kind"] == "grant"] == []
    assert (w.crm_shows(ANN)["fields"]["city"], w.esp_shows(ANN)["fields"]["city"]) == ("Graz", "Graz")


@pytest.mark.rule("fields merge three ways")
def test_an_undo_whose_system_goes_down_agrees_on_nothing(world: Make) -> None:
    w = world(person(1), person(2))
    w.reconfigure(lambda sync: sync.update(fields=[{**rule, "conflict": "esp"} for rule in sync["fields"]]))
    w.settle()
    w.crm.act("set_field", email=ANN, field="city", value="Oslo")
    run = w.sync().run
    w.settle()

    def is_write(request: requests.PreparedRequest) -> bool:
        return str(request.url).startswith(ESP) and request.method in {"PATCH", "POST"}

    down = DeafTo(w, is_write, error=requests.ConnectTimeout, lasts=True, is_lost=True)
    w.use(down)
    undo(w.engine, run, actor="anna")
    assert down.count
    w.use(w.transport)
    w.crm.act("set_field", email=ANN, field="city", value="Bern")
    w.sync()
    w.sync()

    assert (w.crm_shows(ANN)["fields"]["city"], w.esp_shows(ANN)["fields"]["city"]) == ("Bern", "Bern")


@pytest.mark.rule("every write is explained")
@pytest.mark.parametrize("is_lost", [False, True])
def test_an_archive_that_was_repeated_after_a_lost_answer_can_be_undone(world: Make, is_lost: bool) -> None:
    w = world(person(1), person(2), policy={"leave": "archive", "existing": "legacy_grant"})
    w.settle()
    w.crm.act("edit", id=w.crm_id(ANN), fields={"TYPE_ID": "SUPPLIER"})
    if is_lost:
        w.use(DeafTo(w, lambda r: r.method == "DELETE", error=requests.ConnectionError))
    run = w.sync().run
    w.use(w.transport)
    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
    undo(w.engine, run, actor="anna")

    assert w.esp_shows(ANN)["status"] == Status.IN
    w.rest()
