"""An approval is good for what was approved then and follows still, until that has arrived, and for nothing else."""

from collections.abc import Iterable
from typing import Any

import pytest

from optsync.model.record import Status
from optsync.sync import plans
from tests.scenarios.plans import MANY, Make, crowd, part, plan
from tests.scenarios.test_crashes import Killed, KillingStore
from tests.scenarios.world import World

pytestmark = pytest.mark.rule("suspicious volume stops")
ANN, BEA, CLEO, DORA, EVE, FAY = MANY


def _approve(w: World, uid: str) -> Any:
    w.wait(minutes=10)
    return plans.approve(w.engine, uid, actor="boss")


def _move(w: World, people: Iterable[str], *, to: str) -> None:
    """Somebody takes them off the list scope, or puts them on it."""
    for email in people:
        w.crm.act("edit", id=w.crm_id(email), fields={"TYPE_ID": to})


def _hold_archives(world: Make, **options: Any) -> tuple[World, str]:
    """Four people left the list; the plan that takes them off it."""
    w = crowd(world, policy={"leave": "archive"}, **options)
    _move(w, MANY[:4], to="SUPPLIER")
    uid = part(w.sync()).plan
    assert uid is not None
    return w, uid


def test_what_did_not_apply_any_more_is_not_approved_because_an_approval_was_killed_before(world: Make) -> None:
    for at in range(2, 40):
        w, uid = _hold_archives(world, store=KillingStore)
        assert isinstance(w.store, KillingStore)
        w.store.arm(at, is_after=True)
        with pytest.raises(Killed):
            _approve(w, uid)
        w.store.disarm()
        w.engine = w.compose()
        if plan(w, uid).state != "held":
            assert at > 5
            w.settle()
            return
        _move(w, [ANN], to="CLIENT")
        _approve(w, uid)
        assert w.esp_shows(BEA)["status"] == Status.ARCHIVED
        _move(w, [ANN, EVE, FAY], to="SUPPLIER")
        assert w.sync().exit_code == 4, f"killed after commit {at}"
        assert w.esp_shows(ANN)["status"] == Status.IN
    pytest.fail("the approval had no end")
