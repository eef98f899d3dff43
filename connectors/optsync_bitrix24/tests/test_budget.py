"""What the portal's answers tell of its run time, and how long it will take."""

from datetime import UTC, datetime

import pytest

from optsync.clock import ManualClock
from optsync_bitrix24.budget import OperatingBudget, seconds

METHOD = "crm.contact.update"
START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def told(budget: OperatingBudget, clock: ManualClock, *sums: float, ahead: float = 600) -> None:
    now = clock.now().timestamp()
    for used in sums:
        budget.note(METHOD, {"operating": used, "operating_reset_at": int(now + ahead)}, now)


def test_what_many_calls_take_follows_from_what_is_free_and_what_the_portal_grants() -> None:
    clock = ManualClock(START)
    budget = OperatingBudget(clock, limit=480)
    assert (budget.free(METHOD), budget.seconds_for(METHOD, 10)) == (384, None)
    told(budget, clock, 100.0)
    assert budget.seconds_for(METHOD, 10) is None, "others may have used that"
    told(budget, clock, 100.4, 100.8)

    assert budget.free(METHOD) == pytest.approx(283.2)
    assert budget.seconds_for(METHOD, 100) == pytest.approx(40)
    assert budget.seconds_for(METHOD, 50_000) == pytest.approx((20_000 - 283.2) / 0.64)
    clock.advance(601)
    assert budget.free(METHOD) == 384


def test_a_sum_from_which_a_minute_dropped_out_tells_no_cost() -> None:
    clock = ManualClock(START)
    budget = OperatingBudget(clock, limit=480)
    told(budget, clock, 100.0, 100.4, ahead=540)
    told(budget, clock, 130.0, ahead=600)

    assert budget.seconds_for(METHOD, 1000) == pytest.approx(400)


@pytest.mark.parametrize("shown", [None, "7", [7], float("nan"), float("inf"), -(10.0**13), 10**400])
def test_what_is_no_time_is_not_taken_for_one(shown: object) -> None:
    clock = ManualClock(START)
    budget = OperatingBudget(clock, limit=480)
    budget.note(METHOD, {"operating": shown, "operating_reset_at": 7}, 0.0)
    budget.note(METHOD, {"operating": 7, "operating_reset_at": shown}, 0.0)

    assert (seconds(shown), seconds(7)) == (None, 7.0)
    assert budget.free(METHOD) == 384
