"""A person's address changes on one side: what follows to the other side, and what never does."""

from collections.abc import Callable
from typing import Any

import pytest

from optsync.model.record import Origin, Status
from optsync.model.statement import StatementKind
from optsync.sync.administer import opt_in, opt_out
from tests.scenarios import world as worlds
from tests.scenarios.plans import may_send
from tests.scenarios.world import World, person

pytestmark = pytest.mark.rule("restrictions follow the person")

Make = Callable[..., World]
OLD, NEW, THIRD = "ann1@example.com", "new@example.com", "third@example.com"
LEGACY = {"existing": "legacy_grant"}


@pytest.fixture
def interest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The purpose needs no grant."""
    marketing = {"kind": "commercial", "basis": "legitimate_interest", "topics": ["news", "offers", "events"]}
    monkeypatch.setitem(worlds.BRANDS, "acme", {"purposes": {"marketing": marketing}})


def changes(w: World, **which: Any) -> list[tuple[str, str, str]]:
    """What the next cycle does: system, kind and state."""
    report = w.sync(**which)
    assert not report.syncs["newsletter"].failures
    return [(c.system, c.kind, c.state) for c in report.syncs["newsletter"].changes]


def member(w: World, email: str) -> Any:
    return w.esp.act("view", email=email)


def issues(w: World, kind: str = "ambiguous") -> list[Any]:
    with w.store.reading() as unit:
        return [issue for issue in unit.issues.list() if issue.kind == kind]


def said(w: World, email: str) -> list[Any]:
    with w.store.reading() as unit:
        key = unit.points.find([email])[email]
        return list(unit.ledger.about([key])[key])


def move(w: World, to: str = NEW, *, consents: bool = False) -> None:
    """The contact is given another address; ``consents``: with a new consent date."""
    w.crm.act("change_address", email=OLD, to=to)
    if consents:
        w.crm.act("opt_in", email=to, at=w.clock.now().isoformat())


def test_a_new_address_in_the_crm_renames_the_member_once(world: Make, interest: None) -> None:
    w = world(person(1), person(2))
    w.sync()
    move(w)

    assert changes(w) == [("esp", "rename", "applied")]
    assert member(w, NEW)["status"] == Status.IN
    assert member(w, OLD) is None
    w.rest()


def test_a_contact_whose_flag_was_set_for_a_former_address_shows_out_and_does_not_enter(
    world: Make, interest: None
) -> None:
    w = world(person(1, status=Status.OUT), person(2))
    w.sync()
    assert w.crm_shows(OLD)["opt_out"] is True
    opt_in(w.engine, OLD, scope="acme/marketing", actor="Eve", evidence="a letter")
    move(w)
    w.sync()

    assert member(w, NEW) is None
    w.settle()


def test_a_flag_that_an_opt_in_at_the_former_address_has_lifted_and_the_contact_still_shows_speaks_for_the_new_one(
    world: Make,
) -> None:
    other = "ann2@example.com"
    w = world(person(1), person(2))
    w.crm.act("opt_out", email=OLD)
    w.sync()
    opt_in(w.engine, OLD, scope="acme/marketing", actor="Eve", evidence="a letter")
    move(w, other)
    w.sync()

    assert member(w, other)["status"] == Status.OUT
    assert member(w, OLD)["status"] == Status.IN
    w.settle()


def test_fields_that_change_with_the_address_arrive_in_the_same_cycle(world: Make, interest: None) -> None:
    w = world(person(1))
    w.sync()
    move(w)
    w.crm.act("set_field", email=NEW, field="city", value="Oslo")

    assert sorted(changes(w)) == [("esp", "field", "applied"), ("esp", "rename", "applied")]
    assert member(w, NEW)["fields"]["city"] == "Oslo"


def test_a_rename_is_explained_by_both_addresses(world: Make, interest: None) -> None:
    w = world(person(1))
    w.sync()
    move(w)
    change = w.sync().syncs["newsletter"].changes[0]

    assert (change.before, change.after) == ({"address": OLD}, {"address": NEW})
    assert change.rule == "address_changed"


def test_another_letter_case_is_the_same_address(world: Make, interest: None) -> None:
    w = world(person(1))
    w.sync()
    move(w, to="ANN1@Example.com ")

    assert changes(w) == []


def test_without_a_new_consent_no_grant_follows_and_the_former_member_is_archived(world: Make) -> None:
    w = world(person(1), policy=LEGACY)
    w.sync()
    move(w)

    assert changes(w) == [("esp", "archive", "applied")]
    assert member(w, OLD)["status"] == Status.ARCHIVED
    assert member(w, NEW) is None
    assert StatementKind.GRANT not in {s.kind for s in said(w, NEW)}


def test_a_typo_taken_back_brings_the_archived_member_back(world: Make) -> None:
    w = world(person(1), policy=LEGACY)
    w.sync()
    move(w)
    w.sync()
    w.crm.act("change_address", email=NEW, to=OLD)
    w.sync()

    assert member(w, OLD)["status"] == Status.IN
    assert member(w, NEW) is None


def test_a_consent_given_with_the_new_address_is_followed_by_the_member(world: Make) -> None:
    w = world(person(1, opt_in=True), policy=LEGACY)
    w.sync()
    move(w, consents=True)

    assert ("esp", "rename", "applied") in changes(w)
    assert member(w, NEW)["status"] == Status.IN
    assert member(w, OLD) is None


def test_a_consent_dated_before_the_change_belongs_to_the_former_address(world: Make) -> None:
    w = world(person(1, opt_in=True), policy=LEGACY)
    w.sync()
    earlier = w.clock.now().isoformat()
    w.wait(minutes=5)
    w.crm.act("change_address", email=OLD, to=NEW)
    w.crm.act("opt_in", email=NEW, at=earlier)
    w.sync()

    assert member(w, NEW) is None
    assert StatementKind.GRANT not in {s.kind for s in said(w, NEW)}


def test_no_grant_follows_where_none_may(world: Make) -> None:
    w = world(person(1), policy={**LEGACY, "carry_grant": "never"})
    w.sync()
    w.esp.act("change_address", email=OLD, to=NEW)
    w.sync()

    assert w.crm_shows(NEW)["address"] == NEW
    assert StatementKind.GRANT not in {s.kind for s in said(w, NEW)}


def test_a_change_in_the_profile_changes_the_contact_and_the_grant_follows(world: Make) -> None:
    w = world(person(1), policy=LEGACY)
    w.sync()
    w.esp.act("change_address", email=OLD, to=NEW)

    assert ("crm", "rename", "applied") in changes(w)
    assert w.crm_shows(NEW)["address"] == NEW
    assert w.crm.act("view", email=OLD) is None
    assert member(w, NEW)["status"] == Status.IN
    grant = next(s for s in said(w, NEW) if s.kind is StatementKind.GRANT)
    assert grant.evidence["carried_by"].startswith("esp ")
    assert StatementKind.GRANT in {s.kind for s in said(w, OLD)}
    w.rest()


def test_no_second_member_is_made_for_the_address_that_the_person_left(world: Make, interest: None) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("change_address", email=OLD, to=NEW)
    w.crm.act("fault", kind="error", method="crm.contact.update", times=2)
    w.sync()
    w.sync()

    assert member(w, OLD) is None
    for _ in range(3):
        w.sync()
    assert w.crm_shows(NEW)["address"] == NEW


@pytest.mark.parametrize("side", ["crm", "esp"])
def test_an_opt_out_at_the_former_address_follows(world: Make, interest: None, side: str) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("unsubscribe", email=OLD)
    w.sync()
    (w.crm if side == "crm" else w.esp).act("change_address", email=OLD, to=NEW)
    w.sync()
    w.sync()

    assert w.crm_shows(NEW)["opt_out"] is True
    assert member(w, NEW) is None or member(w, NEW)["status"] == Status.OUT
    assert StatementKind.OUT in {s.kind for s in said(w, NEW)}
    assert StatementKind.OUT in {s.kind for s in said(w, OLD)}


@pytest.mark.parametrize("wait", [0, 60], ids=["no stamp tells of", "a stamp tells of"])
def test_whoever_lets_the_former_address_back_in_after_the_change_says_nothing_of_the_new_one(
    world: Make, interest: None, wait: int
) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("unsubscribe", email=OLD)
    w.sync()
    w.clock.advance(wait)
    w.crm.act("change_address", email=OLD, to=NEW)
    w.clock.advance(600)
    opt_in(w.engine, OLD, scope="acme/marketing", actor="Eve", evidence="a letter")
    w.sync()
    w.sync()

    assert StatementKind.OUT in {s.kind for s in said(w, NEW)}
    assert w.crm_shows(NEW)["opt_out"] is True
    assert member(w, NEW) is None


@pytest.mark.parametrize("by_person", [True, False])
def test_a_sign_up_lifts_what_followed_to_an_address_that_was_changed_before_the_next_reading(
    world: Make, by_person: bool
) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("unsubscribe", email=OLD)
    w.sync()
    assert w.crm_shows(OLD)["opt_out"] is True
    w.wait(hours=1)
    w.esp.act("resubscribe", email=OLD, kind="signup" if by_person else "generic_signup")
    w.wait(hours=1)
    w.esp.act("change_address", email=OLD, to=NEW)
    w.sync()
    w.sync()

    assert w.crm_shows(NEW)["opt_out"] is not by_person
    assert member(w, NEW)["status"] == (Status.IN if by_person else Status.OUT)
    assert may_send(w, NEW) is by_person
    assert not may_send(w, OLD)
    assert bool(issues(w, "refused_opt_in")) is not by_person


@pytest.mark.parametrize("act", ["complain", "unsubscribe"])
def test_an_opt_out_after_the_sign_up_follows_to_the_new_address(world: Make, act: str) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("unsubscribe", email=OLD)
    w.sync()
    for each in ("resubscribe", act):
        w.wait(hours=1)
        w.esp.act(each, email=OLD)
    w.esp.act("change_address", email=OLD, to=NEW)
    w.sync()
    w.sync()

    assert w.crm_shows(NEW)["opt_out"] is True
    assert not may_send(w, NEW)


def test_a_consent_in_the_edit_that_changes_the_address_lifts_what_the_member_left_behind_has_said(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("unsubscribe", email=OLD)
    w.sync()
    w.wait(hours=1)
    move(w, consents=True)
    w.sync()
    w.sync()

    assert StatementKind.OUT not in {s.kind for s in said(w, NEW)}
    assert w.crm_shows(NEW)["opt_out"] is False
    assert may_send(w, NEW)
    assert not may_send(w, OLD)


@pytest.mark.parametrize("times", [1, 2])
def test_an_opt_out_that_was_said_twice_follows_once(world: Make, times: int) -> None:
    w = world(person(1))
    w.sync()
    for _ in range(times):
        for act in ("resubscribe", "unsubscribe"):
            w.wait(hours=1)
            w.esp.act(act, email=OLD)
        w.sync()
    w.wait(hours=1)
    move(w)
    w.wait(minutes=10)
    opt_in(w.engine, NEW, scope="acme/marketing", actor="Eve", evidence="a letter")
    w.sync()
    w.sync()

    assert [s.kind for s in said(w, OLD)].count(StatementKind.OUT) == times
    assert [s.kind for s in said(w, NEW)].count(StatementKind.OUT) == 1
    assert may_send(w, NEW)


def test_a_complaint_follows_as_a_complaint(world: Make, interest: None) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("complain", email=OLD)
    w.sync()
    move(w)
    w.sync()

    assert StatementKind.COMPLAINT in {s.kind for s in said(w, NEW)}
    assert member(w, NEW) is None


def test_a_bounce_stays_with_the_former_address(world: Make, interest: None) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("bounce", email=OLD)
    w.sync()
    assert w.crm.act("dump", id=w.crm_id(OLD))["UF_CRM_EMAIL_BOUNCED"] in ("1", True)
    move(w)
    w.sync()

    assert member(w, NEW)["status"] == Status.IN
    assert w.crm.act("dump", id=w.crm_id(NEW))["UF_CRM_EMAIL_BOUNCED"] not in ("1", True)
    assert member(w, OLD)["status"] == Status.BOUNCED


def test_an_opt_out_in_the_same_edit_as_the_new_address_reaches_the_member(world: Make, interest: None) -> None:
    w = world(person(1))
    w.sync()
    move(w)
    w.crm.act("opt_out", email=NEW)
    w.sync()

    assert member(w, NEW) is None
    assert member(w, OLD)["status"] != Status.IN


def test_an_opt_out_in_the_crm_reaches_a_member_that_was_left_behind_and_waits_for_approval_to_be_archived(
    world: Make, interest: None
) -> None:
    new = person(2, addresses=(NEW,), in_crm=False)
    w = world(person(1), new, guard={"archives": {"max": 0, "percent": 0, "cap": 0}})
    w.sync()
    move(w)
    assert ("esp", "archive", "held") in changes(w)
    w.crm.act("opt_out", email=NEW)
    w.sync()

    assert member(w, NEW)["status"] == Status.OUT
    assert member(w, OLD)["status"] == Status.OUT


@pytest.mark.parametrize("what", ["flag", "topic"])
def test_an_opt_out_in_the_same_edit_in_which_the_address_is_deleted_reaches_the_member(
    world: Make, interest: None, what: str
) -> None:
    w = world(person(1, crm_topics={"news": True}, esp_topics={"news": True}), person(2))
    w.sync()
    row = w.crm.act("dump", id=1)["EMAIL"][0]["ID"]
    no = {"UF_CRM_OPT_OUT": 1} if what == "flag" else {"UF_CRM_TOPIC_NEWS": 0}
    w.crm.act("edit", id=1, fields={**no, "EMAIL": [{"ID": row, "DELETE": "Y"}]})
    w.sync()

    assert member(w, OLD)["status"] == (Status.OUT if what == "flag" else Status.IN)
    assert member(w, OLD)["topics"]["news"] is (what == "flag")


@pytest.mark.parametrize("what", ["flag", "topic"])
@pytest.mark.parametrize("is_taken", [False, True])
def test_an_opt_out_of_a_contact_without_an_address_reaches_its_member_unless_somebody_else_has_that_address(
    world: Make, interest: None, what: str, is_taken: bool
) -> None:
    w = world(person(1, crm_topics={"news": True}, esp_topics={"news": True}), person(2))
    w.sync()
    row = w.crm.act("dump", id=1)["EMAIL"][0]["ID"]
    w.crm.act("edit", id=1, fields={"EMAIL": [{"ID": row, "DELETE": "Y"}]})
    w.sync()
    if is_taken:
        w.crm.act("create", email=OLD, topics={"news": True})
        w.sync()
    assert (member(w, OLD)["status"], member(w, OLD)["topics"]["news"]) == (Status.IN, True)
    w.crm.act("edit", id=1, fields={"UF_CRM_OPT_OUT": 1} if what == "flag" else {"UF_CRM_TOPIC_NEWS": 0})
    w.settle()

    assert (member(w, OLD)["status"] == Status.OUT) is (what == "flag" and not is_taken)
    assert member(w, OLD)["topics"]["news"] is (what == "flag" or is_taken)


@pytest.mark.parametrize("what", ["flag", "topic"])
@pytest.mark.parametrize("to", [OLD, NEW])
def test_a_yes_that_is_taken_back_in_the_edit_in_which_a_contact_is_given_an_address_again_is_heard(
    world: Make, what: str, to: str
) -> None:
    both = {"crm_topics": {"news": True}, "esp_topics": {"news": True}}
    w = world(person(1, opt_in=True, consent_at=worlds.START, **both), person(2, **both))
    w.sync()
    row = w.crm.act("dump", id=1)["EMAIL"][0]["ID"]
    w.crm.act("edit", id=1, fields={"EMAIL": [{"ID": row, "DELETE": "Y"}]})
    w.sync()
    taken_back = {"UF_CRM_OPT_IN": 0} if what == "flag" else {"UF_CRM_TOPIC_NEWS": 0}
    w.crm.act("edit", id=1, fields={**taken_back, "EMAIL": [{"VALUE": to, "VALUE_TYPE": "WORK"}]})
    w.settle()

    assert w.crm_shows(to)["opt_in"] is (what == "topic")
    assert w.crm_shows(to)["topics"]["news"] is (what == "flag")
    mailed = member(w, OLD) or member(w, to)
    assert (mailed["status"], mailed["topics"]["news"]) == (
        (Status.OUT, True) if what == "flag" else (Status.IN, False)
    )


def test_an_address_that_is_out_is_never_given_to_a_member(world: Make, interest: None) -> None:
    w = world(person(1), person(2, addresses=(NEW,), in_esp=False, opt_out=True))
    w.sync()
    w.crm.act("delete", email=NEW)
    w.sync(full=True)
    w.wait(hours=2)
    w.sync(full=True)
    move(w)

    assert ("esp", "archive", "applied") in changes(w)
    assert member(w, NEW) is None
    assert w.crm_shows(NEW)["opt_out"] is True


def test_a_new_address_that_is_a_member_already_is_joined_with_that_member(world: Make, interest: None) -> None:
    w = world(person(1), person(2, in_crm=False, addresses=(NEW,), status=Status.OUT, origin=Origin.PERSON))
    w.sync()
    move(w)
    done = changes(w)

    assert "rename" not in {kind for _, kind, _ in done}
    assert w.crm_shows(NEW)["opt_out"] is True
    assert member(w, NEW)["status"] == Status.OUT
    assert member(w, OLD)["status"] == Status.ARCHIVED


def test_the_former_address_of_another_contact_keeps_its_member(world: Make, interest: None) -> None:
    w = world(person(1), person(2, addresses=("Ann1@example.com",), in_esp=False))
    w.sync()
    w.crm.act("change_address", email=OLD, to=NEW)
    w.sync()

    assert member(w, OLD)["status"] == Status.IN
    assert member(w, NEW)["status"] == Status.IN
    w.rest()


def test_an_opt_out_seen_while_looking_who_else_holds_the_address_is_heard_at_once(
    world: Make, interest: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = world(person(1), person(2))
    w.sync()
    connector: Any = w.engine.connectors["crm"]
    read_ids = connector.read_ids

    def say_no_first(*asked: Any) -> Any:
        w.crm.act("opt_out", email=OLD)
        return read_ids(*asked)

    w.crm.act("change_address", email="ann2@example.com", to=OLD)
    with monkeypatch.context() as patch:
        patch.setattr(connector, "read_ids", say_no_first)
        w.sync()

    assert member(w, OLD)["status"] == Status.OUT
    assert not may_send(w, OLD)


def test_a_contact_whose_address_changed_on_both_sides_is_asked_about(world: Make, interest: None) -> None:
    w = world(person(1))
    w.sync()
    move(w)
    w.esp.act("change_address", email=OLD, to=THIRD)

    assert changes(w) == []
    assert len(issues(w)) == 1
    assert "crm contact" in issues(w)[0].message
    assert "esp member" in issues(w)[0].message
    w.esp.act("unsubscribe", email=THIRD)
    w.sync()
    assert w.crm_shows(NEW)["opt_out"] is True
    assert member(w, NEW) is None


def test_an_opt_out_in_the_crm_reaches_a_member_that_came_apart(world: Make, interest: None) -> None:
    w = world(person(1))
    w.sync()
    move(w)
    w.esp.act("change_address", email=OLD, to=THIRD)
    w.sync()
    w.crm.act("opt_out", email=NEW)
    w.sync()

    assert member(w, THIRD)["status"] == Status.OUT


def test_the_question_is_answered_by_giving_both_the_same_address(world: Make, interest: None) -> None:
    w = world(person(1))
    w.sync()
    move(w)
    w.esp.act("change_address", email=OLD, to=THIRD)
    w.sync()
    w.crm.act("change_address", email=NEW, to=THIRD)
    w.sync()

    assert issues(w) == []
    w.crm.act("set_field", email=THIRD, field="city", value="Oslo")
    w.sync()
    assert member(w, THIRD)["fields"]["city"] == "Oslo"


def test_a_profile_changed_to_an_address_that_another_contact_holds_is_asked_about(world: Make, interest: None) -> None:
    w = world(person(1), person(2, addresses=(NEW,), in_esp=False, opt_out=True))
    w.sync()
    w.esp.act("change_address", email=OLD, to=NEW)
    w.sync()

    assert len(issues(w)) == 1
    assert w.crm_shows(OLD)["opt_out"] is True
    assert member(w, OLD) is None
    assert member(w, NEW)["status"] == Status.OUT
    assert member(w, NEW)["fields"]["first_name"] == "Ann1"


def test_a_profile_changed_to_another_address_is_asked_about_where_the_contacts_first_one_cannot_be_used(
    world: Make, interest: None
) -> None:
    w = world(person(1, addresses=("unknown", OLD)))
    w.sync()
    w.esp.act("change_address", email=OLD, to=NEW)

    assert changes(w) == []
    assert len(issues(w)) == 1
    w.crm.act("change_address", email=OLD, to=NEW)
    w.sync()
    assert issues(w) == []


@pytest.mark.parametrize("archives", [0, 50])
def test_a_member_about_whom_a_question_is_open_is_nobody_elses_wherever_a_look_begins(
    world: Make, interest: None, archives: int
) -> None:
    """``archives``: how many the guard lets pass; the former member stays where it is without."""
    ben = "ann2@example.com"
    w = world(person(1), person(2), guard={"archives": {"max": archives, "percent": 0, "cap": archives}})
    w.sync()
    w.crm.act("change_address", email=ben, to=THIRD)
    w.esp.act("change_address", email=ben, to=NEW)
    w.sync()
    assert len(issues(w)) == 1
    move(w)
    w.sync()
    opt_out(w.engine, OLD, scope="acme/marketing/news", actor="Eve", reason="a letter")
    w.sync()

    assert member(w, NEW)["fields"]["first_name"] == "Ann2"
    w.settle()


def test_a_contact_out_of_the_list_scope_keeps_its_member_where_it_is(world: Make, interest: None) -> None:
    w = world(person(1))
    w.sync()
    w.crm.act("edit", id=w.crm_id(OLD), fields={"TYPE_ID": "SUPPLIER"})
    w.sync()
    move(w)
    assert changes(w) == []
    w.crm.act("opt_out", email=NEW)
    w.sync()

    assert member(w, OLD)["status"] == Status.OUT


def test_a_member_that_people_archived_is_not_made_again_at_the_new_address(world: Make, interest: None) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("archive", email=OLD)
    w.sync()
    move(w)
    w.sync()

    assert member(w, NEW) is None
