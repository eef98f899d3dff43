"""Being archived hides that somebody had said no: they are asked for by their activity, and heard."""

from collections.abc import Callable
from typing import Any

import pytest

from optsync.connect.mock import MockRequest
from optsync.model.record import Origin, Status
from optsync.model.statement import StatementKind
from optsync.sync.explain import explain
from optsync.sync.forget import forget
from tests.scenarios.world import ESP, START, World, person

pytestmark = pytest.mark.rule("no opt-out is lost")

Make = Callable[..., World]
ANN, BEN = "ann1@example.com", "ann2@example.com"
SCOPE = "acme/marketing"
ARCHIVES = {"leave": "archive", "existing": "legacy_grant"}
AMPLE = {kind: {"max": 1000, "percent": 100, "cap": 1000} for kind in ("opt_outs", "opt_ins", "archives", "updates")}


def _move(w: World, to: str, *emails: str) -> None:
    for email in emails or (ANN,):
        w.crm.act("edit", id=w.crm_id(email), fields={"TYPE_ID": to})


def _before(w: World, method: str, part: str, act: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Something happens right before the next request to the platform of this method and path."""
    handle, waiting = type(w.esp).handle, [act]

    def met(self: Any, request: MockRequest) -> Any:
        if waiting and request.method == method and part in request.path:
            waiting.pop()()
        return handle(self, request)

    monkeypatch.setattr(type(w.esp), "handle", met)


def _no_feed(w: World, monkeypatch: pytest.MonkeyPatch, kind: str) -> Callable[[], None]:
    """From now on the platform does not show what members did; what is given back ends that."""
    handle = type(w.esp).handle

    def without(self: Any, request: MockRequest) -> Any:
        if "activity-feed" in request.path:
            self.act("fail", kind=kind)
        return handle(self, request)

    monkeypatch.setattr(type(w.esp), "handle", without)
    return lambda: monkeypatch.setattr(type(w.esp), "handle", handle)


def _contact(w: World) -> str:
    """The platform's id of Ann's member."""
    return str(w.esp.account.audiences["4c1a9f02bb"].find(ANN).contact_id)  # type: ignore[attr-defined]


def _questions(w: World) -> int:
    asked = (r.path for r in w.transport.requests if r.base_url == ESP)
    return sum("activity-feed" in path or "/batch" in path for path in asked)


def _decisive(w: World, email: str = ANN) -> dict[str, Any]:
    return dict(explain(w.engine, email)["scopes"][SCOPE]["decided_by"])


def _standing(w: World, email: str = ANN) -> str:
    return str(explain(w.engine, email)["scopes"][SCOPE]["standing"])


def _said(w: World, email: str) -> list[dict[str, Any]]:
    return list(explain(w.engine, email)["scopes"][SCOPE]["statements"])


def _archive_unseen(w: World) -> str:
    """People archive Ann an hour after her last word, before any reading; when that was."""
    said_at = w.clock.now().isoformat()
    w.wait(hours=1)
    w.esp.act("archive", email=ANN)
    w.sync()
    return said_at


def _consented(number: int = 1, **details: Any) -> Any:
    return person(number, opt_in=True, consent_at=START, **details)


@pytest.mark.parametrize(("leaving", "is_out"), [("unsubscribe", True), ("admin_unsubscribe", True), (None, False)])
def test_who_left_and_was_sent_a_request_by_another_program_before_any_reading_is_heard(
    world: Make, leaving: str | None, is_out: bool
) -> None:
    """A form that asks for a confirmation makes a member wait for it, whatever they said before."""
    w = world(_consented())
    w.settle()
    w.wait(hours=1)
    if leaving:
        w.esp.act(leaving, email=ANN)
    w.esp.act("ask", email=ANN)
    w.sync()
    w.sync()

    assert _standing(w) == ("out" if is_out else "in")
    assert w.crm_shows(ANN)["opt_out"] is is_out
    assert w.esp_shows(ANN)["status"] == (Status.PENDING if is_out else Status.IN)
    w.settle()

    w.wait(hours=1)
    w.esp.act("resubscribe", email=ANN)
    w.sync()
    assert (_standing(w), w.crm_shows(ANN)["opt_out"]) == ("in", False)


@pytest.mark.parametrize("leaving", ["unsubscribe", "admin_unsubscribe"])
def test_who_unsubscribes_between_our_look_and_our_archiving_is_heard(
    world: Make, leaving: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = world(_consented(), _consented(2), policy=ARCHIVES)
    w.sync()
    _move(w, "SUPPLIER")
    _before(w, "DELETE", "/members/", lambda: w.esp.act(leaving, email=ANN), monkeypatch)
    w.sync()
    left_at = w.clock.now()
    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
    w.sync()

    assert (_standing(w), w.crm_shows(ANN)["opt_out"]) == ("out", True)
    said = _decisive(w)
    assert (said["kind"], said["source"], said["is_personal"]) == (StatementKind.OUT, "esp", leaving == "unsubscribe")
    assert said["at"] <= left_at.isoformat()
    w.settle()
    _move(w, "CLIENT")
    w.settle()
    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
    assert _standing(w, BEN) == "in"


@pytest.mark.parametrize("leaving", ["unsubscribe", "admin_unsubscribe"])
def test_who_unsubscribed_before_their_address_bounced_is_heard(world: Make, leaving: str) -> None:
    w = world(_consented(), _consented(2))
    w.sync()
    w.esp.act(leaving, email=ANN)
    w.wait(minutes=1)
    w.esp.act("bounce", email=ANN)
    w.esp.act("bounce", email=BEN)
    w.settle()

    assert (_standing(w), w.crm_shows(ANN)["opt_out"]) == ("out", True)
    assert (_standing(w, BEN), w.crm_shows(BEN)["opt_out"]) == ("in", False)


@pytest.mark.parametrize(
    ("leaving", "kind", "is_personal"),
    [
        ("unsubscribe", StatementKind.OUT, True),
        ("admin_unsubscribe", StatementKind.OUT, False),
        ("complain", StatementKind.COMPLAINT, True),
    ],
)
def test_who_said_no_and_was_archived_by_people_before_any_reading_is_heard(
    world: Make, leaving: str, kind: str, is_personal: bool
) -> None:
    w = world(_consented(), _consented(2))
    w.sync()
    assert _standing(w) == "in"
    w.wait(minutes=7)
    w.esp.act(leaving, email=ANN)
    left_at = _archive_unseen(w)

    assert (_standing(w), w.crm_shows(ANN)["opt_out"]) == ("out", True)
    said = _decisive(w)
    assert (said["kind"], said["at"], said["is_personal"]) == (kind, left_at, is_personal)
    assert _standing(w, BEN) == "in"
    w.settle()


def test_what_the_activity_tells_is_the_evidence(world: Make) -> None:
    w = world(_consented())
    w.sync()
    w.esp.act("unsubscribe", email=ANN, campaign_id="c0ffee0123", reason="too many mails")
    w.esp.act("archive", email=ANN)
    w.sync()

    said = _decisive(w)
    assert said["reason"] == "too many mails"
    assert (said["evidence"]["found_in"], said["evidence"]["campaign_id"]) == ("activity", "c0ffee0123")


def test_nobody_is_asked_about_who_is_not_archived_and_nobody_twice(world: Make) -> None:
    w = world(_consented(), _consented(2))
    w.sync()
    w.esp.act("unsubscribe", email=BEN)
    w.esp.act("set_field", email=ANN, field="city", value="Oslo")
    w.settle()
    assert _questions(w) == 0
    w.esp.act("archive", email=ANN)
    w.settle()
    assert _questions(w) == 1
    w.sync(full=True)
    w.sync()
    assert _questions(w) == 1
    assert _standing(w) == "in"


def test_who_had_said_no_already_is_not_asked_about(world: Make) -> None:
    w = world(_consented())
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    w.esp.act("archive", email=ANN)
    w.settle()

    assert (_questions(w), _standing(w)) == (0, "out")


@pytest.mark.rule("every write is explained")
@pytest.mark.parametrize("ahead", [-25, 25])
def test_our_own_opt_out_is_nobody_elses_although_the_platforms_clock_is_a_little_wrong(
    world: Make, ahead: float
) -> None:
    w = world(_consented(), esp_ahead=ahead)
    w.sync()
    w.crm.act("opt_out", email=ANN)
    w.sync()
    w.esp.act("archive", email=ANN)
    w.sync()

    assert _questions(w) == 1
    assert [said["system"] for said in _said(w, ANN) if said["kind"] == "out"] == ["crm"]


@pytest.mark.parametrize("was_ours", [False, True])
def test_a_no_after_a_consent_is_heard_although_archiving_hides_it_and_the_member_was_out_before(
    world: Make, was_ours: bool
) -> None:
    w = world(_consented(), _consented(2))
    w.sync()
    w.crm.act("opt_out", email=ANN) if was_ours else w.esp.act("unsubscribe", email=ANN)
    w.settle()
    w.wait(hours=1)
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())
    for act in ("unsubscribe",) if was_ours else ("resubscribe", "unsubscribe"):
        w.wait(hours=1)
        w.esp.act(act, email=ANN)
    left_at = _archive_unseen(w)

    assert (_standing(w), w.crm_shows(ANN)["opt_out"]) == ("out", True)
    said = _decisive(w)
    assert (said["at"], said["is_personal"]) == (left_at, True)
    w.settle()


@pytest.mark.rule("every write is explained")
@pytest.mark.parametrize(
    ("act", "details"),
    [("set_field", {"field": "city", "value": "Oslo"}), ("change_address", {"to": "new@example.com"})],
)
def test_an_opt_out_that_we_wrote_is_nobody_elses_although_the_activity_tells_of_it(
    world: Make, act: str, details: dict[str, str]
) -> None:
    w = world(_consented(), _consented(2))
    w.sync()
    w.crm.act("opt_out", email=ANN)
    w.sync()
    assert w.esp_shows(ANN)["status"] == Status.OUT
    w.esp.act("archive", email=ANN)
    w.sync()
    w.esp.act(act, email=ANN, **details)
    w.settle()

    assert _questions(w) > 0
    for email in (ANN, "new@example.com"):
        assert {said["system"] for said in _said(w, email) if said["kind"] == "out"} <= {"crm"}


def test_what_was_said_before_and_lifted_since_is_not_raised_again(world: Make) -> None:
    w = world(_consented())
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.settle()
    w.wait(hours=1)
    w.esp.act("resubscribe", email=ANN)
    w.settle()
    w.wait(hours=1)
    w.esp.act("archive", email=ANN)
    w.settle()

    assert (_questions(w) > 0, _standing(w)) == (True, "in")


def test_an_opt_out_of_before_the_first_sync_that_nothing_shows_any_more_is_not_raised(world: Make) -> None:
    w = world(person(1, status=Status.OUT, origin=Origin.ADMIN), policy={"existing": "legacy_grant"})
    w.esp.act("flip_in", email=ANN)
    w.wait(hours=1)
    w.sync()
    assert _standing(w) == "in"
    w.esp.act("archive", email=ANN)
    w.settle()

    assert (_questions(w) > 0, _standing(w)) == (True, "in")


def test_the_first_sync_takes_archived_members_as_they_are(world: Make) -> None:
    w = world(_consented(status=Status.ARCHIVED), _consented(2))
    w.settle()

    assert _questions(w) == 0


def test_who_leaves_in_the_second_of_their_last_change_and_of_our_archiving_is_heard(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = world(_consented(), _consented(2), policy=ARCHIVES)
    w.sync()
    _move(w, "SUPPLIER")
    _before(w, "DELETE", "/members/", lambda: w.esp.act("unsubscribe", email=ANN), monkeypatch)
    edit = {"email": ANN, "field": "phone", "value": "+371 2"}
    _before(w, "GET", f"/members/{_contact(w)}", lambda: w.esp.act("set_field", **edit), monkeypatch)
    w.sync()
    w.sync()

    assert (_standing(w), w.crm_shows(ANN)["opt_out"]) == ("out", True)


@pytest.mark.rule("nobody is opted in by accident")
def test_who_left_and_signed_up_again_before_being_archived_is_as_they_were(world: Make) -> None:
    w = world(_consented(), person(3, opt_out=True))
    w.sync()
    for email in (ANN, "ann3@example.com"):
        w.esp.act("unsubscribe", email=email)
        w.wait(hours=1)
        w.esp.act("resubscribe", email=email)
        w.wait(hours=1)
        w.esp.act("archive", email=email)
    w.settle()

    assert (_standing(w), _standing(w, "ann3@example.com")) == ("in", "out")


def test_who_signed_up_left_and_was_archived_all_unseen_is_heard(world: Make) -> None:
    w = world(_consented(in_esp=False), _consented(2), policy={"enter": "skip"})
    w.sync()
    assert _standing(w) == "in"
    for act in ("resubscribe", "unsubscribe", "archive"):
        w.wait(hours=1)
        w.esp.act(act, email=ANN)
    w.sync()

    assert (_standing(w), w.crm_shows(ANN)["opt_out"]) == ("out", True)


def test_a_stamp_that_a_program_set_since_ends_no_opt_out_of_who_was_never_read(world: Make) -> None:
    w = world(_consented(in_esp=False), _consented(2), policy={"enter": "skip"})
    w.sync()
    for act in ("resubscribe", "admin_unsubscribe", "archive", "flip_in", "archive"):
        w.wait(hours=1)
        w.esp.act(act, email=ANN)
    w.sync()

    assert (_standing(w), w.crm_shows(ANN)["opt_out"]) == ("out", True)
    w.settle()


def test_who_was_archived_came_back_left_and_was_archived_again_is_heard(world: Make) -> None:
    w = world(_consented())
    w.sync()
    w.esp.act("archive", email=ANN)
    w.settle()
    for act in ("resubscribe", "unsubscribe", "archive"):
        w.wait(hours=1)
        w.esp.act(act, email=ANN)
    w.sync()

    assert (_standing(w), w.crm_shows(ANN)["opt_out"]) == ("out", True)


@pytest.mark.parametrize("kind", ["Forbidden", "InternalServerError"])
def test_where_the_activity_cannot_be_read_the_run_goes_on_and_asks_again(
    world: Make, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = world(_consented(), _consented(2), policy=ARCHIVES)
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.esp.act("archive", email=ANN)
    w.esp.act("unsubscribe", email=BEN)
    shows_again = _no_feed(w, monkeypatch, kind)
    report = w.sync()

    assert w.crm_shows(BEN)["opt_out"] is True
    assert [type(f).__name__ for f in report.syncs["newsletter"].failures] != []
    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
    assert _standing(w) == "in"
    w.sync()
    shows_again()
    w.sync()
    assert (_standing(w), w.crm_shows(ANN)["opt_out"]) == ("out", True)
    w.settle()


@pytest.mark.rule("nobody is opted in by accident")
def test_nobody_is_put_back_on_a_list_before_the_question_is_answered(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = world(_consented(), _consented(2), policy=ARCHIVES)
    w.sync()
    _move(w, "SUPPLIER")
    # An administrator's, which the platform lets an API call overwrite.
    _before(w, "DELETE", "/members/", lambda: w.esp.act("admin_unsubscribe", email=ANN), monkeypatch)
    w.sync()
    shows_again = _no_feed(w, monkeypatch, "InternalServerError")
    _move(w, "CLIENT")
    for _ in range(3):
        w.sync()
        assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
    shows_again()
    w.sync()

    assert _standing(w) == "out"
    w.settle()
    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED


def test_who_said_nothing_returns_once_the_activity_can_be_read(world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    w = world(_consented(), _consented(2), policy=ARCHIVES)
    w.sync()
    _move(w, "SUPPLIER")
    w.sync()
    shows_again = _no_feed(w, monkeypatch, "InternalServerError")
    _move(w, "CLIENT")
    w.sync()
    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
    shows_again()
    w.settle()

    assert w.esp_shows(ANN)["status"] == Status.IN


def _archive_all(w: World, everybody: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everybody leaves the list scope, one of them the list as well, right before the first is archived; who it was."""
    _move(w, "SUPPLIER", *everybody)
    left: list[str] = []
    handle = type(w.esp).handle

    def leaves(self: Any, request: MockRequest) -> Any:
        if request.method == "DELETE" and not left:
            left.append(self.audience.find(request.path.rpartition("/")[2]).email)
            self.act("unsubscribe", email=left[0])
        return handle(self, request)

    monkeypatch.setattr(type(w.esp), "handle", leaves)
    w.sync()
    assert {w.esp_shows(email)["status"] for email in everybody} == {Status.ARCHIVED}
    return left


def test_many_archived_at_once_cost_few_questions_and_whoever_left_is_heard(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody = [f"ann{number}@example.com" for number in range(1, 61)]
    w = world(*(_consented(number) for number in range(1, 61)), policy=ARCHIVES, guard=AMPLE)
    w.sync()
    left = _archive_all(w, everybody, monkeypatch)
    w.sync()
    w.sync()

    assert [email for email in everybody if _standing(w, email) == "out"] == left
    assert w.crm_shows(left[0])["opt_out"] is True
    # One to have them looked up, one to see that this is done, one to fetch it.
    assert _questions(w) == 3
    before = len(w.transport.requests)
    w.settle()
    assert _questions(w) == 3
    assert len(w.transport.requests) - before < 12


def test_who_leaves_after_many_were_looked_up_is_asked_about_again(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody = [f"ann{number}@example.com" for number in range(1, 31)]
    w = world(*(_consented(number) for number in range(1, 31)), policy=ARCHIVES, guard=AMPLE)
    w.sync()
    left = _archive_all(w, everybody, monkeypatch)
    w.sync()
    w.wait(minutes=5)
    late = next(email for email in everybody if email not in left)
    for act in ("resubscribe", "unsubscribe", "archive"):
        w.esp.act(act, email=late)
        w.wait(seconds=20)
    w.sync()
    w.sync()

    assert {email for email in everybody if _standing(w, email) == "out"} == {late, *left}
    w.settle()


@pytest.mark.rule("forgotten stays out")
def test_about_who_was_forgotten_nothing_is_asked(world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    w = world(_consented(), _consented(2))
    w.sync()
    w.esp.act("unsubscribe", email=ANN, reason="a very personal reason")
    w.esp.act("archive", email=ANN)
    shows_again = _no_feed(w, monkeypatch, "InternalServerError")
    w.sync()
    forget(w.engine, ANN, actor="the privacy officer")
    shows_again()
    asked = _questions(w)
    w.settle()

    assert _questions(w) == asked
    assert w.crm_shows(ANN)["opt_out"] is True


def test_who_left_before_our_archiving_is_out_at_the_address_that_the_contact_has_now(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = world(person(1), person(2, in_crm=False), policy={"existing": "legacy_grant"})
    w.sync()
    w.crm.act("change_address", email=ANN, to=BEN)
    _before(w, "DELETE", "/members/", lambda: w.esp.act("unsubscribe", email=ANN), monkeypatch)
    w.sync()
    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
    w.sync()

    assert (_standing(w), _standing(w, BEN)) == ("out", "out")
    assert w.esp_shows(BEN)["status"] == Status.OUT
    assert w.crm_shows(BEN)["opt_out"] is True
    w.settle()


@pytest.mark.parametrize("side", ["crm", "esp"])
def test_who_left_and_was_archived_and_given_another_address_all_unseen_is_out_at_both(world: Make, side: str) -> None:
    w = world(person(1), person(2, in_crm=False), policy={"existing": "legacy_grant"})
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.wait(minutes=30)
    if side == "crm":
        w.esp.act("archive", email=ANN)
        w.crm.act("change_address", email=ANN, to=BEN)
    else:
        w.esp.act("change_address", email=ANN, to="new@example.com")
        w.esp.act("archive", email="new@example.com")
    w.sync()

    assert _standing(w) == "out"
    assert _standing(w, BEN if side == "crm" else "new@example.com") == "out"
    w.settle()


def test_who_consents_at_the_new_address_after_having_left_at_the_former_one_is_in_there(world: Make) -> None:
    w = world(_consented(), policy={"existing": "legacy_grant"})
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.wait(minutes=30)
    w.esp.act("archive", email=ANN)
    w.wait(minutes=30)
    w.crm.act("change_address", email=ANN, to=BEN)
    w.crm.act("opt_in", email=BEN, at=w.clock.now().isoformat())
    w.sync()

    assert (_standing(w), _standing(w, BEN)) == ("out", "in")
