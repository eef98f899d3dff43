"""No opt-out is lost, in either direction, whatever became of the record."""

from bisect import insort
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import requests

from optsync.connect.mock import MockTransport, Person
from optsync.model.record import Origin, Status
from optsync.sync.administer import opt_in
from optsync.sync.explain import explain
from optsync.sync.permission import permissions
from optsync.sync.standings import report
from tests.scenarios.plans import MANY, crowd, hold_opt_outs, may_send
from tests.scenarios.world import BRANDS, CRM, ESP, START, World, person

pytestmark = pytest.mark.rule("no opt-out is lost")

Make = Callable[..., World]


def test_an_unsubscribe_at_the_esp_sets_the_flag_in_the_crm(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("unsubscribe", email="ann1@example.com")
    report = w.sync()

    assert w.crm_shows("ann1@example.com")["opt_out"] is True
    assert {(c.system, c.kind, c.state) for c in report.syncs["newsletter"].changes} == {
        ("crm", "opt_out", "applied"),
        ("crm", "field", "applied"),
    }
    w.settle()


@pytest.mark.parametrize("basis", ["consent", "legitimate_interest"])
def test_nobody_may_be_mailed_before_a_platform_that_may_hold_their_no_was_read(world: Make, basis: str) -> None:
    """The platform is out of reach at the first run. Whom an administrator opts in may be mailed."""
    ann, eve = "ann1@example.com", "eve@example.com"
    w = world(person(1, opt_in=True, consent_at=START - timedelta(days=50)), brands=_resting_on(basis))
    w.esp.act("unsubscribe", email=ann)
    assert not _answers(w, ann)
    w.use(_EspDown({CRM: w.crm, ESP: w.esp}))
    assert w.sync().exit_code == 3
    opt_in(w.engine, eve, scope="acme/marketing", actor="Eve", evidence="a signed form")
    assert not _answers(w, ann)
    assert _answers(w, ann, scope="acme/service")
    assert _answers(w, eve)
    assert report(w.engine)["syncs"]["newsletter"]["blocked_although_allowed"] == []

    w.use(w.transport)
    w.sync()
    assert not _answers(w, ann)
    assert _answers(w, "stranger@example.com") is (basis == "legitimate_interest")
    w.settle()


class _EspDown(MockTransport):
    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        if str(request.url).startswith(ESP):
            raise requests.ConnectionError
        return super().send(request, *args, **options)


def _resting_on(basis: str) -> dict[str, Any]:
    purposes: dict[str, Any] = dict(BRANDS["acme"]["purposes"])
    return {"acme": {"purposes": {**purposes, "marketing": {**purposes["marketing"], "basis": basis}}}}


def _answers(w: World, email: str, scope: str = "acme/marketing") -> bool:
    """What ``may-send`` and ``explain`` both say."""
    with w.store.reading() as unit:
        found = permissions(w.engine).verdicts(unit, [email], scope, now=w.clock.now())[email].permission
    told = explain(w.engine, email)["scopes"][scope]
    assert (told["may_send"], told["reason"]) == (found.may_send, found.reason)
    return found.may_send


def test_an_unsubscribe_whose_reason_holds_a_character_that_no_database_text_takes_arrives(world: Make) -> None:
    w = world(person(1), person(2))
    w.sync()
    w.esp.act("unsubscribe", email="ann1@example.com", reason="too many\0mails")
    w.esp.act("unsubscribe", email="ann2@example.com")
    w.sync()

    assert w.crm_shows("ann1@example.com")["opt_out"] is True
    assert w.crm_shows("ann2@example.com")["opt_out"] is True
    with w.store.reading() as unit:
        key = unit.points.find(["ann1@example.com"])["ann1@example.com"]
        assert "too many\ufffdmails" in {said.reason for said in unit.ledger.about([key])[key]}
    with w.store.reading() as unit:
        assert unit.ledger.verify([b"a secret of the tests"]).found == 0
    w.settle()


@pytest.mark.parametrize("opt_out", [0, 1])
def test_an_opt_in_flag_that_is_taken_from_beside_an_opt_out_flag_counts_after_a_sign_up(
    world: Make, opt_out: int
) -> None:
    w = crowd(world)
    ann, others = MANY[0], MANY[1:4]
    w.crm.act("edit", id=w.crm_id(ann), fields={"UF_CRM_OPT_OUT": 1, "UF_CRM_OPT_IN": 1})
    hold_opt_outs(w, others)
    w.esp.act("resubscribe", email=ann)
    w.wait(seconds=5)
    w.crm.act("edit", id=w.crm_id(ann), fields={"UF_CRM_OPT_OUT": opt_out, "UF_CRM_OPT_IN": 0})
    w.sync()

    assert not may_send(w, ann)


def test_an_opt_in_that_was_taken_back_between_two_looks_counts_after_a_sign_up(
    world: Make,
) -> None:
    ann = "ann1@example.com"
    w = world(person(1))
    w.sync()
    w.crm.act("opt_out", email=ann)
    w.sync()
    w.wait(hours=1)
    w.esp.act("resubscribe", email=ann)
    w.crm.act("opt_in", email=ann, at=w.clock.now().isoformat())
    w.crm.act("edit", id=w.crm_id(ann), fields={"UF_CRM_OPT_OUT": 0, "UF_CRM_OPT_IN": 0})
    w.sync()

    assert not may_send(w, ann)
    assert w.crm_shows(ann)["opt_out"] is True
    assert w.esp_shows(ann)["status"] == Status.OUT
    w.settle()


def test_an_opt_out_in_the_crm_unsubscribes_at_the_esp(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.crm.act("opt_out", email="ann1@example.com")
    w.sync()

    assert w.esp_shows("ann1@example.com")["status"] == Status.OUT
    w.settle()
    assert w.crm_shows("ann1@example.com")["opt_out"] is True


def test_an_opt_out_counts_anew_where_a_consent_date_in_the_future_came_and_went_unseen(world: Make) -> None:
    w = world(person(1, status=Status.OUT, origin=Origin.ADMIN))
    w.sync()
    assert w.crm_shows("ann1@example.com")["opt_out"] is True
    w.crm.act("opt_in", email="ann1@example.com", at="2026-12-24T09:00:00+00:00")
    w.wait(minutes=50)
    w.crm.act("opt_out", email="ann1@example.com")
    w.sync()
    # Younger than what was known at first, older than the opt-out in the CRM.
    w.crm.act("opt_in", email="ann1@example.com", at=(w.clock.now() - timedelta(minutes=30)).isoformat())
    w.sync()

    assert w.crm_shows("ann1@example.com")["opt_out"] is True
    assert w.esp_shows("ann1@example.com")["status"] == Status.OUT
    w.settle()


def test_an_administrators_out_after_a_persons_own_is_another_one(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("unsubscribe", email="ann1@example.com")
    w.sync()
    w.crm.act("opt_in", email="ann1@example.com", at=w.clock.now().isoformat())
    w.esp.act("archive", email="ann1@example.com")
    w.wait(minutes=10)
    w.esp.act("admin_unsubscribe", email="ann1@example.com")
    w.sync()

    assert not may_send(w, "ann1@example.com")
    assert w.crm_shows("ann1@example.com")["opt_out"] is True
    w.settle()


def test_what_each_side_knew_before_the_first_sync_reaches_the_other(world: Make) -> None:
    w = world(
        person(1, opt_out=True),
        person(2, status=Status.OUT, origin=Origin.PERSON),
        person(3, status=Status.OUT, origin=Origin.ADMIN),
        person(4),
    )
    w.sync()

    assert w.esp_shows("ann1@example.com")["status"] == Status.OUT
    assert w.crm_shows("ann2@example.com")["opt_out"] is True
    assert w.crm_shows("ann3@example.com")["opt_out"] is True
    assert not w.crm_shows("ann4@example.com")["opt_out"]
    w.settle()


def test_an_opt_out_travels_although_the_contact_left_the_list_scope(world: Make) -> None:
    w = world(person(1), person(2))
    w.sync()
    for number in (1, 2):
        w.crm.act("edit", id=w.crm_id(f"ann{number}@example.com"), fields={"TYPE_ID": "SUPPLIER"})
    w.sync()
    w.esp.act("unsubscribe", email="ann1@example.com")
    w.crm.act("opt_out", email="ann2@example.com")
    w.sync()

    assert w.crm_shows("ann1@example.com")["opt_out"] is True
    assert w.esp_shows("ann2@example.com")["status"] == Status.OUT
    w.settle()


@pytest.mark.rule("restrictions follow the person")
class Hurried(MockTransport):
    """Somebody ticks the opt-out box right after the first record was created in the CRM."""

    def __init__(self, w: World) -> None:
        super().__init__({CRM: w.crm, ESP: w.esp})
        self.w = w
        self.is_done = False

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        response = super().send(request, *args, **options)
        if not self.is_done and self.w.crm.act("view", email="ann1@example.com") is not None:
            self.is_done = True
            self.w.crm.act("opt_out", email="ann1@example.com")
        return response


def test_an_opt_out_between_the_creation_of_a_record_and_a_look_at_it_is_heard(world: Make) -> None:
    opted_in = START - timedelta(days=3)
    w = world(person(1, in_crm=False, opted_in_at=opted_in), person(2), policy={"esp_only": "create_in_crm"})
    w.use(Hurried(w))
    w.sync()
    w.sync()

    assert w.crm_shows("ann1@example.com")["opt_out"] is True
    assert w.esp_shows("ann1@example.com")["status"] == Status.OUT
    assert explain(w.engine, "ann1@example.com")["scopes"]["acme/marketing"]["may_send"] is False


def test_an_opt_out_survives_the_deletion_and_new_creation_of_the_contact(world: Make) -> None:
    ann = person(1)
    w = world(ann)
    w.sync()
    w.crm.act("delete", email="ann1@example.com")
    w.sync()
    w.esp.act("unsubscribe", email="ann1@example.com")
    w.sync(full=True)
    w.wait(hours=2)
    w.sync(full=True)
    now = w.clock.now()
    w.crm.populate([replace(ann, in_esp=False, opt_in=True, consent_at=now, created_at=now)])
    w.sync()

    assert w.crm_shows("ann1@example.com")["opt_out"] is True
    w.settle()
    assert w.esp_shows("ann1@example.com")["status"] == Status.OUT


@pytest.mark.rule("restrictions follow the person")
def test_a_member_deleted_and_made_again_at_the_esp_stays_out(world: Make) -> None:
    w = world(person(1), person(2, in_crm=False, addresses=("zoe@example.com",)))
    w.sync()
    w.crm.act("opt_out", email="ann1@example.com")
    w.sync()
    w.esp.act("archive", email="ann1@example.com")
    w.sync()
    w.esp.act("flip_in", email="ann1@example.com", force=True)
    w.sync()

    assert w.esp_shows("ann1@example.com")["status"] == Status.OUT
    w.settle()


def test_a_complaint_is_an_opt_out_in_the_crm(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("complain", email="ann1@example.com")
    w.sync()

    assert w.crm_shows("ann1@example.com")["opt_out"] is True
    w.settle()


@pytest.mark.rule("bounces are not wishes")
def test_a_bounce_marks_the_contact_and_is_no_opt_out(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("bounce", email="ann1@example.com")
    w.sync()

    shows = w.crm_shows("ann1@example.com")
    assert not shows["opt_out"]
    assert w.crm.act("dump", id=w.crm_id("ann1@example.com"))["UF_CRM_EMAIL_BOUNCED"] in ("1", True)
    w.settle()


def test_an_opt_out_reaches_every_contact_that_holds_the_address(world: Make) -> None:
    w = world(
        person(1, addresses=("family@example.com",)),
        person(2, addresses=("Family@Example.com",), in_esp=False),
        person(3, addresses=("ann3@example.com",)),
    )
    w.sync()
    w.esp.act("unsubscribe", email="family@example.com")
    w.sync()

    assert all(v["opt_out"] is True for v in w.crm.act("view", email="family@example.com", all=True))
    assert not w.crm_shows("ann3@example.com")["opt_out"]
    w.settle()


@pytest.mark.parametrize("direction", ["crm_to_esp", "esp_to_crm"])
def test_a_direction_that_is_switched_off_stops_only_that_way(world: Make, direction: str) -> None:
    w = world(person(1), person(2), changes={"opt_out": {direction: False}})
    w.sync()
    w.crm.act("opt_out", email="ann1@example.com")
    w.esp.act("unsubscribe", email="ann2@example.com")
    w.sync()

    assert (w.esp_shows("ann1@example.com")["status"] == Status.OUT) is (direction != "crm_to_esp")
    assert bool(w.crm_shows("ann2@example.com")["opt_out"]) is (direction != "esp_to_crm")
    w.settle()


@pytest.mark.rule("restrictive wins")
@pytest.mark.parametrize("direction", ["crm_to_esp", "esp_to_crm"])
def test_nothing_is_said_to_be_put_back_where_no_opt_out_travels(world: Make, direction: str) -> None:
    w = world(person(1), changes={"opt_out": {direction: False}})
    w.sync()
    w.crm.act("opt_out", email="ann1@example.com")
    w.esp.act("archive", email="ann1@example.com")
    w.sync()
    w.esp.act("flip_in", email="ann1@example.com", force=True)
    w.sync()

    is_put_back = direction != "crm_to_esp"
    assert (w.esp_shows("ann1@example.com")["status"] == Status.OUT) is is_put_back
    with w.store.reading() as unit:
        assert [i.kind for i in unit.issues.list()] == (["refused_opt_in"] if is_put_back else [])


@pytest.mark.rule("restrictive wins")
def test_a_topic_that_is_ticked_for_somebody_who_has_left_everything_is_not_said_to_be_put_back(world: Make) -> None:
    w = world(person(1, crm_topics={"offers": True}, esp_topics={"offers": True}))
    w.sync()
    w.esp.act("unsubscribe", email="ann1@example.com")
    w.settle()
    w.crm.act("set_topic", email="ann1@example.com", topic="news", wanted=True)
    w.sync()

    assert w.crm_shows("ann1@example.com")["topics"]["news"]
    assert w.esp_shows("ann1@example.com")["status"] == Status.OUT
    with w.store.reading() as unit:
        assert not unit.issues.list()


@pytest.mark.rule("one outcome for each record")
def test_a_record_without_an_address_is_counted_and_left_alone(world: Make) -> None:
    nameless: Person = person(1, addresses=(), in_esp=False)
    w = world(nameless, person(2))
    report = w.sync()

    assert report.syncs["newsletter"].outcome["skipped"]["no_address"] == 1


@pytest.mark.parametrize("unusable", ["asks for no mail", "ann2@", "-1"])
def test_a_flag_on_a_record_counts_for_the_address_that_it_is_given_later(world: Make, unusable: str) -> None:
    w = world(person(1, addresses=(unusable,), opt_out=True, in_esp=False), person(2, in_crm=False))
    w.sync()
    assert w.esp_shows("ann2@example.com")["status"] == Status.IN
    w.crm.act("change_address", email=unusable, to="ann2@example.com")
    w.sync()

    assert w.esp_shows("ann2@example.com")["status"] == Status.OUT
    assert w.crm_shows("ann2@example.com")["opt_out"] is True


def test_an_opt_out_that_a_system_refuses_is_tried_again_until_it_arrives(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("unsubscribe", email="ann1@example.com")
    w.crm.act("fault", kind="error", method="crm.contact.update", status=400, code="", text="Access denied", times=4)
    report = w.sync()
    assert "refused" in {c.state for c in report.syncs["newsletter"].changes if c.kind == "opt_out"}
    assert report.exit_code == 1
    assert not w.crm_shows("ann1@example.com")["opt_out"]
    for _ in range(4):
        w.sync()

    assert w.crm_shows("ann1@example.com")["opt_out"] is True
    w.settle()
    with w.store.reading() as unit:
        assert [issue for issue in unit.issues.list() if issue.field is None and "opt_out" in str(issue.values)] == []


def test_a_yes_and_a_no_between_two_readings_leave_a_new_no(world: Make) -> None:
    w = world(person(1))
    w.esp.act("unsubscribe", email="ann1@example.com")
    w.sync()
    w.wait(hours=1)
    w.esp.act("resubscribe", email="ann1@example.com")
    w.wait(hours=1)
    w.crm.act("opt_in", email="ann1@example.com", at=w.clock.now().isoformat())
    w.wait(hours=1)
    w.esp.act("unsubscribe", email="ann1@example.com")
    w.sync()

    assert w.esp_shows("ann1@example.com")["status"] == Status.OUT
    assert w.crm_shows("ann1@example.com")["opt_out"] is True


def _out_of_sight(w: World) -> Callable[[], None]:
    """The portal does not show Ann's contact any more, as where the integration may not see it; what is given back
    shows it again, under its old id."""
    table = w.crm.portal.table("contact")  # type: ignore[attr-defined]
    row = table.rows[int(w.crm_id("ann1@example.com"))]
    table.remove(row, to_bin=False)

    def shows_again() -> None:
        table.rows[row.id] = row
        insort(table.ids, row.id)
        insort(table.modified, (row.values["DATE_MODIFY"], row.id))
        table._index(row)

    return shows_again


@pytest.mark.rule("absence is no wish")
@pytest.mark.parametrize("taken_back", ["UF_CRM_OPT_IN", "UF_CRM_TOPIC_OFFERS"])
def test_what_was_taken_back_while_a_contact_was_believed_deleted_is_heard_when_it_is_shown_again(
    world: Make, taken_back: str
) -> None:
    w = world(person(1, opt_in=True, consent_at=START, crm_topics={"offers": True}, in_esp=False), person(2))
    w.sync()
    shows_again = _out_of_sight(w)
    for _ in range(2):
        w.sync(full=True)
        w.wait(hours=2)
    shows_again()
    w.crm.act("edit", id=w.crm_id("ann1@example.com"), fields={taken_back: 0})
    w.settle()

    scope = "acme/marketing" if taken_back == "UF_CRM_OPT_IN" else "acme/marketing/offers"
    assert explain(w.engine, "ann1@example.com")["scopes"][scope]["standing"] == "out"
    assert w.crm.act("dump", id=w.crm_id("ann1@example.com"))[taken_back] == 0
