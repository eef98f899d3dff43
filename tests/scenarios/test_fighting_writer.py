"""A robot or a colleague keeps writing "in" over an opt-out: it is put back each time, under one issue."""

from collections.abc import Callable

import pytest

from optsync.model.record import Status
from optsync.state.issues import Issue
from optsync.sync.issues import dismiss
from tests.scenarios.world import World, person

pytestmark = pytest.mark.rule("restrictive wins")

Make = Callable[..., World]
ANN = "ann1@example.com"


def issues(w: World, *, state: str | None = "open") -> list[Issue]:
    with w.store.reading() as unit:
        return unit.issues.list(state=state)


def flip(w: World, *numbers: int) -> None:
    """Somebody else's API call subscribes these people, an hour later; the next cycle sees it."""
    w.wait(hours=1)
    for number in numbers:
        assert w.esp.act("flip_in", email=f"ann{number}@example.com") is True
    w.sync()
    for number in numbers:
        assert w.esp_shows(f"ann{number}@example.com")["status"] == Status.OUT
        assert w.crm_shows(f"ann{number}@example.com")["opt_out"] is True


def opted_out(world: Make, *numbers: int) -> World:
    w = world(*(person(number) for number in numbers))
    w.sync()
    for number in numbers:
        w.crm.act("opt_out", email=f"ann{number}@example.com")
    w.sync()
    return w


def test_the_third_flip_within_a_week_becomes_one_issue_that_names_the_system(world: Make) -> None:
    w = opted_out(world, 1)
    flip(w, 1)
    flip(w, 1)
    assert [i.kind for i in issues(w)] == ["refused_opt_in"]
    flip(w, 1)

    (fight,) = issues(w)
    assert (fight.kind, fight.system, fight.email, fight.field) == ("fighting_writer", "esp", ANN, "acme/marketing")
    assert (fight.values["flips"], len(fight.values["times"]), fight.values["records"]) == (3, 3, 1)
    assert "esp" in fight.message
    (grown_from,) = issues(w, state="resolved")
    assert (grown_from.kind, grown_from.reason) == ("refused_opt_in", f"part of issue {fight.id} (fighting_writer)")


def test_every_further_flip_is_put_back_and_counted_by_the_same_issue(world: Make) -> None:
    w = opted_out(world, 1)
    for _ in range(6):
        flip(w, 1)

    (fight,) = issues(w)
    assert (fight.count, fight.values["flips"], len(fight.values["times"])) == (4, 6, 6)
    assert len(issues(w, state=None)) == 2


def test_flips_that_lie_weeks_apart_are_no_fight(world: Make) -> None:
    w = opted_out(world, 1)
    for _ in range(4):
        flip(w, 1)
        w.wait(hours=4 * 24)
        w.sync()

    assert [i.kind for i in issues(w)] == ["refused_opt_in"]


def test_a_nightly_import_that_subscribes_many_is_one_issue_with_examples(world: Make) -> None:
    many = range(1, 41)
    w = opted_out(world, *many)
    flip(w, *many)
    (fight,) = issues(w)
    assert (fight.kind, fight.system, fight.record) == ("fighting_writer", "esp", None)
    assert (fight.values["records"], fight.values["flips"]) == (40, 40)
    assert len(fight.values["examples"]) == 20
    w.wait(hours=23)
    flip(w, *many)

    (fight,) = issues(w)
    assert (fight.values["records"], fight.values["flips"], fight.count) == (40, 80, 2)


def test_a_trickle_of_single_flips_of_one_system_ends_in_one_issue_too(world: Make) -> None:
    w = opted_out(world, *range(1, 13))
    for number in range(1, 10):
        flip(w, number)
    assert [i.kind for i in issues(w)] == ["refused_opt_in"] * 9
    flip(w, 10)

    (fight,) = issues(w)
    assert (fight.kind, fight.values["records"]) == ("fighting_writer", 10)
    flip(w, 11)
    assert [i.id for i in issues(w)] == [fight.id]
    assert {i.reason for i in issues(w, state="resolved")} == {f"part of issue {fight.id} (fighting_writer)"}


def test_a_fight_is_over_after_seven_days_without_a_flip(world: Make) -> None:
    w = opted_out(world, 1)
    for _ in range(3):
        flip(w, 1)
    w.wait(hours=6 * 24)
    w.sync()
    assert [i.kind for i in issues(w)] == ["fighting_writer"]
    w.wait(hours=24)
    w.sync()

    assert issues(w) == []
    reasons = [i.reason for i in issues(w, state="resolved") if i.kind == "fighting_writer"]
    assert reasons == ["nothing was written back for 7 days"]


def test_a_dismissed_fight_stays_quiet_while_everything_is_still_put_back(world: Make) -> None:
    w = opted_out(world, 1)
    for _ in range(3):
        flip(w, 1)
    (fight,) = issues(w)
    dismiss(w.engine, [fight.id], actor="Eve")
    flip(w, 1)

    assert issues(w) == []
    (known,) = issues(w, state="dismissed")
    assert (known.values["flips"], known.values["dismissed_by"]) == (4, "Eve")


def test_a_colleague_in_the_crm_who_clears_the_flag_again_and_again_is_named_as_well(world: Make) -> None:
    w = opted_out(world, 1)
    for _ in range(3):
        w.wait(hours=1)
        w.crm.act("opt_in", email=ANN)
        w.sync()
        assert w.crm_shows(ANN)["opt_out"] is True
        assert w.esp_shows(ANN)["status"] == Status.OUT

    (fight,) = issues(w)
    assert (fight.kind, fight.system) == ("fighting_writer", "crm")
