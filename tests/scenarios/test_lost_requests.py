"""The process ends, or an answer is lost, around a request for a confirmation: nobody ever gets a second mail."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from optsync.connect.mock import MockTransport
from optsync.model.record import Status
from optsync.state.store import Store
from optsync.sync.explain import explain
from tests.scenarios.test_crashes import Killed, KillingStore, KillingTransport
from tests.scenarios.world import CRM, ESP, World, person

pytestmark = pytest.mark.rule("asked once")

ANN = "ann1@example.com"
SCOPE = "acme/marketing"
Scene = Callable[..., World]


def _entering(folder: Path, store: type[Store] = Store) -> World:
    """Ann belongs to the list from now on, and nothing is known of her consent."""
    w = World(folder, [person(2)], policy={"enter": "request"}, store=store)
    w.sync()
    w.crm.populate([person(1, in_esp=False, created_at=w.clock.now())])
    return w


def _lifting(folder: Path, store: type[Store] = Store) -> World:
    """Ann left there by herself, and the CRM has a newer consent."""
    w = World(folder, [person(1)], store=store)
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    w.wait(hours=1)
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())
    return w


SCENES = pytest.mark.parametrize("scene", [_entering, _lifting], ids=["entering", "lifting"])


def _asked(w: World) -> int:
    return int(w.esp.act("asked", email=ANN))


def _request(w: World) -> dict[str, Any]:
    return dict(explain(w.engine, ANN)["scopes"][SCOPE]["request"])


def _recover(w: World) -> int:
    """Restarts, runs until nothing moves, and returns how many mails were sent."""
    w._transport = None
    w.engine = w.compose()
    w.sync()
    w.wait(hours=2)
    w.sync(full=True)
    before = w.writes()
    w.sync()
    assert w.writes() == before
    assert _request(w)["state"] == ("waiting" if _asked(w) else "no_answer")
    assert (w.esp.act("view", email=ANN) or {}).get("status") != Status.IN, "nobody said yes at the platform"
    return _asked(w)


def _is_asked_once_unless_cut_off(mails: list[int]) -> bool:
    """One mail wherever the process ends, but for one stretch: between the intent and the mail nobody can know."""
    text = "".join(map(str, mails))
    return "1" in text and set(text.strip("1")) <= {"0"}


def _requests_of_a_cycle(w: World) -> int:
    before = len(w.transport.requests)
    w.sync()
    assert _asked(w) == 1
    return len(w.transport.requests) - before


@SCENES
@pytest.mark.parametrize("is_after", [False, True], ids=["before the call", "after the call"])
def test_killed_at_any_call_around_a_request_nobody_is_asked_twice(
    tmp_path: Path, scene: Scene, is_after: bool
) -> None:
    count = _requests_of_a_cycle(scene(tmp_path))
    mails = []
    for at in range(1, count + 1):
        w = scene(tmp_path)
        w.use(KillingTransport(w, at=at, is_after=is_after))
        with pytest.raises(Killed):
            w.sync()
        mails.append(_recover(w))

    assert _is_asked_once_unless_cut_off(mails)


@SCENES
def test_killed_after_any_commit_around_a_request_nobody_is_asked_twice(tmp_path: Path, scene: Scene) -> None:
    mails = []
    for at in itertools.count(1):
        w = scene(tmp_path, store=KillingStore)
        assert isinstance(w.store, KillingStore)
        w.store.arm(at, is_after=True)
        try:
            w.sync()
        except Killed:
            w.store.disarm()
            mails.append(_recover(w))
        else:
            break

    assert len(mails) > 8, "the cycle had hardly any commits"
    assert _is_asked_once_unless_cut_off(mails)


class Losing(MockTransport):
    """Loses requests for a confirmation, or their answers, while ``is_on``."""

    def __init__(self, w: World, *, is_carried_out: bool) -> None:
        super().__init__({CRM: w.crm, ESP: w.esp})
        self.is_carried_out = is_carried_out
        self.is_on = True
        self.lost = 0

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        if not (self.is_on and _asks(request)):
            return super().send(request, *args, **options)
        self.lost += 1
        if self.is_carried_out:
            super().send(request, *args, **options)
        raise requests.ConnectionError("Connection aborted.")


def _asks(request: requests.PreparedRequest) -> bool:
    if request.method == "GET" or not str(request.url).startswith(ESP):
        return False
    body = json.loads(request.body or b"{}")
    return any("pending" in {i.get("status"), i.get("status_if_new")} for i in body.get("members", [body]))


@SCENES
@pytest.mark.parametrize("is_carried_out", [False, True], ids=["the request", "the answer"])
def test_whatever_is_lost_of_a_request_nobody_is_asked_twice(
    tmp_path: Path, scene: Scene, is_carried_out: bool
) -> None:
    w = scene(tmp_path)
    losing = Losing(w, is_carried_out=is_carried_out)
    w.use(losing)
    w.sync()
    assert losing.lost, "nothing was lost"
    losing.is_on = False

    assert _recover(w) == (1 if is_carried_out else 0)


@SCENES
def test_the_click_counts_where_the_answer_to_the_request_was_lost(tmp_path: Path, scene: Scene) -> None:
    w = scene(tmp_path)
    w.use(Losing(w, is_carried_out=True))
    w.sync()
    w.wait(hours=1)
    w.esp.act("confirm", email=ANN)
    w._transport = None
    w.engine = w.compose()
    w.sync()
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.IN
    assert explain(w.engine, ANN)["scopes"][SCOPE]["standing"] == "in"
    assert (_asked(w), _request(w)["state"]) == (1, "confirmed")
    w.settle()
    w.rest()


@SCENES
def test_an_unsubscribe_after_a_lost_request_counts(tmp_path: Path, scene: Scene) -> None:
    w = scene(tmp_path)
    w.use(Losing(w, is_carried_out=True))
    w.sync()
    w.wait(hours=1)
    w.esp.act("unsubscribe", email=ANN)
    w._transport = None
    w.engine = w.compose()
    w.sync()
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is True
    assert explain(w.engine, ANN)["scopes"][SCOPE]["standing"] == "out"
    assert _asked(w) == 1
    w.settle()
    w.rest()


def test_a_request_that_was_lost_is_no_obstacle_to_a_newer_grant(tmp_path: Path) -> None:
    w = _lifting(tmp_path)
    w.use(Losing(w, is_carried_out=False))
    w.sync()
    assert _recover(w) == 0
    w.wait(hours=1)
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())
    w.sync()

    assert (_asked(w), w.esp_shows(ANN)["status"]) == (1, Status.PENDING)
    w.settle()
    w.rest()
