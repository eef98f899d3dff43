"""Asking for a confirmation: once per address and scope, or once per grant, whatever happens in between."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from optsync.model.record import Origin, Status
from optsync.state.schema import standing
from optsync.sync.administer import opt_in, opt_out
from optsync.sync.explain import explain
from tests.scenarios.world import START, World, person

pytestmark = pytest.mark.rule("asked once")

Make = Callable[..., World]
ANN = "ann1@example.com"
SCOPE = "acme/marketing"
ASKING = {"enter": "request"}


def open_issues(w: World) -> list[str]:
    with w.store.reading() as unit:
        return [issue.kind for issue in unit.issues.list()]


def asked(w: World, email: str = ANN) -> int:
    """Confirmation mails that the platform has sent to the address."""
    return int(w.esp.act("asked", email=email))


def about(w: World, scope: str = SCOPE, email: str = ANN) -> dict[str, Any]:
    return dict(explain(w.engine, email)["scopes"][scope])


def cached(w: World) -> set[tuple[str, str]]:
    """(scope, standing) as reports count them."""
    with w.store.reading() as unit:
        key = unit.points.find([ANN])[ANN]
        rows = unit.points._connection.execute(sa.select(standing.c.scope, standing.c.wish).filter_by(point_id=key))
        return {(scope, wish) for scope, wish in rows}


def consent_in_the_crm(w: World) -> None:
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())


# somebody enters the list


def test_who_was_asked_is_pending_until_the_click_which_is_a_grant_with_its_proof(world: Make) -> None:
    w = world(person(1, in_esp=False), policy=ASKING)
    w.sync()

    waiting = about(w)
    assert (waiting["standing"], waiting["may_send"]) == ("pending", False)
    assert waiting["reason"] == "asked, no answer yet"
    assert waiting["request"]["state"] == "waiting"
    assert waiting["request"]["asked_at"] is not None
    assert (SCOPE, "pending") in cached(w)
    w.settle()

    w.esp.act("confirm", email=ANN)
    clicked = w.clock.now().replace(microsecond=0)
    w.sync()
    answered = about(w)
    assert (answered["standing"], answered["may_send"]) == ("in", True)
    assert answered["decided_by"]["strength"] == "evidenced"
    assert answered["decided_by"]["evidence"]["opted_in_at"] == clicked.isoformat()
    assert answered["request"]["state"] == "confirmed"
    assert w.crm_shows(ANN)["opt_in"] is True
    noted = w.crm.act("dump", id=w.crm_id(ANN))["UF_CRM_CONSENT_DATE"]
    assert datetime.fromtimestamp(noted, UTC) == clicked
    assert asked(w) == 1
    w.settle()


def test_who_never_clicks_is_asked_once_through_restarts_and_full_readings(world: Make) -> None:
    w = world(person(1, in_esp=False), policy=ASKING)
    w.sync()
    for _ in range(3):
        w.engine = w.compose()
        w.wait(hours=30)
        w.sync(full=True)

    assert asked(w) == 1
    assert about(w)["request"]["state"] == "waiting"
    assert not w.crm_shows(ANN)["opt_out"]


def test_a_request_that_lapses_is_no_opt_out_and_is_not_repeated(world: Make) -> None:
    w = world(person(1, in_esp=False), policy=ASKING)
    w.sync()
    w.esp.act("let_lapse", email=ANN)
    for _ in range(3):
        w.wait(hours=2)
        w.sync(full=True)

    ended = about(w)
    assert (ended["standing"], ended["reason"]) == ("unknown", "no consent known")
    assert ended["request"]["state"] == "no_answer"
    assert ended["request"]["ended_at"] > ended["request"]["asked_at"]
    assert not w.crm_shows(ANN)["opt_out"]
    assert asked(w) == 1
    assert (SCOPE, "pending") not in cached(w)
    w.settle()


@pytest.mark.parametrize("many", [1, 5])
def test_whose_request_lapsed_and_who_consents_then_is_subscribed_however_many_do(world: Make, many: int) -> None:
    """The platform makes new members of those who are written in one call."""
    people = [person(number, in_esp=False) for number in range(1, many + 1)]
    addresses = [each.addresses[0] for each in people]
    w = world(*people, policy=ASKING)
    w.sync()
    for address in addresses:
        w.esp.act("let_lapse", email=address)
    w.wait(hours=1)
    for address in addresses:
        w.crm.act("opt_in", email=address, at=w.clock.now().isoformat())
    w.sync()
    w.sync()

    assert {w.esp_shows(address)["status"] for address in addresses} == {Status.IN}
    assert {w.esp_shows(address)["fields"]["city"] for address in addresses} == {"Riga"}
    assert {asked(w, address) for address in addresses} == {1}
    w.settle()


@pytest.mark.parametrize("ending", ["archive", "non_subscribed"])
def test_a_pending_member_who_is_taken_off_the_list_has_given_no_answer(world: Make, ending: str) -> None:
    w = world(person(1, in_esp=False), policy=ASKING)
    w.sync()
    if ending == "archive":
        w.esp.act("archive", email=ANN)
    else:
        w.esp.act("unlist", email=ANN)
    w.sync()

    assert about(w)["request"]["state"] == "no_answer"
    assert about(w)["standing"] == "unknown"
    assert not w.crm_shows(ANN)["opt_out"]
    w.settle()
    assert asked(w) == 1


def test_a_late_sign_up_after_a_lapsed_request_is_honoured(world: Make) -> None:
    w = world(person(1, in_esp=False), policy=ASKING)
    w.sync()
    w.esp.act("let_lapse", email=ANN)
    for _ in range(2):
        w.wait(hours=2)
        w.sync(full=True)
    w.esp.act("resubscribe", email=ANN)
    w.sync()

    assert about(w)["standing"] == "in"
    assert w.crm_shows(ANN)["opt_in"] is True
    w.settle()


def test_an_opt_out_in_the_crm_ends_the_request_and_leaves_the_platforms_pending_alone(world: Make) -> None:
    w = world(person(1, in_esp=False), policy=ASKING)
    w.sync()
    w.crm.act("opt_out", email=ANN)
    before = w.writes()
    w.sync()

    assert w.writes() == before
    assert w.esp_shows(ANN)["status"] == Status.PENDING
    assert (about(w)["standing"], about(w)["request"]["state"]) == ("out", "opted_out")
    w.settle()


def test_a_click_after_the_opt_out_in_the_crm_counts(world: Make) -> None:
    w = world(person(1, in_esp=False), policy=ASKING)
    w.sync()
    w.crm.act("opt_out", email=ANN)
    w.sync()
    w.wait(hours=1)
    w.esp.act("confirm", email=ANN)
    w.sync()

    assert about(w)["standing"] == "in"
    assert not w.crm_shows(ANN)["opt_out"]
    assert w.esp_shows(ANN)["status"] == Status.IN
    w.settle()


def test_a_click_before_the_opt_out_in_the_crm_is_put_back(world: Make) -> None:
    w = world(person(1, in_esp=False), policy=ASKING)
    w.sync()
    w.esp.act("confirm", email=ANN)
    w.wait(hours=1)
    w.crm.act("opt_out", email=ANN)
    w.sync()

    assert about(w)["standing"] == "out"
    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.esp_shows(ANN)["status"] == Status.OUT
    w.settle()


def test_a_contact_who_is_deleted_and_imported_again_is_not_asked_again(world: Make) -> None:
    w = world(person(1, in_esp=False), policy=ASKING)
    w.sync()
    w.crm.act("delete", email=ANN)
    w.esp.act("let_lapse", email=ANN)
    for _ in range(3):
        w.wait(hours=2)
        w.sync(full=True)
    w.crm.populate([person(7, addresses=(ANN.upper(),), in_esp=False)])
    w.sync(full=True)

    assert asked(w) == 1
    assert w.esp.act("view", email=ANN) is None
    w.settle()


def test_a_second_record_with_the_same_address_causes_no_second_request(world: Make) -> None:
    w = world(person(1, in_esp=False), person(2, addresses=(ANN,), in_esp=False), policy=ASKING)
    w.sync()
    w.crm.populate([person(3, addresses=(f" {ANN.title()} ",), in_esp=False)])
    w.sync()

    assert asked(w) == 1
    w.settle()


def test_where_interest_suffices_the_policy_to_ask_still_asks(world: Make) -> None:
    brands = {
        "acme": {"purposes": {"marketing": {"basis": "legitimate_interest", "topics": ["news", "offers", "events"]}}}
    }
    w = world(person(1, in_esp=False), policy=ASKING, brands=brands)
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.PENDING
    w.settle()
    assert asked(w) == 1


# an opt-in that the platform takes from the person only


def test_a_new_consent_in_the_crm_after_a_self_unsubscribe_asks_the_person_to_confirm_it_once(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    w.wait(hours=1)
    consent_in_the_crm(w)
    report = w.sync()

    changes = [(c.kind, c.state, c.rule) for c in report.syncs["newsletter"].changes if c.system == "esp"]
    assert changes == [("request", "applied", "asked_for_grant")], "no call that is bound to be refused"
    assert w.esp_shows(ANN)["status"] == Status.PENDING
    assert (asked(w), about(w)["request"]["state"]) == (1, "waiting")
    assert about(w)["request"]["grant"] == about(w)["decided_by"]["id"]
    assert open_issues(w) == []
    w.settle()

    w.esp.act("confirm", email=ANN)
    w.sync()
    assert w.esp_shows(ANN)["status"] == Status.IN
    assert not w.crm_shows(ANN)["opt_out"]
    assert about(w)["request"]["state"] == "confirmed"
    w.settle()


def test_another_consent_later_is_another_request_and_nothing_else_is(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    w.wait(hours=1)
    consent_in_the_crm(w)
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    w.sync(full=True)
    assert (asked(w), about(w)["standing"]) == (1, "out")

    w.wait(hours=1)
    consent_in_the_crm(w)
    w.sync()
    assert (asked(w), w.esp_shows(ANN)["status"]) == (2, Status.PENDING)
    w.engine = w.compose()
    w.sync(full=True)
    assert asked(w) == 2
    w.settle()


def test_an_administrators_opt_in_lifts_a_complaint_only_by_asking(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("complain", email=ANN)
    w.sync()
    w.wait(hours=1)
    consent_in_the_crm(w)
    w.sync()
    assert (asked(w), w.esp_shows(ANN)["status"]) == (0, Status.OUT)

    opt_in(w.engine, ANN, scope=SCOPE, actor="Kim", evidence="she called and asked for it")
    w.sync()
    assert (asked(w), w.esp_shows(ANN)["status"]) == (1, Status.PENDING)
    w.settle()


def test_an_administrators_unsubscribe_there_is_lifted_directly(world: Make) -> None:
    w = world(person(1, status=Status.OUT, origin=Origin.ADMIN, created_at=START - timedelta(days=9)))
    w.sync()
    opt_in(w.engine, ANN, scope=SCOPE, actor="Kim", evidence="signed form")
    w.sync()

    assert (asked(w), w.esp_shows(ANN)["status"]) == (0, Status.IN)
    w.settle()


def test_who_unsubscribed_and_was_archived_since_is_neither_subscribed_nor_asked(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    w.esp.act("archive", email=ANN)
    w.sync()
    w.wait(hours=1)
    consent_in_the_crm(w)
    w.sync()

    assert (asked(w), w.esp_shows(ANN)["status"]) == (0, Status.ARCHIVED)
    assert open_issues(w) == ["needs_confirmation"]
    w.settle()
    assert open_issues(w) == ["needs_confirmation"]


def test_who_unsubscribed_and_is_no_member_any_more_enters_by_a_request_only(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    w.wait(hours=1)
    consent_in_the_crm(w)
    w.sync()
    w.esp.act("let_lapse", email=ANN)
    for _ in range(3):
        w.wait(hours=2)
        w.sync(full=True)
    assert (asked(w), about(w)["request"]["state"]) == (1, "no_answer")
    assert w.esp.act("view", email=ANN) is None, (
        "an unanswered request is not repeated, and nobody is subscribed over it"
    )

    consent_in_the_crm(w)
    w.sync()
    assert (asked(w), w.esp_shows(ANN)["status"]) == (2, Status.PENDING)
    w.settle()


def test_an_opt_out_before_the_call_keeps_a_request_back(world: Make) -> None:
    w = world(person(1, in_esp=False), policy=ASKING)
    opt_out(w.engine, ANN, scope="*", actor="Kim")
    w.sync()

    assert asked(w) == 0
    w.settle()


@pytest.mark.rule("list scope limits no restriction")
def test_who_signed_up_by_themself_after_a_lapsed_request_is_given_back_what_optsync_took(world: Make) -> None:
    w = world(person(1, opt_in=True, consent_at=START), person(2), policy={"leave": "archive"})
    w.settle()
    w.esp.act("unsubscribe", email=ANN)
    w.settle()
    w.wait(hours=1)
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())
    w.settle()
    assert w.esp_shows(ANN)["status"] == Status.PENDING
    w.esp.act("archive", email=ANN)
    w.settle()
    w.wait(hours=1)
    w.esp.act("resubscribe", email=ANN)
    w.settle()
    for to, shows in (("SUPPLIER", Status.ARCHIVED), ("CLIENT", Status.IN)):
        w.crm.act("edit", id=w.crm_id(ANN), fields={"TYPE_ID": to})
        w.settle()
        assert w.esp_shows(ANN)["status"] == shows
