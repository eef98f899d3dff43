"""People who were mailed for long and gave no sign of life: tagged or taken off the list, and given back."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from optsync.connect.mock import MockRequest, Person
from optsync.model.record import Status
from optsync.reconcile.policy import Inactive
from optsync.sync.administer import opt_in, opt_out
from optsync.sync.explain import explain
from optsync.sync.signs import find_look
from optsync.sync.undo import undo
from tests.scenarios.world import START, World, person

pytestmark = pytest.mark.rule("nobody is opted in by accident")
Make = Callable[..., World]
ANN, BEN, SCOPE = "ann1@example.com", "ann2@example.com", "acme/marketing"
DAY = 24
TAG, EXCLUDE = {"inactive": "tag"}, {"inactive": "exclude"}


def granted(number: int = 1) -> Person:
    return person(number, opt_in=True, consent_at=START - timedelta(days=10))


def silent_for(w: World, days: int, *, opens: tuple[str, ...] = (BEN,), mailed: bool = True) -> Any:
    """A mail a month, which some open; then the full compare. Ends on the day asked for."""
    for passed in range(0, days, 30):
        w.wait(hours=DAY * min(30, days - passed) - 1)
        if mailed:
            w.esp.act("send_campaign", subject=f"News {passed}")
        w.wait(hours=1)
        for email in opens:
            w.esp.act("open", email=email)
    return w.sync(full=True)


def tags(w: World, email: str = ANN) -> list[str]:
    return list(w.esp_shows(email)["tags"])


def status(w: World, email: str = ANN) -> str:
    return str(w.esp_shows(email)["status"])


def standing(w: World, email: str = ANN) -> str:
    return str(explain(w.engine, email)["scopes"][SCOPE]["standing"])


def test_nobody_is_touched_unless_the_policy_says_so(world: Make) -> None:
    w = world(granted(), granted(2))
    w.sync()
    silent_for(w, 240)

    assert (tags(w), status(w)) == ([], Status.IN)
    w.settle()


def test_who_was_tagged_and_is_archived_by_people_stays_so_after_a_sign_of_life(world: Make) -> None:
    w = world(granted(), granted(2), policy=TAG)
    w.sync()
    silent_for(w, 210)
    assert tags(w) == ["inactive"]
    w.esp.act("open", email=ANN)
    w.esp.act("archive", email=ANN)
    w.sync(full=True)

    assert (status(w), standing(w)) == (Status.ARCHIVED, "in")
    w.settle()


def test_who_was_mailed_and_stayed_silent_is_tagged_and_loses_the_tag_with_a_sign_of_life(world: Make) -> None:
    w = world(granted(), granted(2), policy=TAG)
    w.sync()
    silent_for(w, 150)
    assert tags(w) == []
    silent_for(w, 60)
    assert (tags(w), tags(w, BEN)) == (["inactive"], [])
    assert (status(w), standing(w)) == (Status.IN, "in")
    w.settle()

    w.esp.act("open", email=ANN)
    w.sync(full=True)
    assert tags(w) == []
    w.settle()
    silent_for(w, 210)
    assert tags(w) == ["inactive"]


def test_who_is_excluded_is_archived_and_has_not_opted_out(world: Make) -> None:
    w = world(granted(), granted(2), policy=EXCLUDE)
    w.sync()
    report = silent_for(w, 210)

    assert (status(w), status(w, BEN)) == (Status.ARCHIVED, Status.IN)
    assert standing(w) == "in"
    assert not w.crm_shows(ANN)["opt_out"]
    (change,) = report.syncs["newsletter"].changes
    assert (change.kind, change.rule, change.before, change.after) == (
        "archive",
        "inactive",
        {"status": "in"},
        {"status": "archived"},
    )
    w.settle()


def test_who_was_excluded_returns_with_a_sign_of_life(world: Make) -> None:
    w = world(granted(), granted(2), policy=EXCLUDE)
    w.sync()
    silent_for(w, 210)
    assert status(w) == Status.ARCHIVED
    campaign = next(c.id for c in w.esp.account.campaigns.values())  # type: ignore[attr-defined]
    w.esp.act("click", email=ANN, campaign=campaign)
    report = w.sync(full=True)

    assert status(w) == Status.IN
    assert [(c.kind, c.rule) for c in report.syncs["newsletter"].changes] == [("opt_in", "sign_of_life")]
    w.settle()


def test_who_was_excluded_returns_with_a_newer_grant(world: Make) -> None:
    w = world(granted(), granted(2), policy=EXCLUDE)
    w.sync()
    silent_for(w, 210)
    opt_in(w.engine, ANN, scope=SCOPE, actor="Eve", evidence="a signed form")
    w.settle()

    assert status(w) == Status.IN


def test_who_was_excluded_and_then_opted_out_does_not_return(world: Make) -> None:
    w = world(granted(), granted(2), policy=EXCLUDE)
    w.sync()
    silent_for(w, 210)
    opt_out(w.engine, ANN, scope=SCOPE, actor="Eve")
    campaign = next(c.id for c in w.esp.account.campaigns.values())  # type: ignore[attr-defined]
    w.esp.act("click", email=ANN, campaign=campaign)
    w.sync(full=True)

    assert status(w) == Status.ARCHIVED
    w.settle()


@pytest.mark.rule("every write is explained")
@pytest.mark.parametrize(("silent", "leaving"), [(ANN, BEN), (BEN, ANN)])
def test_who_falls_silent_is_tagged_where_somebody_else_leaves_and_is_archived(
    world: Make, silent: str, leaving: str
) -> None:
    w = world(granted(), granted(2), policy={**TAG, "leave": "archive"})
    w.sync()
    silent_for(w, 150, opens=(leaving,))
    w.wait(hours=DAY * 60)
    w.crm.act("edit", id=w.crm_id(leaving), fields={"TYPE_ID": "SUPPLIER"})
    w.sync(full=True)

    assert (status(w, silent), tags(w, silent)) == (Status.IN, ["inactive"])
    assert (status(w, leaving), tags(w, leaving)) == (Status.ARCHIVED, [])
    w.settle()


def _move(w: World, to: str) -> None:
    w.crm.act("edit", id=w.crm_id(ANN), fields={"TYPE_ID": to})


@pytest.mark.rule("list scope limits no restriction")
@pytest.mark.parametrize("inactive", ["tag", "exclude"])
def test_who_has_left_the_list_is_not_put_back_on_it_by_a_sign_of_life(world: Make, inactive: str) -> None:
    w = world(granted(), granted(2), policy={"inactive": inactive, "leave": "archive"})
    w.sync()
    silent_for(w, 210)
    _move(w, "SUPPLIER")
    w.sync()
    opt_in(w.engine, ANN, scope=SCOPE, actor="Eve", evidence="a signed form")
    w.settle()

    assert status(w) == Status.ARCHIVED
    _move(w, "CLIENT")
    w.sync()
    w.settle()
    assert (status(w), tags(w)) == (Status.IN, [])


@pytest.mark.rule("list scope limits no restriction")
def test_who_left_with_a_tag_and_fell_silent_gets_both_back_one_by_one(world: Make) -> None:
    w = world(granted(), granted(2), policy={"inactive": "exclude", "leave": "tag"})
    w.sync()
    _move(w, "SUPPLIER")
    w.sync()
    silent_for(w, 210)
    assert (status(w), tags(w)) == (Status.ARCHIVED, ["left list"])
    _move(w, "CLIENT")
    w.settle()
    assert status(w) == Status.ARCHIVED
    opt_in(w.engine, ANN, scope=SCOPE, actor="Eve", evidence="a signed form")
    w.sync()
    w.settle()
    assert (status(w), tags(w)) == (Status.IN, [])


def leaves_before(w: World, method: str, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ann uses the link of a mail right before the next request to the platform of this method and path."""
    handle, waiting = type(w.esp).handle, [ANN]

    def leaves(self: Any, request: MockRequest) -> Any:
        if waiting and request.method == method and part in request.path:
            w.esp.act("unsubscribe", email=waiting.pop())
        return handle(self, request)

    monkeypatch.setattr(type(w.esp), "handle", leaves)


@pytest.mark.rule("no opt-out is lost")
def test_who_leaves_while_they_are_about_to_be_archived_is_heard_and_stays_to_be_seen(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = world(granted(), granted(2), policy=EXCLUDE)
    w.sync()
    silent_for(w, 150)
    w.wait(hours=DAY * 60)
    leaves_before(w, "GET", "/reports", monkeypatch)
    w.sync(full=True)
    w.sync()

    assert (status(w), standing(w)) == (Status.OUT, "out")
    assert w.crm_shows(ANN)["opt_out"] is True
    w.settle()


@pytest.mark.rule("no opt-out is lost")
def test_who_was_archived_in_the_moment_they_left_is_heard(world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    w = world(granted(), granted(2), policy=EXCLUDE)
    w.sync()
    leaves_before(w, "DELETE", "/members/", monkeypatch)
    silent_for(w, 210)
    assert status(w) == Status.ARCHIVED
    w.settle()

    assert (standing(w), w.crm_shows(ANN)["opt_out"]) == ("out", True)
    assert status(w) == Status.ARCHIVED


def test_whom_the_platform_does_not_take_back_is_not_tried_again_and_again(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = world(granted(), granted(2), policy=EXCLUDE)
    w.sync()
    leaves_before(w, "DELETE", "/members/", monkeypatch)
    silent_for(w, 210)
    assert status(w) == Status.ARCHIVED
    w.esp.account.audiences["4c1a9f02bb"].feed.clear()  # type: ignore[attr-defined]
    campaign = next(c.id for c in w.esp.account.campaigns.values())  # type: ignore[attr-defined]
    w.esp.act("click", email=ANN, campaign=campaign)
    report = w.sync(full=True)
    assert [c.state for c in report.syncs["newsletter"].changes] == ["refused"]

    w.rest()
    assert status(w) == Status.ARCHIVED


def test_who_signed_up_again_after_being_excluded_can_become_inactive_again(world: Make) -> None:
    w = world(granted(), granted(2), policy=EXCLUDE)
    w.sync()
    silent_for(w, 210)
    w.esp.act("resubscribe", email=ANN)
    w.settle()
    assert status(w) == Status.IN
    silent_for(w, 150)
    assert status(w) == Status.IN
    silent_for(w, 60)

    assert status(w) == Status.ARCHIVED
    w.settle()


def test_whom_people_put_back_is_left_alone(world: Make) -> None:
    w = world(granted(), granted(2), policy=EXCLUDE)
    w.sync()
    silent_for(w, 210)
    member = w.esp.account.audiences["4c1a9f02bb"].find(ANN)  # type: ignore[attr-defined]
    stamp = member.timestamp_opt
    w.esp.act("flip_in", email=ANN)
    member.timestamp_opt = stamp
    w.sync(full=True)

    assert status(w) == Status.IN
    w.settle()


def test_where_no_mail_was_sent_nobody_is_inactive(world: Make) -> None:
    w = world(granted(), granted(2), policy=EXCLUDE)
    w.sync()
    silent_for(w, 300, opens=(), mailed=False)

    assert status(w) == Status.IN
    w.settle()


def test_who_joined_lately_is_not_inactive(world: Make) -> None:
    w = world(granted(2), policy=EXCLUDE)
    w.sync()
    silent_for(w, 120)
    at = w.clock.now()
    w.crm.populate([person(1, in_esp=False, opt_in=True, consent_at=at, created_at=at)])
    w.sync()
    assert status(w) == Status.IN
    silent_for(w, 120)

    assert status(w) == Status.IN
    w.settle()


def test_who_gives_signs_of_life_is_unknown_while_the_platform_does_not_say(world: Make) -> None:
    w = world(granted(), granted(2), policy=EXCLUDE)
    w.sync()
    silent_for(w, 150)
    w.wait(hours=DAY * 60)
    handle = w.esp.handle

    def refuses(request: Any) -> Any:
        if "/reports" in request.path:
            w.esp.act("fail", kind="ResourceNotFound")
        return handle(request)

    w.esp.handle = refuses  # type: ignore[method-assign]
    assert w.sync(full=True).state == "failed"
    w.crm.act("set_field", email=ANN, field="city", value="Oslo")
    w.sync()
    assert (status(w), w.esp_shows(ANN)["fields"]["city"]) == (Status.IN, "Oslo")

    w.esp.handle = handle  # type: ignore[method-assign]
    w.sync(full=True)
    assert status(w) == Status.ARCHIVED
    w.settle()


def test_who_opened_a_mail_less_long_ago_than_the_limit_is_active(world: Make) -> None:
    w = world(granted(), granted(2), policy=TAG)
    w.sync()
    silent_for(w, 170, opens=(BEN, ANN))
    silent_for(w, 120)

    assert tags(w) == []
    w.settle()


def test_a_policy_that_is_switched_on_later_looks_back_before_it_calls_anybody_inactive(world: Make) -> None:
    w = world(granted(), granted(2))
    w.sync()
    silent_for(w, 60)
    policies = dict(w.engine.bound.policies)
    policies["newsletter"] = replace(policies["newsletter"], inactive=Inactive.TAG)
    w.engine = replace(w.engine, bound=replace(w.engine.bound, policies=policies))

    def reach() -> timedelta:
        with w.store.reading() as unit:
            look = find_look(unit, unit.sources.require("esp", "4c1a9f02bb").id)
        assert look is not None
        return w.clock.now() - look.reaches

    assert reach() < timedelta(days=100)
    w.sync(full=True)
    assert reach() == timedelta(days=180)
    silent_for(w, 100)
    assert tags(w) == []
    silent_for(w, 60)
    assert (tags(w), tags(w, BEN)) == (["inactive"], [])
    w.settle()


@pytest.mark.rule("suspicious volume stops")
def test_many_who_fall_silent_at_once_wait_for_a_person(world: Make) -> None:
    guard = {"archives": {"max": 1, "percent": 10, "cap": 100}}
    w = world(*(granted(n) for n in range(1, 6)), policy=EXCLUDE, guard=guard)
    w.sync()
    report = silent_for(w, 210)

    assert report.state == "held"
    assert {status(w, f"ann{n}@example.com") for n in range(1, 6)} == {Status.IN}
    w.settle()


@pytest.mark.rule("every write is explained")
@pytest.mark.parametrize("policy", [TAG, EXCLUDE])
def test_what_was_done_for_inactivity_can_be_undone_and_is_not_done_again(world: Make, policy: dict[str, str]) -> None:
    w = world(granted(), granted(2), policy=policy)
    w.sync()
    report = silent_for(w, 210)
    undo(w.engine, report.run, actor="Kim")
    assert (status(w), tags(w)) == (Status.IN, [])
    w.sync(full=True)

    assert (status(w), tags(w)) == (Status.IN, [])
    w.settle()


def test_who_was_excluded_returns_although_their_contact_was_made_anew_meanwhile(world: Make) -> None:
    w = world(granted(), granted(2), policy=EXCLUDE)
    w.sync()
    silent_for(w, 210)
    w.crm.act("delete", email=ANN)
    w.sync(full=True)
    w.wait(hours=2)
    w.sync(full=True)
    w.crm.populate([replace(granted(), in_esp=False, created_at=w.clock.now())])
    w.sync()
    assert status(w) == Status.ARCHIVED
    w.esp.act("open", email=ANN)
    w.sync(full=True)
    w.settle()

    assert status(w) == Status.IN
