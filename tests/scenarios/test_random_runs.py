"""Long random runs: what people do on both sides, with every request that the engine sends inspected."""

import json
import random
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import requests

from optsync.connect.mock import MockTransport, VendorMock
from optsync.model.record import Origin, Status
from optsync.sync.report import Report
from optsync_mock.faults import FaultInjector, FaultyMock, weather
from tests.scenarios.world import CRM, ESP, World, person

pytestmark = pytest.mark.rule("no opt-out is lost")


class Inspector(MockTransport):
    """Looks at every request before the vendor sees it."""

    def __init__(self, world: World) -> None:
        super().__init__({CRM: world.crm, ESP: world.esp})
        self.world = world
        self.lifted: list[str] = []
        self.wrong: list[str] = []

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        if str(request.url).startswith(ESP) and request.method != "GET":
            for path, body in _bodies(str(request.url), request.body):
                self._inspect(path, body)
        return super().send(request, *args, **options)

    def _inspect(self, path: str, body: dict[str, Any]) -> None:
        for item in body.get("members", [body]):
            if item.get("status") != "subscribed" and item.get("status_if_new") != "subscribed":
                continue
            address = item.get("email_address") or self._address(path)
            before = self.world.esp.act("view", email=address)
            if before is None or before["status"] == Status.IN:
                continue
            self.lifted.append(address)
            if not self._has_grant(address):
                self.wrong.append(f"{address} was {before['status']}")

    def _address(self, path: str) -> str:
        key = unquote(path.rsplit("/members/", 1)[1].split("/", maxsplit=1)[0].split("?", maxsplit=1)[0])
        with self.world.store.reading() as unit:
            source = unit.sources.require("esp", "4c1a9f02bb")
            return unit.records.by_rid(source.id, [key])[key].record.addresses[0]

    def _has_grant(self, address: str) -> bool:
        with self.world.store.reading() as unit:
            key = unit.points.find([address.lower()])[address.lower()]
            said = {s.uid: s for s in unit.ledger.about([key])[key]}
            sending = [c for c in unit.changes.of_points([key]) if c.state == "sending" and c.kind == "opt_in"]
        return any(said[uid].kind == "grant" for c in sending for uid in c.causes)


def _bodies(url: str, body: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    content = json.loads(body or b"{}")
    if url.endswith("/batches"):
        for operation in content["operations"]:
            yield operation["path"], json.loads(operation.get("body") or "{}")
    else:
        yield url, content


class Humans:
    """What people do, and what they said by it: kept apart from everything that the engine knows."""

    def __init__(self, w: World, rng: random.Random) -> None:
        self.w = w
        self.rng = rng
        self.unseen: list[tuple[str, VendorMock, datetime]] = []
        self.outs: dict[str, list[datetime]] = {}
        self.ins: dict[str, list[datetime]] = {}

    def act(self) -> None:
        email = f"ann{self.rng.randrange(12)}@example.com"
        at_esp = self.rng.random() < 0.5
        side = self.w.esp if at_esp else self.w.crm
        before = side.act("view", email=email)
        if before is None:
            return
        if at_esp:
            self._at_esp(email)
        else:
            self._at_crm(email)
        after = side.act("view", email=email)
        shown_before, shown_after = _is_out(before), after is not None and _is_out(after)
        if shown_after and not shown_before:
            self.unseen.append((email, side, self.w.clock.now()))

    def before_sync(self) -> None:
        """Only what is still shown when a system is read can be known to anybody else."""
        shown = [(e, side, at) for e, side, at in self.unseen if _is_out(side.act("view", email=e))]
        self.unseen = shown

    def after_sync(self, report: Report) -> None:
        if report.syncs["newsletter"].failures:
            return
        for email, _, at in self.unseen:
            self.outs.setdefault(email, []).append(at)
        self.unseen = []

    def _at_esp(self, email: str) -> None:
        choices = ["unsubscribe", "admin_unsubscribe", "resubscribe", "flip_in", "topic", "field"]
        choice = self.rng.choice(choices)
        if choice == "topic":
            self._topic(self.w.esp, email)
        elif choice == "field":
            self.w.esp.act("set_field", email=email, field="city", value=self.rng.choice(["Riga", "Oslo", ""]))
        else:
            self.w.esp.act(choice, email=email)
            if choice == "resubscribe":
                self.ins.setdefault(email, []).append(self.w.clock.now())

    def _at_crm(self, email: str) -> None:
        choice = self.rng.choice(["opt_out", "clear", "opt_in", "topic", "field"])
        if choice == "clear":
            self.w.crm.act("opt_in", email=email)
        elif choice == "opt_in":
            self.w.crm.act("opt_in", email=email, at=self.w.clock.now().isoformat())
            self.ins.setdefault(email, []).append(self.w.clock.now())
        elif choice == "topic":
            self._topic(self.w.crm, email)
        elif choice == "field":
            self.w.crm.act("set_field", email=email, field="city", value=self.rng.choice(["Riga", "Kyiv", ""]))
        else:
            self.w.crm.act("opt_out", email=email)

    def _topic(self, side: VendorMock, email: str) -> None:
        topic, wanted = self.rng.choice(["news", "offers"]), self.rng.random() < 0.5
        side.act("set_topic", email=email, topic=topic, wanted=wanted)

    def must_be_out(self) -> list[str]:
        """Those whose last word, by far enough, was no."""
        return [email for email, outs in self.outs.items() if all(outs[-1] > said for said in self.ins.get(email, ()))]


def _is_out(view: dict[str, Any]) -> bool:
    return bool(view.get("opt_out")) or view.get("status") == Status.OUT


def _people(rng: random.Random) -> list[Any]:
    return [
        person(
            number,
            addresses=(f"Ann{number}@example.com",),
            in_crm=number % 7 != 6,
            in_esp=number % 5 != 4,
            status=rng.choice([Status.IN, Status.IN, Status.OUT, Status.PENDING, Status.UNKNOWN]),
            origin=rng.choice([Origin.PERSON, Origin.ADMIN]),
            opt_out=rng.random() < 0.2,
            opt_in=rng.random() < 0.3,
        )
        for number in range(12)
    ]


@pytest.mark.rule("nobody is opted in by accident")
def test_no_call_subscribes_an_existing_member_without_a_grant(tmp_path: Path) -> None:
    lifted = [address for seed in range(5) for address in _inspected_run(tmp_path, seed)]

    assert lifted, "the runs never came to the case that they are about"


def _inspected_run(tmp_path: Path, seed: int) -> list[str]:
    rng = random.Random(seed)
    w = World(tmp_path, _people(rng))
    inspector = Inspector(w)
    w._transport = inspector
    w.engine = w.compose()
    humans = Humans(w, rng)
    for _ in range(25):
        for _ in range(rng.randrange(5)):
            w.wait(seconds=rng.randrange(1, 400))
            humans.act()
        humans.before_sync()
        humans.after_sync(w.sync(full=rng.random() < 0.2))

    assert inspector.wrong == []
    w.transport.requests = inspector.requests
    w.settle()
    _assert_agreement(w, humans)
    return inspector.lifted


@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_weather_no_opt_out_is_lost_and_both_sides_agree_afterwards(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    w = World(tmp_path, _people(rng))
    injectors = [FaultInjector(random.Random(seed + n), weather(0.25)) for n in (1, 2)]
    faulty = {CRM: FaultyMock(w.crm, injectors[0]), ESP: FaultyMock(w.esp, injectors[1])}
    w._transport = MockTransport(faulty)
    w.engine = w.compose()
    humans = Humans(w, rng)
    for _ in range(15):
        for _ in range(rng.randrange(4)):
            w.wait(seconds=rng.randrange(1, 400))
            humans.act()
        humans.before_sync()
        humans.after_sync(w.sync())
    for injector in injectors:
        assert injector.hits, "no fault struck"
        injector.replace([])
    humans.before_sync()
    humans.after_sync(w.sync())
    w.sync(full=True)
    w._transport = None
    w.engine = w.compose()
    w.settle()
    _assert_agreement(w, humans)


def _assert_agreement(w: World, humans: Humans) -> None:
    """Whoever shows out on one side shows no in on the other, but for opt-ins that the vendor refuses."""
    with w.store.reading() as unit:
        refused = {issue.email for issue in unit.issues.list() if issue.kind in {"refused", "needs_confirmation"}}
    for number in range(12):
        email = f"ann{number}@example.com"
        crm, esp = w.crm.act("view", email=email), w.esp.act("view", email=email)
        if crm is None or esp is None:
            continue
        if crm["opt_out"]:
            assert esp["status"] != Status.IN, email
        if esp["status"] == Status.OUT and email not in refused:
            assert crm["opt_out"] is True, email
    for email in humans.must_be_out():
        for side in (w.crm, w.esp):
            view = side.act("view", email=email)
            assert view is None or _is_out(view) or view.get("status") not in (None, Status.IN), f"{email}: {view}"
