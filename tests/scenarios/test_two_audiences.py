"""One address in two audiences of the same scope: what is said in one counts in the other."""

from pathlib import Path

import pytest

from optsync.model.record import Status
from optsync.state.issues import NewIssue
from optsync.sync import plans
from optsync.sync.administer import deliverable, opt_in, opt_out
from optsync.sync.permission import permissions
from optsync.sync.run import run_cycle
from tests.scenarios.plans import LIMIT, MANY, mark
from tests.scenarios.two_audiences import TwoAudiences
from tests.scenarios.world import START, person

ANN, BEN, SCOPE = "ann1@example.com", "ben@example.com", "acme/marketing"
MARKER = "UF_CRM_EMAIL_BOUNCED"


@pytest.mark.rule("no opt-out is lost")
@pytest.mark.parametrize("is_first", [True, False])
def test_an_opt_out_in_one_audience_reaches_the_other(tmp_path: Path, is_first: bool) -> None:
    two = TwoAudiences(tmp_path, [person(1)], [person(1)])
    two.sync()
    left, other = (two.w.esp, two.other) if is_first else (two.other, two.w.esp)
    left.act("unsubscribe", email=ANN)
    two.settle()

    assert other.act("view", email=ANN)["status"] == Status.OUT


@pytest.mark.rule("no opt-out is lost")
def test_who_left_in_person_before_many_were_flagged_does_not_wait_for_the_plan_of_those(tmp_path: Path) -> None:
    people = [person(n, opt_in=True) for n in range(1, 7)]
    two = TwoAudiences(tmp_path, people, people[:1], guard={"opt_outs": LIMIT})
    two.sync()
    two.w.wait(hours=1)
    two.other.act("unsubscribe", email=ANN)
    two.w.wait(minutes=5)
    mark(two.w)
    held = run_cycle(two.engine, ["newsletter"]).syncs["newsletter"].plan
    assert held is not None
    assert two.w.esp_shows(ANN)["status"] == Status.IN
    for _ in range(2):
        two.w.wait(minutes=10)
        run_cycle(two.engine)

    assert two.w.esp_shows(ANN)["status"] == Status.OUT
    assert [two.w.esp_shows(email)["status"] for email in MANY[1:4]] == [Status.IN] * 3
    plans.reject(two.engine, held, actor="boss")
    for _ in range(2):
        two.w.wait(minutes=10)
        run_cycle(two.engine)
    assert two.w.esp_shows(ANN)["status"] == Status.OUT
    assert [two.w.crm_shows(email)["opt_out"] for email in MANY[:4]] == [True, False, False, False]


@pytest.mark.rule("bounces are not wishes")
def test_a_bounce_in_one_audience_keeps_the_address_out_of_the_other(tmp_path: Path) -> None:
    two = TwoAudiences(tmp_path, [person(1, opt_in=True, consent_at=START.replace(month=6))], [])
    two.w.esp.act("bounce", email=ANN)
    two.settle()

    assert two.marker(ANN)
    assert two.other.act("view", email=ANN) is None


@pytest.mark.rule("bounces are not wishes")
def test_a_bounced_address_is_not_opted_in_at_another_audience_until_it_works_again(tmp_path: Path) -> None:
    two = TwoAudiences(tmp_path, [person(1)], [person(1)])
    two.sync()
    opt_out(two.engine, ANN, scope=SCOPE, actor="Eve")
    two.sync()
    assert two.other.act("view", email=ANN)["status"] == Status.OUT
    two.w.crm.act("edit", id=1, fields={MARKER: 1})
    two.sync()
    opt_in(two.engine, ANN, scope=SCOPE, actor="Eve", evidence="a signed form")
    two.settle()
    assert two.other.act("view", email=ANN)["status"] == Status.OUT

    deliverable(two.engine, ANN, actor="Eve", evidence="they answered")
    two.settle()
    assert two.other.act("view", email=ANN)["status"] == Status.IN


@pytest.mark.rule("no opt-out is lost")
@pytest.mark.parametrize("is_first", [True, False])
def test_a_flag_that_two_audiences_share_shows_out_for_a_member_of_either(tmp_path: Path, is_first: bool) -> None:
    contact, member = person(1, addresses=(ANN, BEN), in_esp=False), person(2, addresses=(BEN,), in_crm=False)
    two = TwoAudiences(tmp_path, [contact, member] if is_first else [contact], [] if is_first else [member])
    two.sync()
    opt_in(two.engine, ANN, scope=SCOPE, actor="Eve", evidence="a signed form")
    two.settle()
    (two.w.esp if is_first else two.other).act("unsubscribe", email=BEN)
    two.settle()

    assert two.w.crm_shows(ANN)["opt_out"] is True
    assert two.w.esp_shows(ANN)["status"] == Status.IN
    assert two.other.act("view", email=ANN)["status"] == Status.IN


@pytest.mark.rule("nobody is opted in by accident")
def test_an_audience_of_one_topic_takes_nobody_for_the_purpose_around_it(tmp_path: Path) -> None:
    flags = {"system": "crm", "entity": "contact", "opt_out": "UF_CRM_NO_LETTERS"}
    two = TwoAudiences(tmp_path, [person(1), person(2)], [], second={"scope": f"{SCOPE}/news", "crm": flags})
    two.w.crm.act("add_field", field="UF_CRM_NO_LETTERS")
    two.sync()
    opt_in(two.engine, ANN, scope=SCOPE, actor="Eve", evidence="a signed form")
    opt_in(two.engine, "ann2@example.com", scope=f"{SCOPE}/news", actor="Eve", evidence="a signed form")
    two.settle()

    assert may_send(two, ANN, f"{SCOPE}/news") is False
    assert two.other.act("view", email=ANN) is None
    assert may_send(two, "ann2@example.com", f"{SCOPE}/news") is True
    assert two.other.act("view", email="ann2@example.com")["status"] == Status.IN


def may_send(two: TwoAudiences, email: str, scope: str) -> bool:
    with two.engine.store.reading() as unit:
        found = permissions(two.engine).verdicts(unit, [email], scope, now=two.w.clock.now())
    return found[email].permission.may_send


@pytest.mark.rule("one bad record stands alone")
def test_a_complete_read_by_either_sync_tells_that_a_contact_that_could_not_be_read_is_gone(tmp_path: Path) -> None:
    two = TwoAudiences(tmp_path, [person(1)], [person(1)])
    two.sync()
    with two.engine.store.transaction() as unit:
        (contacts,) = (source for source in unit.sources.all() if source.system == "crm")
        unreadable = NewIssue(
            kind="quarantined_record",
            message="its stamp is none",
            sync="newsletter",
            system="crm",
            collection=contacts.collection,
            record="99",
        )
        unit.issues.open(unreadable, run=None)
    two.w.wait(hours=1)
    run_cycle(two.engine, ["second"], full=True)

    with two.engine.store.reading() as unit:
        assert unit.issues.list() == []
    two.settle()
