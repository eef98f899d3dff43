"""What permits something to one contact travels as one update, and each change of it keeps a fate of its own."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
import requests

from optsync.connect.mock import MockTransport
from optsync.model.change import ChangeKind, ChangeState
from optsync.model.record import Origin, Status
from tests.scenarios.world import CRM, ESP, World, person

pytestmark = pytest.mark.rule("every write is explained")

Make = Callable[..., World]
_TOGETHER = (ChangeKind.OPT_IN, ChangeKind.TOPIC, ChangeKind.GRANT)
ANN = "ann1@example.com"
_PROOF = "UF_CRM_CONSENT_DATE"
_BAD_ADDRESS = "&fields%5BEMAIL%5D%5B0%5D%5BVALUE%5D=nonsense"
"""The portal refuses an update with this as a whole."""


class Post(MockTransport):
    """Notes the updates that are sent to the CRM, request by request; those of ``spoilt`` are refused there."""

    def __init__(self, w: World, *, spoilt: Callable[[str], bool] = lambda _: False) -> None:
        super().__init__({CRM: w.crm, ESP: w.esp})
        self._spoilt = spoilt
        self.updates: list[list[str]] = []

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        body = json.loads(request.body or "{}") if "/batch" in str(request.url) else {}
        commands: dict[str, str] = body.get("cmd") or {}
        sent = [unquote(command) for command in commands.values() if ".update?" in command]
        if sent:
            self.updates.append(sent)
            body["cmd"] = {
                key: command + _BAD_ADDRESS if ".update?" in command and self._spoilt(unquote(command)) else command
                for key, command in commands.items()
            }
            request.body = json.dumps(body).encode()
        return super().send(request, *args, **options)


def _signed_up_again(world: Make) -> World:
    """Ann was out on both sides, and signed up again with a topic."""
    topics = {"news": False, "offers": True}
    w = world(person(1, status=Status.OUT, origin=Origin.PERSON, crm_topics=topics, esp_topics=topics))
    w.sync()
    w.esp.act("resubscribe", email=ANN)
    w.esp.act("set_topic", email=ANN, topic="news", wanted=True)
    return w


def _fates(w: World) -> Counter[tuple[str, str]]:
    """Of what permits something to Ann at the CRM, by kind."""
    with w.store.reading() as unit:
        (point,) = unit.points.find([ANN]).values()
        changes = unit.changes.of_points([point])
    return Counter((c.kind.value, c.state.value) for c in changes if c.system == "crm" and c.kind in _TOGETHER)


def test_an_opt_in_its_topics_and_its_proof_are_one_update_and_three_changes(world: Make) -> None:
    w = _signed_up_again(world)
    post = Post(w)
    w.use(post)
    w.sync()

    ((update,),) = post.updates
    assert "UF_CRM_OPT_OUT]=0" in update
    assert "UF_CRM_TOPIC_NEWS]=1" in update
    assert _PROOF in update
    assert _fates(w) == {(kind, ChangeState.APPLIED): 1 for kind in _TOGETHER}
    shown = w.crm_shows(ANN)
    assert (shown["opt_out"], shown["topics"]["news"]) == (False, True)
    w.settle()


@pytest.mark.rule("one bad record stands alone")
def test_what_the_crm_refuses_of_it_stops_nothing_else(world: Make) -> None:
    w = _signed_up_again(world)
    post = Post(w, spoilt=lambda command: _PROOF in command)
    w.use(post)
    w.sync()

    first, *apart = post.updates
    assert len(first) == 1
    assert sum(len(commands) for commands in apart) == 3
    fates = _fates(w)
    assert fates["opt_in", ChangeState.APPLIED] == fates["topic", ChangeState.APPLIED] == 1
    assert fates["grant", ChangeState.REFUSED] == 1
    shown = w.crm_shows(ANN)
    assert (shown["opt_out"], shown["topics"]["news"]) == (False, True)
    with w.store.reading() as unit:
        assert [(i.kind, i.values["change"]) for i in unit.issues.list()] == [("quarantined_field", "grant")]
    w.settle()


@pytest.mark.rule("fields never carry status")
def test_a_name_that_changed_at_the_same_time_travels_by_itself(world: Make) -> None:
    w = world(person(1, status=Status.PENDING))
    w.sync()
    w.esp.act("confirm", email=ANN)
    w.esp.act("set_topic", email=ANN, topic="news", wanted=True)
    w.esp.act("set_field", email=ANN, field="last_name", value="Larsen")
    post = Post(w)
    w.use(post)
    w.sync()
    w.sync()

    (together,), (name,) = post.updates
    assert "Larsen" not in together
    assert "Larsen" in name
    w.settle()


@pytest.mark.rule("no opt-out is lost")
def test_what_restricts_never_shares_an_update_and_goes_first(world: Make) -> None:
    w = _signed_up_again(world)
    w.esp.act("set_topic", email=ANN, topic="offers", wanted=False)
    post = Post(w)
    w.use(post)
    w.sync()

    (off,), *rest = post.updates
    assert [name for name in ("OPT_OUT", "TOPIC_NEWS", _PROOF) if name in off] == []
    assert "UF_CRM_TOPIC_OFFERS]=0" in off
    assert rest
    w.settle()


@pytest.mark.rule("nobody is opted in by accident")
def test_of_several_in_one_update_what_is_not_to_be_any_more_drops_out_with_all_that_permits(world: Make) -> None:
    """She says no at the CRM right before the update goes out: what was looked at again holds all of it back."""
    w = world(person(1, status=Status.PENDING))
    w.sync()
    w.esp.act("confirm", email=ANN)
    w.esp.act("set_topic", email=ANN, topic="news", wanted=True)

    class Late(Post):
        is_late = False

        def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
            if not self.is_late and "%40ID" in str(request.body):
                self.is_late = True
                w.wait(minutes=1)
                w.crm.act("opt_out", email=ANN)
            return super().send(request, *args, **options)

    post = Late(w)
    w.use(post)
    w.sync()

    assert post.is_late
    assert [update for updates in post.updates for update in updates if "OPT_IN]=1" in update] == []
    w.sync()
    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.esp_shows(ANN)["status"] == Status.OUT
    w.settle()
