"""What an organisation adds to an opt-out: fields of its own and handlers, which never delay the opt-out itself."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from optsync.connect import handlers
from optsync.connect.mock import MockRequest, MockTransport
from optsync.model.record import Status
from optsync.state.issues import Issue
from optsync.sync import handling
from optsync.sync.administer import opt_in, opt_out
from optsync.sync.forget import forget
from optsync.sync.undo import undo
from tests.scenarios import own_handlers
from tests.scenarios.test_crashes import Killed, KillingTransport
from tests.scenarios.world import CRM, ESP, World, person

pytestmark = pytest.mark.rule("custom handling blocks nothing")

Make = Callable[..., World]
ANN, BEN = "ann1@example.com", "ann2@example.com"
TYPES = {"STOP": "boolean", "STAGE": "string", "LEFT_AT": "datetime", "OFFERS_STOP": "string", "OWNER": "string"}
OUT = {"UF_CRM_STOP": True, "UF_CRM_STAGE": "left by {source}", "UF_CRM_LEFT_AT": "{at}"}
ON = {
    "on_opt_out": {"acme/marketing": OUT, "acme/marketing/offers": {"UF_CRM_OFFERS_STOP": "{date}"}},
    "on_opt_in": {"acme/marketing": {"UF_CRM_STOP": False}},
}
TOPICS = {"crm_topics": {"offers": True, "news": True}, "esp_topics": {"offers": True, "news": True}}


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(handlers, "installed", own_handlers.installed)
    own_handlers.CALLS.clear()
    own_handlers.BROKEN.clear()
    own_handlers.MEANWHILE.clear()
    own_handlers.RELEASE.clear()
    yield
    own_handlers.RELEASE.set()


def _world(world: Make, *people: Any, **changes: Any) -> World:
    w = world(*(people or (person(1, **TOPICS), person(2, **TOPICS))), changes={**ON, **changes})
    base = str(w.document["systems"]["crm"]["webhook_url"]).removeprefix(CRM)
    for name, kind in TYPES.items():
        fields = {"fields": {"FIELD_NAME": name, "USER_TYPE_ID": kind, "LABEL": name}}
        request = MockRequest(
            method="POST",
            path=f"{base}crm.contact.userfield.add.json",
            headers={"content-type": "application/json"},
            body=json.dumps(fields).encode(),
        )
        assert w.crm.handle(request).status == 200
    return w


def _fields(w: World, email: str = ANN) -> dict[str, Any]:
    row = w.crm.act("dump", id=w.crm_id(email))
    return {name: row.get(f"UF_CRM_{name}") or "" for name in TYPES}


def _issues(w: World, *, state: str = "open") -> list[Issue]:
    with w.store.reading() as unit:
        return unit.issues.list(state=state, kind="handler_failed")


def test_the_fields_of_a_scope_are_set_once_after_the_opt_out_and_a_later_edit_stays(world: Make) -> None:
    w = _world(world)
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    report = w.sync()

    assert w.crm_shows(ANN)["opt_out"] is True
    assert _fields(w)["STOP"] in (1, "1", True)
    assert _fields(w)["STAGE"] == "left by esp"
    assert _fields(w)["LEFT_AT"]
    assert not any(_fields(w, BEN).values())
    changes = report.syncs["newsletter"].changes
    [handled] = [c for c in changes if c.rule == "handled_opt_out" and "UF_CRM_STOP" in c.after]
    [out] = [c for c in changes if c.kind == "opt_out"]
    assert handled.causes == out.causes
    assert out.settled_at is not None
    assert handled.sent_at is not None
    assert (out.id, out.settled_at) <= (handled.id, handled.sent_at)
    w.crm.act("edit", id=w.crm_id(ANN), fields={"UF_CRM_STAGE": "won back?"})
    w.rest()
    w.sync(full=True)
    assert _fields(w)["STAGE"] == "won back?"


def test_a_topic_has_fields_of_its_own(world: Make) -> None:
    w = _world(world)
    w.sync()
    w.esp.act("set_topic", email=ANN, topic="offers", wanted=False)
    w.sync()
    assert _fields(w)["OFFERS_STOP"] == "2026-11-22"
    assert _fields(w)["STAGE"] == ""


def test_an_opt_in_sets_its_fields_and_the_next_opt_out_sets_the_others_again(world: Make) -> None:
    w = _world(world)
    w.sync()
    w.wait(minutes=5)
    opt_out(w.engine, ANN, scope="acme/marketing", actor="Kim")
    w.sync()
    assert _fields(w)["STAGE"] == "left by admin"
    w.wait(hours=1)
    opt_in(w.engine, ANN, scope="acme/marketing", actor="Kim", evidence="by phone")
    w.sync()
    assert not int(_fields(w)["STOP"] or 0)
    w.crm.act("edit", id=w.crm_id(ANN), fields={"UF_CRM_STAGE": "client"})
    w.wait(hours=1)
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    assert _fields(w)["STAGE"] == "left by esp"


def test_one_more_opt_out_of_somebody_who_is_out_sets_nothing_again(world: Make) -> None:
    w = _world(world)
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    w.crm.act("edit", id=w.crm_id(ANN), fields={"UF_CRM_STAGE": "spoken to"})
    w.wait(hours=1)
    opt_out(w.engine, ANN, scope="*", actor="Kim")
    w.sync()
    assert _fields(w)["STAGE"] == "spoken to"


def test_whoever_was_out_at_first_sight_is_left_as_people_made_them(world: Make) -> None:
    w = _world(world, person(1, opt_out=True), person(2, status=Status.OUT))
    w.sync()
    assert not any(_fields(w).values())
    assert not any(_fields(w, BEN).values())
    w.crm.populate([person(3, opt_out=True, in_esp=False, created_at=w.clock.now())])
    w.sync()
    assert not any(_fields(w, "ann3@example.com").values())


def test_every_record_that_holds_the_address_gets_the_fields_in_list_scope_or_not(world: Make) -> None:
    w = _world(world, person(1), person(5, addresses=(ANN,), is_client=False, in_esp=False))
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    with w.store.reading() as unit:
        keys = unit.records.holding(unit.points.find([ANN]).values())
        ids = [o.record.id for o in unit.records.load(keys) if o.system == "crm"]
    assert len(ids) == 2
    assert {w.crm.act("dump", id=each).get("UF_CRM_STAGE") for each in ids} == {"left by esp"}


def test_a_rehearsal_shows_the_fields_and_calls_no_handler(world: Make) -> None:
    w = _world(world, handlers=["notify_sales"])
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    report = w.sync(is_rehearsal=True)
    assert "handled_opt_out" in {c.rule for c in report.syncs["newsletter"].changes}
    assert own_handlers.CALLS == []
    w.sync()
    assert len(own_handlers.CALLS) == 1


def test_what_was_set_can_be_undone_and_is_not_set_again(world: Make) -> None:
    w = _world(world)
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    report = w.sync()
    w.wait(minutes=5)
    undo(w.engine, report.run, actor="Kim")
    assert _fields(w)["STAGE"] == ""
    assert w.crm_shows(ANN)["opt_out"] is True
    w.rest()


@pytest.mark.parametrize("is_after", [False, True], ids=["before the request", "after the request"])
def test_a_process_killed_at_any_request_sets_the_fields_after_its_restart(world: Make, is_after: bool) -> None:
    for at in range(1, 40):
        w = _world(world, handlers=["notify_sales"])
        w.sync()
        w.esp.act("unsubscribe", email=ANN)
        w._transport = KillingTransport(w, at=at, is_after=is_after)
        w.engine = w.compose()
        try:
            w.sync()
        except Killed:
            was_killed = True
        else:
            was_killed = False
        w._transport = None
        w.engine = w.compose()
        w.sync()
        w.sync()
        # An out that shows after a lost answer is a new one: then the CRM's decides.
        assert _fields(w)["STAGE"] in {"left by esp", "left by crm"}
        assert {c.uid for c in own_handlers.CALLS} == {own_handlers.CALLS[0].uid}
        own_handlers.CALLS.clear()
        w.rest()
        if not was_killed:
            assert at > 5
            return


# handlers


def test_a_handler_is_told_once_and_may_set_fields(world: Make) -> None:
    w = _world(world, handlers=["notify_sales", {"name": "set_owner", "fields": ["UF_CRM_OWNER"]}])
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    told, _ = own_handlers.CALLS
    assert (told.sync, told.scope, told.standing, told.address) == ("newsletter", "acme/marketing", "out", ANN)
    assert (told.system, told.record, told.source) == ("crm", w.crm_id(ANN), "esp")
    assert told.fields["UF_CRM_OWNER"] in (None, "")
    assert _fields(w)["OWNER"] == "kim, about out"
    w.crm.act("edit", id=w.crm_id(ANN), fields={"UF_CRM_OWNER": "eve"})
    w.rest()
    assert len(own_handlers.CALLS) == 2
    assert _fields(w)["OWNER"] == "eve"


class Refusing(MockTransport):
    """Nobody answers to what a handler has set, for as long as ``is_on``."""

    is_on = True

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        if self.is_on and "about+out" in str(request.body).replace("%20", "+").replace(" ", "+"):
            raise requests.ConnectionError
        return super().send(request, *args, **options)


def test_what_a_handler_wants_set_is_set_when_the_write_failed_and_it_is_told_once(world: Make) -> None:
    w = _world(world, handlers=[{"name": "set_owner", "fields": ["UF_CRM_OWNER"]}])
    w.sync()
    refusing = Refusing({CRM: w.crm, ESP: w.esp})
    w.use(refusing)
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    assert _fields(w)["OWNER"] == ""
    refusing.is_on = False
    w.settle()
    assert _fields(w)["OWNER"] == "kim, about out"
    assert len(own_handlers.CALLS) == 1


def test_another_opt_out_while_a_handler_is_called_again_is_no_other_turn(world: Make) -> None:
    own_handlers.BROKEN.add("notify_sales")
    w = _world(world, handlers=[{"name": "set_owner", "fields": ["UF_CRM_OWNER"]}, "notify_sales"])
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    w.crm.act("edit", id=w.crm_id(ANN), fields={"UF_CRM_STAGE": "spoken to", "UF_CRM_OWNER": "eve"})
    w.wait(hours=1)
    opt_out(w.engine, ANN, scope="*", actor="Kim")
    w.sync()
    own_handlers.BROKEN.clear()
    w.settle()
    assert (_fields(w)["STAGE"], _fields(w)["OWNER"]) == ("spoken to", "eve")
    assert len({call.uid for call in own_handlers.CALLS}) == 1


def test_a_handler_that_fails_keeps_nobody_waiting_and_is_called_again_until_it_works(world: Make) -> None:
    own_handlers.BROKEN.add("notify_sales")
    w = _world(world, handlers=["notify_sales"])
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    report = w.sync()
    assert report.exit_code == 1
    assert w.crm_shows(ANN)["opt_out"] is True
    assert _fields(w)["STAGE"] == "left by esp"
    [issue] = _issues(w)
    assert issue.values == {"handler": "notify_sales", "error": "ConnectionError"}
    assert ANN not in issue.message
    own_handlers.BROKEN.clear()
    w.sync()
    assert len({c.uid for c in own_handlers.CALLS}) == 1
    assert len(own_handlers.CALLS) == 2
    w.rest()
    assert len(own_handlers.CALLS) == 2


def test_a_failed_handler_is_no_issue_any_more_once_it_was_told(world: Make) -> None:
    own_handlers.BROKEN.add("notify_sales")
    w = _world(world, handlers=["notify_sales"])
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    w.sync()
    assert [i.state for i in _issues(w)] == ["open"]
    own_handlers.BROKEN.clear()
    w.wait(minutes=5)
    w.sync()
    [issue] = _issues(w, state="resolved")
    assert issue.reason == "nobody waits for the handler any more"
    assert _issues(w) == []


def test_slow_handlers_go_on_in_the_next_cycle_after_another_look_at_both_sides(world: Make) -> None:
    emails = [f"ann{n}@example.com" for n in range(1, 6)]
    w = _world(world, *(person(n) for n in range(1, 6)), handlers=[{"name": "take_time", "fields": ["UF_CRM_OWNER"]}])
    w.sync()
    own_handlers.MEANWHILE.append(lambda: w.wait(seconds=25))
    for email in emails:
        w.esp.act("unsubscribe", email=email)
    w.sync()
    assert [_fields(w, email)["STAGE"] for email in emails] == ["left by esp"] * 5
    assert len(own_handlers.CALLS) == 3
    w.sync()
    assert [_fields(w, email)["OWNER"] for email in emails] == [f"kim of {email}" for email in emails]
    assert len(own_handlers.CALLS) == 5
    w.settle()


def test_a_handler_that_never_works_is_given_up(world: Make) -> None:
    own_handlers.BROKEN.add("notify_sales")
    w = _world(world, handlers=["notify_sales"])
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    for _ in range(handling.TRIES + 2):
        w.sync()
    assert len(own_handlers.CALLS) == handling.TRIES
    [issue] = _issues(w)
    assert "given up" in issue.message
    assert [i.values for i in _issues(w, state="resolved")] == [{"handler": "notify_sales", "error": "ConnectionError"}]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("return_nonsense", "UnusableAnswer"),
        ("half", "UnusableAnswer"),
        ("no_number", "UnusableAnswer"),
        ("leave", "SystemExit"),
        ("hang", "TimeoutError"),
    ],
)
def test_whatever_a_handler_does_the_opt_outs_are_carried(
    world: Make, monkeypatch: pytest.MonkeyPatch, name: str, error: str
) -> None:
    monkeypatch.setattr(handling, "PATIENCE", 0.05)
    w = _world(world, handlers=[{"name": name, "fields": ["UF_CRM_OWNER"]}])
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.esp.act("unsubscribe", email=BEN)
    w.sync()
    for email in (ANN, BEN):
        assert w.crm_shows(email)["opt_out"] is True
        assert _fields(w, email)["STAGE"] == "left by esp"
    assert {issue.values["error"] for issue in _issues(w)} == {error}
    assert len(own_handlers.CALLS) == (1 if name == "hang" else 0)


def test_a_text_of_a_class_of_its_own_is_set_as_the_text_that_it_is(world: Make) -> None:
    w = _world(world, handlers=[{"name": "fill_a_template", "fields": ["UF_CRM_OWNER"]}])
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.settle()
    assert _fields(w)["OWNER"] == "kim"
    assert _issues(w) == []


def test_of_who_is_forgotten_while_a_handler_works_nothing_is_kept_and_nothing_is_set(world: Make) -> None:
    w = _world(world, handlers=[{"name": "take_time", "fields": ["UF_CRM_OWNER"]}])
    w.sync()
    record = w.crm_id(ANN)
    w.crm.act("edit", id=record, fields={"UF_CRM_STAGE": "quillfeather"})
    w.sync()
    own_handlers.MEANWHILE.append(lambda: forget(w.engine, ANN, actor="the privacy officer"))
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    assert len(own_handlers.CALLS) == 1

    own_handlers.MEANWHILE.clear()
    w.settle()
    assert w.crm.act("dump", id=record).get("UF_CRM_OWNER") in {None, ""}
    with w.store.reading() as unit:
        kept = [row.before for row in unit.handled.of("newsletter", range(20)).values()]
        changes = [(c.before, c.after) for c in unit.changes.of_points(range(20)) if c.rule.startswith("handled")]
    assert "quillfeather" not in repr((kept, changes))
    assert ANN not in repr((kept, changes))
