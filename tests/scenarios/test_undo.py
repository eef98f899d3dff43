"""Taking a run back: what nobody touched since is as it was before, and nothing is done again by itself."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import requests
import sqlalchemy as sa

from optsync.connect.mock import MockTransport
from optsync.connect.registry import mocks
from optsync.errors import CommandRefused
from optsync.metrics import Metrics
from optsync.model.record import Status
from optsync.state.schema import change
from optsync.sync.administer import opt_out
from optsync.sync.check import rebase
from optsync.sync.explain import explain
from optsync.sync.report import Report
from optsync.sync.status import status
from optsync.sync.undo import undo
from optsync.sync.undoing import UndoneSync, UndoReport
from optsync.sync.word import Word
from optsync_mock.faults import FaultInjector, FaultKind, FaultyMock, Rule
from tests.scenarios.test_crashes import Killed, KillingTransport
from tests.scenarios.world import CRM, ESP, World, person

pytestmark = pytest.mark.rule("every write is explained")

Make = Callable[..., World]
ANN, BEN = "ann1@example.com", "ann2@example.com"


def _undo(w: World, report: Report, **options: Any) -> UndoReport:
    w.wait(minutes=5)
    return undo(w.engine, report.run, actor="Kim", **options)


def _part(report: UndoReport) -> UndoneSync:
    part = report.syncs["newsletter"]
    assert isinstance(part, UndoneSync)
    assert sum(part.seen.values()) == part.outcome["changed"] + part.outcome["same"] + sum(
        part.outcome["skipped"].values()
    )
    return part


def _busy_run(w: World) -> Report:
    """One run that writes three fields of two people, in both systems."""
    w.sync()
    w.crm.act("set_field", email=ANN, field="city", value="Oslo")
    w.crm.act("set_field", email=ANN, field="first_name", value="Anna")
    w.esp.act("set_field", email=ANN, field="last_name", value="Lie")
    w.esp.act("set_field", email=BEN, field="last_name", value="Bo")
    w.crm.act("set_field", email=BEN, field="city", value="Bergen")
    return w.sync()


def test_what_a_run_copied_goes_back_and_stays_apart_until_one_side_changes_again(world: Make) -> None:
    w = world(person(1), person(2))
    busy = _busy_run(w)
    report = _undo(w, busy)

    assert (report.state, report.exit_code, report.undoes) == ("done", 0, busy.run)
    assert _part(report).outcome == {"changed": 4, "same": 0, "skipped": {}, "quarantined": 0}
    assert {c.rule for c in _part(report).changes} == {"undone"}
    assert w.esp_shows(ANN)["fields"] | {"city": "Riga", "first_name": "Ann1"} == w.esp_shows(ANN)["fields"]
    assert w.crm_shows(ANN)["fields"]["last_name"] == "Lee1"
    assert w.crm_shows(ANN)["fields"]["city"] == "Oslo"
    assert w.esp_shows(BEN)["fields"]["last_name"] == "Bo"
    w.rest()
    w.sync(full=True)
    assert w.esp_shows(ANN)["fields"]["city"] == "Riga"
    w.crm.act("set_field", email=ANN, field="city", value="Tromsø")
    w.esp.act("set_field", email=BEN, field="last_name", value="Bø")
    w.sync()
    assert w.esp_shows(ANN)["fields"]["city"] == "Tromsø"
    assert w.crm_shows(BEN)["fields"]["last_name"] == "Bø"


def test_what_somebody_edited_since_is_left_and_said(world: Make) -> None:
    w = world(person(1), person(2))
    busy = _busy_run(w)
    w.esp.act("set_field", email=ANN, field="city", value="Paris")
    report = _undo(w, busy)

    assert w.esp_shows(ANN)["fields"]["city"] == "Paris"
    assert w.esp_shows(ANN)["fields"]["first_name"] == "Ann1"
    [left] = _part(report).not_undone
    assert (left.why, left.names, left.change.email) == ("touched_since", ("CITY",), ANN)
    w.sync()
    assert w.crm_shows(ANN)["fields"]["city"] == "Paris"


def test_an_edit_on_the_other_side_still_travels_after_the_undo(world: Make) -> None:
    w = world(person(1), person(2))
    busy = _busy_run(w)
    w.crm.act("set_field", email=ANN, field="city", value="Narvik")
    _undo(w, busy)
    assert w.esp_shows(ANN)["fields"]["city"] == "Riga"
    w.sync()
    assert w.esp_shows(ANN)["fields"]["city"] == "Narvik"


def test_a_blank_that_was_filled_is_blank_again(world: Make) -> None:
    w = world(person(1, city=""), person(2))
    w.sync()
    w.crm.act("set_field", email=ANN, field="city", value="Oslo")
    _undo(w, w.sync())
    assert not w.esp_shows(ANN)["fields"]["city"]


def test_undoing_an_undo_restores_what_the_run_had_written(world: Make) -> None:
    w = world(person(1), person(2))
    busy = _busy_run(w)
    first = _undo(w, busy)
    with pytest.raises(CommandRefused, match=f"undone already, by run {first.run}"):
        _undo(w, busy)
    _undo(w, first)
    assert w.esp_shows(ANN)["fields"]["city"] == "Oslo"
    assert w.crm_shows(ANN)["fields"]["last_name"] == "Lie"
    w.rest()
    _undo(w, busy)
    assert w.esp_shows(ANN)["fields"]["city"] == "Riga"


def test_opt_outs_stay_and_the_answer_says_what_to_do_instead(world: Make) -> None:
    w = world(person(1), person(2))
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    report = _undo(w, w.sync())

    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.esp_shows(ANN)["status"] == Status.OUT
    [out] = [each for each in _part(report).not_undone if each.change.kind == "opt_out"]
    assert "optsync opt-in" in out.to_json()["instead"]


def test_a_run_that_changed_nothing_and_one_that_never_was_cannot_be_undone(world: Make) -> None:
    w = world(person(1))
    w.sync()
    quiet = w.sync()
    with pytest.raises(CommandRefused, match="changed nothing"):
        _undo(w, quiet)
    with pytest.raises(CommandRefused, match="there is no run 01NONE"):
        undo(w.engine, "01NONE", actor="Kim")


def test_a_rehearsed_undo_writes_nothing_anywhere(world: Make) -> None:
    w = world(person(1), person(2))
    busy = _busy_run(w)
    before = w.writes()
    report = _undo(w, busy, is_rehearsal=True)
    assert report.state == "planned"
    assert len(_part(report).changes) == 4
    assert w.writes() == before
    w.rest()
    assert _undo(w, busy).state == "done"


def test_an_undo_that_is_stopped_says_so_and_goes_on_when_it_is_called_again(world: Make) -> None:
    w = world(person(1), person(2))
    busy = _busy_run(w)
    stopped = _undo(w, busy, stopping=lambda: True)
    assert (stopped.state, stopped.exit_code) == ("failed", 1)
    assert "call undo again" in _part(stopped).to_json()["errors"][0]
    w.sync()
    again = _undo(w, busy)
    assert (again.state, again.exit_code) == ("done", 0)
    assert w.esp_shows(ANN)["fields"]["city"] == "Riga"
    assert w.crm_shows(BEN)["fields"]["last_name"] == "Lee2"
    w.rest()


def _unreachable_esp(w: World) -> MockTransport:
    faults = FaultInjector(w.engine.rng, [Rule(kind=FaultKind.DROP)])
    return MockTransport({CRM: w.crm, ESP: FaultyMock(w.esp, faults)})


@pytest.mark.rule("no opt-out is lost")
def test_an_undo_does_not_make_opt_outs_that_cannot_get_through_look_as_if_they_had(world: Make) -> None:
    w = world(person(1), person(2))
    w.sync()
    w.esp.act("set_field", email=BEN, field="last_name", value="Bo")
    wrote_to_crm = w.sync()
    good_at = status(w.engine)["syncs"]["newsletter"]["last_ok_at"]
    w.use(_unreachable_esp(w))
    w.crm.act("opt_out", email=ANN)
    w.sync()
    w.wait(hours=4)
    assert _undo(w, wrote_to_crm).state == "done", "it needs the CRM only"

    shown = status(w.engine)
    assert shown["syncs"]["newsletter"]["oldest_unpropagated_s"] > 4 * 3600
    assert shown["syncs"]["newsletter"]["last_ok_at"] == good_at
    assert shown["systems"]["crm"]["ok"] is True
    assert shown["systems"]["esp"]["ok"] is False
    metrics = Metrics(w.store, w.clock, w.config.syncs, w.config.systems)
    with w.store.reading() as unit:
        metrics.remember(unit.runs)
    age = metrics.registry.get_sample_value("optsync_oldest_unpropagated_opt_out_seconds", {"sync": "newsletter"})
    assert age is not None
    assert age > 4 * 3600


@pytest.mark.parametrize("is_after", [False, True], ids=["before the request", "after the request"])
def test_an_undo_that_was_killed_goes_on_when_it_is_called_again(world: Make, is_after: bool) -> None:
    for at in range(1, 30):
        w = world(person(1), person(2))
        busy = _busy_run(w)
        w._transport = KillingTransport(w, at=at, is_after=is_after)
        w.engine = w.compose()
        was_killed = False
        try:
            _undo(w, busy)
        except Killed:
            was_killed = True
        w._transport = None
        w.engine = w.compose()
        if was_killed:
            _undo(w, busy)
        assert w.esp_shows(ANN)["fields"]["city"] == "Riga"
        assert w.crm_shows(BEN)["fields"]["last_name"] == "Lee2"
        w.rest()
        if not was_killed:
            assert at > 4
            return


@pytest.mark.rule("suspicious volume stops")
def test_an_undo_of_very_much_is_held_and_goes_on_when_a_person_says_so(world: Make) -> None:
    w = world(person(1), person(2), guard={"updates": {"max": 1, "percent": 0, "cap": 1}})
    w.sync(word=Word(actor="Kim", approves_first=True))
    w.crm.act("set_field", email=ANN, field="city", value="Oslo")
    first = w.sync()
    w.crm.act("set_field", email=BEN, field="city", value="Bergen")
    w.sync()
    with w.store.reading() as unit:  # as if one run had written both
        later = [c.id for c in unit.changes.of_points(unit.points.find([BEN]).values()) if c.kind == "field"]
    with w.store._engine.begin() as connection:
        connection.execute(sa.update(change).where(change.c.id.in_(later)).values(run=first.run))
    before = w.writes()
    held = _undo(w, first)
    assert (held.state, held.exit_code, w.writes()) == ("held", 4, before)
    assert {c.state for c in _part(held).changes} == {"held"}
    assert _part(held).held_for[0]["kind"] == "updates"
    w.rest()
    assert _undo(w, first, is_approved=True).state == "done"
    assert [w.esp_shows(email)["fields"]["city"] for email in (ANN, BEN)] == ["Riga", "Riga"]


def test_what_a_run_wrote_to_a_former_account_is_not_taken_back_in_the_new_one(world: Make) -> None:
    w = world(person(1), person(2))
    busy = _busy_run(w)
    other: Any = mocks()["bitrix24"](clock=w.clock, rng=random.Random(9))
    other.populate([person(n, addresses=(f"stranger{n}@example.com",), last_name="Lie") for n in (1, 2)])
    w.crm, w.transport = other, MockTransport({CRM: other, ESP: w.esp})
    w.document["systems"]["crm"] = other.config(CRM).system
    w.reconfigure(lambda _: None)
    rebase(w.engine, "crm")
    report = _undo(w, busy)

    assert {(each.change.system, each.why) for each in _part(report).not_undone} == {("crm", "not_connected")}
    assert w.crm_shows("stranger1@example.com")["fields"]["last_name"] == "Lie"
    assert w.esp_shows(ANN)["fields"]["city"] == "Riga"


# the place on the list


def _leave(w: World) -> Report:
    w.sync()
    w.crm.act("edit", id=w.crm_id(ANN), fields={"TYPE_ID": "SUPPLIER"})
    return w.sync()


def _come_back(w: World) -> None:
    w.crm.act("edit", id=w.crm_id(ANN), fields={"TYPE_ID": "CLIENT"})
    w.sync()


def test_a_tag_is_taken_off_again_and_given_once_more_when_the_person_leaves_anew(world: Make) -> None:
    w = world(person(1), person(2), policy={"leave": "tag"})
    left = _leave(w)
    _undo(w, left)
    assert w.esp_shows(ANN)["tags"] == []
    w.rest()
    _come_back(w)
    w.rest()
    w.crm.act("edit", id=w.crm_id(ANN), fields={"TYPE_ID": "SUPPLIER"})
    w.sync()
    assert w.esp_shows(ANN)["tags"] == ["left list"]


def test_an_archived_member_is_back_while_the_person_is_in_and_stays_until_they_leave_anew(world: Make) -> None:
    w = world(person(1), person(2), policy={"leave": "archive", "existing": "legacy_grant"})
    left = _leave(w)
    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
    back = _undo(w, left)
    assert w.esp_shows(ANN)["status"] == Status.IN
    w.rest()
    _undo(w, back)
    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
    w.rest()
    _come_back(w)
    assert w.esp_shows(ANN)["status"] == Status.IN


def test_a_member_that_was_archived_since_nobody_has_its_address_stays_back_once_that_is_undone(world: Make) -> None:
    w = world(person(1), person(2), policy={"existing": "legacy_grant"})
    w.sync()
    w.crm.act("change_address", email=ANN, to="new@example.com")
    left = w.sync()
    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
    back = _undo(w, left)
    w.rest()
    assert w.esp_shows(ANN)["status"] == Status.IN
    _undo(w, back)
    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
    w.rest()
    w.crm.act("change_address", email="new@example.com", to=ANN)
    w.sync()
    assert w.esp_shows(ANN)["status"] == Status.IN


@pytest.mark.rule("nobody is opted in by accident")
def test_nobody_who_said_no_meanwhile_is_put_back_on_the_list(world: Make) -> None:
    w = world(person(1), person(2), policy={"leave": "archive", "existing": "legacy_grant"})
    left = _leave(w)
    opt_out(w.engine, ANN, scope="acme/marketing", actor="Kim")
    report = _undo(w, left)

    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
    assert [each.why for each in _part(report).not_undone] == ["not_in"]
    w.sync()


@pytest.mark.rule("nobody is opted in by accident")
def test_an_opt_out_that_only_the_crm_shows_yet_keeps_a_member_archived(world: Make) -> None:
    w = world(person(1), person(2), policy={"leave": "archive", "existing": "legacy_grant"})
    left = _leave(w)
    w.crm.act("opt_out", email=ANN)
    report = _undo(w, left)

    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
    assert [each.why for each in _part(report).not_undone] == ["not_in"]
    w.sync()


@pytest.mark.rule("nobody is opted in by accident")
def test_who_left_there_by_themself_meanwhile_is_not_put_back_on_the_list_by_an_undo(world: Make) -> None:
    w = world(person(1), person(2), policy={"leave": "archive", "existing": "legacy_grant"})
    left = _leave(w)
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    w.esp.act("archive", email=ANN)
    w.sync()
    w.wait(hours=1)
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())
    w.sync()
    report = _undo(w, left)

    assert explain(w.engine, ANN)["scopes"]["acme/marketing"]["standing"] == "in"
    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
    assert [each.why for each in _part(report).not_undone] == ["needs_confirmation"]
    w.sync()


class Renamed(MockTransport):
    """Ann's archived member gets Ben's address before it is looked at for the ``at``-th time."""

    def __init__(self, w: World, *, at: int) -> None:
        super().__init__({CRM: w.crm, ESP: w.esp})
        self._esp, self._left = w.esp, at

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        self._left -= "/members/" in str(request.url)
        if self._left == 0:
            self._left -= 1
            self._esp.act("resubscribe", email=ANN)
            self._esp.act("change_address", email=ANN, to=BEN)
            self._esp.act("archive", email=BEN)
        return super().send(request, *args, **options)


@pytest.mark.rule("nobody is opted in by accident")
@pytest.mark.parametrize("at", [1, 2], ids=["before it is planned", "before it is written"])
def test_a_member_that_was_given_the_address_of_somebody_who_said_no_stays_archived(world: Make, at: int) -> None:
    w = world(person(1), person(2, in_esp=False), policy={"leave": "archive", "existing": "legacy_grant"})
    left = _leave(w)
    w.crm.act("opt_out", email=BEN)
    w.sync()
    w.use(Renamed(w, at=at))
    report = _undo(w, left)

    assert w.esp_shows(BEN)["status"] == Status.ARCHIVED
    assert [each.why for each in _part(report).not_undone] == ["touched_since"]
    w.use(w.transport)
    w.sync()


@pytest.mark.rule("bounces are not wishes")
def test_a_member_whose_mailbox_has_died_meanwhile_is_not_put_back_on_the_list(world: Make) -> None:
    w = world(person(1), person(2), policy={"leave": "archive", "existing": "legacy_grant"})
    left = _leave(w)
    w.crm.act("edit", id=w.crm_id(ANN), fields={"UF_CRM_EMAIL_BOUNCED": 1})
    report = _undo(w, left)

    assert w.esp_shows(ANN)["status"] == Status.ARCHIVED
    assert [each.why for each in _part(report).not_undone] == ["undeliverable"]
    w.sync()
