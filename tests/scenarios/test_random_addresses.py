"""Long random runs in which addresses are changed, swapped, added and merged on both sides, every request inspected."""

import random
from pathlib import Path
from typing import Any

import pytest

from optsync.model.record import Status
from tests.scenarios.test_random_runs import Humans, Inspector, _is_out, _people
from tests.scenarios.world import World

pytestmark = pytest.mark.rule("restrictions follow the person")

_SPARE = 6


class Movers(Humans):
    """People who also change addresses; whoever moves keeps what they said."""

    def act(self) -> None:
        if self.rng.random() < 0.6:
            super().act()
            return
        old, new = self._address(), self._address()
        at_esp = self.rng.random() < 0.4
        if old == new or (self.w.esp if at_esp else self.w.crm).act("view", email=old) is None:
            return
        if at_esp:
            self.w.esp.act("change_address", email=old, to=new)
        else:
            self._in_crm(old, new)

    def _at_crm(self, email: str) -> None:
        said = len(self.ins.get(email, ()))
        super()._at_crm(email)
        primary = self.w.crm.act("view", email=email)["address"].casefold()
        if len(self.ins.get(email, ())) > said and primary != email:
            self.ins.setdefault(primary, []).append(self.w.clock.now())  # a consent counts for the first address

    def _in_crm(self, old: str, new: str) -> None:
        is_held = self.w.crm.act("view", email=new) is not None
        choice = self.rng.choice(["change", "change", "add", "swap", "merge"])
        if choice == "add":
            self.w.crm.act("add_address", email=old, address=new)
        elif choice == "swap" and is_held:
            self.w.crm.act("change_address", email=old, to="between@example.com")
            self.w.crm.act("change_address", email=new, to=old)
            self.w.crm.act("change_address", email="between@example.com", to=new)
        elif choice == "merge" and is_held:
            try:
                self.w.crm.act("merge", keep=old, lose=new)
            except KeyError:
                return  # one record holds both
        else:
            self.w.crm.act("change_address", email=old, to=new)

    def _address(self) -> str:
        return f"ann{self.rng.randrange(12 + _SPARE)}@example.com"


@pytest.mark.parametrize("seed", [1, 5])
def test_whoever_moves_no_opt_out_is_lost_and_nobody_is_subscribed_without_a_grant(tmp_path: Path, seed: int) -> None:
    run(tmp_path, seed)


def run(folder: Path, seed: int) -> None:
    rng = random.Random(seed)
    w = World(folder, _people(rng), policy={"existing": rng.choice(["unknown", "legacy_grant"])})
    inspector = Inspector(w)
    w._transport = inspector
    w.engine = w.compose()
    w.transport.requests = inspector.requests
    humans = Movers(w, rng)
    w.sync()
    for _ in range(20):
        for _ in range(rng.randrange(5)):
            w.wait(seconds=rng.randrange(1, 400))
            humans.act()
        humans.before_sync()
        humans.after_sync(w.sync(full=rng.random() < 0.2))
    w.sync(full=True)
    w.sync()

    assert inspector.wrong == []
    w.rest()
    for email in humans.must_be_out():
        _assert_out(w, email)
    with w.store.reading() as unit:
        assert unit.changes.open_of("newsletter") == []


def _assert_out(w: World, email: str) -> None:
    with w.store.reading() as unit:
        refused = {issue.email for issue in unit.issues.list() if issue.kind == "refused"}
    member: Any = w.esp.act("view", email=email)
    assert member is None or member["status"] != Status.IN, email
    if email in refused:
        return
    for view in w.crm.act("view", email=email, all=True):
        if view["address"].casefold() == email:
            assert _is_out(view), f"{email}: {view}"
