"""The clock of our own machine is set back: a no that is said afterwards comes after the yes before it all the same."""

import random
from collections.abc import Callable
from datetime import timedelta

import pytest

from optsync.model.record import Status
from optsync.sync.administer import opt_in, opt_out
from optsync.sync.compose import compose
from optsync.sync.forget import forget
from optsync.sync.permission import permissions
from optsync.sync.plans import approve
from optsync.sync.status import status
from tests.scenarios.world import Skewed, World, person

Make = Callable[..., World]
ANN, SCOPE = "ann1@example.com", "acme/marketing"


def _on_a_clock_of_its_own(w: World) -> Skewed:
    host = Skewed(w.clock, 0)
    w.store._clock = host
    w.engine = compose(w.config, clock=host, rng=random.Random(3), transport=w.transport, store=w.store)
    return host


def _opted_in_before_the_clock_was_set_back(world: Make, *, hours: int) -> World:
    w = world(person(1), person(2))
    host = _on_a_clock_of_its_own(w)
    w.sync()
    opt_in(w.engine, ANN, scope=SCOPE, actor="Eve", evidence="a signed form")
    w.sync()
    host.ahead = timedelta(hours=-hours)
    w.wait(minutes=10)
    return w


@pytest.mark.rule("no opt-out is lost")
@pytest.mark.parametrize("hours", [1, 24])
@pytest.mark.parametrize("where", ["crm", "esp", "command"])
def test_an_opt_out_after_our_clock_was_set_back_counts_after_the_consent_before(
    world: Make, hours: int, where: str
) -> None:
    w = _opted_in_before_the_clock_was_set_back(world, hours=hours)
    if where == "crm":
        w.crm.act("opt_out", email=ANN)
    elif where == "esp":
        w.esp.act("unsubscribe", email=ANN)
    else:
        opt_out(w.engine, ANN, scope=SCOPE, actor="Eve")
    w.sync()
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.esp_shows(ANN)["status"] == Status.OUT


@pytest.mark.rule("no opt-out is lost")
def test_who_is_forgotten_after_our_clock_was_set_back_is_out(world: Make) -> None:
    w = _opted_in_before_the_clock_was_set_back(world, hours=24)
    forget(w.engine, ANN, actor="Eve")

    with w.store.reading() as unit:
        now = w.engine.clock.now()
        verdict = permissions(w.engine).verdicts(unit, [ANN], SCOPE, now=now)[ANN]
    with w.store.reading() as unit:
        proof = unit.ledger.verify((b"a secret of the tests",))
    assert not verdict.permission.may_send
    assert proof.findings == []
    w.sync()
    assert w.esp_shows(ANN)["status"] == Status.OUT


@pytest.mark.rule("no opt-out is lost")
def test_a_full_compare_is_due_although_the_last_one_was_noted_by_a_clock_that_was_far_ahead(world: Make) -> None:
    w = world(person(1), person(2))
    host = _on_a_clock_of_its_own(w)
    host.ahead = timedelta(days=400)
    w.sync()
    host.ahead = timedelta(0)
    w.sync()

    with w.store.reading() as unit:
        assert all(source.full_at and source.full_at <= host.now() for source in unit.sources.all())


@pytest.mark.rule("absence is no wish")
def test_a_deletion_is_believed_although_it_was_first_noticed_by_a_clock_that_was_far_ahead(world: Make) -> None:
    w = world(person(1), person(2), person(3))
    host = _on_a_clock_of_its_own(w)
    w.sync()
    gone = w.crm_id(ANN)
    w.crm.act("delete", email=ANN)
    host.ahead = timedelta(days=400)
    w.sync(full=True)
    host.ahead = timedelta(0)
    for _ in range(2):
        w.wait(hours=2)
        w.sync(full=True)

    with w.store.reading() as unit:
        (contacts,) = (source.id for source in unit.sources.all() if source.system == "crm")
        assert unit.records.by_rid(contacts, [gone])[gone].is_gone


@pytest.mark.rule("suspicious volume stops")
def test_no_opt_out_is_under_way_for_less_than_no_time_after_our_clock_was_set_back(world: Make) -> None:
    few = {"max": 1, "percent": 5, "cap": 100}
    w = world(*(person(n, opt_in=True) for n in (1, 2, 3)), guard={"opt_outs": few})
    host = _on_a_clock_of_its_own(w)
    w.sync()
    for number in (1, 2):
        w.crm.act("opt_out", email=f"ann{number}@example.com")
    uid = w.sync().syncs["newsletter"].plan
    assert uid is not None
    host.ahead = timedelta(hours=-24)
    assert status(w.engine)["syncs"]["newsletter"]["oldest_unpropagated_s"] == 0
    approve(w.engine, uid, actor="Eve")
    w.settle()
