"""A record that cannot be read is set aside alone: it is neither gone nor opted out."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from optsync.model.record import Status
from optsync.sync.administer import opt_in
from optsync.sync.forget import forget
from optsync.sync.issues import dismiss, retry
from tests.scenarios.test_hurting_answers import Hurting
from tests.scenarios.world import CRM, World, person

pytestmark = pytest.mark.rule("one bad record stands alone")


def garbled(wanted: Callable[[str], bool], *, but: str = "none") -> Any:
    """The portal shows a flag that is none on the records with these ids, except for those that mention ``but``."""

    def mutate(body: Any, _: requests.Response) -> Any:
        pages = body.get("result", {}).get("result") if isinstance(body, dict) else None
        if not isinstance(pages, dict):
            return None
        for page in pages.values():
            for row in page if isinstance(page, list) else ():
                if not isinstance(row, dict) or but in str(row):
                    continue
                if "UF_CRM_OPT_OUT" in row and wanted(str(row.get("ID"))):
                    row["UF_CRM_OPT_OUT"] = "garbage"
        return body

    return mutate


@pytest.mark.parametrize("is_read_before", [True, False])
def test_a_contact_that_cannot_be_read_is_not_believed_merged_away_when_another_one_has_its_address(
    tmp_path: Path, is_read_before: bool
) -> None:
    w = World(tmp_path, [person(1, addresses=("ann1@example.com", "ann9@example.com")), person(2)])
    hurting = Hurting(w, CRM, garbled(lambda rid: rid == "1"))
    w.use(hurting)
    w.sync()
    w.crm.act("opt_out", email="ann1@example.com")
    w.sync()
    hurting.left = 1000
    w.crm.act("set_field", email="ann1@example.com", field="city", value="Oslo")
    if is_read_before:
        w.sync()
    w.crm.act("add_address", email="ann2@example.com", address="ann9@example.com")
    w.sync()

    with w.store.reading() as unit:
        assert not any(o.is_gone for o in unit.records.load([1, 2]))
    # Quarantined before, it may have been merged since: then its flag speaks for all addresses.
    assert w.esp_shows("ann2@example.com")["status"] == (Status.OUT if is_read_before else Status.IN)


def test_an_unreadable_record_is_quarantined_and_never_believed_deleted(tmp_path: Path) -> None:
    w = World(tmp_path, [person(1), person(2)])
    hurting = Hurting(w, CRM, garbled(lambda rid: rid == "1"))
    w._transport = hurting
    w.engine = w.compose()
    w.sync()
    hurting.left = 1000
    for _ in range(3):
        w.wait(hours=2)
        report = w.sync(full=True)
        assert report.syncs["newsletter"].outcome["quarantined"] == 1
    w.crm.act("opt_out", email="ann2@example.com")
    w.sync()
    assert w.esp_shows("ann2@example.com")["status"] == Status.OUT
    with w.store.reading() as unit:
        (known,) = (o for o in unit.records.load([1, 2]) if o.record.id == "1" and o.system == "crm")
        assert [i.kind for i in unit.issues.list()] == ["quarantined_record"]

    assert (known.is_gone, known.missing_since) == (False, None)
    hurting.left = 0
    w.sync(full=True)
    with w.store.reading() as unit:
        assert unit.issues.list() == []
    assert w.esp_shows("ann1@example.com")["status"] == Status.IN
    w.transport.requests = hurting.requests
    w.settle()


def test_an_unreadable_record_that_is_deleted_leaves_no_issue_behind(tmp_path: Path) -> None:
    w = World(tmp_path, [person(1), person(2), person(3)])
    w.sync()
    hurting = Hurting(w, CRM, garbled(lambda rid: rid == "1"))
    w._transport = hurting
    w.engine = w.compose()
    hurting.left = 1000
    w.sync(full=True)
    with w.store.reading() as unit:
        assert [i.kind for i in unit.issues.list()] == ["quarantined_record"]
    w.crm.act("delete", email="ann1@example.com")
    for _ in range(3):
        w.wait(hours=2)
        w.sync(full=True)

    with w.store.reading() as unit:
        assert unit.issues.list() == []
        (closed,) = unit.issues.list(state="resolved")
        (record,) = (o for o in unit.records.load(range(1, 10)) if o.record.id == "1" and o.system == "crm")
    assert closed.reason == "a complete read did not show the record any more"
    assert record.is_gone
    assert w.esp_shows("ann1@example.com")["status"] == Status.IN
    w.transport.requests = hurting.requests
    w.settle()


def test_a_thousand_unreadable_records_do_not_stop_the_run(tmp_path: Path) -> None:
    w = World(tmp_path, [person(number) for number in range(1, 1101)])
    hurting = Hurting(w, CRM, garbled(lambda rid: int(rid) <= 1000))
    w._transport = hurting
    w.engine = w.compose()
    hurting.left = 10_000
    w.crm.act("opt_out", email="ann1100@example.com")
    report = w.sync()

    assert report.syncs["newsletter"].outcome["quarantined"] == 1000
    assert w.esp_shows("ann1100@example.com")["status"] == Status.OUT
    with w.store.reading() as unit:
        assert unit.issues.count_open() == 1000
    hurting.left = 0
    w.sync(full=True)
    with w.store.reading() as unit:
        assert unit.issues.count_open() == 0
    w.transport.requests = hurting.requests
    w.settle()


def test_an_unreadable_contact_keeps_no_lead_of_the_same_number_from_being_believed_deleted(tmp_path: Path) -> None:
    lead = person(2, crm_entity="lead")
    crm = {"system": "crm", "entity": ["contact", "lead"], "opt_out": "UF_CRM_OPT_OUT"}
    w = World(tmp_path, [person(1), lead], changes={"crm": crm})
    hurting = Hurting(w, CRM, garbled(lambda rid: rid == "1", but="ann2@example.com"))
    w.use(hurting)
    w.sync()
    assert w.crm_id("ann1@example.com") == w.crm_id("ann2@example.com")
    hurting.left = 1000
    w.sync(full=True)
    w.crm.act("delete", email="ann2@example.com")
    for _ in range(3):
        w.wait(hours=2)
        w.sync(full=True)

    with w.store.reading() as unit:
        key = unit.points.find(["ann2@example.com"])["ann2@example.com"]
        (known,) = (o for o in unit.records.load(unit.records.holding([key])) if o.system == "crm")
        assert [i.kind for i in unit.issues.list()] == ["quarantined_record"]
    assert known.is_gone


def _meanwhile(hurting: Hurting, act: Callable[[], Any]) -> None:
    """It is done by another process while the CRM answers the next time."""
    hurting.left = 1

    def mutate(_: Any, __: requests.Response) -> None:
        hurting.left = 0
        act()

    hurting.mutate = mutate


@pytest.mark.rule("no opt-out is lost")
@pytest.mark.parametrize("full", [False, True])
def test_a_record_that_is_retried_while_the_system_is_read_is_read_by_the_next_run(tmp_path: Path, full: bool) -> None:
    w = World(tmp_path, [person(1), person(2)])
    hurting = Hurting(w, CRM, garbled(lambda rid: rid == "1"))
    w.use(hurting)
    w.sync()
    hurting.left = 1000
    w.crm.act("opt_out", email="ann1@example.com")
    w.sync()
    w.wait(hours=2)
    with w.store.reading() as unit:
        (issue,) = unit.issues.list(kind="quarantined_record")
    _meanwhile(hurting, lambda: retry(w.compose(), [issue.id]))
    w.sync(full=full)
    w.sync()

    assert w.esp_shows("ann1@example.com")["status"] == Status.OUT
    w.transport.requests = hurting.requests
    w.settle()


def test_all_records_of_who_is_let_back_in_while_a_system_is_read_are_read_by_the_next_run(tmp_path: Path) -> None:
    ann, scope = "ann1@example.com", "acme/marketing"
    w = World(tmp_path, [person(1), person(2, addresses=("ann2@example.com", ann))])
    hurting = Hurting(w, CRM, lambda *_: None)
    w.use(hurting)
    w.sync()
    forget(w.engine, ann, actor="Olga")
    w.sync()
    w.wait(hours=2)
    w.sync()
    w.wait(hours=2)
    _meanwhile(hurting, lambda: opt_in(w.compose(), ann, scope=scope, actor="Olga", evidence="a letter"))
    w.sync()
    w.sync()

    with w.store.reading() as unit:
        key = unit.points.find([ann])[ann]
        known = {o.record.id for o in unit.records.load(unit.records.holding([key])) if o.system == "crm"}
    assert known == {"1", "2"}


@pytest.mark.parametrize("is_dismissed", [True, False])
def test_a_record_that_is_known_to_be_unreadable_is_no_news_of_a_later_run(tmp_path: Path, is_dismissed: bool) -> None:
    w = World(tmp_path, [person(1), person(2)])
    hurting = Hurting(w, CRM, garbled(lambda rid: rid == "1"))
    w.use(hurting)
    w.sync()
    hurting.left = 1000
    codes = [w.sync(full=True).exit_code]
    with w.store.reading() as unit:
        (issue,) = unit.issues.list(kind="quarantined_record")
    if is_dismissed:
        dismiss(w.engine, [issue.id], actor="Olga")
    codes += [w.sync(full=True).exit_code for _ in range(2)]

    assert codes == [1, 0, 0]
    retry(w.engine, [issue.id])
    report = w.sync()
    assert (report.exit_code, report.syncs["newsletter"].outcome["quarantined"]) == (1, 1)


def test_an_unreadable_record_is_news_of_the_sync_that_reads_it_first(tmp_path: Path) -> None:
    """Its issue belongs to the first sync of the collection, whoever has opened it."""
    w = World(tmp_path, [person(1), person(2)])

    def add(sync: dict[str, Any]) -> None:
        w.document["syncs"]["a second one"] = copy.deepcopy(sync)

    w.reconfigure(add)
    hurting = Hurting(w, CRM, garbled(lambda rid: rid == "1"))
    w.use(hurting)
    w.sync()
    hurting.left = 1000
    second = w.engine.bound.sources["crm", "contact"].syncs[-1]

    assert [w.sync(syncs=[second], full=True).exit_code for _ in range(2)] == [1, 0]
