"""What the answer to a write shows besides our own write, and whose it is."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import requests

from optsync.connect.mock import MockRequest, MockTransport
from optsync.model.record import Status
from optsync.sync.administer import opt_out
from optsync.sync.explain import explain
from tests.scenarios.test_crashes import Killed
from tests.scenarios.test_import import imported
from tests.scenarios.test_retraction import retract
from tests.scenarios.world import CRM, ESP, START, World, person

pytestmark = pytest.mark.rule("no opt-out is lost")

Make = Callable[..., World]
ANN = "ann1@example.com"
SCOPE = "acme/marketing"


class Besides(MockTransport):
    """Things happen while the first write with the ``sign`` is on its way, or right after it (``after``)."""

    def __init__(self, w: World, sign: str, *acts: Callable[[], Any], minutes: float = 10, after: bool = False) -> None:
        super().__init__({CRM: w.crm, ESP: w.esp})
        self._w, self._sign, self._acts = w, sign, acts
        self._minutes, self._after = minutes, after
        self.count = 0

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        body = unquote(str(request.body or ""))
        is_it = not self.count and self._sign in body and request.method != "GET"
        self.count += is_it
        if is_it and not self._after:
            self._happen()
        answer = super().send(request, *args, **options)
        if is_it and self._after:
            self._happen()
        return answer

    def _happen(self) -> None:
        for act in self._acts:
            self._w.wait(minutes=self._minutes)
            act()
        self._w.wait(minutes=self._minutes)


def _standing(w: World, email: str = ANN, scope: str = SCOPE) -> str:
    return str(explain(w.engine, email)["scopes"][scope]["standing"])


def _statements(w: World, email: str = ANN, scope: str = SCOPE) -> Sequence[dict[str, Any]]:
    return list(explain(w.engine, email)["scopes"][scope]["statements"])


# 1 whose stamp


@pytest.mark.parametrize("is_in_flight", [True, False])
def test_a_tick_is_no_later_than_the_no_after_it_because_our_write_moved_the_stamp(
    world: Make, is_in_flight: bool
) -> None:
    both = {"crm_topics": {"news": True}, "esp_topics": {"news": True}}
    w = world(person(1, opt_in=True, **both), person(2, opt_in=True, **both))
    w.settle()
    w.esp.act("set_topic", email=ANN, topic="news", wanted=False)
    w.settle()
    w.wait(hours=1)

    acts: tuple[Callable[[], Any], ...] = (
        lambda: w.esp.act("set_topic", email=ANN, topic="news", wanted=True),
        lambda: opt_out(w.engine, ANN, scope=f"{SCOPE}/news", actor="Kim", reason="by telephone"),
    )
    if is_in_flight:
        w.crm.act("set_field", email=ANN, field="city", value="Oslo")
        besides = Besides(w, "Oslo", *acts)
        w.use(besides)
        w.sync()
        assert besides.count == 1
        w.use(w.transport)
    else:
        for act in acts:
            w.wait(minutes=10)
            act()
    w.sync()
    w.sync()

    assert _standing(w, scope=f"{SCOPE}/news") == "out"
    assert w.esp_shows(ANN)["topics"]["news"] is False


class Dying(Besides):
    """The process dies before the answer arrives."""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        before = self.count
        answer = super().send(request, *args, **options)
        if self.count != before:
            raise Killed
        return answer


def test_a_tick_is_no_later_than_the_no_after_it_because_our_write_whose_answer_was_lost_moved_the_stamp(
    world: Make,
) -> None:
    both = {"crm_topics": {"news": True}, "esp_topics": {"news": True}}
    w = world(person(1, opt_in=True, **both), person(2, opt_in=True, **both))
    w.settle()
    w.esp.act("set_topic", email=ANN, topic="news", wanted=False)
    w.settle()
    w.wait(hours=1)
    w.crm.act("set_field", email=ANN, field="city", value="Oslo")
    tick = lambda: w.esp.act("set_topic", email=ANN, topic="news", wanted=True)  # noqa: E731
    w.use(Dying(w, "Oslo", tick, lambda: opt_out(w.engine, ANN, scope=f"{SCOPE}/news", actor="Kim")))
    with pytest.raises(Killed):
        w.sync()
    w.use(w.transport)
    w.sync()
    w.sync()

    assert _standing(w, scope=f"{SCOPE}/news") == "out"
    assert w.esp_shows(ANN)["topics"]["news"] is False


@pytest.mark.parametrize("is_in_flight", [True, False])
def test_a_flag_flipped_back_is_no_later_than_the_no_after_it_because_our_write_moved_the_stamp(
    world: Make, is_in_flight: bool
) -> None:
    w = world(person(1), person(2), policy={"after_opt_out": "continue"})
    w.reconfigure(lambda sync: sync["crm"].update(grants={"status": "trusted"}))
    w.settle()
    w.crm.act("opt_out", email=ANN)
    w.settle()
    w.wait(hours=1)

    acts: tuple[Callable[[], Any], ...] = (
        lambda: w.crm.act("edit", id=w.crm_id(ANN), fields={"UF_CRM_OPT_OUT": 0, "UF_CRM_OPT_IN": 1}),
        lambda: opt_out(w.engine, ANN, scope=SCOPE, actor="Kim", reason="by telephone"),
    )
    if is_in_flight:
        w.esp.act("set_field", email=ANN, field="city", value="Oslo")
        besides = Besides(w, "Oslo", *acts)
        w.use(besides)
        w.sync()
        assert besides.count == 1
        w.use(w.transport)
    else:
        for act in acts:
            w.wait(minutes=10)
            act()
    w.sync()
    w.sync()

    assert _standing(w) == "out"
    assert w.esp_shows(ANN)["status"] == Status.OUT


# 2 stamps and words of a status that we did not write


def _field(w: World) -> str:
    w.crm.act("set_field", email=ANN, field="city", value="Oslo")
    return "Oslo"


def _topic(w: World) -> str:
    w.crm.act("set_topic", email=ANN, topic="news", wanted=False)
    return '"interests"'


@pytest.mark.parametrize("write", [_field, _topic, None])
def test_a_sign_up_while_something_else_than_a_status_was_on_its_way_is_heard(
    world: Make, write: Callable[[World], str] | None
) -> None:
    both = {"crm_topics": {"news": True}, "esp_topics": {"news": True}}
    w = world(person(1, **both), person(2, **both))
    w.settle()
    assert _standing(w) == "unknown"
    if write:
        besides = Besides(w, write(w), lambda: w.esp.act("resubscribe", email=ANN))
        w.use(besides)
        w.sync()
        assert besides.count == 1
        w.use(w.transport)
    else:
        w.wait(minutes=10)
        w.esp.act("resubscribe", email=ANN)
    w.sync()
    w.sync()

    assert _standing(w) == "in"


@pytest.mark.parametrize("is_in_flight", [True, False])
def test_a_no_of_somebody_else_while_a_field_was_on_its_way_is_heard(world: Make, is_in_flight: bool) -> None:
    signed_up = START - timedelta(days=50)
    w = world(person(1, opted_in_at=signed_up), person(2), policy={"after_opt_out": "continue"})
    w.settle()
    w.esp.act("unsubscribe", email=ANN)
    w.settle()
    w.wait(hours=1)
    acts: tuple[Callable[[], Any], ...] = (
        lambda: w.esp.act("flip_in", email=ANN, force=True),
        lambda: w.esp.act("admin_unsubscribe", email=ANN),
    )
    if is_in_flight:
        besides = Besides(w, _field(w), *acts)
        w.use(besides)
        w.sync()
        assert besides.count == 1
        w.use(w.transport)
    else:
        for act in acts:
            w.wait(minutes=10)
            act()
        w.wait(minutes=10)
        w.sync()
    w.crm.act("opt_in", email=ANN, at=(w.clock.now() - timedelta(minutes=40)).isoformat())
    w.sync()
    w.sync()

    assert _standing(w) == "out"
    assert (w.esp.act("asked", email=ANN), w.esp_shows(ANN)["status"]) == (0, Status.OUT)


# 3 who archived


@pytest.mark.parametrize("is_in_flight", [True, False])
def test_a_member_whom_people_archived_while_our_archiving_was_on_its_way_stays_archived(
    world: Make, is_in_flight: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = world(person(1), person(2), policy={"leave": "archive", "existing": "legacy_grant"})
    w.sync()
    handle, waiting = type(w.esp).handle, [1]

    def met(self: Any, request: MockRequest) -> Any:
        if waiting and request.method == "DELETE" and "/members/" in request.path:
            waiting.pop()
            w.esp.act("archive", email=ANN)
        return handle(self, request)

    if is_in_flight:
        monkeypatch.setattr(type(w.esp), "handle", met)
    else:
        w.esp.act("archive", email=ANN)
    w.crm.act("edit", id=w.crm_id(ANN), fields={"TYPE_ID": "SUPPLIER"})
    w.sync()
    assert not (is_in_flight and waiting)
    w.sync()
    w.crm.act("edit", id=w.crm_id(ANN), fields={"TYPE_ID": "CLIENT"})
    w.sync()
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED


# 4 what was done of a write that was not taken as a whole


@pytest.mark.parametrize("kept", ["UF_CRM_OPT_IN", None])
def test_an_opt_out_flag_of_ours_beside_one_that_was_not_taken_speaks_for_the_one_address(
    world: Make, kept: str | None
) -> None:
    home = "home@example.com"
    w = world(person(1, addresses=(ANN, home), opt_in=True), person(2, addresses=(home,), in_crm=False))
    w.settle()
    if kept:
        w.crm.act("keep_field", field=kept)
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    w.sync()
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is True
    assert [s for s in _statements(w) if s["source"] == "crm" and s["kind"] == "out"] == []
    assert w.esp_shows(home)["status"] == Status.IN
    if kept:
        w.crm.act("keep_field", field=kept, is_kept=False)
        w.sync()


@pytest.mark.parametrize("keeps", [True, False])
def test_a_topic_of_ours_beside_one_that_was_not_taken_off_is_put_back_with_what_caused_it(
    world: Make, keeps: bool, tmp_path: Path
) -> None:
    topics = {"news": True, "offers": True}
    w = world(person(1, opt_in=True, crm_topics=topics, esp_topics=topics), person(2))
    w.settle()
    if keeps:
        w.esp.act("keep_topic", topic="news")
    wrong = [imported(w, tmp_path, f"{ANN},out,2026-01-02,,,", scope=f"{SCOPE}/{topic}").uid for topic in topics]
    w.sync()
    w.sync()
    assert w.esp_shows(ANN)["topics"]["offers"] is False
    said = _statements(w, scope=f"{SCOPE}/offers")
    assert [s["source"] for s in said if s["kind"] == "out"] == ["legacy"]
    if keeps:
        w.esp.act("keep_topic", topic="news", is_kept=False)
    for uid in wrong:
        retract(w, uid)
    w.sync()

    assert w.esp_shows(ANN)["topics"]["offers"] is True


# 5 a flag that was set already


@pytest.mark.parametrize("is_in_flight", [True, False])
def test_a_flag_that_somebody_had_set_before_ours_arrived_speaks_for_all_addresses(
    world: Make, is_in_flight: bool, tmp_path: Path
) -> None:
    home = "home@example.com"
    w = world(person(1), person(2, addresses=(home,)), person(3))
    file = tmp_path / "contacts.csv"
    file.write_text(f"id,email,second,name,opt_out\n1,{ANN},{home},Ann1,\n3,ann3@example.com,,Ann3,\n")
    w.document["systems"]["crm"] = {"connector": "csv", "path": str(file), "address_columns": ["email", "second"]}

    def change(sync: dict[str, Any]) -> None:
        sync["esp"].pop("topics")
        sync["crm"] = {"system": "crm", "opt_out": "opt_out"}
        sync["fields"] = [{"crm": "name", "esp": "FNAME"}]

    w.reconfigure(change)
    w.settle()
    w.esp.act("unsubscribe", email=ANN)

    def tick() -> None:
        file.write_text(file.read_text().replace("Ann1,", "Ann1,yes"))

    if is_in_flight:
        crm: Any = w.engine.connectors["crm"]
        write, waiting = crm.write, [tick]

        def overtaken(*args: Any) -> Any:
            if waiting:
                waiting.pop()()
            return write(*args)

        crm.write = overtaken
        w.sync()
        assert not waiting
    else:
        tick()
        w.sync()
    w.sync()
    w.sync()

    assert w.esp_shows(home)["status"] == Status.OUT
