"""Mailing lists, where nobody has a row who is not a member: leaving is seen by somebody's not being there."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from optsync.model.change import Outcome, Result, Write
from optsync.model.page import RowFault
from optsync.model.record import Origin, Record, Status
from optsync.sync import plans
from optsync.sync.explain import explain
from optsync.sync.forget import forget
from tests.scenarios.roster import ANN, ListWorld
from tests.scenarios.test_crashes import Killed
from tests.scenarios.test_import import imported
from tests.scenarios.test_retraction import retract, wrong

pytestmark = pytest.mark.rule("no opt-out is lost")
Make = Callable[..., ListWorld]


@pytest.fixture
def lists(tmp_path: Path) -> Iterator[Make]:
    made: list[ListWorld] = []

    def make(**options: Any) -> ListWorld:
        made.append(ListWorld(tmp_path, **options))
        made[-1].sync()
        return made[-1]

    yield make
    for each in made:
        each.rest()


def lost(w: ListWorld) -> Callable[[Write], Outcome]:
    """The list carries out one write, and its answer does not arrive."""

    def carry_out(write: Write) -> Outcome:
        w.roster.then = lambda _: None
        w.roster.carry_out(write)
        return Outcome(key=write.key, result=Result.UNKNOWN, record_id=write.record)

    return carry_out


def killed(w: ListWorld) -> Callable[[Write], Outcome]:
    """The list carries out one write, and the process dies before it knows."""

    def carry_out(write: Write) -> Outcome:
        w.roster.then = lambda _: None
        w.roster.carry_out(write)
        raise Killed

    return carry_out


def left_already(w: ListWorld, write: Write) -> Outcome:
    """Somebody leaves right before we would remove them."""
    w.roster.then = lambda _: None
    w.roster.leave(ANN)
    gone = Record(id=ANN, addresses=(ANN,), status=Status.ABSENT)
    return Outcome(key=write.key, result=Result.SAME, record_id=ANN, record=gone)


def opt_in(w: ListWorld, email: str = ANN) -> None:
    """With the date of an hour later than whatever was before."""
    w.wait(hours=1)
    w.crm.act("opt_in", email=email, at=w.clock.now().isoformat())


def standing(w: ListWorld, email: str = ANN) -> str:
    return str(explain(w.engine, email)["scopes"]["acme/marketing"]["standing"])


def test_who_leaves_the_list_is_out_in_the_crm(lists: Make) -> None:
    w = lists()
    w.roster.leave(ANN)
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.roster.status("ann2@example.com") is Status.IN


def test_who_leaves_after_a_pause_is_not_put_back_by_a_consent_of_in_between(lists: Make) -> None:
    w = lists()
    w.roster.pause(ANN)
    w.sync()
    signed = w.clock.now() + timedelta(hours=1)
    w.wait(hours=2)
    w.roster.leave(ANN)
    w.sync()
    w.crm.act("opt_in", email=ANN, at=signed.isoformat())
    w.sync()
    w.sync()

    assert standing(w) == "out"
    assert w.roster.status(ANN) is None
    assert w.crm_shows(ANN)["opt_out"] is True


def test_who_leaves_while_a_plan_that_would_take_them_back_is_held_is_not_taken_back(lists: Make) -> None:
    w = lists(count=6, guard={"opt_ins": {"max": 1, "percent": 1}})
    emails = [f"ann{number}@example.com" for number in range(1, 5)]
    for email in emails:
        w.roster.pause(email)
    w.sync()
    for email in emails:
        opt_in(w, email)
    (plan,) = (part.plan for part in w.sync().syncs.values())
    w.wait(hours=1)
    w.roster.leave(ANN)
    plans.approve(w.engine, str(plan), actor="boss")
    w.sync()

    assert [w.roster.status(email) for email in emails] == [None, Status.IN, Status.IN, Status.IN]
    assert standing(w) == "out"


def test_who_leaves_right_before_we_would_take_them_back_is_not_taken_back(lists: Make) -> None:
    w = lists()
    w.roster.pause(ANN)
    w.sync()
    opt_in(w)
    w.roster.meanwhile.append(lambda: w.roster.leave(ANN))
    w.sync()
    assert w.roster.status(ANN) is None
    w.sync()

    assert w.roster.status(ANN) is None
    assert standing(w) == "out"
    opt_in(w)
    w.sync()
    assert w.roster.status(ANN) is Status.IN


def test_who_leaves_after_an_opt_in_whose_answer_was_lost_is_not_taken_back(lists: Make) -> None:
    w = lists()
    w.roster.pause(ANN)
    w.sync()
    opt_in(w)
    w.roster.then = lost(w)
    w.sync()
    assert w.roster.status(ANN) is Status.IN
    w.roster.leave(ANN)
    w.sync()

    assert w.roster.status(ANN) is None
    assert standing(w) == "out"


@pytest.mark.parametrize(("before", "is_out"), [(Status.UNKNOWN, True), (Status.BOUNCED, False)])
def test_who_is_off_the_list_has_left_it_unless_the_list_removed_them_after_bounces(
    lists: Make, before: Status, *, is_out: bool
) -> None:
    w = lists()
    w.roster.has(ANN, before)
    w.sync()
    w.roster.leave(ANN)
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is is_out


def test_who_leaves_and_is_asked_for_again_by_anybody_is_not_put_back(lists: Make) -> None:
    """Anybody can send a sign-up form with somebody else's address."""
    w = lists()
    opt_in(w)
    w.sync()
    w.wait(hours=1)
    w.roster.leave(ANN)
    w.roster.has(ANN, Status.PENDING)
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.roster.status(ANN) is Status.PENDING
    w.wait(hours=72)
    w.roster.leave(ANN)
    w.sync()
    assert standing(w) == "out"
    assert w.roster.status(ANN) is None


def test_who_leaves_and_is_asked_for_again_right_before_we_would_write_is_out(lists: Make) -> None:
    w = lists()
    w.roster.pause(ANN)
    w.sync()
    opt_in(w)
    w.roster.meanwhile.append(lambda: w.roster.has(ANN, Status.PENDING, Origin.UNKNOWN))
    w.sync()
    w.sync()

    assert w.roster.status(ANN) is Status.PENDING
    assert standing(w) == "out"


@pytest.mark.rule("bounces are not wishes")
def test_who_asks_again_after_bounces_has_said_nothing(lists: Make) -> None:
    w = lists()
    w.roster.has(ANN, Status.BOUNCED)
    w.sync()
    w.roster.has(ANN, Status.PENDING)
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is False


@pytest.mark.rule("absence is no wish")
def test_a_request_that_was_left_over_is_no_sign_of_having_left(lists: Make) -> None:
    """A page that missed a member shows the request alone."""
    w = lists()
    w.roster.has(ANN, Status.PENDING)
    w.roster.meanwhile.append(lambda: w.roster.has(ANN))
    w.sync()

    assert w.crm_shows(ANN)["opt_out"] is False
    assert w.roster.status(ANN) is Status.IN


@pytest.mark.parametrize("grants", ["trusted", "evidence"])
def test_a_moderator_who_lets_nobody_go_lifts_no_opt_out(lists: Make, grants: str) -> None:
    """What a moderator does is no flag that the person flipped back."""
    w = lists(grants=grants)
    w.roster.has(ANN, Status.OUT, Origin.PERSON, is_asked=True)
    w.sync()
    w.wait(hours=1)
    w.roster.has(ANN, Status.IN, is_asked=False)
    w.sync()

    assert standing(w) == "out"
    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.roster.status(ANN) is None


@pytest.mark.rule("order does not matter")
def test_who_comes_back_to_a_trusted_list_after_asking_to_leave_it_is_in(lists: Make) -> None:
    w = lists(grants="trusted")
    w.roster.has(ANN, Status.OUT, Origin.PERSON, is_asked=True)
    w.sync()
    w.roster.leave(ANN)
    w.sync()
    w.wait(hours=1)
    w.roster.has(ANN)
    w.sync()

    assert w.roster.status(ANN) is Status.IN
    assert w.crm_shows(ANN)["opt_out"] is False


@pytest.mark.rule("forgotten stays out")
@pytest.mark.parametrize("name", ["{}", "{}/2", "7/{}"])
def test_the_unreadable_row_of_a_forgotten_person_is_not_told_by_the_address(lists: Make, name: str) -> None:
    w = lists()
    forget(w.engine, ANN, actor="the privacy officer")
    w.sync()
    w.roster.leave(ANN)
    w.roster.faults = (RowFault(record=name.format(ANN), field=None, message="2 cells and 6 columns"),)
    w.sync()

    with w.store.reading() as unit:
        told = [issue.record for issue in unit.issues.list() if issue.kind == "quarantined_record"]
    assert len(told) == 1
    assert not any("@" in str(record) for record in told)


@pytest.mark.rule("retraction spares the person")
@pytest.mark.parametrize("trouble", [lost, killed])
@pytest.mark.parametrize("asks_again", [True, False])
def test_whom_we_removed_without_knowing_it_has_not_left_by_themself(
    lists: Make, trouble: Callable[[ListWorld], Callable[[Write], Outcome]], *, asks_again: bool
) -> None:
    """What the person said can never be retracted."""
    w = lists()
    w.crm.act("opt_out", email=ANN)
    w.roster.then = trouble(w)
    with nullcontext() if trouble is lost else pytest.raises(Killed):
        w.sync()
    assert w.roster.status(ANN) is None
    if asks_again:
        w.roster.has(ANN, Status.PENDING)
    w.sync()

    with w.store.reading() as unit:
        key = unit.points.find([ANN])[ANN]
        said = unit.ledger.about([key])[key]
    assert [s.is_personal for s in said] == [False] * len(said)
    assert standing(w) == "out"


def test_a_removal_that_was_not_made_is_made_again(lists: Make) -> None:
    w = lists()
    w.crm.act("opt_out", email=ANN)
    w.roster.then = lambda write: Outcome(key=write.key, result=Result.UNKNOWN, record_id=write.record)
    w.sync()
    w.roster.then = lambda _: None
    assert w.roster.status(ANN) is Status.IN
    w.sync()

    assert w.roster.status(ANN) is None
    assert standing(w) == "out"


@pytest.mark.rule("retraction spares the person")
def test_whom_a_wrong_import_took_off_the_list_is_put_back_once(lists: Make, tmp_path: Path) -> None:
    w = lists()
    uid = wrong(w, tmp_path, ANN)
    assert w.roster.status(ANN) is None
    retract(w, uid)

    assert w.roster.status(ANN) is Status.IN
    assert w.crm_shows(ANN)["opt_out"] is False
    w.wait(hours=1)
    w.roster.leave(ANN)
    w.sync()
    assert w.roster.status(ANN) is None
    assert w.crm_shows(ANN)["opt_out"] is True


@pytest.mark.rule("retraction spares the person")
@pytest.mark.parametrize("is_seen", [True, False])
def test_who_left_the_list_before_a_wrong_import_did_is_not_put_back(
    lists: Make, tmp_path: Path, *, is_seen: bool
) -> None:
    """Seen by a reading, or by the answer to our removal."""
    w = lists()
    if is_seen:
        w.roster.leave(ANN)
        w.sync()
    else:
        w.roster.then = lambda write: left_already(w, write)
    uid = wrong(w, tmp_path, ANN)
    assert w.roster.status(ANN) is None
    retract(w, uid)

    assert w.roster.status(ANN) is None


@pytest.mark.rule("retraction spares the person")
def test_who_left_the_list_again_after_a_wrong_import_is_not_put_back(lists: Make, tmp_path: Path) -> None:
    w = lists(grants="trusted")
    uid = wrong(w, tmp_path, ANN)
    w.wait(hours=1)
    w.roster.has(ANN)
    w.sync()
    w.roster.leave(ANN)
    w.sync()
    retract(w, uid)

    assert w.roster.status(ANN) is None
    assert w.crm_shows(ANN)["opt_out"] is True


@pytest.mark.rule("retraction spares the person")
def test_whoever_was_off_the_list_when_we_came_to_remove_them_is_not_put_back_for_an_older_consent(
    lists: Make, tmp_path: Path
) -> None:
    w = lists()
    opt_in(w)
    w.sync()
    w.wait(hours=1)
    w.roster.then = lambda write: left_already(w, write)
    uid = imported(w, tmp_path, f"{ANN},out,{w.clock.now().isoformat()},the wrong file,,").uid
    w.sync()
    retract(w, uid)
    w.sync()

    assert w.roster.status(ANN) is None
    assert standing(w) == "out"
