"""A process that ends anywhere loses nothing: the next start goes on."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from optsync.connect.mock import MockTransport
from optsync.model.record import Status
from optsync.state.store import Store
from optsync.state.unit import Unit
from tests.scenarios.world import CRM, ESP, World, person

pytestmark = pytest.mark.rule("no opt-out is lost")


class Killed(BaseException):
    """The process is gone."""


class KillingTransport(MockTransport):
    """Ends the process before or after the n-th request."""

    def __init__(self, w: World, *, at: int, is_after: bool) -> None:
        super().__init__({CRM: w.crm, ESP: w.esp})
        self.at, self.is_after, self.count = at, is_after, 0

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        self.count += 1
        if self.count == self.at and not self.is_after:
            raise Killed
        response = super().send(request, *args, **options)
        if self.count == self.at:
            raise Killed
        return response


class KillingStore(Store):
    """Ends the process before the n-th commit, or right after it, once it is armed."""

    at: int | None = None
    is_after = False
    count = 0

    @contextmanager
    def transaction(self) -> Iterator[Unit]:
        self.count += 1
        if self.at is not None and self.count > self.at:  # a dead process commits nothing more
            raise Killed
        with super().transaction() as unit:
            yield unit
            if self.count == self.at and not self.is_after:
                raise Killed
        if self.count == self.at:
            raise Killed

    def arm(self, at: int, *, is_after: bool) -> None:
        self.at, self.is_after, self.count = at, is_after, 0

    def disarm(self) -> None:
        self.at = None


def _busy_world(folder: Path) -> World:
    """Both sides have news of every kind."""
    both = {"crm_topics": {"news": True}, "esp_topics": {"news": True}}
    w = World(folder, [person(n, **both) for n in range(1, 7)], store=KillingStore)
    w.sync()
    w.esp.act("unsubscribe", email="ann1@example.com")
    w.crm.act("opt_out", email="ann2@example.com")
    w.esp.act("set_topic", email="ann3@example.com", topic="news", wanted=False)
    w.crm.act("set_field", email="ann4@example.com", field="city", value="Oslo")
    w.esp.act("admin_unsubscribe", email="ann5@example.com")
    w.wait(minutes=30)
    w.crm.act("opt_in", email="ann5@example.com", at=w.clock.now().isoformat())
    w.crm.populate([person(9, opt_in=True, in_esp=False, consent_at=w.clock.now(), created_at=w.clock.now())])
    return w


def _assert_everything_arrived(w: World) -> None:
    for email in ("ann1@example.com", "ann2@example.com"):
        assert w.crm_shows(email)["opt_out"] is True
        assert w.esp_shows(email)["status"] == Status.OUT
    assert w.crm_shows("ann3@example.com")["topics"]["news"] is False
    assert w.esp_shows("ann4@example.com")["fields"]["city"] == "Oslo"
    assert w.esp_shows("ann5@example.com")["status"] == Status.IN
    assert w.esp_shows("ann9@example.com")["status"] == Status.IN
    assert not w.crm_shows("ann6@example.com")["opt_out"]


def _recover(w: World) -> None:
    w._transport = None
    w.engine = w.compose()
    w.sync()
    w.sync()
    _assert_everything_arrived(w)
    w.settle()
    w.close()


def _requests_of_a_cycle(folder: Path) -> int:
    w = _busy_world(folder)
    before = len(w.transport.requests)
    w.sync()
    _assert_everything_arrived(w)
    return len(w.transport.requests) - before


@pytest.mark.parametrize("is_after", [False, True], ids=["before the request", "after the request"])
def test_killed_at_any_request_the_next_start_goes_on(tmp_path: Path, is_after: bool) -> None:
    count = _requests_of_a_cycle(tmp_path)
    assert count > 8
    for at in range(1, count + 1):
        w = _busy_world(tmp_path)
        w._transport = KillingTransport(w, at=at, is_after=is_after)
        w.engine = w.compose()
        with pytest.raises(Killed):
            w.sync()
        _recover(w)


@pytest.mark.parametrize("is_after", [False, True], ids=["before the commit", "after the commit"])
def test_killed_at_any_commit_the_next_start_goes_on(tmp_path: Path, is_after: bool) -> None:
    for at in itertools.count(1):
        w = _busy_world(tmp_path)
        assert isinstance(w.store, KillingStore)
        w.store.arm(at, is_after=is_after)
        try:
            w.sync()
        except Killed:
            w.store.disarm()
            _recover(w)
        else:
            assert at > 20, "the cycle had hardly any commits"
            return
