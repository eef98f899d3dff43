"""Who is chosen to change something, and what is looked for afterwards."""

import random
from functools import partial

from benchmarks.clock import START
from benchmarks.deeds import Deeds, plain_people

from optsync.clock import ManualClock
from optsync.connect.mock import VendorMock
from optsync.connect.registry import mocks
from optsync.model.record import Side
from optsync_mock.population import people


def _mocks(count: int, make: object = people) -> tuple[dict[Side, VendorMock], Deeds]:
    clock, found = ManualClock(START), mocks()
    both: dict[Side, VendorMock] = {
        Side.CRM: found["bitrix24"](clock=clock, rng=random.Random(1)),
        Side.ESP: found["mailchimp"](clock=clock, rng=random.Random(2)),
    }
    crowd = partial(plain_people if make is plain_people else people, 1, count, START)
    for mock in both.values():
        mock.populate(crowd())
    return both, Deeds(both, crowd)


def test_a_deed_is_missing_until_the_other_side_shows_it() -> None:
    both, deeds = _mocks(300)
    assert deeds.do(10, ["out"], ["esp"], seed=1) == 10
    assert len(deeds.missing()) == 10
    for deed in deeds.done:
        assert both[Side.ESP].act("view", email=deed.email)["status"] == "out"
        both[Side.CRM].act("opt_out", email=deed.email)
    assert deeds.missing() == []


def test_nobody_does_two_deeds_and_the_same_seed_chooses_the_same_people() -> None:
    _, deeds = _mocks(300)
    deeds.do(40, ["field"], ["crm", "esp"], seed=5)
    chosen = [deed.email for deed in deeds.done]
    assert len(set(chosen)) == 40
    _, others = _mocks(300)
    others.do(40, ["field"], ["crm", "esp"], seed=5)
    assert [deed.email for deed in others.done] == chosen


def test_there_are_no_more_deeds_than_people_who_are_in_on_both_sides() -> None:
    _, deeds = _mocks(50, plain_people)
    assert deeds.do(80, ["field", "topic"], ["crm"], seed=1) == 50
