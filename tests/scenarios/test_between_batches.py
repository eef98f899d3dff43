"""Deciding in parts: what is heard between two of them, and what is decided twice."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import requests

from optsync.model.change import Outcome, Result
from optsync.model.record import Status
from optsync.sync.administer import opt_in, opt_out
from optsync.sync.plans import approve, reject
from optsync.sync.run import run_cycle
from tests.scenarios.test_lost_answers import Deaf
from tests.scenarios.test_waiting import Meanwhile, email
from tests.scenarios.world import ESP, START, World, person

pytestmark = pytest.mark.rule("nobody is opted in by accident")

Make = Callable[..., World]
FIRST, SECOND = "m.first@example.com", "a.second@example.com"
"""Of one contact; the second address is looked at before the first one."""


class Between:
    """Does something after the first batch of deciding."""

    def __init__(self, deed: Callable[[], Any]) -> None:
        self._deed: Callable[[], Any] | None = deed

    def step(self, name: str, done: int, total: int | None) -> None:
        del done, total
        if name.startswith("decide") and self._deed is not None:
            deed, self._deed = self._deed, None
            deed()


@pytest.mark.parametrize("batch", [1, 500])
def test_who_says_no_between_two_batches_is_not_opted_in_by_the_first(
    world: Make, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    w = world(person(1, addresses=(FIRST, SECOND)))
    w.settle()
    w.esp.act("admin_unsubscribe", email=FIRST)
    w.settle()
    w.wait(hours=1)
    for address in (FIRST, SECOND):
        opt_in(w.engine, address, scope="acme/marketing", actor="Olga", evidence="a letter")
    w.wait(minutes=20)
    monkeypatch.setattr("optsync.sync.decide.BATCH", batch)
    run_cycle(w.engine, progress=Between(lambda: opt_out(w.engine, FIRST, scope="acme/marketing", actor="Eve")))

    assert w.esp_shows(FIRST)["status"] == Status.OUT


@pytest.mark.parametrize("batch", [1, 500])
def test_who_says_no_between_two_batches_does_not_enter_the_list_by_the_first(
    world: Make, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    given = {"opt_in": True, "consent_at": START - timedelta(days=9)}
    w = world(person(1, addresses=(FIRST, SECOND), in_esp=False, **given))
    monkeypatch.setattr("optsync.sync.decide.BATCH", batch)
    w.wait(minutes=10)
    run_cycle(w.engine, progress=Between(lambda: opt_out(w.engine, FIRST, scope="acme/marketing", actor="Eve")))

    w.sync()
    assert w.esp.act("view", email=FIRST) is None


@pytest.mark.parametrize("batch", [1, 500])
def test_a_topic_that_turns_out_to_be_off_at_a_further_address_is_not_switched_on_by_an_earlier_batch(
    world: Make, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """The contact's first address wants the topic; at its second one, a member, two sides disagree at first sight."""
    early, late = "a.first@example.com", "m.second@example.com"
    w = world(
        person(1, addresses=(early, late)),
        person(2, addresses=(late,), in_crm=False, esp_topics={"news": True}),
        person(9, crm_topics={"news": True}),
    )
    w.settle()
    w.esp.act("set_topic", email=early, topic="news", wanted=True)
    w.crm.act("create", email=late, topics={"news": False})
    monkeypatch.setattr("optsync.sync.decide.BATCH", batch)
    report = w.sync()

    written = [(c.system, c.record, dict(c.after)) for c in report.syncs["newsletter"].changes if c.kind == "topic"]
    assert all(not (system == "crm" and record == "1") for system, record, _ in written), written


@pytest.mark.rule("suspicious volume stops")
def test_what_is_decided_anew_before_it_was_sent_counts_once_for_the_guard(world: Make) -> None:
    count = 200
    guard = {"updates": {"max": count + 10, "percent": 0, "cap": 100_000}}
    w = world(*[person(n) for n in range(1, count + 1)], guard=guard)
    w.sync()
    for number in range(1, count + 1):
        w.esp.act("set_field", email=email(number), field="city", value="Oslo")

    def move_again() -> None:
        with w.store.reading() as unit:
            waits = [c for c in unit.changes.open_of("newsletter") if c.state == "ready"]
        for change in sorted(waits, key=lambda c: c.id)[-40:]:
            w.esp.act("set_field", email=str(change.email), field="city", value="Rome")

    w.use(Meanwhile(w, move_again, at=2, seconds=25))
    report = w.sync().syncs["newsletter"]
    w.use(w.transport)

    assert report.held_for == []
    assert {w.crm_shows(email(n))["fields"]["city"] for n in range(1, count + 1)} == {"Oslo", "Rome"}


@pytest.mark.parametrize("is_there", [True, False])
def test_a_field_does_not_go_on_waiting_for_who_is_out_beside_a_reason(
    world: Make, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    """The reason of an out at another address and an edit are one change."""
    monkeypatch.setattr("optsync.sync.decide.BATCH", 1)
    w = world(
        *[person(n) for n in range(1, 31)],
        person(40, addresses=("z.forty@example.com", "z.other@example.com")),
        person(41, addresses=("z.other@example.com",), in_crm=False),
        portal={"write_cost": 60.0, "longest_request": 3600},
    )
    w.settle()
    for number in range(1, 31):
        w.esp.act("set_field", email=email(number), field="city", value="Oslo")
    w.esp.act("set_field", email="z.forty@example.com", field="city", value="Oslo")
    if is_there:
        w.esp.act("unsubscribe", email="z.other@example.com")
    w.sync()
    shown = w.crm_shows("z.forty@example.com")
    assert (shown["opt_out"], shown["fields"]["city"]) == (is_there, "Riga")
    w.esp.act("unsubscribe", email="z.forty@example.com")
    for _ in range(12):
        w.sync()

    assert w.crm_shows("z.forty@example.com")["fields"]["city"] == "Riga"


@pytest.mark.rule("fields merge three ways")
@pytest.mark.parametrize("is_told", [True, False])
def test_values_of_a_create_that_certainly_failed_are_agreed_on_with_nobody(
    world: Make, monkeypatch: pytest.MonkeyPatch, is_told: bool
) -> None:
    """Nothing was sent, or an outcome says so; minutes later the person signs up and types another city: the CRM's
    counts."""
    w = world(person(1, in_esp=False, opt_in=True, consent_at=START - timedelta(days=50)))
    connector = w.engine.connectors["esp"]

    def fail(writes: Any, _: Any) -> Any:
        return [Outcome(key=each.key, result=Result.FAILED, message="locked") for each in writes]

    w.wait(minutes=10)
    if is_told:
        monkeypatch.setattr(connector, "write", fail)
        run_cycle(w.engine)
        monkeypatch.undo()
    else:
        run_cycle(w.engine, progress=Between(lambda: w.esp.act("account", state="UserDisabled")))
        w.esp.act("account", state="")
    w.wait(minutes=2)
    w.use(w.transport)
    w.esp.act("resubscribe", email="ann1@example.com")
    w.esp.act("set_field", email="ann1@example.com", field="city", value="Graz")
    w.settle()

    shown = (w.crm_shows("ann1@example.com"), w.esp_shows("ann1@example.com"))
    assert [side["fields"]["city"] for side in shown] == ["Riga", "Riga"]


@pytest.mark.rule("restrictions follow the person")
@pytest.mark.parametrize("batch", [1, 500])
def test_a_member_is_not_renamed_by_an_earlier_batch_once_somebody_said_no_at_its_address(
    world: Make, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    w = world(person(1), policy={"existing": "legacy_grant"})
    w.settle()
    w.crm.act("change_address", email="ann1@example.com", to="new@example.com")
    w.crm.act("opt_in", email="new@example.com", at=w.clock.now().isoformat())
    monkeypatch.setattr("optsync.sync.decide.BATCH", batch)
    w.wait(minutes=10)

    def say_no() -> None:
        opt_out(w.engine, "ann1@example.com", scope="acme/marketing", actor="Eve")

    run_cycle(w.engine, progress=Between(say_no))
    w.settle()
    w.settle()
    assert w.esp.act("view", email="new@example.com") is None or w.esp_shows("new@example.com")["status"] == Status.OUT


@pytest.mark.parametrize("batch", [1, 500])
def test_a_flag_is_not_lifted_once_a_further_address_said_no(
    world: Make, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    early, late = "a.first@example.com", "m.second@example.com"
    w = world(person(1, addresses=(early, late)), person(2, addresses=(late,), in_crm=False))
    w.settle()
    w.esp.act("admin_unsubscribe", email=early)
    w.settle()
    assert w.crm_shows(early)["opt_out"] is True
    w.wait(hours=1)
    opt_in(w.engine, early, scope="acme/marketing", actor="Olga", evidence="a letter")
    w.wait(minutes=20)
    monkeypatch.setattr("optsync.sync.decide.BATCH", batch)
    run_cycle(w.engine, progress=Between(lambda: opt_out(w.engine, late, scope="acme/marketing", actor="Eve")))
    assert w.crm_shows(early)["opt_out"] is True
    w.sync()


def _held(world: Make) -> tuple[World, str]:
    """The plan that holds the opt-outs of five people who have two addresses each."""
    people = [person(n, addresses=(f"m{n}@example.com", f"a{n}@example.com")) for n in range(1, 6)]
    w = world(*people, guard={"opt_outs": {"max": 2, "percent": 1, "cap": 1000}})
    w.settle()
    for n in range(1, 6):
        w.crm.act("opt_out", email=f"m{n}@example.com")
    report = w.sync().syncs["newsletter"]
    assert report.plan
    return w, report.plan


@pytest.mark.rule("suspicious volume stops")
@pytest.mark.parametrize("batch", [1, 500])
def test_two_addresses_of_one_contact_in_a_held_plan_are_approved_once(
    world: Make, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr("optsync.sync.decide.BATCH", batch)
    w, plan = _held(world)
    w.sync()
    w.wait(minutes=10)
    approve(w.engine, plan, actor="Olga")
    with w.store.reading() as unit:
        made = [c for run in unit.runs.list(limit=100) for c in unit.changes.of_run(run.uid) if c.kind == "opt_out"]
        assert sorted(str(c.email) for c in made if c.state == "applied") == [f"m{n}@example.com" for n in range(1, 6)]
        assert not unit.plans.held("newsletter")
    assert all(w.esp_shows(f"m{n}@example.com")["status"] == Status.OUT for n in range(1, 6))


@pytest.mark.rule("retraction spares the person")
@pytest.mark.parametrize("batch", [1, 500])
def test_a_rejected_plan_puts_back_everybody_once(world: Make, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr("optsync.sync.decide.BATCH", batch)
    w, plan = _held(world)
    w.wait(minutes=10)
    reject(w.engine, plan, actor="Olga")
    w.settle()
    assert all(w.esp_shows(f"m{n}@example.com")["status"] == Status.IN for n in range(1, 6))
    assert not any(w.crm_shows(f"m{n}@example.com")["opt_out"] for n in range(1, 6))


@pytest.mark.rule("fields merge three ways")
@pytest.mark.parametrize("is_unheard", [True, False])
def test_a_text_that_a_member_made_unheard_has_no_room_for_is_not_cut_in_the_crm(world: Make, is_unheard: bool) -> None:
    long = "Llanfair" * 40
    w = world(person(1, in_esp=False, opt_in=True, consent_at=START - timedelta(days=50), city=long))
    if is_unheard:
        w.use(
            Deaf(
                w, lambda: None, sign='"update_existing":false', error=requests.ConnectionError, lasts=True, system=ESP
            )
        )
    w.sync()
    w.use(w.transport)
    w.wait(hours=1)
    w.settle()

    assert long.startswith(w.esp_shows("ann1@example.com")["fields"]["city"])
    assert w.crm_shows("ann1@example.com")["fields"]["city"] == long


@pytest.mark.rule("suspicious volume stops")
def test_an_opt_out_that_a_system_takes_only_in_the_next_turn_is_not_held_for_having_been_tried_before(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 200
    w = world(*[person(n) for n in range(1, count + 1)], guard={"opt_outs": {"max": 3, "percent": 0, "cap": 1000}})
    w.sync()
    for number in range(3, count + 1):
        w.esp.act("set_field", email=email(number), field="city", value="Oslo")
    for number in (1, 2):
        w.esp.act("unsubscribe", email=email(number))
    w.use(Meanwhile(w, lambda: None, seconds=25))
    connector = w.engine.connectors["crm"]
    real, tries = connector.write, list[Any]()

    def write(writes: Any, spec: Any) -> Any:
        if writes[0].restrictive and not tries:
            tries.append(writes)
            return [Outcome(key=each.key, result=Result.FAILED, message="locked") for each in writes]
        return real(writes, spec)

    monkeypatch.setattr(connector, "write", write)
    report = w.sync().syncs["newsletter"]
    w.use(w.transport)

    assert report.held_for == []
    assert all(w.crm_shows(email(n))["opt_out"] for n in (1, 2))
