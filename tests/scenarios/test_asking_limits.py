"""Where a confirmation cannot be asked for, was refused, or is taken back: nothing is forced, and it is said."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from optsync.connect.contract import Connector
from optsync.errors import CommandRefused
from optsync.model.change import Fact, Outcome, Result, Write, WriteKind
from optsync.model.record import Status
from optsync.state.issues import Issue
from optsync.sync.check import warnings
from optsync.sync.consent_records import standings
from optsync.sync.explain import explain
from optsync.sync.issues import retry, retry_all
from optsync.sync.progress import Silent
from tests.scenarios.world import START, World, person

pytestmark = pytest.mark.rule("a refusal is a fact")

Make = Callable[..., World]
ANN = "ann1@example.com"
SCOPE = "acme/marketing"
ASKING = {"enter": "request"}
CONSENT: dict[str, Any] = {"in_esp": False, "opt_in": True, "consent_at": START - timedelta(days=3)}


def connector_of(w: World) -> type[Connector]:
    return type(w.engine.connectors["esp"])


def refuse_creates(w: World, monkeypatch: pytest.MonkeyPatch, fact: Fact) -> list[Write]:
    """The platform refuses new members for this reason from now on; returns what was tried."""
    tried: list[Write] = []
    plainly = connector_of(w).write

    def write(self: Any, writes: Sequence[Write], spec: Any) -> Sequence[Outcome]:
        if writes[0].kind is not WriteKind.CREATE:
            return plainly(self, writes, spec)
        tried.extend(writes)
        return [Outcome(key=each.key, result=Result.REFUSED, fact=fact, message="not this one") for each in writes]

    monkeypatch.setattr(connector_of(w), "write", write)
    return tried


def cannot_ask(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    able = replace(connector_of(w).capabilities, can_ask=False)
    monkeypatch.setattr(connector_of(w), "capabilities", able)
    w.engine = w.compose()


def open_issues(w: World) -> list[Issue]:
    with w.store.reading() as unit:
        return list(unit.issues.list())


def about(w: World) -> Mapping[str, Any]:
    return dict(explain(w.engine, ANN)["scopes"][SCOPE])


def exported(w: World) -> str:
    """What the export of standings says of a request."""
    with w.store.reading() as unit:
        (row,) = [r for r in standings(w.engine, unit, SCOPE, Silent()) if r["email"] == ANN]
    return str(row["request"])


def asked(w: World) -> int:
    return int(w.esp.act("asked", email=ANN))


def consent_in_the_crm(w: World) -> None:
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())


# refused


@pytest.mark.parametrize("fact", [Fact.BANNED, Fact.UNDELIVERABLE])
def test_an_address_that_the_platform_refuses_is_left_alone_until_somebody_has_it_tried_again(
    world: Make, monkeypatch: pytest.MonkeyPatch, fact: Fact
) -> None:
    w = world(person(1, **CONSENT))
    with monkeypatch.context() as patch:
        tried = refuse_creates(w, patch, fact)
        w.sync()
        w.wait(hours=1)
        consent_in_the_crm(w)
        w.sync(full=True)
        assert len(tried) == 1
        (issue,) = open_issues(w)
        assert (issue.kind, issue.values["fact"], issue.values["change"]) == ("refused", fact, "create")
        assert about(w)["standing"] == "in", "what a platform refuses is nobody's wish"

    retry(w.engine, [issue.id])
    w.sync()
    assert w.esp_shows(ANN)["status"] == Status.IN
    assert open_issues(w) == []
    w.settle()


@pytest.mark.parametrize("fact", [Fact.BANNED, Fact.UNDELIVERABLE])
def test_a_refused_request_is_made_again_by_hand_only_and_then_once(
    world: Make, monkeypatch: pytest.MonkeyPatch, fact: Fact
) -> None:
    w = world(person(1, in_esp=False), policy=ASKING)
    with monkeypatch.context() as patch:
        tried = refuse_creates(w, patch, fact)
        w.sync()
        w.wait(hours=30)
        w.sync(full=True)
        assert (len(tried), about(w)["request"]["state"], about(w)["request"]["fact"]) == (1, "refused", fact)
        assert exported(w) == "refused"
    w.sync(full=True)
    assert asked(w) == 0, "nobody had it tried again"

    (issue,) = open_issues(w)
    retry(w.engine, [issue.id])
    assert (about(w)["request"]["state"], exported(w)) == ("never", "never"), "it will be the first one"
    w.sync()
    assert (asked(w), about(w)["request"]["state"], exported(w)) == (1, "waiting", "open")
    w.wait(hours=30)
    w.sync(full=True)
    assert asked(w) == 1
    assert open_issues(w) == []
    w.settle()


def test_a_request_refused_again_opens_a_new_issue_and_waits_again(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = world(person(1, in_esp=False), policy=ASKING)
    tried = refuse_creates(w, monkeypatch, Fact.BANNED)
    w.sync()
    (first,) = open_issues(w)
    w.wait(minutes=1)
    assert retry_all(w.engine) == 1
    w.sync()
    w.sync(full=True)

    (second,) = open_issues(w)
    assert (len(tried), second.kind) == (2, "refused")
    assert second.id != first.id
    w.settle()


@pytest.mark.parametrize("is_for_all", [False, True])
def test_a_request_that_the_platform_refuses_for_good_is_not_made_again_by_hand(world: Make, is_for_all: bool) -> None:
    w = world(person(1, in_esp=False), policy=ASKING)
    w.esp.act("resubscribe", email=ANN)
    w.esp.act("forget", email=ANN)
    w.sync()
    (issue,) = open_issues(w)
    before = w.writes()
    if is_for_all:
        assert retry_all(w.engine) == 0
    else:
        with pytest.raises(CommandRefused, match="by signing up there"):
            retry(w.engine, [issue.id])
    w.sync()

    assert w.writes() == before
    assert [i.id for i in open_issues(w)] == [issue.id]
    w.settle()


# a platform that cannot ask


def test_a_platform_that_cannot_ask_enters_nobody_without_consent_and_check_says_so(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = world(person(1, in_esp=False), policy=ASKING)
    assert warnings(w.engine) == []
    cannot_ask(w, monkeypatch)
    report = w.sync()

    assert report.syncs["newsletter"].outcome["skipped"] == {"cannot_ask": 1}
    assert w.esp.act("view", email=ANN) is None
    assert about(w)["request"]["state"] == "never"
    (warning,) = warnings(w.engine)
    assert "policy.enter: request has no effect" in warning
    w.settle()


def test_a_platform_that_cannot_ask_never_gets_an_opt_in_over_a_self_unsubscribe(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = world(person(1))
    w.sync()
    cannot_ask(w, monkeypatch)
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    w.wait(hours=1)
    consent_in_the_crm(w)
    before = w.writes()
    w.sync()

    assert w.writes() == before
    assert (w.esp_shows(ANN)["status"], about(w)["standing"]) == (Status.OUT, "in")
    (issue,) = open_issues(w)
    assert issue.kind == "needs_confirmation"
    assert "send them its sign-up form" in issue.message

    w.wait(hours=1)
    w.esp.act("resubscribe", email=ANN)
    w.sync()
    assert (w.esp_shows(ANN)["status"], open_issues(w)) == (Status.IN, [])
    w.settle()


# a pending that is turned back


def test_a_pending_that_is_turned_back_to_unsubscribed_is_an_out_and_a_newer_grant_asks_once_more(world: Make) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    w.wait(hours=1)
    consent_in_the_crm(w)
    w.sync()
    assert (asked(w), w.esp_shows(ANN)["status"]) == (1, Status.PENDING)
    w.wait(hours=1)
    w.esp.act("admin_unsubscribe", email=ANN)
    w.sync()

    assert (about(w)["standing"], about(w)["request"]["state"]) == ("out", "opted_out")
    assert w.crm_shows(ANN)["opt_out"] is True
    w.sync(full=True)
    assert asked(w) == 1
    w.wait(hours=1)
    consent_in_the_crm(w)
    w.sync()
    assert (asked(w), w.esp_shows(ANN)["status"]) == (2, Status.PENDING), "she left by herself before, so she is asked"
    w.settle()
