"""A slow system takes so much in ten minutes and no more: what was decided waits for it, and opt-outs overtake it."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus

import pytest
import requests

from optsync.connect.mock import MockRequest, MockTransport
from optsync.connect.registry import mocks
from optsync.model.change import ChangeState
from optsync.model.record import Status
from optsync.state.changes import Change
from optsync.sync.administer import opt_out
from optsync.sync.check import rebase
from optsync.sync.run import run_cycle
from optsync.sync.status import status
from optsync_bitrix24.writing import WRITE_BATCH
from tests.scenarios.world import CRM, ESP, World, person

Make = Callable[..., World]
SLOW = {"write_cost": 60.0, "longest_request": 3600}
"""Of 480 seconds in ten minutes: eight updates."""
PEOPLE = 30


def crowd(**details: Any) -> list[Any]:
    return [person(n, **details) for n in range(1, PEOPLE + 1)]


def email(number: int) -> str:
    return f"ann{number}@example.com"


def journal(w: World) -> list[Change]:
    """Everything that was ever decided."""
    with w.store.reading() as unit:
        return [c for run in unit.runs.list(limit=100) for c in unit.changes.of_run(run.uid)]


def states(w: World, kind: str = "field") -> Counter[str]:
    return Counter(str(c.state) for c in journal(w) if c.kind == kind and c.system == "crm")


def moved(make: Make, **options: Any) -> World:
    """Everybody's city changed at the platform, and the slow CRM was told of some."""
    w = make(*crowd(), portal=SLOW, **options)
    w.sync()
    for number in range(1, PEOPLE + 1):
        w.esp.act("set_field", email=email(number), field="city", value=f"Oslo {number}")
    w.sync()
    assert 0 < states(w)["applied"] < PEOPLE
    return w


def told(w: World) -> set[int]:
    """Whose new city the CRM shows."""
    return {n for n in range(1, PEOPLE + 1) if w.crm_shows(email(n))["fields"]["city"] == f"Oslo {n}"}


def drain(w: World) -> int:
    """Cycles until nothing waits any more."""
    for count in range(1, 20):
        report = w.sync().syncs["newsletter"]
        if not report.unsent:
            return count
    raise AssertionError("something waits for ever")


@pytest.mark.rule("nothing to do, nothing written")
def test_what_a_slow_system_has_no_time_for_is_decided_and_journaled_once(world: Make) -> None:
    w = moved(world)
    first = len(told(w))
    report = run_cycle(w.engine)
    part = report.syncs["newsletter"]

    assert (report.state, report.exit_code, part.issues) == ("done", 0, 0)
    left = part.to_json()["waiting"]["crm"]
    assert left["changes"] == PEOPLE - first
    assert w.clock.now().isoformat() < left["until"] < left["through"]
    needed = datetime.fromisoformat(left["through"]) - w.clock.now()
    assert abs(needed.total_seconds() - left["changes"] * 60 / (0.8 * 480 / 600)) < 60
    assert status(w.engine)["queues"]["waiting"]["newsletter"] == {"crm": left}
    assert drain(w) >= 2
    assert told(w) == set(range(1, PEOPLE + 1))
    assert states(w) == {"applied": PEOPLE}


@pytest.mark.rule("every write is explained")
def test_a_run_reports_what_it_has_written_whoever_decided_it(world: Make) -> None:
    w = moved(world)
    before = told(w)
    report = w.sync()
    written = [str(c.email) for c in report.syncs["newsletter"].changes if c.state is ChangeState.APPLIED]

    assert sorted(written) == sorted(email(n) for n in told(w) - before)
    drain(w)


@pytest.mark.rule("every write is explained")
def test_a_plan_shows_what_waits_and_leaves_it_waiting(world: Make) -> None:
    w = moved(world)
    left = PEOPLE - len(told(w))
    shown = run_cycle(w.compose(is_read_only=True), is_rehearsal=True).syncs["newsletter"]

    assert (len(shown.changes), shown.state, shown.held_for) == (left, "planned", [])
    assert {c["state"] for c in shown.to_json()["changes"]} == {"planned"}
    drain(w)
    assert states(w) == {"applied": PEOPLE}


@pytest.mark.rule("no opt-out is lost")
def test_an_opt_out_overtakes_what_waits_and_ends_what_waits_for_the_same_person(world: Make) -> None:
    w = moved(world)
    last = max(set(range(1, PEOPLE + 1)) - told(w))
    w.esp.act("unsubscribe", email=email(last))
    report = w.sync().syncs["newsletter"]

    assert report.changes[0].kind == "opt_out"
    assert w.crm_shows(email(last))["opt_out"] is True
    drain(w)
    assert told(w) == set(range(1, PEOPLE + 1)) - {last}


@pytest.mark.rule("fields merge three ways")
def test_a_value_that_changes_again_while_it_waits_is_written_as_it_is_then(world: Make) -> None:
    w = moved(world)
    last = max(set(range(1, PEOPLE + 1)) - told(w))
    w.esp.act("set_field", email=email(last), field="city", value="Rome")
    drain(w)

    assert w.crm_shows(email(last))["fields"]["city"] == "Rome"
    assert [c.state for c in journal(w) if c.email == email(last) and c.kind == "field"].count(ChangeState.APPLIED) == 1


@pytest.mark.rule("fields merge three ways")
def test_under_another_policy_what_waits_is_decided_anew(world: Make) -> None:
    w = moved(world)
    known = told(w)
    w.reconfigure(lambda sync: sync["policy"].update(after_opt_out="continue"))
    w.sync()

    assert states(w)["superseded"] == PEOPLE - len(known)
    drain(w)
    assert told(w) == set(range(1, PEOPLE + 1))


@pytest.mark.rule("no opt-out is lost")
def test_what_waits_outlives_the_process(world: Make) -> None:
    w = moved(world)
    w.use(MockTransport({CRM: w.crm, ESP: w.esp}))
    drain(w)

    assert told(w) == set(range(1, PEOPLE + 1))
    assert states(w) == {"applied": PEOPLE}


@pytest.mark.rule("suspicious volume stops")
def test_what_waited_for_a_former_account_is_not_written_to_the_records_of_the_new_one(world: Make) -> None:
    w = moved(world)
    other: Any = mocks()["bitrix24"](clock=w.clock, rng=random.Random(9))
    strangers = [f"stranger{n}@example.com" for n in range(1, PEOPLE + 1)]
    other.populate([person(n, addresses=(stranger,)) for n, stranger in enumerate(strangers, 1)])
    w.crm, w.transport = other, MockTransport({CRM: other, ESP: w.esp})
    w.document["systems"]["crm"] = other.config(CRM).system
    w.reconfigure(lambda _: None)
    rebase(w.engine, "crm")
    report = w.sync().syncs["newsletter"]

    assert report.unsent == {}
    assert {w.crm_shows(stranger)["fields"]["city"] for stranger in strangers} == {"Riga"}


class Meanwhile(MockTransport):
    """Calls ``act`` when the CRM is about to be written for the n-th time; each writing takes its time."""

    def __init__(self, w: World, act: Callable[[], None], *, at: int = 1, seconds: float = 0) -> None:
        super().__init__({CRM: w.crm, ESP: w.esp})
        self._w, self._act, self._at, self._seconds = w, act, at, seconds
        self.written: list[MockRequest] = []

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        body = request.body if isinstance(request.body, bytes) else str(request.body or "").encode()
        path = str(request.url).removeprefix(CRM)
        asked = MockRequest(method="POST", path=path, query="", headers=dict(request.headers), body=body, base_url=CRM)
        if str(request.url).startswith(CRM) and self._w.crm.is_write(asked):
            self.written.append(asked)
            if len(self.written) == self._at:
                self._act()
            self._w.wait(seconds=self._seconds)
        return super().send(request, *args, **options)


def granted(make: Make) -> World:
    """All are subscribed, and the slow CRM was told of some."""
    w = make(*crowd(), portal=SLOW, policy={"existing": "legacy_grant"})
    w.sync()
    assert 0 < states(w, "opt_in")["applied"] < PEOPLE
    return w


def opted_in(w: World) -> set[int]:
    return {n for n in range(1, PEOPLE + 1) if w.crm_shows(email(n))["opt_in"]}


@pytest.mark.rule("nobody is opted in by accident")
def test_an_opt_in_that_waits_is_not_written_once_the_person_said_no(world: Make) -> None:
    w = granted(world)
    some = sorted(set(range(1, PEOPLE + 1)) - opted_in(w))
    w.esp.act("unsubscribe", email=email(some[0]))
    opt_out(w.engine, email(some[1]), scope="*", actor="Eve")
    w.crm.act("opt_out", email=email(some[2]))
    drain(w)

    assert opted_in(w) == set(range(1, PEOPLE + 1)) - set(some[:3])
    assert all(w.crm_shows(email(n))["opt_out"] for n in some[:3])


@pytest.mark.rule("nobody is opted in by accident")
def test_an_opt_in_that_waits_is_not_written_once_another_address_of_the_record_is_out(world: Make) -> None:
    both = ("ann30@example.com", "bob@example.com")
    family = person(PEOPLE, addresses=both)
    w = world(*crowd()[:-1], family, portal=SLOW, policy={"existing": "legacy_grant"})
    w.esp.populate([person(99, addresses=both[1:], in_crm=False)])
    w.sync()
    assert not w.crm_shows(both[0])["opt_in"]
    opt_out(w.engine, both[1], scope="*", actor="Eve")
    drain(w)

    assert not w.crm_shows(both[0])["opt_in"]
    assert w.crm_shows(both[0])["opt_out"]


@pytest.mark.rule("nobody is opted in by accident")
def test_an_opt_in_that_waits_is_not_written_when_the_no_comes_in_the_cycle_that_would_write_it(world: Make) -> None:
    w = granted(world)
    some = sorted(set(range(1, PEOPLE + 1)) - opted_in(w))

    def say_no() -> None:
        for number in some:
            opt_out(w.engine, email(number), scope="*", actor="Eve")

    w.esp.act("set_field", email=email(1), field="city", value="Rome")
    w.crm.act("opt_in", email=email(1), at=w.clock.now().isoformat())
    w.esp.act("unsubscribe", email=email(2))
    transport = Meanwhile(w, say_no)
    w.use(transport)
    w.sync()
    assert transport.written
    w.use(w.transport)
    drain(w)

    assert not opted_in(w) & {2, *some}
    assert all(w.crm_shows(email(n))["opt_out"] for n in some)


def in_oslo(make: Make, count: int) -> World:
    """So many people, whose new city only the platform knows."""
    w = make(*[person(n) for n in range(1, count + 1)])
    w.sync()
    for number in range(1, count + 1):
        w.esp.act("set_field", email=email(number), field="city", value="Oslo")
    return w


@pytest.mark.rule("no opt-out is lost")
def test_opt_outs_that_come_while_a_long_cycle_writes_wait_for_a_minute_and_no_longer(world: Make) -> None:
    count = 400
    w = in_oslo(world, count)
    leaving = range(count - 39, count + 1)

    def leave() -> None:
        for number in leaving:
            w.esp.act("unsubscribe", email=email(number))

    transport = Meanwhile(w, leave, at=2, seconds=25)
    w.use(transport)
    report = w.sync().syncs["newsletter"]

    first_out = next(place for place, request in enumerate(transport.written) if _opts_out(w, request))
    assert first_out == 3, "they came with the second writing, and another one ends the minute"
    assert all(w.crm_shows(email(n))["opt_out"] for n in leaving)
    assert (report.has_more, report.unsent) == (False, {})
    stayed = range(1, count - 39)
    assert {w.crm_shows(email(n))["fields"]["city"] for n in stayed} == {"Oslo"}
    w.use(w.transport)


def _opts_out(w: World, request: MockRequest) -> bool:
    return f"fields[{w.config.syncs['newsletter'].crm.opt_out}]" in unquote_plus(request.body.decode())


@pytest.mark.rule("nothing to do, nothing written")
def test_who_asked_for_one_turn_hears_that_more_could_be_sent_at_once(world: Make) -> None:
    count = 200
    w = in_oslo(world, count)
    w.use(Meanwhile(w, lambda: None, seconds=25))
    first = w.sync(one_turn=True).syncs["newsletter"]
    assert first.has_more
    assert first.unsent == {"crm": {"changes": count - 3 * WRITE_BATCH, "until": None, "through": None}}
    second = w.sync(one_turn=True).syncs["newsletter"]

    assert (second.has_more, second.unsent) == (False, {})
    assert {w.esp_shows(email(n))["status"] for n in range(1, count + 1)} == {Status.IN}
    assert states(w) == {"applied": count}
    w.use(w.transport)
