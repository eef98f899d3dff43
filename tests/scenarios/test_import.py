"""Wishes that another system held come in by a file, in an administrator's name, and travel like any others."""

from collections.abc import Callable
from pathlib import Path

import pytest

from optsync.model.record import Status
from optsync.model.statement import Source, StatementKind
from optsync.sync import importing
from optsync.sync.administer import opt_in
from optsync.sync.forget import forget
from optsync.sync.importing import Imported, Request, bring_in, take_back
from optsync.sync.permission import permissions
from optsync.sync.progress import Silent
from tests.scenarios.world import World, person

pytestmark = pytest.mark.rule("no opt-out is lost")

SCOPE = "acme/marketing"
ANN = "ann1@example.com"
Worlds = Callable[..., World]


def imported(w: World, folder: Path, *rows: str, scope: str = SCOPE, source: str = "legacy") -> Imported:
    """Imports these rows, below the full header."""
    path = folder / "wishes.csv"
    path.write_text("\n".join(("email,status,at,reason,source,evidence", *rows)), encoding="utf-8")
    return bring_in(w.engine, Request(path=path, scope=scope, source=Source(source), actor="Eve"), Silent())


def standing(w: World, email: str, scope: str = SCOPE) -> str:
    with w.store.reading() as unit:
        key = unit.points.find([email])[email]
        return str(permissions(w.engine).standing(unit.ledger.about([key])[key], scope).wish)


def test_an_imported_opt_out_reaches_every_system(world: Worlds, tmp_path: Path) -> None:
    w = world(person(1), person(2))
    w.sync()
    done = imported(w, tmp_path, f"{ANN.upper()},out,2026-01-02,asked by phone,,")
    w.sync()

    assert (done.rows, done.added[StatementKind.OUT], done.refused) == (1, 1, 0)
    assert w.crm_shows(ANN)["opt_out"] is True
    assert w.esp_shows(ANN)["status"] == Status.OUT
    assert w.esp_shows("ann2@example.com")["status"] == Status.IN


def test_an_opt_out_imported_before_the_first_sync_waits_for_the_person(world: Worlds, tmp_path: Path) -> None:
    w = world(person(1))
    imported(w, tmp_path, f"{ANN},out,2026-01-02,,,", "unheard@example.com,out,,,,")
    w.sync()
    w.sync()

    assert w.esp_shows(ANN)["status"] == Status.OUT
    assert w.crm_shows(ANN)["opt_out"] is True
    assert standing(w, "unheard@example.com") == "out"


def test_an_opt_out_of_a_day_counts_against_a_consent_of_the_same_day(world: Worlds, tmp_path: Path) -> None:
    w = world(person(1))
    w.sync()
    w.wait(hours=48)
    w.crm.act("opt_in", email=ANN, at="2026-11-23T08:00:00+00:00")
    w.sync()
    row = f"{ANN},out,2026-11-23,,,"
    imported(w, tmp_path, row)
    w.sync()

    assert standing(w, ANN) == "out"
    assert w.crm_shows(ANN)["opt_out"] is True


@pytest.mark.rule("order does not matter")
def test_an_opt_out_of_today_does_not_count_anew_when_its_file_is_imported_again(world: Worlds, tmp_path: Path) -> None:
    w = world(person(1))
    w.sync()
    rows = (f"{ANN},out,2026-11-22,,,", f"{ANN},out,2026-11-22,,,")
    imported(w, tmp_path, *rows)
    w.sync()
    w.wait(hours=1)
    w.crm.act("opt_in", email=ANN, at=w.clock.now().isoformat())
    w.sync()
    w.wait(hours=1)
    again = imported(w, tmp_path, *rows)
    w.sync()

    assert (again.known, sum(again.added.values())) == (2, 0)
    assert standing(w, ANN) == "in"


def test_a_topic_may_be_imported_alone(world: Worlds, tmp_path: Path) -> None:
    both = {"crm_topics": {"news": True}, "esp_topics": {"news": True}}
    w = world(person(1, **both))
    w.sync()
    imported(w, tmp_path, f"{ANN},out,,,,", scope=f"{SCOPE}/news")
    w.sync()

    assert w.esp_shows(ANN)["topics"]["news"] is False
    assert w.esp_shows(ANN)["status"] == Status.IN


@pytest.mark.rule("nobody is opted in by accident")
def test_what_an_old_system_held_as_consent_lifts_no_opt_out(world: Worlds, tmp_path: Path) -> None:
    w = world(person(1))
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    w.wait(hours=2)
    imported(w, tmp_path, f"{ANN},grant,2026-11-22T10:30,,,a form on paper", source="legacy")
    w.sync()

    assert standing(w, ANN) == "out"
    assert w.esp_shows(ANN)["status"] == Status.OUT


@pytest.mark.rule("nobody is opted in by accident")
def test_a_grant_that_somebody_vouches_for_lifts_an_older_opt_out_and_no_newer_one(
    world: Worlds, tmp_path: Path
) -> None:
    w = world(person(1), person(2))
    w.sync()
    w.crm.act("opt_out", email=ANN)
    w.sync()
    w.wait(hours=2)
    w.crm.act("opt_out", email="ann2@example.com")
    w.sync()
    later = "2026-11-22T10:30"
    imported(
        w,
        tmp_path,
        f"{ANN},grant,{later},,,a form on paper",
        f"ann2@example.com,grant,{later},,,a form on paper",
        source="import",
    )
    w.sync()

    assert (standing(w, ANN), standing(w, "ann2@example.com")) == ("in", "out")
    assert w.crm_shows(ANN)["opt_out"] is False
    assert w.crm_shows("ann2@example.com")["opt_out"] is True


@pytest.mark.rule("nobody is opted in by accident")
@pytest.mark.parametrize("source", ["legacy", "import"])
def test_a_grant_of_an_export_that_was_retracted_or_is_about_something_else_does_not_go_in(
    world: Worlds, tmp_path: Path, source: str
) -> None:
    """Their opt-outs do, and so does the grant that is about the scope."""
    w = world(person(1))
    path = tmp_path / "ledger.csv"
    rows = (
        "email,status,at,evidence,scope,is_void",
        "void@example.com,grant,2026-01-02,a form,acme/marketing,true",
        "void2@example.com,grant,2026-01-02,a form,acme/marketing,WAHR",
        "topic@example.com,grant,2026-01-02,a form,acme/marketing/news,false",
        "brand@example.com,grant,2026-01-02,a form,bolt/marketing,false",
        "out@example.com,out,2026-01-02,,acme/marketing/news,false",
        "right@example.com,grant,2026-01-02,a form,acme/marketing,false",
    )
    path.write_text("\n".join(rows), encoding="utf-8")
    done = bring_in(w.engine, Request(path=path, scope=SCOPE, source=Source(source), actor="Eve"), Silent())

    assert [refused.column for refused in done.shown] == ["is_void", "is_void", "scope", "scope"]
    assert (done.added[StatementKind.OUT], done.added[StatementKind.GRANT]) == (1, 1)
    assert (standing(w, "out@example.com"), standing(w, "right@example.com")) == ("out", "in")


@pytest.mark.rule("nobody is opted in by accident")
@pytest.mark.parametrize("source", ["legacy", "import"])
def test_a_grant_without_evidence_or_time_is_refused_and_the_others_go_in(
    world: Worlds, tmp_path: Path, source: str
) -> None:
    w = world(person(1), person(2))
    w.sync()
    done = imported(
        w,
        tmp_path,
        f"{ANN},grant,2026-01-02,,,",
        f"{ANN},grant,,,,a form",
        f"{ANN},grant,2027-01-02,,,a form",
        "ann2@example.com,out,2026-01-02,,,",
        source=source,
    )
    w.sync()

    assert [(r.line, r.column) for r in done.shown] == [(2, "evidence"), (3, "at"), (4, "at")]
    assert (done.rows, done.refused, done.added[StatementKind.OUT]) == (4, 3, 1)
    assert standing(w, ANN) == "unknown"
    assert w.esp_shows("ann2@example.com")["status"] == Status.OUT


@pytest.mark.rule("order does not matter")
def test_the_same_file_adds_nothing_the_second_time(world: Worlds, tmp_path: Path) -> None:
    w = world(person(1), person(2))
    w.sync()
    rows = (f"{ANN},out,,,,", "ann2@example.com,out,2026-01-02,,,", "ann2@example.com,out,2026-01-02,,,")
    first = imported(w, tmp_path, *rows)
    w.sync()
    again = imported(w, tmp_path, *rows)

    assert (first.added[StatementKind.OUT], first.known) == (2, 1)
    assert (again.uid, again.added[StatementKind.OUT], again.known) == (first.uid, 0, 3)
    w.sync()


@pytest.mark.rule("retraction spares the person")
def test_a_wrong_import_can_be_taken_back_and_what_people_said_stays(world: Worlds, tmp_path: Path) -> None:
    w = world(person(1), person(2))
    w.sync()
    w.esp.act("unsubscribe", email=ANN)
    w.sync()
    rows = (f"{ANN},out,2026-01-02,,,", "ann2@example.com,out,2026-01-02,,,")
    done = imported(w, tmp_path, *rows)
    back = take_back(w.engine, done.uid, actor="Eve", reason="the wrong column", progress=Silent())
    again = take_back(w.engine, done.uid, actor="Eve", reason="the wrong column", progress=Silent())
    w.sync()

    assert (back.retracted, back.already, again.retracted, again.already) == (2, 0, 0, 2)
    assert (standing(w, ANN), standing(w, "ann2@example.com")) == ("out", "unknown")
    assert w.esp_shows("ann2@example.com")["status"] == Status.IN
    once_more = imported(w, tmp_path, *rows)
    assert (once_more.voided, sum(once_more.added.values())) == (2, 0)
    w.sync()


@pytest.mark.rule("no opt-out is lost")
def test_a_corrected_file_says_anew_what_the_one_that_was_taken_back_said(world: Worlds, tmp_path: Path) -> None:
    w = world(person(1), person(2))
    w.sync()
    right, wrong = f"{ANN},out,2026-01-02,,,", "ann2@example.com,out,2026-01-02,,,"
    done = imported(w, tmp_path, right, wrong)
    take_back(w.engine, done.uid, actor="Eve", reason="a wrong row", progress=Silent())
    corrected = imported(w, tmp_path, right)
    w.sync()

    assert (corrected.voided, corrected.added[StatementKind.OUT]) == (0, 1)
    assert (standing(w, ANN), standing(w, "ann2@example.com")) == ("out", "unknown")


def test_what_two_files_say_stays_when_one_of_them_is_taken_back(world: Worlds, tmp_path: Path) -> None:
    w = world(person(1), person(2))
    w.sync()
    row = f"{ANN},out,2026-01-02T08:00,,,"
    wrong = imported(w, tmp_path, row, "ann2@example.com,out,2026-01-02T08:00,,,")
    right = imported(w, tmp_path, row)
    again = imported(w, tmp_path, row)
    take_back(w.engine, wrong.uid, actor="Eve", reason="somebody else's list", progress=Silent())
    w.sync()

    assert [(each.known, sum(each.added.values())) for each in (right, again)] == [(1, 0), (1, 0)]
    assert (standing(w, ANN), standing(w, "ann2@example.com")) == ("out", "unknown")
    assert w.crm_shows(ANN)["opt_out"] is True
    take_back(w.engine, right.uid, actor="Eve", reason="that one, too", progress=Silent())
    assert standing(w, ANN) == "unknown"
    w.sync()


class Watched(Silent):
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int, int | None]] = []

    def step(self, name: str, done: int, total: int | None) -> None:
        self.steps.append((name, done, total))


def test_how_far_an_import_is_and_its_retraction_can_be_seen(
    world: Worlds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH", 2)
    w = world(person(1))
    path, watched = tmp_path / "wishes.csv", Watched()
    rows = [f"p{n}@example.com,out" for n in range(3)]
    path.write_text("\n".join(("email,status", *rows, "", "nobody,out", "")), encoding="utf-8")
    request = Request(path=path, scope=SCOPE, source=Source.LEGACY, actor="Eve")
    done = bring_in(w.engine, request, watched)
    take_back(w.engine, done.uid, actor="Eve", reason="the wrong file", progress=watched)

    assert watched.steps == [("import", 2, 4), ("import", 4, 4), ("retract", 2, 3), ("retract", 3, 3)]
    w.sync()


@pytest.mark.rule("nobody is opted in by accident")
def test_a_consent_of_a_forgotten_person_is_counted_as_nothing_that_was_added(world: Worlds, tmp_path: Path) -> None:
    w = world(person(1), person(2))
    w.sync()
    forget(w.engine, ANN, actor="Eve")
    rows = [f"{each},grant,2026-01-02,,,a form on paper" for each in (ANN, "ann2@example.com")]
    first, again = imported(w, tmp_path, *rows), imported(w, tmp_path, *rows)

    assert (first.rows, first.added[StatementKind.GRANT], first.known, first.forgotten) == (2, 1, 0, 1)
    assert (again.rows, again.added[StatementKind.GRANT], again.known, again.forgotten) == (2, 0, 1, 1)
    w.sync()


@pytest.mark.rule("forgotten stays out")
@pytest.mark.parametrize("at", ["", "2026-11-22", "2026-01-02"])
def test_a_file_that_is_imported_again_adds_nothing_about_who_was_forgotten_nor_once_they_are_back(
    world: Worlds, tmp_path: Path, at: str
) -> None:
    w = world(person(1), person(2))
    w.sync()
    row = f"{ANN},out,{at},,,"
    imported(w, tmp_path, row)
    forget(w.engine, ANN, actor="Eve")
    w.wait(hours=24)
    again = imported(w, tmp_path, row)
    w.sync()
    assert (again.added[StatementKind.OUT], again.known) == (0, 1)

    opt_in(w.engine, ANN, scope=SCOPE, actor="Eve", evidence="a letter")
    w.sync(full=True)
    w.wait(hours=24)
    again = imported(w, tmp_path, row)
    w.sync()
    assert (again.added[StatementKind.OUT], again.known) == (0, 1)
    assert standing(w, ANN) == "in"
