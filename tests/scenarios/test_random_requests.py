"""Random runs of lists that ask first: whatever people do and the weather loses, nobody gets a mail too many."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from optsync.connect.mock import MockTransport
from optsync.model.record import Status
from optsync.model.statement import Statement, StatementKind
from optsync_mock.faults import FaultInjector, FaultyMock, weather
from tests.scenarios.test_random_runs import Humans, Inspector, _assert_agreement, _people
from tests.scenarios.world import CRM, ESP, World

pytestmark = pytest.mark.rule("asked once")

SCOPE = "acme/marketing"


class Askable(Humans):
    """People who now and then answer a confirmation mail, or let it lapse."""

    def act(self) -> None:
        email = f"ann{self.rng.randrange(12)}@example.com"
        view = self.w.esp.act("view", email=email)
        if view is None or view["status"] != Status.PENDING or self.rng.random() < 0.4:
            super().act()
        elif self.rng.random() < 0.5:
            self.w.esp.act("confirm", email=email)
            self.ins.setdefault(email, []).append(self.w.clock.now())
        elif self.rng.random() < 0.5:
            self.w.esp.act("let_lapse", email=email)
        elif self.w.crm.act("view", email=email) is not None:
            self.w.crm.act("opt_out", email=email)


class Guarded(Inspector):
    """Every request inspected, through the weather of both systems."""

    def __init__(self, world: World, rng: random.Random, share: float) -> None:
        super().__init__(world)
        self.injectors = [FaultInjector(random.Random(rng.random()), weather(share)) for _ in range(2)]
        crm, esp = (FaultyMock(m, i) for m, i in zip((world.crm, world.esp), self.injectors, strict=True))
        self._mocks = {CRM: crm, ESP: esp}

    def clear_up(self) -> None:
        for injector in self.injectors:
            injector.replace([])


def _run(folder: Path, seed: int) -> World:
    rng = random.Random(seed)
    people = [replace(each, in_esp=rng.random() < 0.5) for each in _people(rng)]
    w = World(folder, people, policy={"enter": "request"})
    line = Guarded(w, rng, 0.25)
    w.use(line)
    humans = Askable(w, rng)
    for _ in range(15):
        for _ in range(rng.randrange(5)):
            w.wait(seconds=rng.randrange(1, 4000))
            humans.act()
        if rng.random() < 0.2:
            w.engine = w.compose()
        humans.before_sync()
        humans.after_sync(w.sync(full=rng.random() < 0.2))
    line.clear_up()
    humans.before_sync()
    humans.after_sync(w.sync())
    w.sync(full=True)
    w.transport = MockTransport({CRM: w.crm, ESP: w.esp})
    w._transport = None
    w.engine = w.compose()
    w.wait(hours=1)
    w.settle()
    assert line.wrong == []
    _assert_agreement(w, humans)
    return w


def _said(w: World, email: str) -> tuple[Statement, ...]:
    with w.store.reading() as unit:
        key = unit.points.find([email]).get(email)
        return unit.ledger.about([key])[key] if key is not None else ()


def _sent(said: tuple[Statement, ...]) -> Iterator[Statement]:
    kept_back = {s.target for s in said if s.kind is StatementKind.REQUEST_EXPIRED and "not_sent" in s.evidence}
    return (s for s in said if s.kind is StatementKind.REQUEST and s.uid not in kept_back)


def _assert_asked_once(w: World) -> int:
    """At most one request without a grant, and one for each grant; never more mails than requests."""
    total = 0
    for number in range(12):
        email = f"ann{number}@example.com"
        said = _said(w, email)
        requests = list(_sent(said))
        by_reason = Counter(r.target for r in requests)
        assert all(count == 1 for count in by_reason.values()), f"{email}: {by_reason}"
        assert {r.target for r in requests} - {None} <= {s.uid for s in said if s.kind is StatementKind.GRANT}
        assert {r.scope for r in requests} <= {SCOPE}
        mails = int(w.esp.act("asked", email=email))
        assert mails <= len(requests), f"{email}: {mails} mails for {len(requests)} requests"
        total += mails
    return total


@pytest.mark.parametrize("seeds", [range(2), range(2, 4)], ids=str)
def test_whatever_happens_there_is_one_mail_for_each_address_and_each_grant(tmp_path: Path, seeds: Any) -> None:
    assert sum(_assert_asked_once(_run(tmp_path, seed)) for seed in seeds), "the runs never came to ask anybody"
