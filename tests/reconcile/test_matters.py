"""When the matter of an issue is over: the cases that no imitated vendor shows."""

from datetime import timedelta

import pytest

from optsync.reconcile.matters import QUIET, Facts, Matter, why_over
from optsync.reconcile.policy import CustomHandling
from optsync.reconcile.view import Neighbourhood
from tests.reconcile.places import NOW, policy

EMPTY = Neighbourhood(now=NOW, points={}, crm=(), esp=(), links={})


def matter(kind: str, **details: object) -> Matter:
    defaults: dict[str, object] = {
        "system": "mc",
        "field": None,
        "point": None,
        "values": {},
        "opened_at": NOW - timedelta(days=1),
        "last_at": NOW - timedelta(days=1),
    }
    return Matter(kind=kind, **{**defaults, **details})  # type: ignore[arg-type]


def facts(**details: object) -> Facts:
    return Facts(**{"around": EMPTY, "policy": policy(), "names_record": False, **details})  # type: ignore[arg-type]


def test_a_kind_that_nobody_can_look_at_again_waits_for_a_person() -> None:
    assert why_over(matter("plan_held"), facts()) is None


def test_an_unknown_clock_is_over_when_it_is_known() -> None:
    assert why_over(matter("clock_skew"), facts(is_clock_known=False)) is None
    assert why_over(matter("clock_skew"), facts()) == "the system's clock is known"


@pytest.mark.parametrize(("until", "is_over"), [(-1, True), (0, True), (1, False)])
def test_what_was_put_off_is_over_when_its_time_has_come(until: int, is_over: bool) -> None:
    values = {"until": (NOW + timedelta(minutes=until)).isoformat()}
    assert (why_over(matter("put_off", values=values), facts()) is not None) is is_over


def test_a_row_is_gone_only_when_the_whole_read_that_missed_it_began_after_it_was_last_met() -> None:
    quarantined = matter("quarantined_record", last_at=NOW)
    assert why_over(quarantined, facts()) is None
    assert why_over(quarantined, facts(full_read_since=NOW - timedelta(minutes=1))) is None
    assert why_over(quarantined, facts(full_read_since=NOW)) is None
    assert why_over(quarantined, facts(full_read_since=NOW + timedelta(minutes=1))) is not None


def test_a_fight_of_a_whole_system_ends_with_the_quiet_alone() -> None:
    assert why_over(matter("fighting_writer", last_at=NOW - QUIET + timedelta(minutes=1)), facts()) is None
    assert why_over(matter("fighting_writer", last_at=NOW - QUIET), facts()) is not None


@pytest.mark.parametrize(
    "kind", ["contradictory_flags", "unknown_status", "future_evidence", "refused", "refused_opt_in"]
)
def test_what_one_record_showed_is_over_with_the_record(kind: str) -> None:
    assert why_over(matter(kind), facts(names_record=True)) == "the record is gone"


@pytest.mark.parametrize(
    ("values", "awaited", "why"),
    [
        ({"handler": "tell"}, {"tell"}, None),
        ({"handler": "tell"}, {"other"}, "nobody waits for the handler any more"),
        ({"handler": "tell", "given_up": True}, set(), None),
        ({"handler": "gone", "given_up": True}, set(), "the handler is not configured any more"),
    ],
)
def test_a_failed_handler_stands_while_somebody_waits_for_it(
    values: dict[str, object], awaited: set[str], why: str | None
) -> None:
    telling = policy(handling=CustomHandling(handlers={"tell": frozenset()}))
    asked = facts(policy=telling, handlers_awaited=frozenset(awaited))
    assert why_over(matter("handler_failed", values=values), asked) == why
